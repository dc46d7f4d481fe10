"""An index in a file of SQLite's on a local disk, which may be deleted at any time.

Where the file is damaged it is made anew. Where it cannot be written, or another process holds it for longer than we
wait, what it lacks is kept in memory; where it cannot even be read, all of it is. `notes` then says so in words.
"""

from __future__ import annotations

import os
import sqlite3
from abc import abstractmethod
from collections.abc import Callable, Iterator
from itertools import chain, islice
from types import TracebackType
from typing import Self, TypeVar
from zlib import crc32

from vestige.errors import StoreError
from vestige.model.files import Use
from vestige.model.query import RunQuery
from vestige.model.summary import Summary
from vestige.store import publish, tables
from vestige.store.interface import Index
from vestige.store.layers import Layers
from vestige.store.tables import Tables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vestige.model.run import Run

#: How long another process may hold the index, in seconds.
PATIENCE = 2.0
#: Errors that say nothing against the file: permission, busy, locked, read-only, I/O, disk full, cannot open.
_CIRCUMSTANCES = frozenset({3, 5, 6, 8, 10, 13, 14})
#: Of these, those by which nobody can be writing the file now: permission, read-only, cannot open.
_UNWRITABLE = frozenset({3, 8, 14})

T = TypeVar("T")


class FileIndex(Layers):
    """What the index of a project and that of the catalogue have in common. Whoever extends it says what there is to do
    (`find`), does it (`fill`), and makes tables of what is lacking where the file cannot be filled (`lacking`)."""

    __slots__ = ("file", "notes", "tables", "writable")

    def __init__(self, file: File) -> None:
        super().__init__()
        self.notes: list[str] = []
        self.file = file
        self.tables, self.writable = file.open(self.notes)
        self.layers = (self.tables,)

    @abstractmethod
    def find(self) -> bool:
        """Find out what has to be done; whether there is anything."""

    @abstractmethod
    def fill(self) -> None:
        """Bring the tables up to date. Raises sqlite3.OperationalError where another process holds them too long."""

    @abstractmethod
    def lacking(self) -> Tables | None:
        """What the tables lack, where that is all that is wrong with them."""

    def sync(self) -> None:
        """Bring in what is new and drop what is gone; quick where nothing has changed."""
        over = self.recovering(self._update)
        self.layers = (self.tables,) if over is None else (over, self.tables)

    def each(self, ask: Callable[[Index], T]) -> list[T]:
        return self.recovering(lambda: [ask(layer) for layer in self.layers])

    def runs(self, query: RunQuery) -> Iterator[Summary]:
        return self._stream(lambda: super(FileIndex, self).runs(query))

    def outputs(self) -> Iterator[Use]:
        return self._stream(super().outputs)

    def add(self, run: Run) -> None:
        self.recovering(lambda: self.tables.add(run))

    def close(self) -> None:
        """Close the database."""
        self.tables.db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def recovering(self, act: Callable[[], T]) -> T:
        """Do something, and once more with a new index if the file turns out to be damaged or out of reach."""
        try:
            return act()
        except sqlite3.DatabaseError as error:
            self.tables.db.close()
            if _code(error) in _CIRCUMSTANCES:
                self.notes.append(f"the index {self.file.path} cannot be used ({error}); it is made in memory")
                self._replace(in_memory(), writable=True)
            else:
                self.notes.append(f"the index {self.file.path} was damaged ({error}) and is made anew")
                self.file.discard()
                fresh, writable = self.file.open(self.notes)
                self._replace(fresh, writable=writable)
            self.find()
            self.fill()
            return act()

    def _update(self) -> Tables | None:
        """What could only be kept in memory; None where nothing was, as it should be."""
        if not self.find():
            return None
        try:
            if self.writable:
                self.fill()
                return None
            self.notes.append(f"the index {self.file.path} cannot be written; what it lacks is kept in memory")
        except sqlite3.OperationalError as error:
            if _code(error) not in _CIRCUMSTANCES:
                raise
            what = f"the index {self.file.path} could not be brought up to date ({error})"
            self.notes.append(f"{what}; what it lacks is kept in memory")
        self.find()
        over = self.lacking()
        if over is None:
            self.tables.db.close()
            self._replace(in_memory(), writable=True)
            self.find()
            self.fill()
        return over

    def _replace(self, fresh: Tables, *, writable: bool) -> None:
        self.tables, self.writable = fresh, writable
        self.layers = (*self.layers[:-1], fresh)

    def _stream(self, ask: Callable[[], Iterator[T]]) -> Iterator[T]:
        """Answers one by one; what is wrong with the file shows at the first, as a rule."""

        def begin() -> Iterator[T]:
            stream = ask()
            first = list(islice(stream, 1))
            return chain(first, stream)

        try:
            yield from self.recovering(begin)
        except sqlite3.DatabaseError as error:
            self.file.discard()
            what = f"the index {self.file.path} is damaged ({error})"
            raise StoreError(what, hint="do the same again: it is made anew") from error


class File:
    """The file of an index: of one store, and of one version of the tables."""

    __slots__ = ("folder", "of", "path")

    def __init__(self, folder: str, of: str) -> None:
        self.folder = folder
        self.of = os.path.realpath(of)
        name = f"index-{tables.VERSION}-{crc32(os.fsencode(self.of)):08x}.sqlite"
        self.path = os.path.join(folder, name)

    def open(self, notes: list[str]) -> tuple[Tables, bool]:
        """The tables, and whether they can be written. A damaged file is made anew; without one, they are in memory."""
        try:
            publish.make_folder(self.folder, 0o700)
        except OSError:
            pass  # what can be done without it is found out next
        reason = sqlite3.DatabaseError("it cannot be replaced")
        for _ in range(2):
            try:
                return self._writable(), True
            except sqlite3.DatabaseError as error:
                if _code(error) in _CIRCUMSTANCES:
                    reason = error
                    break
                notes.append(f"the index {self.path} was damaged ({error}) and is made anew")
                self.discard()
        if _code(reason) in _UNWRITABLE:
            try:
                return self._readable(), False
            except sqlite3.DatabaseError:
                pass
        notes.append(f"no index can be kept in {self.folder} ({reason}); it is made in memory")
        return in_memory(), True

    def discard(self) -> None:
        """Remove the file and those that SQLite put beside it."""
        for end in ("", "-wal", "-shm", "-journal"):
            publish.discard(self.path + end)

    def _writable(self) -> Tables:
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))  # names of files are the user's own business
        except OSError:
            pass  # SQLite says what is wrong
        db = _connect(self.path)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            if not self._fits(db):
                tables.create(db)
                db.execute("INSERT OR REPLACE INTO about VALUES ('store', ?)", (os.fsencode(self.of),))
        except BaseException:
            db.close()
            raise
        return Tables(db)

    def _readable(self) -> Tables:
        """Tables that others keep: from a folder or a file that we must not write."""
        from urllib.parse import quote

        name = quote(os.fsencode(self.path))
        waiting = os.path.exists(self.path + "-wal") and os.path.getsize(self.path + "-wal") > 0
        db = _connect(f"file:{name}?mode=ro" + ("" if waiting else "&immutable=1"), uri=True)
        try:
            fits = self._fits(db)
        except BaseException:
            db.close()
            raise
        if not fits:
            db.close()
            raise sqlite3.DatabaseError("it is not there yet")
        return Tables(db)

    def _fits(self, db: sqlite3.Connection) -> bool:
        """Whether the tables are there, of our version and of our store. Raises sqlite3.DatabaseError where they are others."""
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            return False
        found = db.execute("SELECT value FROM about WHERE name = 'store'").fetchone() if version == tables.VERSION else None
        if version == tables.VERSION and found is None:
            return False
        if found is None or found[0] != os.fsencode(self.of):
            raise _mismatch("it is of another store or version")
        return True


def in_memory() -> Tables:
    """Empty tables that nobody else sees."""
    db = _connect(":memory:")
    tables.create(db)
    return Tables(db)


def _connect(name: str, *, uri: bool = False) -> sqlite3.Connection:
    db = sqlite3.connect(name, timeout=PATIENCE, isolation_level=None, check_same_thread=False, cached_statements=256, uri=uri)
    db.execute("PRAGMA cache_size = -65536")
    return db


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 where the error is not SQLite's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _mismatch(message: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(message)
    error.sqlite_errorcode = sqlite3.SQLITE_NOTADB
    return error
