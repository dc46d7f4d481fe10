"""Bringing an index up to date with the records of a store.

Records are immutable, so a file that was read once need not be read again; and a folder whose modification time is
unchanged need not even be listed, if it was listed long enough after that time: two changes within one tick of a
file system's clock (up to two seconds) leave one time. So a folder is *settled* only when it was listed with a time
that had been seen unchanged for longer than a tick, by our own clock, since a server's clock may differ from it.

What is to be done is found without a lock. It is then done in short transactions, each of which checks that nobody
else has done it, so that two processes which build the same index share the work.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from json import dumps, loads
from typing import TypeAlias

from vestige.errors import VestigeError
from vestige.store import rows, words
from vestige.store.records import Damaged, Note, Records, parse_note
from vestige.store.tables import Tables

_TOPS = ("runs", "notes")
_TICK = 2_500_000_000
_DAY = 86_400_000_000_000
_BATCH = 500
_RETRIES = 200
_INODE = (1 << 63) - 1

Progress: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class File:
    """A file of a store: its folder relative to the store, its name, and by what it is known again."""

    folder: str
    name: str
    inode: int
    ctime: int

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.name}"


@dataclass(slots=True)
class Plan:
    """What differs between a store and its index."""

    new: list[File] = field(default_factory=list)
    gone: list[tuple[int, str]] = field(default_factory=list)
    folders: list[tuple[str, int, int, int]] = field(default_factory=list)
    gone_folders: list[int] = field(default_factory=list)
    unreadable: list[Damaged] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.new or self.gone or self.folders or self.gone_folders)

    def is_simple(self) -> bool:
        """Whether there is nothing but records that are new."""
        return not self.gone and not self.gone_folders and all(file.folder.startswith("runs/") for file in self.new)


@dataclass(frozen=True, slots=True)
class _Folder:
    n: int
    path: str
    mtime: int
    listed: int
    settled: int


def plan(tables: Tables, records: Records) -> Plan:
    """Compare a store with its index; reads only."""
    return _Comparison(tables, records).compare()


def apply(tables: Tables, records: Records, todo: Plan, progress: Progress | None = None) -> None:
    """Bring the index up to date. Raises sqlite3.OperationalError where another process holds it too long."""
    said = [file for file in todo.new if file.folder.startswith("notes/")]
    new = [file for file in todo.new if not file.folder.startswith("notes/")]
    if said or todo.gone or todo.gone_folders:
        new += _apply_notes(tables, records, said, todo)
    done = 0
    for taken in _batches(records, new):
        with _Transaction(tables):
            _take(tables, taken)
        done += len(taken)
        if progress is not None:
            progress(done, len(new))
    if todo.folders:
        with _Transaction(tables):
            sql = (
                "INSERT INTO folder (path, mtime, listed, settled) VALUES (?, ?, ?, ?) ON CONFLICT (path) "
                "DO UPDATE SET mtime = excluded.mtime, listed = excluded.listed, settled = excluded.settled"
            )
            tables.db.executemany(sql, [(words.storable(path), *rest) for path, *rest in todo.folders])


def parsed(records: Records, files: Sequence[File]) -> Iterator[tuple[File, rows.Row | None, str | None]]:
    """The rows of records, or why there are none; both where a record is there in part only."""
    for file in files:
        path = os.path.join(records.store, file.folder, file.name)
        try:
            document = records.document(path)
            problem = records.complete(document)
            yield file, rows.of(document), problem
        except VestigeError as error:
            if os.path.exists(path):
                yield file, None, str(error)


def damaged(tables: Tables, records: Records) -> list[Damaged]:
    """The files that could not be read, or not wholly."""
    sql = "SELECT path, name, reason FROM file JOIN folder ON folder.n = file.folder WHERE reason IS NOT NULL ORDER BY 1, 2"
    return [
        Damaged(os.path.join(records.store, words.restored(folder), words.restored(name)), words.restored(reason))
        for folder, name, reason in tables.db.execute(sql)
    ]


class _Transaction:
    """All or nothing, and nobody else meanwhile."""

    __slots__ = ("db",)

    def __init__(self, tables: Tables) -> None:
        self.db = tables.db

    def __enter__(self) -> None:
        self.db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.db.execute("COMMIT")
        elif self.db.in_transaction:
            self.db.execute("ROLLBACK")


class _Comparison:
    def __init__(self, tables: Tables, records: Records) -> None:
        self.db = tables.db
        self.store = records.store
        self.plan = Plan()
        found = self.db.execute("SELECT n, path, mtime, listed, settled FROM folder")
        self.known = {path: _Folder(n, path, *rest) for n, text, *rest in found for path in (words.restored(text),)}
        self.inside: dict[str, list[str]] = {}
        for path in self.known:
            self.inside.setdefault(os.path.dirname(path), []).append(path)
        self.seen: set[str] = set()

    def compare(self) -> Plan:
        for top in _TOPS:
            self._visit(top, 0)
        for path, folder in self.known.items():
            if path not in self.seen:
                self.plan.gone_folders.append(folder.n)
        self._retry()
        return self.plan

    def _visit(self, path: str, depth: int) -> None:
        folder = self.known.get(path)
        full = os.path.join(self.store, path)
        now = time.time_ns()
        try:
            mtime = os.stat(full).st_mtime_ns
            if folder is not None and folder.settled and folder.mtime == mtime:
                inside = self.inside.get(path, [])
            elif depth < 2:
                inside = self._subfolders(full, path)
            else:
                self._files(full, path, folder)
                inside = []
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            self.plan.unreadable.append(Damaged(full, f"cannot be listed: {error.strerror}"))
            self.seen.add(path)
            self.seen.update(other for other in self.known if other.startswith(path + "/"))
            return
        self.seen.add(path)
        if folder is None or not folder.settled or folder.mtime != mtime:
            self._note(path, mtime, now, folder)
        for other in inside:
            self._visit(other, depth + 1)

    def _subfolders(self, full: str, path: str) -> list[str]:
        with os.scandir(full) as entries:
            return sorted(f"{path}/{entry.name}" for entry in entries if entry.name[0] != "." and entry.is_dir())

    def _files(self, full: str, path: str, folder: _Folder | None) -> None:
        known: dict[str, tuple[int, int]] = {}
        if folder is not None:
            for name, *seen in self.db.execute("SELECT name, inode, ctime FROM file WHERE folder = ?", (folder.n,)):
                known[words.restored(name)] = (seen[0], seen[1])
        with os.scandir(full) as entries:
            for entry in entries:
                name = entry.name
                if name.endswith(".json") and name[0] != ".":
                    file = _file(path, name, entry.stat())
                    if known.pop(name, None) != (file.inode, file.ctime):
                        self.plan.new.append(file)
        if folder is not None:
            self.plan.gone += [(folder.n, name) for name in known]

    def _note(self, path: str, mtime: int, now: int, folder: _Folder | None) -> None:
        """The folder was listed: at the beginning of time, or again with the time that it had then, and is that settled now?"""
        same = folder is not None and folder.mtime == mtime
        listed = folder.listed if folder is not None and same and folder.listed <= now else now
        settled = now - mtime > _DAY or (same and now - listed > _TICK)
        if settled or not same:
            self.plan.folders.append((path, mtime, listed, int(settled)))

    def _retry(self) -> None:
        """What could not be read may be whole by now: it was still being copied, or its objects were not there yet."""
        sql = "SELECT path, name, inode, ctime FROM file JOIN folder ON folder.n = file.folder WHERE reason IS NOT NULL LIMIT ?"
        known = {(file.folder, file.name) for file in self.plan.new} if self.plan.new else set()
        for text, name, inode, ctime in self.db.execute(sql, (_RETRIES,)).fetchall():
            file = File(words.restored(text), words.restored(name), inode, ctime)
            if file.folder in self.seen and (file.folder, file.name) not in known:
                self.plan.new.append(file)


def _batches(records: Records, files: Sequence[File]) -> Iterator[list[tuple[File, rows.Row | None, str | None]]]:
    for start in range(0, len(files), _BATCH):
        yield list(parsed(records, files[start : start + _BATCH]))


def _take(tables: Tables, taken: Sequence[tuple[File, rows.Row | None, str | None]]) -> None:
    """Put records into the index which nobody else has put there meanwhile."""
    folders = {file.folder: _folder(tables, file.folder) for file, _, _ in taken}
    fresh: dict[str, rows.Row] = {}
    files = []
    replaced: set[int] = set()
    for file, row, reason in taken:
        known = _known(tables, folders[file.folder], file)
        if known is not None:
            *same, n = known
            if same == [file.inode, file.ctime, reason]:
                continue
            replaced.update(() if n is None else (n,))
        kept = None if row is None else _as_said(tables, row)
        if row is not None and kept is None:
            tables.remove(row.run.id)
        if kept is not None:
            fresh[kept.run.id] = kept
        files.append((file, kept, reason))
    before = {run_id: _number(tables, run_id) for run_id in fresh}
    numbers = dict(zip(fresh, tables.insert(list(fresh.values())), strict=True))
    moved = [(numbers[run_id], n) for run_id, n in before.items() if n is not None]
    tables.db.executemany("UPDATE file SET run = ? WHERE run = ?", moved)
    tables.db.executemany(
        "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?)",
        [
            (
                folders[file.folder],
                words.storable(file.name),
                file.inode,
                file.ctime,
                None if row is None else numbers[row.run.id],
                None if reason is None else words.storable(reason),
            )
            for file, row, reason in files
        ],
    )
    for n in replaced:
        _drop_run(tables, n)


def _known(tables: Tables, folder: int, file: File) -> tuple[int, int, str | None, int | None] | None:
    """What is known of a file: inode, change time, reason, run."""
    sql = "SELECT inode, ctime, reason, run FROM file WHERE folder = ? AND name = ?"
    found = tables.db.execute(sql, (folder, words.storable(file.name))).fetchone()
    if found is None:
        return None
    inode, ctime, reason, run = found
    return inode, ctime, None if reason is None else words.restored(reason), run


def _number(tables: Tables, run_id: str) -> int | None:
    found = tables.db.execute("SELECT n FROM run WHERE id = ?", (words.storable(run_id),)).fetchone()
    return None if found is None else int(found[0])


def _folder(tables: Tables, path: str) -> int:
    tables.db.execute("INSERT OR IGNORE INTO folder (path, mtime, listed, settled) VALUES (?, -1, 0, 0)", (words.storable(path),))
    return int(tables.db.execute("SELECT n FROM folder WHERE path = ?", (words.storable(path),)).fetchone()[0])


def _as_said(tables: Tables, row: rows.Row) -> rows.Row | None:
    """A run with what was said of it since; None if it was forgotten."""
    sql = "SELECT tags, untags, note, forgotten FROM note WHERE run = ? ORDER BY time, name"
    found = tables.db.execute(sql, (words.storable(row.run.id),)).fetchall()
    if not found:
        return row
    tags = dict.fromkeys(loads(row.run.tags) if row.run.tags else ())
    note = row.run.note
    for added, removed, text, forgotten in found:
        if forgotten:
            return None
        tags |= dict.fromkeys(loads(added))
        tags = dict.fromkeys(tag for tag in tags if tag not in loads(removed))
        note = note if text is None else text
    return row._replace(run=row.run._replace(tags=dumps(list(tags)) if tags else None, note=note))


def _apply_notes(tables: Tables, records: Records, said: Sequence[File], todo: Plan) -> list[File]:
    """Take in notes, drop what is gone; the records that have to be read again, since something was said of them."""
    read = list(_parsed_notes(records, said))
    again: list[File] = []
    with _Transaction(tables):
        unsaid = _drop(tables, todo)
        for file, note, reason in read:
            folder = _folder(tables, file.folder)
            text = None if reason is None else words.storable(reason)
            row = (folder, words.storable(file.name), file.inode, file.ctime, None, text)
            tables.db.execute("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?)", row)
            if note is not None:
                _put_note(tables, folder, file.name, note)
                again += _unread(tables, words.storable(note.run))
        for run_id in unsaid:
            again += _unread(tables, run_id) or _found(tables, records, words.restored(run_id))
    return again


def _parsed_notes(records: Records, files: Sequence[File]) -> Iterator[tuple[File, Note | None, str | None]]:
    for file in files:
        path = os.path.join(records.store, file.folder, file.name)
        try:
            with open(path, "rb") as opened:
                yield file, parse_note(opened.read(), path), None
        except FileNotFoundError:
            continue
        except (VestigeError, OSError) as error:
            yield file, None, str(error)


def _put_note(tables: Tables, folder: int, name: str, note: Note) -> None:
    tags, untags = dumps(list(note.tags)), dumps(list(note.untags))
    text = None if note.note is None else words.storable(note.note)
    run_id, time = words.storable(note.run), words.storable(note.time)
    row = (folder, words.storable(name), run_id, time, tags, untags, text, int(note.forgotten))
    tables.db.execute("INSERT OR REPLACE INTO note VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)


def _drop(tables: Tables, todo: Plan) -> set[str]:
    """Drop files that are gone, and the runs of which no record is left; the runs whose notes are gone."""
    concerned: set[str] = set()
    gone = [(folder, words.storable(name)) for folder, name in todo.gone]
    for folder in todo.gone_folders:
        gone += [(folder, name) for (name,) in tables.db.execute("SELECT name FROM file WHERE folder = ?", (folder,))]
    for key in gone:
        for (run_id,) in tables.db.execute("SELECT run FROM note WHERE folder = ? AND name = ?", key).fetchall():
            concerned.add(run_id)
        found = tables.db.execute("SELECT run FROM file WHERE folder = ? AND name = ?", key).fetchone()
        tables.db.execute("DELETE FROM note WHERE folder = ? AND name = ?", key)
        tables.db.execute("DELETE FROM file WHERE folder = ? AND name = ?", key)
        if found is not None and found[0] is not None:
            _drop_run(tables, found[0])
    tables.db.executemany("DELETE FROM folder WHERE n = ?", [(folder,) for folder in todo.gone_folders])
    return concerned


def _drop_run(tables: Tables, n: int) -> None:
    """Drop a run, unless another file holds the same record."""
    if tables.db.execute("SELECT 1 FROM file WHERE run = ?", (n,)).fetchone() is None:
        found = tables.db.execute("SELECT id FROM run WHERE n = ?", (n,)).fetchone()
        if found is not None:
            tables.remove(words.restored(found[0]))


def _unread(tables: Tables, run_id: str) -> list[File]:
    """The files of a run's record, which count as unread from now on."""
    sql = """
        SELECT path, file.name, inode, ctime, folder FROM run JOIN file ON file.run = run.n JOIN folder ON folder.n = file.folder
        WHERE run.id = ?
    """
    found = tables.db.execute(sql, (run_id,)).fetchall()
    tables.db.executemany("DELETE FROM file WHERE name = ? AND folder = ?", [(name, n) for _, name, _, _, n in found])
    return [File(words.restored(folder), words.restored(name), inode, ctime) for folder, name, inode, ctime, _ in found]


def _found(tables: Tables, records: Records, run_id: str) -> list[File]:
    """The file of a run which the index does not have, since it was forgotten."""
    path = records.path_of(run_id)
    if path is None:
        return []
    folder, name = os.path.split(os.path.relpath(path, records.store))
    key = (words.storable(name), words.storable(folder))
    tables.db.execute("DELETE FROM file WHERE name = ? AND folder = (SELECT n FROM folder WHERE path = ?)", key)
    return [_file(folder, name, os.stat(path))]


def _file(folder: str, name: str, found: os.stat_result) -> File:
    return File(folder, name, found.st_ino & _INODE, found.st_ctime_ns)
