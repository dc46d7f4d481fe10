"""The list of trees that are complete in the repository of code: a file to which every run may append at once."""

from __future__ import annotations

import os

from vestige.store import publish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_HEX = frozenset("0123456789abcdef")


class TreeList:
    """The file at `path`, one id a line."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def holds(self, ids: Iterable[str]) -> bool:
        """Whether all of these are listed."""
        listed = b"\n" + self._read()
        return all(b"\n%s\n" % oid.encode("ascii") in listed for oid in ids)

    def all(self) -> list[str]:
        """Every tree, in the order in which they came; what a failing disk made of a line names none."""
        return [
            line for line in self._read().decode("ascii", "replace").splitlines() if len(line) == 40 and _HEX.issuperset(line)
        ]

    def add(self, ids: Iterable[str]) -> None:
        """List trees that are not listed yet. Raises OSError."""
        listed = set(self.all())
        new = [oid for oid in dict.fromkeys(ids) if oid not in listed]
        if not new:
            return
        fd = self._locked()
        try:
            publish.write_all(fd, "".join(f"{oid}\n" for oid in new).encode("ascii"))
        finally:
            os.close(fd)

    def retain(self, ids: Iterable[str]) -> None:
        """Strike out all but these. Raises OSError."""
        wanted = set(ids)
        fd = self._locked()
        try:
            lines = "".join(f"{oid}\n" for oid in self.all() if oid in wanted)
            publish.replace(self.path, lines.encode("ascii"), mode=os.fstat(fd).st_mode & 0o777)
        finally:
            os.close(fd)

    def _read(self) -> bytes:
        try:
            fd = os.open(self.path, os.O_RDONLY)
        except OSError:
            return b""
        try:
            parts = []
            while part := os.read(fd, 1 << 20):
                parts.append(part)
            return b"".join(parts)
        finally:
            os.close(fd)

    def _locked(self) -> int:
        """The file, opened for appending, and locked: nobody else appends to it or replaces it before it is closed."""
        while True:
            fd = self._open()
            _lock(fd)
            if self._is(fd):
                return fd
            os.close(fd)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_APPEND
        try:
            return os.open(self.path, flags)
        except FileNotFoundError:
            mode = publish.folder_mode(os.path.dirname(self.path)) & 0o666
            publish.publish(self.path, b"", mode=mode, durable=False)  # as open to a group as its folder, whatever the umask
            return os.open(self.path, flags)

    def _is(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), os.stat(self.path))
        except FileNotFoundError:
            return False


def _lock(fd: int) -> None:
    """Lock a file where the system can; an append is a single write in any case."""
    try:
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_EX)
    except (ImportError, OSError):
        pass
