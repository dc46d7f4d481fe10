"""Content that is named by its digest: stored once, never half, and believed only after it was checked.

objects/blake3/7f/3a2c…            what may be shared
objects/private/blake3/7f/3a2c…    what must not leave this user's hands: folders 0700, files 0600
"""

from __future__ import annotations

import os
import stat
import time

from vestige.errors import DamagedError, NotKeptError
from vestige.store import publish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vestige.model.files import Digest

_CHUNK = 1 << 20
_HEX = frozenset("0123456789abcdef")
#: The request that has a file share the blocks of another (Linux: btrfs, xfs, bcachefs).
_FICLONE = 0x40049409


class Objects:
    """The objects of one store. Several writers at once do no harm: the same name always means the same bytes."""

    __slots__ = ("folder", "store")

    def __init__(self, store_dir: str) -> None:
        self.store = store_dir
        self.folder = os.path.join(store_dir, "objects")

    def put(self, data: bytes, *, private: bool = False) -> Digest:
        """Keep bytes. They are not waited for to reach the disk (see `flush`): an object that lost bytes in a crash is made
        whole by the next writer. Raises OSError and leaves nothing behind."""
        digest = _blake3(data)
        if self._holds(digest, len(data)):
            return digest
        target, mode = self._target(digest, private=private)
        publish.replace(target, data, mode=mode, durable=False)
        return digest

    def put_file(self, path: str, digest: Digest, *, private: bool = False) -> bool:
        """Keep the content of a file, if it still has that digest; it becomes no more readable than the file was.

        False where the file is gone, cannot be read, or holds something else. Raises OSError if the store cannot be written.
        """
        try:
            source = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        except OSError:
            return False
        try:
            found = os.fstat(source)
            if not stat.S_ISREG(found.st_mode) or not _is_digest(digest):
                return False
            if self._holds(digest, found.st_size):
                return True
            target, mode = self._target(digest, private=private)
            return _copy(source, target, digest, mode & (found.st_mode | 0o600))
        finally:
            os.close(source)

    def flush(self, digest: Digest) -> None:
        """Have an object reach the disk, before something is written that makes no sense without it. Raises OSError."""
        path = self.path(digest)
        if path is not None:
            fd = os.open(path, os.O_RDONLY)
            try:
                publish.flush(fd)
            finally:
                os.close(fd)

    def path(self, digest: Digest) -> str | None:
        """Where the bytes lie, unchecked; None where they were not kept."""
        if not _is_digest(digest):
            return None
        for private in (False, True):
            path = self._path(digest, private=private)
            if os.path.isfile(path):
                return path
        return None

    def has(self, digest: Digest) -> bool:
        """Whether the bytes are here."""
        return self.path(digest) is not None

    def is_private(self, digest: Digest) -> bool:
        """Whether the bytes are here and must not be given away."""
        path = self.path(digest)
        return path is not None and path == self._path(digest, private=True)

    def read(self, digest: Digest) -> bytes:
        """The bytes. Raises NotKeptError, or DamagedError where they no longer have their digest."""
        path = self.path(digest)
        if path is None:
            raise NotKeptError(f"{digest} is not in {self.store}")
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise DamagedError(f"{path} cannot be read: {error.strerror}") from error
        hasher = _hasher(digest)
        hasher.update(data)
        if hasher.hexdigest() != digest.partition(":")[2]:
            raise DamagedError(f"{path} does not have the content that its name says")
        return data

    def is_sound(self, digest: Digest) -> bool:
        """Whether the bytes are here and have their digest; reads them once, in pieces."""
        path = self.path(digest)
        if path is None:
            return False
        hasher = _hasher(digest)
        try:
            with open(path, "rb") as file:
                while chunk := file.read(_CHUNK):
                    hasher.update(chunk)
        except OSError:
            return False
        return bool(hasher.hexdigest() == digest.partition(":")[2])

    def all(self) -> Iterator[Digest]:
        """The digests of all objects."""
        for folder in (self.folder, os.path.join(self.folder, "private")):
            for algorithm in _names(folder):
                if algorithm == "private":
                    continue
                for head in _names(os.path.join(folder, algorithm)):
                    for tail in _names(os.path.join(folder, algorithm, head)):
                        if _is_digest(digest := f"{algorithm}:{head}{tail}"):
                            yield digest

    def remove(self, digest: Digest) -> None:
        """Drop the bytes; they may be gone already. Raises OSError."""
        while (path := self.path(digest)) is not None:
            os.unlink(path)

    def sweep(self, older_than: float = 86400.0) -> int:
        """Remove what killed writers left behind, after `older_than` seconds; returns how many."""
        count = 0
        limit = time.time() - older_than
        for folder, _, names in os.walk(self.folder):
            for name in names:
                if name.startswith(publish.TEMPORARY):
                    path = os.path.join(folder, name)
                    if os.lstat(path).st_mtime < limit:
                        publish.discard(path)
                        count += 1
        return count

    def _path(self, digest: Digest, *, private: bool) -> str:
        algorithm, _, text = digest.partition(":")
        folder = os.path.join(self.folder, "private") if private else self.folder
        return os.path.join(folder, algorithm, text[:2], text[2:])

    def _holds(self, digest: Digest, size: int) -> bool:
        path = self.path(digest)
        return path is not None and os.path.getsize(path) == size

    def _target(self, digest: Digest, *, private: bool) -> tuple[str, int]:
        """Where to write, its folder made, and with what mode."""
        present = self.path(digest)
        target = present or self._path(digest, private=private)
        if private:
            publish.make_folder(self.folder)
            publish.make_folder(os.path.dirname(target), 0o700)
            return target, 0o600
        return target, publish.make_folder(os.path.dirname(target)) & 0o666


def _copy(source: int, target: str, digest: Digest, mode: int) -> bool:
    """Copy while checking; where the file system can share blocks, the shared copy is checked."""
    fd, hidden = publish.temporary(os.path.dirname(target), mode)
    try:
        hasher = _hasher(digest)
        shared = _clone(fd, source)
        while chunk := os.read(fd if shared else source, _CHUNK):
            hasher.update(chunk)
            if not shared:
                publish.write_all(fd, chunk)
        if hasher.hexdigest() != digest.partition(":")[2]:
            return False
        os.replace(hidden, target)
    finally:
        os.close(fd)
        publish.discard(hidden)
    return True


def _clone(target: int, source: int) -> bool:
    try:
        import fcntl

        fcntl.ioctl(target, _FICLONE, source)
    except (ImportError, OSError):
        return False
    return True


def _blake3(data: bytes) -> Digest:
    from blake3 import blake3

    return "blake3:" + blake3(data).hexdigest()


def _hasher(digest: Digest) -> Any:
    algorithm = digest.partition(":")[0]
    if algorithm == "blake3":
        from blake3 import blake3

        return blake3()
    import hashlib

    try:
        return hashlib.new(algorithm, usedforsecurity=False)
    except ValueError as error:
        raise DamagedError(f"{digest} names an algorithm that is not known here") from error


def _is_digest(digest: Digest) -> bool:
    """Whether this can be a digest, and so is safe as a path."""
    algorithm, _, text = digest.partition(":")
    return algorithm.isalnum() and algorithm.isascii() and algorithm != "private" and len(text) >= 8 and _HEX.issuperset(text)


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
