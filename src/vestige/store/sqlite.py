"""The index of a project's runs: SQLite on a local disk, brought up to date with the records whenever it is opened.

It may be deleted at any time. Where its file is damaged it is made anew; where it cannot be written, or another
process holds it for longer than we wait, what it lacks is kept in memory; where it cannot even be read, all of it is.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from types import TracebackType
from typing import Self, TypeAlias, TypeVar
from zlib import crc32

from vestige.errors import StoreError
from vestige.model.files import Use
from vestige.model.query import RunQuery
from vestige.model.run import Run, Summary
from vestige.store import journal, publish, sync, tables
from vestige.store.interface import Index
from vestige.store.journal import Active
from vestige.store.layers import Layers
from vestige.store.records import Damaged, Records
from vestige.store.tables import Tables

#: The runs that are active, from their journals; whoever is handed in passes over those that it cannot read.
ActiveRuns: TypeAlias = Callable[[Sequence[Active]], Iterable[Run]]

#: How long another process may hold the index, in seconds.
PATIENCE = 2.0
#: Errors that say nothing against the file: busy, locked, read-only, permission, I/O, disk full, cannot open.
_CIRCUMSTANCES = frozenset({3, 5, 6, 8, 10, 13, 14})
#: Of these, those by which nobody can be writing the file now: permission, read-only, cannot open.
_UNWRITABLE = frozenset({3, 8, 14})

T = TypeVar("T")


class StoreIndex(Layers):
    """The index of one store. `notes` says in words where it had to make do; `damaged` lists the records that could not be
    read, or not wholly."""

    __slots__ = ("_active", "_file", "_progress", "_records", "_tables", "_writable", "damaged", "notes")

    def __init__(
        self, store_dir: str, cache_dir: str, *, active: ActiveRuns | None = None, progress: sync.Progress | None = None
    ) -> None:
        super().__init__()
        self.notes: list[str] = []
        self.damaged: list[Damaged] = []
        self._records = Records(store_dir)
        self._active = active
        self._progress = progress
        self._file = File(cache_dir, store_dir)
        self._tables, self._writable = self._file.open(self.notes)
        self.layers = (self._tables,)

    def sync(self) -> None:
        """Bring in what is new in the store and drop what is gone; quick where nothing has changed."""
        active = journal.list_active(self._records.store)
        over = self._recovering(self._sync_records)
        self._recovering(self._list_damaged)
        provisional = self._provisional(active)
        self.layers = tuple(layer for layer in (provisional, over, self._tables) if layer is not None)

    def each(self, ask: Callable[[Index], T]) -> list[T]:
        return self._recovering(lambda: [ask(layer) for layer in self.layers])

    def runs(self, query: RunQuery) -> Iterator[Summary]:
        return self._stream(lambda: super(StoreIndex, self).runs(query))

    def outputs(self) -> Iterator[Use]:
        return self._stream(super().outputs)

    def add(self, run: Run) -> None:
        def add() -> None:
            self._tables.add(run)

        self._recovering(add)

    def close(self) -> None:
        """Close the database."""
        self._tables.db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _sync_records(self) -> Tables | None:
        """What could only be kept in memory; None where nothing was, as it should be."""
        todo = sync.plan(self._tables, self._records)
        self.damaged = todo.unreadable
        if not todo:
            return None
        try:
            if self._writable:
                sync.apply(self._tables, self._records, todo, self._progress)
                return None
            self.notes.append(f"the index {self._file.path} cannot be written; what it lacks is kept in memory")
        except sqlite3.OperationalError as error:
            if _code(error) not in _CIRCUMSTANCES:
                raise
            self.notes.append(
                f"the index {self._file.path} could not be brought up to date ({error}); what it lacks is kept in memory"
            )
        todo = sync.plan(self._tables, self._records)
        if not todo.is_simple():
            self._to_memory()
            sync.apply(self._tables, self._records, sync.plan(self._tables, self._records), self._progress)
            return None
        over = in_memory()
        rows = {row.run.id: row for _, row, _ in sync.parsed(self._records, todo.new) if row is not None}
        over.insert(list(rows.values()))
        return over

    def _list_damaged(self) -> None:
        self.damaged += sync.damaged(self._tables, self._records)

    def _provisional(self, active: Sequence[Active]) -> Tables | None:
        """The runs that are active and not recorded yet."""
        waiting = {one.id: one for one in active if self._tables.summary(one.id) is None}
        if self._active is None or not waiting:
            return None
        found = [
            replace(run, status=journal.state(waiting[run.id]))
            for run in self._active(list(waiting.values()))
            if run.id in waiting
        ]
        if not found:
            return None
        layer = in_memory()
        for run in found:
            layer.add(run)
        return layer

    def _stream(self, ask: Callable[[], Iterator[T]]) -> Iterator[T]:
        """Answers one by one; what is wrong with the file shows at the first, as a rule."""

        def begin() -> Iterator[T]:
            stream = ask()
            first = list(islice(stream, 1))
            return chain(first, stream)

        try:
            yield from self._recovering(begin)
        except sqlite3.DatabaseError as error:
            self._file.discard()
            raise StoreError(
                f"the index {self._file.path} is damaged ({error})", hint="it is made anew: do the same again"
            ) from error

    def _recovering(self, act: Callable[[], T]) -> T:
        """Do something, and once more with a new index if the file turns out to be damaged or out of reach."""
        try:
            return act()
        except sqlite3.DatabaseError as error:
            self._tables.db.close()
            if _code(error) in _CIRCUMSTANCES:
                self.notes.append(f"the index {self._file.path} cannot be used ({error}); it is made in memory")
                self._to_memory()
            else:
                self.notes.append(f"the index {self._file.path} was damaged ({error}) and is made anew")
                self._file.discard()
                self._tables, self._writable = self._file.open(self.notes)
                self.layers = (*self.layers[:-1], self._tables)
            sync.apply(self._tables, self._records, sync.plan(self._tables, self._records), self._progress)
            return act()

    def _to_memory(self) -> None:
        self._tables, self._writable = in_memory(), True
        self.layers = (*self.layers[:-1], self._tables)


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


def open_index(
    store_dir: str, cache_dir: str, *, active: ActiveRuns | None = None, progress: sync.Progress | None = None
) -> StoreIndex:
    """The index of a store, up to date. `active` makes runs of the folders of active ones; `progress(done, of)` is called
    while many records are read. Never fails for want of a cache; see `notes`."""
    index = StoreIndex(store_dir, cache_dir, active=active, progress=progress)
    index.sync()
    return index


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


__all__ = ["ActiveRuns", "File", "StoreIndex", "in_memory", "open_index"]
