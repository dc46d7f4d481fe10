"""From a path that leads somewhere else for its caller to the one under which its user finds the file.

A process behind chroot(2), or in a mount namespace of its own as containers have it, sees other files under the same
names. The kernel looks a path up for us as it would for that process (`openat2` with RESOLVE_IN_ROOT, from its root),
and says where it has arrived: with chroot(2), in our own names; in another namespace, in the names of that one. Those
are translated by what is mounted there and here (/proc/N/mountinfo): file system and folder in it are the same.
"""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_OPENAT2 = 437
_RESOLVE_IN_ROOT = 0x10
_O_PATH = 0o10000000
_PSEUDO = ("/proc/", "/sys/", "/dev/")
_SHARED = "/dev/shm/"  # noqa: S108 - a name to recognise, not a place to write
_ESCAPED = ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\"))


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class OutOfReachError(Exception):
    """A file that lies where nobody but the caller finds it; with its name there."""


class Views:
    """Looks paths up as others see them. Cheap only for who sees what we see."""

    __slots__ = ("_call", "_how", "_own")

    def __init__(self) -> None:
        self._call = ctypes.CDLL(None, use_errno=True).syscall
        self._how = _How(_O_PATH | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT)
        self._own = os.readlink("/proc/self/ns/mnt")

    def path(self, thread: int, path: str, base: str | None, *, follow: bool) -> str | None:
        """The path by which we find what `path` is to a thread; None where that is what it is to us.

        `base`: what /proc calls the folder that a relative path starts at. `follow`: the file is opened, not its name changed.
        Raises OutOfReachError, and OSError where the thread has gone.
        """
        other = os.readlink(f"/proc/{thread}/ns/mnt") != self._own
        root = os.readlink(f"/proc/{thread}/root")
        if not other and root == "/":
            return None
        inside = path if base is None else os.path.join(_without(root, base), path)
        if inside.startswith(_PSEUDO) and not inside.startswith(_SHARED):
            return inside
        place, rest, found = self._arrive(thread, inside, follow=follow)
        if other:
            place = _translated(thread, _without(root, place), found) or ""
            if not place:
                raise OutOfReachError(inside)
        return os.path.join(place, rest) if rest else place

    def _arrive(self, thread: int, inside: str, *, follow: bool) -> tuple[str, str, os.stat_result]:
        """Where a path leads, as far as there is something: the name of that, what is left of the path, and what is there."""
        root = os.open(f"/proc/{thread}/root", _O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        rest = ""
        try:
            while True:
                reached = -1 if not rest and not follow else self._open(root, inside)
                if reached >= 0:
                    try:
                        return os.readlink(f"/proc/self/fd/{reached}"), rest, os.fstat(reached)
                    finally:
                        os.close(reached)
                if inside.strip("/") == "":
                    raise OutOfReachError(inside)
                inside, _, last = inside.rstrip("/").rpartition("/")
                rest = f"{last}/{rest}" if rest else last
                inside = inside or "/"
        finally:
            os.close(root)

    def _open(self, root: int, path: str) -> int:
        return int(self._call(_OPENAT2, root, os.fsencode(path), ctypes.byref(self._how), ctypes.c_size_t(24)))


def _without(root: str, path: str) -> str:
    """A path as it is below a root."""
    return (path.removeprefix(root.rstrip("/")) or "/") if (path + "/").startswith(root.rstrip("/") + "/") else path


def _translated(thread: int, place: str, found: os.stat_result) -> str | None:
    """Where we find what lies at a place of another namespace; None if nowhere."""
    there = max(
        (mount for mount in _mounts(thread) if (place + "/").startswith(mount[2].rstrip("/") + "/")),
        key=lambda mount: len(mount[2]),
        default=None,
    )
    if there is None:
        return None
    device, folder, point = there
    source = os.path.normpath(folder + "/" + _without(point, place))
    here = [one for one in _mounts(os.getpid()) if one[0] == device and (source + "/").startswith(one[1].rstrip("/") + "/")]
    for _, folder, point in sorted(here, key=lambda one: -len(one[1])):
        path = os.path.normpath(point + "/" + _without(folder, source))
        try:
            if os.path.samestat(os.stat(path), found):
                return path
        except OSError:
            continue
    return None


def _mounts(process: int) -> Iterator[tuple[str, str, str]]:
    """What is mounted for a process, the last first: the device, the folder in it, and where."""
    with open(f"/proc/{process}/mountinfo", "rb") as file:
        lines = os.fsdecode(file.read()).splitlines()
    for line in reversed(lines):
        _, _, device, folder, point, *_ = line.split(" ")
        yield device, _plain(folder), _plain(point)


def _plain(text: str) -> str:
    for escape, character in _ESCAPED:
        text = text.replace(escape, character)
    return text
