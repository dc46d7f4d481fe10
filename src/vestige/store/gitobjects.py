"""Git's object databases, read and written without git: loose objects, packs, and what they borrow.

A database has a home, into which it writes, and others from which it only reads. Beside the home there may be a private
folder, for what must not be given away with the home: it is read like the home, and what lies there stays there.
What is written first goes to a hidden file. An object that was there already is touched, so that a clean-up running at
the same time sees that it is wanted (as git itself does).
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterable, Iterator

from vestige.errors import DamagedError
from vestige.model.gitformat import FormatError, TreeEntry, decode_loose, encode_loose, object_id, parse_tree
from vestige.store import publish
from vestige.store.gitpack import Pack, PackWriter


class ObjectDatabase:
    """Objects under `home`, in the private folder `hidden`, and under those borrowed from (`objects` of some repository)."""

    def __init__(self, home: str, borrowed: Iterable[str] = (), hidden: str | None = None) -> None:
        self.home = home
        self._hidden = hidden
        self.written: list[str] = []  # paths of files that have not been flushed to disk
        self._own = [home, hidden] if hidden is not None and os.path.isdir(hidden) else [home]
        self._folders = list(_with_alternates([*self._own, *borrowed]))
        self._packs: dict[str, list[Pack]] = {}
        self._batch: PackWriter | None = None

    def has(self, oid: str) -> bool:
        """Whether the home itself holds an object, or the private folder."""
        return self._in_batch(oid) or self._find(oid, self._own) is not None

    def private(self) -> set[str]:
        """The objects in the private folder."""
        return {oid for folder in self._own[1:] for oid, _ in loose(folder)}

    def read(self, oid: str) -> tuple[bytes, bytes]:
        """Kind and content. Raises KeyError where there is no such object, DamagedError where it cannot be read."""
        where = self._find(oid, self._folders)
        if where is None:
            raise KeyError(oid)
        try:
            if isinstance(where, str):
                with open(where, "rb") as file:
                    return decode_loose(file.read())
            pack, offset = where
            return pack.read(offset, self.read)
        except (FormatError, zlib.error, IndexError, ValueError, OSError) as error:
            raise DamagedError(f"object {oid} cannot be read: {error}") from error

    def touch(self, oid: str) -> bool:
        """Whether the home holds an object; marks it as wanted."""
        return self._in_batch(oid) or self._freshened(oid)

    def size(self, oid: str) -> int:
        """Size of an object's content in bytes, found without inflating all of it. Raises as `read` does."""
        where = self._find(oid, self._folders)
        if where is None:
            raise KeyError(oid)
        try:
            if isinstance(where, str):
                with open(where, "rb") as file:
                    header = zlib.decompressobj().decompress(file.read(128), 64)
                return int(header.partition(b"\0")[0].partition(b" ")[2])
            pack, offset = where
            return pack.size(offset)
        except (zlib.error, IndexError, ValueError, OSError) as error:
            raise DamagedError(f"object {oid} cannot be read: {error}") from error

    def tree(self, oid: str) -> list[TreeEntry]:
        """The entries of a tree. Raises as `read` does."""
        kind, data = self.read(oid)
        if kind != b"tree":
            raise DamagedError(f"object {oid} is a {kind.decode('ascii', 'replace')}, not a tree")
        try:
            return parse_tree(data)
        except ValueError as error:
            raise DamagedError(f"tree {oid} cannot be read: {error}") from error

    def put(self, kind: bytes, data: bytes, *, private: bool = False) -> str:
        """Keep an object in the home or in the private folder, if it is in neither. Raises OSError."""
        oid = object_id(kind, data)
        if self.touch(oid):
            return oid
        if private:
            self._put_privately(oid, encode_loose(kind, data))
            return oid
        if self._batch is not None:
            self._batch.add(oid, kind, data)
            return oid
        path = os.path.join(self.home, oid[:2], oid[2:])
        publish.make_folder(os.path.dirname(path))
        publish.replace(path, encode_loose(kind, data), mode=0o444, durable=False)
        self.written.append(path)
        return oid

    def _put_privately(self, oid: str, encoded: bytes) -> None:
        if self._hidden is None:
            raise ValueError(f"{self.home} has no private part")
        path = os.path.join(self._hidden, oid[:2], oid[2:])
        publish.make_folder(os.path.dirname(os.path.dirname(self._hidden)))
        publish.make_folder(os.path.dirname(path), 0o700)
        publish.replace(path, encoded, mode=0o600, durable=False)
        self.written.append(path)
        if self._hidden not in self._own:
            self._own.append(self._hidden)
            self._folders.insert(1, self._hidden)

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """What is put meanwhile goes into one pack: a thousand files would otherwise be a thousand files again.

        It can be read once this has ended. After an error nothing of it is left.
        """
        self._batch = PackWriter(os.path.join(self.home, "pack"))
        try:
            yield
            self.written += self._batch.close()
        finally:
            self._batch.discard()
            self._batch = None
            self._packs.pop(self.home, None)

    def flush(self) -> None:
        """Have what was written reach the disk. Raises OSError."""
        for path in self.written:
            with contextlib.suppress(FileNotFoundError):
                fd = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)
        self.written.clear()

    def _in_batch(self, oid: str) -> bool:
        return self._batch is not None and oid in self._batch.oids

    def _freshened(self, oid: str) -> bool:
        where = self._find(oid, self._own, look_again=False)
        if where is None:
            return False
        path = where if isinstance(where, str) else where[0].path
        try:
            if os.stat(path).st_size == 0:
                return False  # what a crash leaves of a file that had not reached the disk
            os.utime(path)
        except FileNotFoundError:
            return False
        except OSError:
            pass  # another's file; a clean-up spares what others may need
        return True

    def _find(self, oid: str, folders: list[str], *, look_again: bool = True) -> str | tuple[Pack, int] | None:
        for folder in folders:
            path = os.path.join(folder, oid[:2], oid[2:])
            if os.path.exists(path):
                return path
        raw = bytes.fromhex(oid)
        for folder in folders:
            for pack in self._packs_of(folder):
                offset = pack.find(raw)
                if offset is not None:
                    return pack, offset
        changed = [self._refresh(folder) for folder in folders] if look_again else []
        if any(changed):
            return self._find(oid, folders, look_again=False)
        return None

    def _packs_of(self, folder: str) -> list[Pack]:
        if folder not in self._packs:
            self._refresh(folder)
        return self._packs[folder]

    def _refresh(self, folder: str) -> bool:
        """Look which packs there are now; whether that has changed."""
        known = {pack.path: pack for pack in self._packs.get(folder, ())}
        paths = sorted(_packs_in(folder), reverse=True)
        self._packs[folder] = [known.get(path) or Pack(path) for path in paths]
        return paths != list(known)


def packs(home: str) -> dict[str, list[str]]:
    """Every pack under an `objects` folder, and the objects in it."""
    return {path: Pack(path).oids() for path in _packs_in(home)}


def loose(home: str) -> Iterator[tuple[str, str]]:
    """Id and path of every object that is a file of its own."""
    for folder in sorted(_names(home)):
        if len(folder) == 2:
            for name in sorted(_names(os.path.join(home, folder))):
                if len(name) in {38, 62}:
                    yield folder + name, os.path.join(home, folder, name)


def _packs_in(folder: str) -> list[str]:
    inside = os.path.join(folder, "pack")
    names = set(_names(inside))
    return [os.path.join(inside, name) for name in names if name.endswith(".pack") and name[:-4] + "idx" in names]


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _with_alternates(folders: list[str]) -> Iterator[str]:
    """The folders and those they borrow from, each once, the given ones first."""
    seen: set[str] = set()
    pending = list(folders)
    for folder in pending:
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        yield folder
        try:
            with open(os.path.join(folder, "info", "alternates"), "rb") as file:
                lines = file.read().splitlines()
        except OSError:
            continue
        pending += [os.path.join(folder, os.fsdecode(line)) for line in lines if line and not line.startswith((b"#", b'"'))]
