-- The index of runs and of their uses of files: SQLite, rebuilt from the records whenever it is missing, damaged or of
-- another version. The same tables index a project's records and the user's catalogue.
--
-- Versions
--   1  2026-11  the first
--   2  2026-11  run.listings, run.absent
--   3  2026-11  run.label: the name of the function, should a script have called one

-- What the index is of: store = the path of the store (or of the catalogue) whose records it holds.
CREATE TABLE IF NOT EXISTS about (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

-- Texts that come again and again, under a number made from the text (store/words.py). rest is the text; or, where it is
-- the 24 bytes of a blob, the text is 'blake3:' followed by the key's 8 bytes and those 24, in hexadecimal.
-- A text beginning with a zero byte is not UTF-8: its bytes follow, each as one character.
CREATE TABLE IF NOT EXISTS word (
  key  INTEGER PRIMARY KEY,
  rest NOT NULL
);

-- Where the runs of a catalogue were recorded. Empty in the index of a project.
CREATE TABLE IF NOT EXISTS place (
  n     INTEGER PRIMARY KEY,
  store TEXT NOT NULL,   -- the folder .vestige
  root  TEXT NOT NULL,   -- of the project
  id    TEXT NOT NULL,   -- of the project; empty where it has none
  UNIQUE (store, root, id)
);

-- One row a run: what a list shows of it.
CREATE TABLE IF NOT EXISTS run (
  n         INTEGER PRIMARY KEY,
  id        TEXT NOT NULL UNIQUE,
  name      TEXT,
  label     TEXT NOT NULL,      -- what the step is called
  kind      TEXT NOT NULL,
  status    TEXT NOT NULL,
  started   INTEGER,            -- microseconds since 1970, UTC
  duration  REAL,               -- seconds
  sequence  INTEGER NOT NULL,   -- microseconds since the host was booted
  parent    TEXT,               -- id of the run inside which it happened
  command   TEXT,               -- arguments, a zero byte between two
  cwd       TEXT NOT NULL,
  exit_code INTEGER,
  dirty     INTEGER,
  inputs    INTEGER NOT NULL,   -- how many, in the roles data, config and code
  outputs   INTEGER NOT NULL,
  tags      TEXT,               -- a zero byte between two; with what notes added
  note      TEXT,
  gaps      INTEGER NOT NULL,
  host        INTEGER,          -- words, as are the seven that follow
  boot        INTEGER,
  user        INTEGER,
  "commit"    INTEGER,
  snapshot    INTEGER,
  environment INTEGER,
  listings    INTEGER,          -- the object that lists the folders that it listed
  absent      INTEGER,          -- the object that lists the files that it looked for in vain
  place     INTEGER,            -- in a catalogue
  first_use INTEGER NOT NULL,   -- its uses are the rows of use from this one
  last_use  INTEGER NOT NULL    --   to this one
);
CREATE INDEX IF NOT EXISTS run_short ON run (substr(id, -8));
CREATE INDEX IF NOT EXISTS run_started ON run (started);
CREATE INDEX IF NOT EXISTS run_name ON run (name) WHERE name IS NOT NULL;
CREATE INDEX IF NOT EXISTS run_parent ON run (parent) WHERE parent IS NOT NULL;

-- One row for each file version that a run read or wrote.
CREATE TABLE IF NOT EXISTS use (
  n         INTEGER PRIMARY KEY,
  run       INTEGER NOT NULL,
  path      INTEGER NOT NULL,   -- word; as in the record, in a catalogue absolute
  digest    INTEGER,            -- word
  before    INTEGER,            -- word: the digest that a write replaced
  written   INTEGER NOT NULL,   -- 0: an input, 1: an output
  access    NOT NULL,           -- 0 read, 1 write, 2 update, 3 append, 4 link, 5 execute; others by name
  role      NOT NULL,           -- 0 data, 1 config, 2 code, 3 temporary, 4 cache, 5 library, 6 system; others by name
  size      INTEGER,            -- bytes
  seq       INTEGER NOT NULL,   -- first read or last write, microseconds since the host was booted
  time      INTEGER,            -- the same, microseconds since 1970, UTC
  deleted   INTEGER NOT NULL,
  kept      INTEGER NOT NULL,
  recovered INTEGER NOT NULL,
  kind      TEXT                -- 'directory'
);
CREATE INDEX IF NOT EXISTS use_digest ON use (written, digest) WHERE digest IS NOT NULL;
CREATE INDEX IF NOT EXISTS use_path ON use (written, path, time);

-- The folders of a store that were listed, so that an unchanged one need not be listed again.
CREATE TABLE IF NOT EXISTS folder (
  n       INTEGER PRIMARY KEY,
  path    TEXT NOT NULL UNIQUE,  -- relative to the store
  mtime   INTEGER NOT NULL,      -- nanoseconds, when it was listed
  listed  INTEGER NOT NULL,      -- when it was listed first with that mtime, nanoseconds
  settled INTEGER NOT NULL       -- 1: it was listed long enough after mtime to be sure that nothing came with the same
);

-- The files that were read, whether they hold a record, a note or nothing that can be read.
CREATE TABLE IF NOT EXISTS file (
  folder INTEGER NOT NULL,
  name   TEXT NOT NULL,
  inode  INTEGER NOT NULL,       -- with ctime: where they are others, the file was replaced
  ctime  INTEGER NOT NULL,       -- nanoseconds
  run    INTEGER,                -- the run it is the record of
  reason TEXT,                   -- why it could not be read, or not wholly
  PRIMARY KEY (folder, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS file_run ON file (run) WHERE run IS NOT NULL;
CREATE INDEX IF NOT EXISTS file_reason ON file (reason) WHERE reason IS NOT NULL;

-- What was said of runs later.
CREATE TABLE IF NOT EXISTS note (
  folder    INTEGER NOT NULL,
  name      TEXT NOT NULL,
  run       TEXT NOT NULL,       -- id
  time      TEXT NOT NULL,
  tags      TEXT,                -- added, a zero byte between two
  untags    TEXT,                -- taken away
  note      TEXT,
  forgotten INTEGER NOT NULL,    -- 1: the run was removed on purpose
  PRIMARY KEY (folder, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS note_run ON note (run);

-- How far the files of a catalogue have been read.
CREATE TABLE IF NOT EXISTS log (
  name   TEXT PRIMARY KEY,
  inode  INTEGER NOT NULL,
  offset INTEGER NOT NULL        -- bytes; the beginning of the first line that was not whole
) WITHOUT ROWID;

PRAGMA user_version = 3;
