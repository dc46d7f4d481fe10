"""A library that is put before every program tells what it does; here is what the watcher has to do with that.

The library (`native/preload.c`) writes the journal by itself. In the run's folder it finds a page of memory that all
processes of the run share (`preload`), and a socket (`ask`) at which the watcher sits. A process asks before it does what
must wait: a content is about to be lost, or the project to be changed before its code is safe. It asks also where only the
watcher knows what may be written down: words that might be secret, the other end of a connection. Each question is one
packet, its first byte says what it is about, and each answer is one byte. If nobody answers, the program goes on.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import struct
import sys
import time
from _json import encode_basestring_ascii as quoted

from vestige.observe import connections
from vestige.observe.lines import utf8
from vestige.observe.watcher import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from vestige.observe.notes import Notes
    from vestige.observe.shared import Shared
    from vestige.observe.terms import Terms

GAP = "programs were observed from inside the C library: files that one of them opened without it may be missing"

_VERSION = 1
_FILE = "_preload.abi3.so"
_PAGE, _ASK = "preload", "ask"
_LIBRARIES, _FOLDER, _SANITIZER = "LD_PRELOAD", "VESTIGE_PRELOAD", "ASAN_OPTIONS"
_FIRST = "verify_asan_link_order=0"

#: mark; due, deaf, torn, full, mindful, waits; where own folders, marks and telling programs begin; generations; lines lost
_HEAD = struct.Struct("=Q6I3I4x2QQ")
_MARK = 0x31646C7056
_DUE, _LOST = 8, 64
_STRINGS = 1 << 15
_BACKLOG = 1024
_LONGEST = 1 << 18

#: What `vestige_examine` says of a program.
_UNSEEN, _FOREIGN, _SANITIZED = 1, 2, 4


def available() -> bool:
    """Whether the library can be put before programs here."""
    return refusal() is None


def refusal() -> str | None:
    """Why the library cannot be put before programs here; None where it can."""
    if sys.platform != "linux":
        return "this is not Linux"
    if _library() is None:
        return "the library was not built, or not for this C library"
    if set(_path()) & set(" :"):
        return f"{_path()} has a blank or a colon in its name, at which the linker would part it"
    if examined(sys.executable)[1]:
        return f"{sys.executable} could not be seen by it"
    return None


def environment(environ: Mapping[str, str], folder: str, program: str) -> dict[str, str]:
    """Variables that put the library before `program`, unless it is of another C library, and tell it the run's folder."""
    verdict, _ = examined(program)
    variables = {_FOLDER: folder}
    before = environ.get(_LIBRARIES)
    if not verdict & _FOREIGN and _path() not in (before or "").split(":"):
        variables[_LIBRARIES] = f"{before}:{_path()}" if before else _path()
    if verdict & _SANITIZED:
        options = environ.get(_SANITIZER)
        variables[_SANITIZER] = f"{options}:{_FIRST}" if options else _FIRST
    return variables


def observes(environ: Mapping[str, str], folder: str) -> bool:
    """Whether programs with this environment write into the journal of the run whose folder this is."""
    return environ.get(_FOLDER) == folder and _path() in environ.get(_LIBRARIES, "")


def unseen(program: str) -> bool:
    """Whether the library would see nothing of this program itself."""
    return bool(examined(program)[0] & _UNSEEN)


def examined(program: str) -> tuple[int, str | None]:
    """What the library will see of a program that is executed, as a number; and what is to be said of it in the record."""
    library = _library()
    if library is None:
        return _UNSEEN, None
    why = ctypes.c_char_p()
    verdict = library.vestige_examine(os.fsencode(program), ctypes.byref(why))
    return verdict, None if why.value is None else program + why.value.decode()


class Post:
    """Where the library finds the watcher: the page that it shares with it, and the socket. `descriptor` is the socket's."""

    __slots__ = ("_memory", "_socket", "descriptor")

    def __init__(
        self,
        folder: str,
        root: str,
        own: Sequence[str],
        suspicion: tuple[Sequence[str], Sequence[str]] = ((), ()),
        *,
        mindful: bool = False,
        due: bool = False,
        waits: bool = False,
    ) -> None:
        """Make both in the run's folder. Raises OSError.

        `suspicion`: what secrets go with, and programs that take some in short options. `mindful`: secrets are known that
        the library must not know, so that it asks about every command line. `due`: changes wait for the snapshot of the code.
        `waits`: the first program waits until somebody answers.
        """
        import _socket

        strings, starts = _strings([root.rstrip("/") + "/"], [one.rstrip("/") + "/" for one in own], *suspicion)
        if len(strings) > _STRINGS:
            raise OSError("the names of the project's folders are too long")
        library = _library()
        size = library.vestige_page_size() if library is not None else mmap.PAGESIZE
        descriptor = os.open(os.path.join(folder, _PAGE), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)  # else a full disk would end the program that touches it
            self._memory = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
        self._memory[: _HEAD.size] = _HEAD.pack(_MARK, due, 0, 0, 0, mindful, waits, *starts[1:], 0, 0, 0)
        self._memory[_HEAD.size : _HEAD.size + len(strings)] = strings
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
        self.descriptor = self._socket.fileno()
        at = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        try:  # a name of a socket has room for 108 bytes, a folder's name may have more
            self._socket.bind(f"/proc/self/fd/{at}/{_ASK}")
        finally:
            os.close(at)
        self._socket.listen(_BACKLOG)

    @property
    def lost(self) -> int:
        """How many lines the library could not write."""
        return int(struct.unpack_from("=Q", self._memory, _LOST)[0])

    def snapshot_taken(self) -> None:
        """Changes to the project need not wait any more."""
        struct.pack_into("=I", self._memory, _DUE, 0)

    def accept(self) -> _socket.socket | None:
        """One who asks; None where nobody does."""
        import _socket

        try:
            descriptor, _ = self._socket._accept()  # type: ignore[attr-defined]  # noqa: SLF001
        except OSError:
            return None
        found = _socket.socket(fileno=descriptor)
        found.setblocking(False)
        return found


class PreloadWatch(Watch):
    """The watcher to whom the library comes with what it does not decide. A message: descriptor, kind, content."""

    def __init__(self, post: Post, notes: Notes, shared: Shared, terms: Terms) -> None:
        super().__init__(-1, notes, shared, terms)
        self._post = post
        self._askers: dict[int, _socket.socket] = {}

    @property
    def lost(self) -> int:
        return super().lost + self._post.lost

    def watch(self, others: dict[int, Callable[[], None]], alone: Callable[[], bool]) -> None:
        """Answer until `alone` says that nobody of the run is left; it is asked after each of `others` was called."""
        poll = select.poll()
        for descriptor in (self._post.descriptor, *others):
            poll.register(descriptor, select.POLLIN)
        waiting: dict[int, _socket.socket] = {}
        while not alone():
            called = False
            while not called:
                wait = max(int((self._deadline - time.monotonic()) * 1000), 0) + 1 if self._aside else None
                for descriptor, events in poll.poll(wait):
                    if descriptor in others:
                        if events & (select.POLLHUP | select.POLLERR) and not events & select.POLLIN:
                            poll.unregister(descriptor)
                        others[descriptor]()
                        called = True
                    elif descriptor == self._post.descriptor:
                        while (asker := self._post.accept()) is not None:
                            waiting[asker.fileno()] = asker
                            poll.register(asker.fileno(), select.POLLIN)
                    else:
                        poll.unregister(descriptor)
                        self._hear(waiting.pop(descriptor))
                self._late()
        self._end()

    def _hear(self, asker: _socket.socket) -> None:
        try:
            data = asker.recv(_LONGEST)
        except OSError:
            data = b""
        if not data:  # it was killed
            asker.close()
            return
        self._askers[asker.fileno()] = asker
        message: Any = (asker.fileno(), data[:1], data[1:])
        self._consider(message)

    def _look(self, message: tuple[Any, ...]) -> bool:
        _, kind, data = message
        if kind in b"sln":
            path = os.fsdecode(data)
            try:
                found = os.stat(path, follow_symlinks=kind == b"s")
            except OSError:
                found = None
            if self._hold(message, path, found):
                return False
            return found is None or kind == b"n" or self._save(message, path, found, needed=True)
        if kind == b"x":
            head, *words = data.split(b"\0")
            given = ",".join(quoted(utf8(word)) for word in self._terms.redact([os.fsdecode(word) for word in words]))
            self.notes.append(f"{head.decode('ascii')},{quoted(f'[{given}]')}]\n")
        elif kind == b"c":
            process, descriptor = struct.unpack_from("=2I", data)
            self._connection(process, descriptor, data[8:])
        elif kind == b"j":
            self.notes.append(data.decode("ascii"))
        return True

    def _connection(self, process: int, descriptor: int, address: bytes) -> None:
        found = connections.target(process, descriptor, address)
        if found is None or (process, found.endpoint) in self._connected:
            return
        ours = self._listeners.look(process, found)
        if ours is not None:  # else nobody is there, and the call fails
            self._connected.add((process, found.endpoint))
            self.note("c", process, flags=int(ours), text=found.endpoint)

    def _answer(self, identity: int) -> None:
        asker = self._askers.pop(identity)
        self.notes.flush()  # what is answered stands in the journal
        try:
            asker.send(b"1")
        except OSError:
            pass  # it was killed meanwhile, or waits no more
        asker.close()

    def snapshot_taken(self, *, late: bool = False) -> None:
        self._post.snapshot_taken()
        super().snapshot_taken(late=late)


def _path() -> str:
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), _FILE)


def _library() -> ctypes.CDLL | None:
    """The library, loaded to ask it: it does nothing in a process that belongs to no run."""
    try:
        found = ctypes.CDLL(_path())
        if found.vestige_version() != _VERSION:
            return None
        found.vestige_examine.argtypes = (ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p))
        found.vestige_page_size.restype = ctypes.c_size_t
    except (OSError, AttributeError):
        return None
    return found


def _strings(*lists: Sequence[str]) -> tuple[bytes, list[int]]:
    """Lists of strings, one after the other, each ended by an empty one; and where each begins."""
    data, starts = b"", []
    for one in lists:
        starts.append(len(data))
        data += b"".join(os.fsencode(text) + b"\0" for text in one if text) + b"\0"
    return data, starts
