"""The user's catalogue: a compact copy of every record, kept apart from the projects, so that a file is still answered
for when it was copied elsewhere, or its project was moved, cleaned or deleted.

One file a host and month, to which each recording appends one line:

    {"id": project, "record": {…}, "root": "/home/ada/p", "store": "/home/ada/p/.vestige", "vestige": 1}
    {"forgotten": run, "vestige": 1}

A line begins and ends with a newline, so that one which was torn never takes its neighbour with it. The files are
found by a SQLite index of their own, which may be deleted; in it paths are absolute, since several projects are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence

from vestige.errors import VestigeError
from vestige.model import wire
from vestige.model.run import Run
from vestige.model.values import value
from vestige.store import ledger, project, rows, words
from vestige.store.database import File, FileIndex, in_memory
from vestige.store.ledger import MANY, compact
from vestige.store.project import Place
from vestige.store.tables import Tables

_BATCH = 500

_EMPTY = "BEGIN IMMEDIATE; DELETE FROM log; DELETE FROM use; DELETE FROM run; DELETE FROM place; COMMIT;"


class Catalogue:
    """The catalogue in a folder; without one, the user's."""

    __slots__ = ("folder",)

    def __init__(self, folder: str | None = None) -> None:
        self.folder = os.path.join(project.state_dir(), "catalogue") if folder is None else folder

    def append(self, run: Run, place: Place) -> None:
        """Copy a record. Raises OSError."""
        ledger.append(self.folder, run, place)

    def forget(self, run: Run) -> None:
        """Answer no more for a run. Raises OSError."""
        ledger.forget(self.folder, run)

    def open(self) -> CatalogueIndex:
        """The catalogue as an index, up to date."""
        index = CatalogueIndex(self.folder)
        index.sync()
        return index

    def stores(self) -> list[Place]:
        """The stores in which anything was recorded, the latest first; some may be gone."""
        with self.open() as index:
            return index.stores()


class CatalogueIndex(FileIndex):
    """Every run of every store of the user; the paths of uses are absolute."""

    __slots__ = ("_anew", "_folder", "_new")

    def __init__(self, folder: str) -> None:
        super().__init__(File(os.path.join(project.cache_home(), "catalogue"), folder))
        self._folder = folder
        self._new: list[_Part] = []
        self._anew = False

    def place_of(self, run_id: str) -> Place | None:
        """Where a run was recorded; what lies there now is another question."""
        return next((place for place in self.each(lambda index: _place_of(index, run_id)) if place is not None), None)

    def stores(self) -> list[Place]:
        """The stores in which anything was recorded, the latest first."""
        sql = "SELECT root, store, id FROM place ORDER BY (SELECT max(started) FROM run WHERE run.place = place.n) DESC"
        found = self.recovering(lambda: self.tables.db.execute(sql).fetchall())
        return [_place(*one) for one in found]

    def find(self) -> bool:
        known = {words.restored(name): rest for name, *rest in self.tables.db.execute("SELECT name, inode, offset FROM log")}
        logs = _logs(self._folder)
        # Of a file that is gone or was replaced, nothing that came from it can be told apart.
        self._anew = any(name not in logs or logs[name][0] != inode or logs[name][1] < at for name, (inode, at) in known.items())
        read = {} if self._anew else {name: offset for name, (_, offset) in known.items()}
        self._new = [_Part(name, inode, read.get(name, 0)) for name, (inode, size) in logs.items() if read.get(name, 0) < size]
        return bool(self._new) or self._anew

    def fill(self) -> None:
        if self._anew:
            self.tables.db.executescript(_EMPTY)
        for part in self._new:
            for entries, offset in _batches(os.path.join(self._folder, part.name), part.offset):
                self._take(part, entries, offset)

    def lacking(self) -> Tables | None:
        if self._anew:
            return None
        over = in_memory()
        for part in self._new:
            for entries, _ in _batches(os.path.join(self._folder, part.name), part.offset):
                if any(entry.row is None for entry in entries):
                    return None
                _insert(over, entries)
        return over

    def _take(self, part: _Part, entries: Sequence[_Entry], offset: int) -> None:
        db = self.tables.db
        db.execute("BEGIN IMMEDIATE")
        try:
            found = db.execute("SELECT offset FROM log WHERE name = ?", (words.storable(part.name),)).fetchone()
            if found is None or found[0] < offset:
                _insert(self.tables, entries)
                db.execute("INSERT OR REPLACE INTO log VALUES (?, ?, ?)", (words.storable(part.name), part.inode, offset))
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


@value
class _Part:
    """What of a file has not been read."""

    name: str
    inode: int
    offset: int


@value
class _Entry:
    """A line: a run and where it was recorded, or the id of one that is to be forgotten."""

    run_id: str
    row: rows.Row | None
    place: tuple[str, str, str]


def open_catalogue() -> CatalogueIndex:
    """The user's catalogue as an index, up to date."""
    return Catalogue().open()


def _batches(path: str, offset: int) -> Iterator[tuple[list[_Entry], int]]:
    """The entries after an offset, and the offset after them; a last line that is not whole is left for later."""
    entries: list[_Entry] = []
    with open(path, "rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                break
            offset += len(line)
            if (entry := _entry(line)) is not None:
                entries.append(entry)
            if len(entries) == _BATCH:
                yield entries, offset
                entries = []
    yield entries, offset


def _entry(line: bytes) -> _Entry | None:
    """A line; None where it is empty, torn, damaged or of a newer format."""
    try:
        found = json.loads(line)
        wire.check_version(found, "a line")
        if isinstance(forgotten := found.get("forgotten"), str):
            return _Entry(forgotten, None, ("", "", ""))
        root, store = found["root"], found["store"]
        row = rows.of(found["record"], root=root)
        return _Entry(row.run.id, row, (words.storable(store), words.storable(root), found.get("id") or ""))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, VestigeError):
        return None


def _insert(tables: Tables, entries: Sequence[_Entry]) -> None:
    """Take in entries in their order: of the same run, the last counts."""
    latest = {entry.run_id: entry for entry in entries}
    places: dict[tuple[str, str, str], list[rows.Row]] = {}
    for run_id, entry in latest.items():
        if entry.row is None:
            tables.remove(run_id)
        else:
            places.setdefault(entry.place, []).append(entry.row)
    for place, taken in places.items():
        tables.db.execute("INSERT OR IGNORE INTO place (store, root, id) VALUES (?, ?, ?)", place)
        sql = "SELECT n FROM place WHERE store = ? AND root = ? AND id = ?"
        tables.insert(taken, place=tables.db.execute(sql, place).fetchone()[0])


def _place_of(index: object, run_id: str) -> Place | None:
    if not isinstance(index, Tables):
        return None
    sql = "SELECT root, store, place.id FROM run JOIN place ON place.n = run.place WHERE run.id = ?"
    found = index.db.execute(sql, (words.storable(run_id),)).fetchone()
    return None if found is None else _place(*found)


def _place(root: str, store: str, project_id: str) -> Place:
    return Place(words.restored(root), words.restored(store), id=project_id or None)


def _logs(folder: str) -> dict[str, tuple[int, int]]:
    """The files, each with inode and size."""
    found: dict[str, tuple[int, int]] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".jsonl") and entry.name[0] != "." and entry.is_file():
                    stat = entry.stat()
                    found[entry.name] = (stat.st_ino & 0x7FFF_FFFF_FFFF_FFFF, stat.st_size)
    except OSError:
        pass
    return dict(sorted(found.items()))


__all__ = ["MANY", "Catalogue", "CatalogueIndex", "compact", "open_catalogue"]
