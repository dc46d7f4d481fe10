"""What differs between a store and its index, found without a lock and, where nothing has changed, almost without work.

Records are immutable, so a file that was read once need not be read again; and a folder whose modification time is
unchanged need not even be listed, if it was listed long enough after that time: two changes within one tick of a
file system's clock (up to two seconds) leave one time. So a folder is *settled* only when it was listed with a time
that had been seen unchanged for longer than a tick, by our own clock, since a server's clock may differ from it.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from vestige.store import tables, words
from vestige.store.interface import Damaged
from vestige.store.tables import Tables

_TOPS = ("runs", "notes")
_TICK = 2_500_000_000
_DAY = 86_400_000_000_000
_RETRIES = 200
_INODE = (1 << 63) - 1


class File(NamedTuple):
    """A file of a store: its folder relative to the store, its name, and by what it is known again."""

    folder: str
    name: str
    inode: int
    ctime: int


class Plan:
    """What differs between a store and its index. `folders` were listed: path, modification time, when, whether settled.
    `unfinished`: the index was being made and lacks what speeds it up."""

    __slots__ = ("folders", "gone", "gone_folders", "new", "unfinished", "unreadable")

    def __init__(self) -> None:
        self.new: list[File] = []
        self.gone: list[tuple[int, str]] = []
        self.folders: list[tuple[str, int, int, int]] = []
        self.gone_folders: list[int] = []
        self.unreadable: list[Damaged] = []
        self.unfinished = False

    def __bool__(self) -> bool:
        return bool(self.new or self.gone or self.folders or self.gone_folders or self.unfinished)

    def is_simple(self) -> bool:
        """Whether there is nothing but records that are new."""
        return not self.gone and not self.gone_folders and all(file.folder.startswith("runs/") for file in self.new)


class _Folder(NamedTuple):
    n: int
    path: str
    mtime: int
    listed: int
    settled: int


def compare(index: Tables, store: str) -> Plan:
    """Compare a store with its index; reads only."""
    return _Comparison(index, store).compare()


def file_of(folder: str, name: str, found: os.stat_result) -> File:
    """A file as it is now."""
    return File(folder, name, found.st_ino & _INODE, found.st_ctime_ns)


def damaged(index: Tables, store: str) -> list[Damaged]:
    """The files that could not be read, or not wholly."""
    sql = "SELECT path, name, reason FROM file JOIN folder ON folder.n = file.folder WHERE reason IS NOT NULL ORDER BY 1, 2"
    return [
        Damaged(os.path.join(store, words.restored(folder), words.restored(name)), words.restored(reason))
        for folder, name, reason in index.db.execute(sql)
    ]


class _Comparison:
    def __init__(self, index: Tables, store: str) -> None:
        self.db = index.db
        self.store = store
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
        self.plan.unfinished = not tables.is_finished(self.db)
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
                    file = file_of(path, name, entry.stat())
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
