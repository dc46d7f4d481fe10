"""The compiled watcher: threads in C answer what most calls are; Python sees the rest (`native/watcher.c` says which).

The library is built with the package where a compiler is found. Where it is missing, or is of another version, `available`
says so, and the watcher is the one in Python.
"""

from __future__ import annotations

import ctypes
import os
import select
import sys
import time

from vestige.observe import notify
from vestige.observe.lines import FLUSH_MARK
from vestige.observe.notes import Notes
from vestige.observe.shared import SIZE, SLOTS, Shared
from vestige.observe.terms import Terms
from vestige.observe.watcher import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_VERSION = 7
_ARCHITECTURES, _CALLS = 3, 512
_ABSENT, _READ, _TOUCHED, _CREATED = range(4)
NOBODY_LEFT, OTHERS = -1, -2

#: The calls that the library knows, in the order of its numbers; all others are 0, and left to Python.
_KNOWN = (
    "", "open", "openat", "openat2", "creat", "execve", "execveat", "rename", "renameat", "renameat2", "unlink", "unlinkat",
    "rmdir", "mkdir", "mkdirat", "sendto",
)  # fmt: skip


class _Setup(ctypes.Structure):
    _fields_ = (
        ("listener", ctypes.c_int32),
        ("journal", ctypes.c_int32),
        ("snapshot_due", ctypes.c_int32),
        ("threads", ctypes.c_int32),
        *((name, ctypes.c_char_p) for name in ("root", "own", "marks", "telling", "secrets", "flush_mark")),
        ("architectures", ctypes.c_uint32 * _ARCHITECTURES),
        ("calls", ctypes.c_uint8 * (_ARCHITECTURES * _CALLS)),
        ("shared", ctypes.c_void_p),
        ("shared_size", ctypes.c_uint64),
        ("slots", ctypes.c_uint32),
    )


def library() -> ctypes.CDLL | None:
    """The compiled library; None where there is none for this system."""
    if sys.platform != "linux" or os.environ.get("VESTIGE_WATCHER") == "python":
        return None
    try:
        found = ctypes.CDLL(os.path.join(os.path.dirname(__file__), "_watcher.abi3.so"), use_errno=True)
        if found.vestige_version() != _VERSION:
            return None
    except (OSError, AttributeError):
        return None
    for name, result, arguments in (
        ("new", ctypes.c_void_p, (ctypes.c_void_p,)),
        ("start", ctypes.c_int, (ctypes.c_void_p, ctypes.c_int, ctypes.c_int)),
        ("wait", ctypes.c_int, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)),
        ("answer", None, (ctypes.c_void_p, ctypes.c_uint64)),
        ("append", None, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)),
        ("flush", None, (ctypes.c_void_p,)),
        ("snapshot_taken", None, (ctypes.c_void_p,)),
        ("part_ways", None, (ctypes.c_void_p,)),
        ("has", ctypes.c_int, (ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint64, ctypes.c_uint64)),
        ("put", None, (ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint64, ctypes.c_uint64)),
        ("changed", None, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int)),
        ("process", ctypes.c_uint32, (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int)),
        ("counts", None, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)),
        ("end", None, (ctypes.c_void_p,)),
    ):
        function = getattr(found, "vestige_" + name)
        function.restype, function.argtypes = result, arguments
    return found


class _Paths:
    """A set of paths that lies in the library."""

    __slots__ = ("_library", "_set", "_watcher")

    def __init__(self, library: ctypes.CDLL, watcher: int, number: int) -> None:
        self._library, self._watcher, self._set = library, watcher, number

    def __contains__(self, path: str) -> bool:
        return bool(self._library.vestige_has(self._watcher, self._set, os.fsencode(path), 0, 0))

    def add(self, path: str) -> None:
        self._library.vestige_put(self._watcher, self._set, os.fsencode(path), 0, 0)


class _Files:
    """A set of files, by device and inode, that lies in the library."""

    __slots__ = ("_library", "_set", "_watcher")

    def __init__(self, library: ctypes.CDLL, watcher: int, number: int) -> None:
        self._library, self._watcher, self._set = library, watcher, number

    def __contains__(self, file: tuple[int, int]) -> bool:
        return bool(self._library.vestige_has(self._watcher, self._set, None, *file))

    def add(self, file: tuple[int, int]) -> None:
        self._library.vestige_put(self._watcher, self._set, None, *file)


class CompiledNotes(Notes):
    """What the library remembers, for what Python looks at."""

    def __init__(
        self,
        library: ctypes.CDLL,
        journal: int,
        shared: Shared,
        terms: Terms,
        listener: int = -1,
    ) -> None:
        """Raises OSError where there is no memory for it."""
        super().__init__(journal)
        self.library = library
        #: the library looks into it as long as it works
        self._setup = setup = _Setup(listener=listener, journal=journal, snapshot_due=terms.snapshot_due, threads=_threads())
        setup.root, setup.own, setup.flush_mark = os.fsencode(terms.root), _strings(terms.own), os.fsencode(FLUSH_MARK)
        suspicion = terms.suspicion
        setup.marks, setup.telling, setup.secrets = map(_strings, (suspicion.marks, suspicion.telling, suspicion.values))
        setup.shared, setup.shared_size, setup.slots = shared.address(), SIZE, SLOTS
        for place, architecture in enumerate(notify.CALLS):
            setup.architectures[place] = architecture
            for number, call in notify.CALLS[architecture].items():
                setup.calls[place * _CALLS + number] = _KNOWN.index(call) if call in _KNOWN else 0
        self.watcher = library.vestige_new(ctypes.byref(setup))
        if not self.watcher:
            raise OSError("the compiled watcher has no memory")
        self.absent = _Paths(library, self.watcher, _ABSENT)
        self.created = _Paths(library, self.watcher, _CREATED)
        self.read = _Files(library, self.watcher, _READ)
        self.touched = _Files(library, self.watcher, _TOUCHED)

    @property
    def lost(self) -> int:
        return self._counts()[1]

    @property
    def unreadable(self) -> int:
        return self._counts()[0]

    def _counts(self) -> tuple[int, int]:
        unreadable, lost = ctypes.c_uint64(), ctypes.c_uint64()
        self.library.vestige_counts(self.watcher, ctypes.byref(unreadable), ctypes.byref(lost))
        return unreadable.value, lost.value

    def process(self, thread: int, *, executes: bool = False) -> int:
        return int(self.library.vestige_process(self.watcher, thread, executes))

    def repeated(self, thread: int, path: str) -> bool:  # noqa: ARG002
        """What Python is asked about is rare, and may be noted twice."""
        return False

    def opened(self, thread: int, path: str, file: tuple[int, int] | None) -> None:
        pass

    def listed(self, thread: int, path: str) -> bool:  # noqa: ARG002
        return False

    def changed(self, path: str, found: os.stat_result | None, *, everything: bool = False) -> None:
        file = (0, 0) if found is None else (found.st_dev, found.st_ino)
        self.library.vestige_changed(self.watcher, os.fsencode(path), *file, everything)

    def append(self, line: str) -> None:
        data = line.encode("ascii")
        self.library.vestige_append(self.watcher, data, len(data))

    def flush(self) -> None:
        self.library.vestige_flush(self.watcher)


class CompiledWatch(Watch):
    """The watcher whose loop is the library's."""

    def __init__(self, library: ctypes.CDLL, listener: int, journal: int, shared: Shared, terms: Terms) -> None:
        notes = CompiledNotes(library, journal, shared, terms, listener)
        super().__init__(listener, notes, shared, terms)
        self._library, self._watcher, self._shared = library, notes.watcher, shared

    def loop(self, others: dict[int, Callable[[], None]]) -> None:
        if not self._library.vestige_start(self._watcher, _threads(), max((os.cpu_count() or 1) // 2, 1)):
            super().loop(others)  # no threads to be had
            return
        listened = dict(others)
        while True:
            numbers = (ctypes.c_int * len(listened))(*listened)
            ready = (ctypes.c_short * len(listened))()
            found = self._library.vestige_wait(self._watcher, numbers, ready, len(listened), self._pause())
            if found >= 0:
                self._consider(notify.MESSAGE.unpack_from(self._shared.slot(found)))
            elif found == OTHERS:
                attend(listened, ready)
            elif found == NOBODY_LEFT:
                break
            self._late()
        self._end()
        self._library.vestige_end(self._watcher)

    def _pause(self) -> int:
        """Milliseconds until we must look whether the snapshot is late; -1 where nothing waits for it."""
        return max(int((self._deadline - time.monotonic()) * 1000), 0) + 1 if self._aside else -1

    def _answer(self, identity: int) -> None:
        self._library.vestige_answer(self._watcher, identity)

    def part_ways(self) -> None:
        self._library.vestige_part_ways(self._watcher)
        super().part_ways()

    def snapshot_taken(self, *, late: bool = False) -> None:
        self._library.vestige_snapshot_taken(self._watcher)
        super().snapshot_taken(late=late)


def attend(listened: dict[int, Callable[[], None]], ready: Iterable[int]) -> None:
    """Call for the descriptors that are ready (`ready` has their events); those whose other end has gone, once more."""
    for descriptor, events in zip(tuple(listened), ready, strict=True):
        if events & (select.POLLHUP | select.POLLERR) and not events & select.POLLIN:
            call = listened.pop(descriptor)
            call()
        elif events:
            listened[descriptor]()


def _threads() -> int:
    """Several, since a slow file system holds up whoever looks at it; most of them are parked."""
    return min(max((os.cpu_count() or 1) // 2, 4), 16)


def _strings(texts: Sequence[str]) -> bytes:
    return b"".join(os.fsencode(text) + b"\0" for text in texts if text) + b"\0"
