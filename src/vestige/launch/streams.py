"""What the three standard streams are, and what the command gets in their place.

| the stream is | what the program gets |
|---|---|
| a terminal | a pseudo-terminal, passed on and kept; streams that are one terminal share one |
| a pipe or socket, for output | a pipe of ours, passed on and kept |
| a pipe or socket, for input | the same: a pump would take what the command never reads |
| a file, a device | itself |
| closed | closed |
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vestige.launch.terminal import Terminal

NAMES = ("stdin", "stdout", "stderr")


class Standard:
    """One standard stream as we found it. `path` and `flags` (of open(2)) are those of a file."""

    __slots__ = ("descriptor", "flags", "identity", "kind", "number", "path", "signature")

    def __init__(self, number: int, descriptor: int) -> None:
        self.number = number
        self.descriptor = descriptor
        self.path: str | None = None
        self.flags = 0
        self.identity = (-1, -1)
        self.signature: os.stat_result | None = None
        self.kind = self._look()

    def _look(self) -> str:
        try:
            found = os.fstat(self.descriptor)
        except OSError:
            return "closed"
        self.signature = found
        self.identity = (found.st_dev, found.st_ino)
        mode = stat.S_IFMT(found.st_mode)
        if mode in (stat.S_IFIFO, stat.S_IFSOCK):
            return "pipe"
        if mode == stat.S_IFREG:
            self.flags = fcntl.fcntl(self.descriptor, fcntl.F_GETFL)
            try:
                self.path = os.readlink(f"/proc/self/fd/{self.descriptor}")
            except OSError:
                self.path = None
            return "file"
        if os.isatty(self.descriptor):
            return "terminal"
        return "null" if mode == stat.S_IFCHR and _is_null(found) else "other"


class Pump:
    """Bytes from a pipe of ours to a stream of the user's. `name` is the file that keeps a copy."""

    __slots__ = ("name", "reader", "target", "writer")

    def __init__(self, name: str, target: int) -> None:
        self.reader, self.writer = os.pipe()
        self.target = target
        self.name = name


class Inherited:
    """A regular file that the command has open from the start: its number, path, flags of open(2), and stat."""

    __slots__ = ("flags", "number", "path", "signature")

    def __init__(self, number: int, path: str, flags: int, signature: os.stat_result) -> None:
        self.number = number
        self.path = path
        self.flags = flags
        self.signature = signature


class Streams:
    """The three streams, and what was made for them."""

    def __init__(self, standards: tuple[Standard, Standard, Standard]) -> None:
        self.standards = standards
        self.folder: str | None = None
        self.limit = 0
        self.terminal: Terminal | None = None
        self.pumps: list[Pump] = []
        #: for each number, the descriptor that the command gets; None: as it is
        self.given: list[int | None] = [None, None, None]

    def open(self, folder: str | None, limit: int) -> None:
        """Make the pseudo-terminal and the pipes. `folder` is where copies are kept, up to `limit` bytes each."""
        self.folder, self.limit = folder, limit
        _reserve()
        terminals = [one for one in self.standards if one.kind == "terminal"]
        if terminals:
            from vestige.launch.terminal import Terminal

            try:
                self.terminal = Terminal(terminals[0].descriptor)
            except OSError:
                self.terminal = None  # no pseudo-terminal to be had: the command gets the terminal itself
        made: dict[tuple[int, int], Pump] = {}
        for one in self.standards:
            if one.kind == "terminal" and self.terminal is not None:
                self.given[one.number] = self.terminal.slave
            elif one.kind == "pipe" and one.number > 0:
                pump = made.get(one.identity)
                if pump is None:
                    pump = made[one.identity] = Pump(NAMES[one.number], one.descriptor)
                    self.pumps.append(pump)
                self.given[one.number] = pump.writer
            elif one.kind == "file" and one.descriptor > 2:
                self.given[one.number] = one.descriptor

    def close_child_side(self) -> None:
        """In the launcher, when the command has been forked: its ends are its own."""
        for pump in self.pumps:
            os.close(pump.writer)
        if self.terminal is not None:
            os.close(self.terminal.slave)
        for one in self.standards[1:]:
            if one.descriptor > 2:
                os.close(one.descriptor)

    def close_all(self) -> None:
        """In the watcher: nothing of this is ours."""
        for pump in self.pumps:
            os.close(pump.reader)
            os.close(pump.writer)
        if self.terminal is not None:
            os.close(self.terminal.master)
            os.close(self.terminal.slave)
        for one in self.standards:
            if one.descriptor > 2:
                os.close(one.descriptor)

    def inherited(self, ours: set[int]) -> list[Inherited]:
        """The regular files among the descriptors that the command gets; those in `ours` it does not."""
        found = [
            Inherited(one.number, one.path, one.flags, one.signature)
            for one in self.standards
            if one.kind == "file" and one.path is not None and one.signature is not None
        ]
        for name in os.listdir("/proc/self/fd"):
            number = int(name)
            if number <= 2 or number in ours:
                continue
            try:
                if os.get_inheritable(number) and Standard(number, number).kind == "file":
                    one = Standard(number, number)
                    if one.path is not None and one.signature is not None:
                        found.append(Inherited(number, one.path, one.flags, one.signature))
            except OSError:
                continue
        return found

    def offset(self) -> int | None:
        """How far standard input has been read, if it is a file."""
        if self.standards[0].kind != "file":
            return None
        try:
            return os.lseek(self.standards[0].descriptor, 0, os.SEEK_CUR)
        except OSError:
            return None

    def make_controlling(self) -> None:
        """In the watcher, leader of a session of its own: the pseudo-terminal becomes its terminal."""
        if self.terminal is not None:
            self.terminal.make_controlling()


def inspect(*, stdin: str | None = None, stdout: str | None = None, stderr: str | None = None) -> Streams:
    """Look at the streams that we were given; a path opens a file in a stream's place. Raises OSError where it cannot."""
    found: list[Standard] = []
    for number, path in enumerate((stdin, stdout, stderr)):
        descriptor = number
        if path is not None:
            _reserve()
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            if number == 2 and path == stdout:
                descriptor = os.dup(found[1].descriptor)
            else:
                descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
        found.append(Standard(number, descriptor))
    return Streams((found[0], found[1], found[2]))


def _reserve() -> None:
    """Keep what we open from landing on a standard number that is closed: those three must stay closed for the command."""
    held = []
    try:
        while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= 2:
            held.append(descriptor)
        os.close(descriptor)
    except OSError:
        pass
    for number in held:
        _HELD.add(number)


#: Standard numbers that were closed and that we hold with /dev/null; the child closes them again.
_HELD: set[int] = set()


def held() -> frozenset[int]:
    """The standard numbers that were closed when we started."""
    return frozenset(_HELD)


def _is_null(found: os.stat_result) -> bool:
    try:
        return found.st_rdev == os.stat(os.devnull).st_rdev
    except OSError:
        return False


def is_gone(error: OSError) -> bool:
    """Whether an error says that the other end has gone."""
    return error.errno in (errno.EPIPE, errno.ECONNRESET, errno.EIO, errno.EBADF)


if sys.platform == "win32":  # pragma: no cover - imports only
    raise ImportError("streams are POSIX's; see vestige.launch.portable")
