"""Where the kernel gives no listener: the filter stops each selected call, and the watcher, as tracer, looks at it.

`native/ptrace.c` says what follows from ptrace(2), and does the work; without the compiled library there is no such way.
Whether stops arrive is not for the manual to say. A filter above us that tells a listener of its own (a sandbox's, an
outer observer's) outranks ours, and then the tracer is never asked; an emulator may know neither. So it is tried, in a
child that is thrown away: a few calls that can do no harm, and a look at which of them stopped.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` would load enum
import ctypes
import errno
import os
import time

from vestige.observe import compiled, notify
from vestige.observe.compiled import NOBODY_LEFT, OTHERS, CompiledWatch, attend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_MESSAGE, _CHANGE = 0, -4
_CONTINUE, _CALLED, _STOPPED = 7, 7, 128  # PTRACE_CONT, PTRACE_EVENT_SECCOMP, PTRACE_EVENT_STOP
_NEW_LISTENER = 8
_ALL = 0x40000000  # __WALL
_PATIENCE = 2.0  # seconds for a child that is thrown away
_PAUSE = 0.0005

#: What is tried: with a descriptor that is none and no path, each of them fails whoever lets it pass.
_TRIED = ("openat", "execve", "unlinkat", "mkdirat", "renameat2")


class _Happening(ctypes.Structure):
    _fields_ = (
        ("process", ctypes.c_int32),
        ("status", ctypes.c_int32),
        ("cpu", ctypes.c_int64),
        ("memory", ctypes.c_int64),
        ("left", ctypes.c_uint32),
        ("unused", ctypes.c_uint32),
        ("message", ctypes.c_char * notify.MESSAGE.size),
    )


class Tried:
    """What came of trying: the errno of a refusal (0: none), whether of the filter, and the calls that did not stop."""

    __slots__ = ("filter", "refused", "silent")

    def __init__(self, refused: int, silent: tuple[str, ...] = (), *, filter_: bool = False) -> None:
        self.refused = refused
        self.silent = silent
        self.filter = filter_


def library() -> ctypes.CDLL | None:
    """The compiled library, ready for tracing."""
    found = compiled.library()
    if found is None:
        return None
    for name, result, arguments in (
        ("seize", ctypes.c_int, (ctypes.c_int,)),
        ("new", ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_int)),
        (
            "wait",
            ctypes.c_int,
            (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int),
        ),
        ("answer", None, (ctypes.c_void_p, ctypes.c_uint64)),
        ("end", None, (ctypes.c_void_p,)),
    ):
        function = getattr(found, "vestige_trace_" + name)
        function.restype, function.argtypes = result, arguments
    return found


def seize(process: int) -> int:
    """Begin to trace a process and all that it starts: 0, or an errno. What it does next it does for this thread alone."""
    found = library()
    return errno.ENOSYS if found is None else int(found.vestige_trace_seize(process))


def tried() -> Tried:
    """Whether tracing is possible here, as a child that is thrown away shows."""
    import _socket

    found = library()
    if found is None or not notify.supported():
        return Tried(errno.ENOSYS)
    ours, theirs = _socket.socketpair()
    child = os.fork()
    if child == 0:
        _be_tried(theirs)
    theirs.close()
    try:
        refused = int(found.vestige_trace_seize(child))
        if refused:
            return Tried(refused)
        ours.send(b"g")
        return _watched(child, ours)
    finally:
        ours.close()
        _remove(child)


def _be_tried(socket: object) -> None:
    """In the child: the filter, then each call, with a byte behind it. Never returns."""
    try:
        descriptor = socket.fileno()  # type: ignore[attr-defined]
        numbers = {name: number for number, name in notify.CALLS[_architecture()].items()}
        libc = ctypes.CDLL(None)
        nothing = ctypes.c_void_p()
        os.read(descriptor, 1)
        try:
            notify.install_traced()
        except notify.RefusedError as refused:
            os.write(descriptor, bytes([refused.errno]))
            os._exit(1)
        os.write(descriptor, b"\0")
        for name in _TRIED:
            libc.syscall(ctypes.c_long(numbers[name]), ctypes.c_long(-1), nothing, nothing, nothing, nothing)
            os.write(descriptor, b"\0")
    finally:
        os._exit(0)


def _architecture() -> int:
    return notify.X86_64 if os.uname().machine == "x86_64" else notify.AARCH64


def _watched(child: int, socket: object) -> Tried:
    """Trace the child to its end, and say which of its calls stopped."""
    descriptor = socket.fileno()  # type: ignore[attr-defined]
    os.set_blocking(descriptor, False)
    request = ctypes.CDLL(None).ptrace
    request.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    deadline = time.monotonic() + _PATIENCE
    said, stopped = b"", set()
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, _ALL | os.WNOHANG)
        said += _read(descriptor)
        if not found:
            time.sleep(_PAUSE)
        elif not os.WIFSTOPPED(status):
            break
        else:
            event = status >> 16
            if event == _CALLED:
                stopped.add(len(said) - 1)
            request(_CONTINUE, child, None, None if event else os.WSTOPSIG(status))
    if not said:
        return Tried(errno.EIO)
    if said[0]:
        return Tried(said[0], filter_=True)
    silent = tuple(name for at, name in enumerate(_TRIED) if at not in stopped)
    return Tried(errno.EIO if _TRIED[0] in silent else 0, silent)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 64)
    except BlockingIOError:
        return b""


def _remove(child: int) -> None:
    try:
        os.kill(child, _signal.SIGKILL)
        while os.WIFSTOPPED(os.waitpid(child, _ALL)[1]):
            pass
    except (ProcessLookupError, ChildProcessError):
        pass  # it has ended, and was waited for


class TracedWatch(CompiledWatch):
    """The watcher as tracer: its loop waits for the command, too."""

    _tracer = 0
    _command = 0
    _tracers: frozenset[str] = frozenset()

    def trace(self, command: int, changed: Callable[[int, int, float, int], None], alone: Callable[[], bool]) -> None:
        """Whom to trace; it was seized by this thread.

        `changed` is called when the command is stopped, continued or ended, and when a child that is not traced has ended: its
        number, wait status, CPU seconds and bytes of memory. `alone` says whether nobody of the run is left.
        """
        found = library()
        assert found is not None
        self._library = found
        self._command, self._changed, self._alone = command, changed, alone
        self._tracer = found.vestige_trace_new(self._watcher, command)
        if not self._tracer:
            raise OSError(errno.ENOMEM, "the tracer has no memory")

    def loop(self, others: dict[int, Callable[[], None]]) -> None:
        listened = dict(others)
        happening = _Happening()
        at = _Happening.message.offset
        while True:
            numbers = (ctypes.c_int * len(listened))(*listened)
            ready = (ctypes.c_short * len(listened))()
            found = self._library.vestige_trace_wait(
                self._tracer, ctypes.byref(happening), numbers, ready, len(listened), self._pause()
            )
            if found == _MESSAGE:
                self._consider(notify.MESSAGE.unpack_from(happening, at))
            elif found == OTHERS:
                attend(listened, ready)
            elif found == _CHANGE:
                self._changed(happening.process, happening.status, happening.cpu / 1e6, happening.memory * 1024)
                if not happening.left and self._alone():
                    break
            elif found == NOBODY_LEFT:
                break
            self._late()
        self._end()
        self._library.vestige_end(self._watcher)
        self._library.vestige_trace_end(self._tracer)

    def _look(self, message: tuple[int, ...]) -> bool:
        _, thread, _, number, architecture, *_ = message
        if number != notify.TRACES[architecture]:
            return super()._look(message)
        name = self.callers.name(thread)
        if name not in self._tracers:
            self._tracers |= {name}
            said = "cannot trace programs, since it is traced itself; use --observe notify or preload"
            self.note("g", self.notes.process(thread), text=f"{name} {said}")
        return True

    def _escape(self, call: str, thread: int, a: list[int]) -> None:
        super()._escape(call, thread, a)
        if call == "seccomp" and a[1] & _NEW_LISTENER:
            said = "asked to be told of calls itself (seccomp): files that were used from then on may be missing"
            self.note("g", self.notes.process(thread), text=f"{self.callers.name(thread)} {said}")

    def _answer(self, identity: int) -> None:
        self._library.vestige_trace_answer(self._tracer, identity)
