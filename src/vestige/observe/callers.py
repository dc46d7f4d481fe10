"""What the caller of a suspended call has in its memory, and what the kernel says of it: paths, words, its process."""

from __future__ import annotations

import ctypes
import errno
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vestige.observe.views import Views

_PAGE = 4096
AT_FDCWD = 0xFFFFFF9C
_STALE = 1.0  # seconds; numbers are not given out again within one
_MAGIC = ("/dev/fd/", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/proc/")
_HANDLE = 128  # bytes: MAX_HANDLE_SZ
_O_PATH = 0o10000000
_LOOKING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_STANDARD = {"/dev/stdin": "0", "/dev/stdout": "1", "/dev/stderr": "2"}


class TooLongError(Exception):
    """A path, made absolute, is longer than any call takes."""


class Callers:
    """Reads from whoever is suspended. `unreadable` counts the reads that the kernel has forbidden: of a program that is set
    to be unreadable, as some are that hold secrets. An address that leads nowhere is the caller's own mistake."""

    __slots__ = ("_buffer", "_local", "_readv", "_remote", "_vectors", "unreadable", "views")

    def __init__(self) -> None:
        self._readv = ctypes.CDLL(None, use_errno=True).process_vm_readv
        self._readv.argtypes = (
            ctypes.c_int,
            ctypes.c_void_p,
            ctypes.c_ulong,
            ctypes.c_void_p,
            ctypes.c_ulong,
            ctypes.c_ulong,
        )
        self._readv.restype = ctypes.c_ssize_t
        self._buffer = ctypes.create_string_buffer(_PAGE + 1)
        self._vectors = (ctypes.c_uint64 * 4)(ctypes.addressof(self._buffer), _PAGE)
        self._local = ctypes.addressof(self._vectors)
        self._remote = self._local + 16
        self.unreadable = 0
        #: whether somebody may see other files than we under the same names
        self.views: Views | None = None

    def memory(self, thread: int, address: int, length: int) -> bytes:
        """At most a page of it; empty where it cannot be read."""
        self._vectors[2], self._vectors[3] = address, length
        got = self._readv(thread, self._local, 1, self._remote, 1, 0)
        if got < 0:
            self._failed()
            return b""
        return self._buffer.raw[:got]

    def text(self, thread: int, address: int) -> str | None:
        """A string of the caller's, at most two pages of it; None where it cannot be read."""
        buffer, vectors = self._buffer, self._vectors
        vectors[2], vectors[3] = address, _PAGE - (address & (_PAGE - 1))
        got = self._readv(thread, self._local, 1, self._remote, 1, 0)
        if got <= 0:
            self._failed()
            return None
        buffer[got] = b"\0"
        text = buffer.value
        if len(text) == got:
            text += self._buffer.value if self.memory(thread, address + got, _PAGE) else b""
            self._buffer[_PAGE] = b"\0"
        return os.fsdecode(text)

    def path(self, thread: int, address: int, folder: int = AT_FDCWD, *, follow: bool = True) -> str | None:
        """A path of the caller's, made absolute; what it reaches through its own descriptors is called by its name.

        `follow`: the call is about what a link leads to. Raises OutOfReachError and TooLongError.
        """
        path = self.text(thread, address)
        if path is None:
            return None
        if path[:1] == "/":
            if self.views is not None and (seen := self.views.path(thread, path, None, follow=follow)) is not None:
                return seen
            return followed(thread, path) if path.startswith(_MAGIC) else path
        folder &= 0xFFFFFFFF
        try:
            base = os.readlink(f"/proc/{thread}/cwd" if folder == AT_FDCWD else f"/proc/{thread}/fd/{folder}")
        except PermissionError:
            self.unreadable += 1
            return None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise TooLongError(path) from None
            return None  # no such descriptor: the call fails
        if not path:
            return base
        while path.startswith("./"):
            path = path[2:].lstrip("/")
        if self.views is not None and (seen := self.views.path(thread, path, base, follow=follow)) is not None:
            return seen
        path = f"{base}/{path}" if base != "/" else "/" + path
        if len(path) >= _PAGE:
            raise TooLongError(path)
        return followed(thread, path) if path.startswith(_MAGIC) else path

    def name(self, thread: int) -> str:
        """What the kernel calls the program: 15 bytes at most."""
        try:
            with open(f"/proc/{thread}/comm", "rb", 0) as file:
                return os.fsdecode(file.read().rstrip(b"\n"))
        except OSError:
            return "a program"

    def _failed(self) -> None:
        self.unreadable += ctypes.get_errno() == errno.EPERM

    def by_handle(self, thread: int, descriptor: int, address: int) -> str | None:
        """The name of the file that a handle stands for, which the caller has open_by_handle_at(2) look up in the file system
        of a descriptor; None where we may not look it up."""
        head = self.memory(thread, address, 8)
        handle = self.memory(thread, address, 8 + min(int.from_bytes(head[:4], "little"), _HANDLE)) if len(head) == 8 else b""
        here = (descriptor & 0xFFFFFFFF) == AT_FDCWD
        try:
            mount = os.open(f"/proc/{thread}/cwd" if here else f"/proc/{thread}/fd/{descriptor & 0xFFFFFFFF}", _LOOKING)
        except OSError:
            return None
        try:
            room = ctypes.create_string_buffer(handle, 8 + _HANDLE)
            found = ctypes.CDLL(None, use_errno=True).open_by_handle_at(mount, room, _O_PATH)
            if found < 0:
                return None
            try:
                return link(f"/proc/self/fd/{found}")
            finally:
                os.close(found)
        finally:
            os.close(mount)

    def words(self, thread: int, address: int, width: int) -> list[str]:
        """An argument vector of pointers of `width` bytes: at most 4,096 words and 128 KiB."""
        words: list[str] = []
        size = 0
        while address and len(words) < 4096 and size < 1 << 17:
            block = self.memory(thread, address, min(64 * width, _PAGE - (address & (_PAGE - 1))))
            for at in range(0, len(block) - width + 1, width):
                pointer = int.from_bytes(block[at : at + width], "little")
                if not pointer:
                    return words
                word = self.text(thread, pointer)
                words.append(word or "")
                size += len(word or "")
            if not block:
                break
            address += len(block)
        return words


def followed(thread: int, path: str) -> str:
    """`/dev/fd/3`, `/dev/stdin`, `/proc/self/cwd/x` as the file that it is; a pipe and what has no name stay as they are."""
    if path in _STANDARD:
        path = f"/proc/{thread}/fd/{_STANDARD[path]}"
    elif path.startswith("/dev/fd/"):
        path = f"/proc/{thread}/fd/{path[8:]}"
    elif path.startswith("/proc/self/"):
        path = f"/proc/{thread}/{path[11:]}"
    elif path.startswith("/proc/thread-self/"):
        path = f"/proc/{thread}/{path[18:]}"
    parts = path.split("/", 4)
    if len(parts) < 4 or parts[1] != "proc" or not parts[2].isdigit():
        return path
    if parts[3] in ("cwd", "root"):
        at, rest = "/".join(parts[:4]), "/".join(parts[4:])
    elif parts[3] == "fd" and len(parts) == 5:
        number, _, rest = parts[4].partition("/")
        at = f"/proc/{parts[2]}/fd/{number}"
    else:
        return path
    target = link(at)
    if target is None or not target.startswith("/") or (not rest and target.endswith(" (deleted)")):
        return path
    return os.path.join(target, rest) if rest else target


class Identity:
    """A process as it was seen first: its number, its parent's, and its name (comm, 15 bytes)."""

    __slots__ = ("first", "last", "name", "parent", "process")

    def __init__(self, thread: int) -> None:
        self.process, self.parent, self.name = thread, 0, ""
        self.first = self.last = time.clock_gettime(time.CLOCK_BOOTTIME)
        try:
            with open(f"/proc/{thread}/status", "rb", 0) as file:
                for line in file.read(512).split(b"\n"):
                    key, _, value = line.partition(b":\t")
                    if key == b"Name":
                        self.name = os.fsdecode(value)
                    elif key == b"Tgid":
                        self.process = int(value)
                    elif key == b"PPid":
                        self.parent = int(value)
                        break
        except (OSError, ValueError):
            pass

    def given_out_again(self, thread: int) -> bool:
        """Whether the number belongs to another process by now: one that started after this one was seen."""
        last, self.last = self.last, time.clock_gettime(time.CLOCK_BOOTTIME)
        if self.last - last < _STALE:
            return False
        try:
            with open(f"/proc/{thread}/stat", "rb", 0) as file:
                started = int(file.read(512).rpartition(b")")[2].split()[19])
        except (OSError, ValueError, IndexError):
            return False
        return started / os.sysconf("SC_CLK_TCK") > self.first


def link(path: str) -> str | None:
    """Where a symbolic link leads to; None where it is none."""
    try:
        return os.readlink(path)
    except OSError:
        return None
