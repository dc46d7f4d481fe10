"""What the three standard streams are, and what the command gets in their place.

| the stream is | what the program gets |
|---|---|
| a terminal | a pseudo-terminal, passed on and kept; streams that are one terminal share one |
| a terminal, for input, in the background or beside a pipe | the same, since other programs may read its keys |
| a pipe or socket, for output | a pipe of ours, passed on and kept; streams that are one pipe share one |
| a pipe or socket, for input | the same: a pump would take what the command never reads |
| a file, a device | itself |
| closed | closed |
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys

from vestige.launch import signals
from vestige.launch.pump import Copy, Outlet, Pump

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vestige.launch.terminal import Terminal

_TIOCGDEV = 0x80045432

NAMES = ("stdin", "stdout", "stderr")


class Standard:
    """One standard stream as we found it.

    `kind` is terminal, pipe (or socket), file, null, closed or other; `path` and `flags` (of open(2)) are those of a file.
    Two streams with one `identity` (device, inode) lead to the same place.
    """

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
            self.flags = fcntl.fcntl(self.descriptor, fcntl.F_GETFL)
        except OSError:
            return "closed"
        self.signature = found
        self.identity = (found.st_dev, found.st_ino)
        mode = stat.S_IFMT(found.st_mode)
        if mode in (stat.S_IFIFO, stat.S_IFSOCK):
            return "pipe"
        if mode == stat.S_IFREG:
            self.path = _path(self.descriptor, found)
            return "file"
        if os.isatty(self.descriptor):
            self.identity = (-2, _terminal(self.descriptor, found))
            return "terminal"
        return "null" if mode == stat.S_IFCHR and _is_null(found) else "other"


class Inherited:
    """A regular file that the command has open from the start: its number, path, flags of open(2), and stat."""

    __slots__ = ("flags", "number", "path", "signature")

    def __init__(self, number: int, path: str, flags: int, signature: os.stat_result) -> None:
        self.number = number
        self.path = path
        self.flags = flags
        self.signature = signature


class Channel:
    """A pipe of ours in place of a stream of the user's. `name` is the file that keeps a copy."""

    __slots__ = ("name", "reader", "target", "writer")

    def __init__(self, name: str, target: int) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.target = target
        self.name = name


class Streams:
    """The three streams, and what was made for them."""

    def __init__(self, standards: tuple[Standard, Standard, Standard], closed: frozenset[int]) -> None:
        self.standards = standards
        #: the numbers that were closed; we hold them with /dev/null, so that nothing of ours lands there
        self.closed = closed
        self.folder: str | None = None
        self.limit = 0
        #: the signals that are held since `open`
        self.held: signals.Held | None = None
        #: the pseudo-terminal that is the command's controlling terminal
        self.terminal: Terminal | None = None
        #: the pseudo-terminal that is there for output alone
        self.beside: Terminal | None = None
        self.channels: list[Channel] = []
        #: for each number, the descriptor that the command gets; None: as it is
        self.given: list[int | None] = [one.descriptor if one.descriptor > 2 else None for one in standards]
        #: further descriptors that lead where one of the three does (`3>&1`), and what the command gets there
        self.doubles: list[tuple[int, int]] = []
        #: whether we have let go of what the command alone is to hold
        self.let_go_of = False
        self._offset: int | None = None

    def open(self, folder: str | None, limit: int) -> None:
        """Make the pseudo-terminal and the pipes, and hold signals from here on. Raises OSError.

        `folder` is where copies are kept, up to `limit` bytes each.
        """
        self.folder, self.limit = folder, limit
        self._offset = _offset(self.standards[0])
        self.held = signals.hold()
        self._open_terminal()
        made: dict[tuple[int, int], Channel] = {}
        for one in self.standards[1:]:
            if one.kind != "pipe":
                continue
            channel = made.get(one.identity)
            if channel is None:
                channel = made[one.identity] = Channel(NAMES[one.number], one.descriptor)
                self.channels.append(channel)
            self.given[one.number] = channel.writer
        if made or self.terminal is not None:
            self._find_doubles(made)

    def _find_doubles(self, made: dict[tuple[int, int], Channel]) -> None:
        """What is written by another descriptor to the same place must neither overtake the rest nor fall behind it."""
        shown = {one.identity for one in self.standards if self.terminal is not None and one.kind == "terminal"}
        for number in _inherited():
            one = Standard(number, number)
            channel = made.get(one.identity)
            if self.terminal is not None and one.identity in shown:
                self.doubles.append((number, self.terminal.slave))
            elif channel is not None and one.flags & os.O_ACCMODE:
                self.doubles.append((number, channel.writer))

    def _open_terminal(self) -> None:
        """A terminal of ours in place of the user's, or of its output, or none: see `vestige.launch.terminal`."""
        stdin, stdout, stderr = self.standards
        piped = any(one.kind == "pipe" for one in (stdout, stderr))
        typed = stdin.kind == "terminal"
        shown = [one for one in (stdout, stderr) if one.kind == "terminal"]
        if typed and stdout.kind == "terminal" and stderr.kind == "pipe":
            return  # `x=$(dialog 3>&1 1>&2 2>&3)`: it draws on one descriptor and reads from the other
        first = stdin if typed and not piped else next(iter(shown), None)
        if first is None:
            return
        from vestige.launch.terminal import Terminal

        try:
            terminal = Terminal(first.descriptor)
        except OSError:
            return  # none to be had: the command gets the terminal itself
        replaced = [one for one in shown if one.identity == first.identity]
        if typed and not piped and terminal.become_controlling():
            self.terminal = terminal
            replaced.append(stdin)
        elif replaced:
            self.beside = terminal
            terminal.become_beside()
        else:
            terminal.close()
        for one in replaced:
            self.given[one.number] = terminal.slave

    def pumps(self) -> Iterator[Pump]:
        """In the launcher: what passes the command's output on."""
        for channel in self.channels:
            pump = _pump(channel.reader, channel.target, Copy(self.folder, channel.name, self.limit))
            if pump is not None:
                pump.tell = self._reached_end
                yield pump
        terminal = self.terminal or self.beside
        if terminal is not None:
            pump = _pump(os.dup(terminal.master), terminal.real, Copy(self.folder, "terminal", self.limit))
            if pump is not None:
                yield pump

    def close_child_side(self) -> None:
        """In the launcher, when the watcher has been forked: the ends that are the command's."""
        for channel in self.channels:
            os.close(channel.writer)
        for one in self.standards[1:]:
            if one.descriptor > 2 and all(channel.target != one.descriptor for channel in self.channels):
                os.close(one.descriptor)

    def let_go(self) -> None:
        """In the launcher, when the command has started: hold nothing open that another process waits for the end of."""
        if self.let_go_of:
            return
        self.let_go_of = True
        for number in _inherited():
            os.close(number)
        if self.standards[0].kind == "pipe":
            _replace(self.standards[0].descriptor)

    def close_all(self) -> None:
        """In the watcher, which ignores signals by now: nothing of this is ours."""
        for channel in self.channels:
            os.close(channel.reader)
            os.close(channel.writer)
        for terminal in (self.terminal, self.beside):
            if terminal is not None:
                terminal.close()
        for one in self.standards:
            if one.descriptor > 2:
                os.close(one.descriptor)
        if self.held is not None:
            signals.release(self.held)

    def make_controlling(self) -> None:
        """In the watcher, leader of a session of its own: the pseudo-terminal becomes its terminal."""
        if self.terminal is not None:
            self.terminal.make_controlling()

    def inherited(self, ours: set[int]) -> list[Inherited]:
        """The regular files among the descriptors that the command gets; those in `ours` it does not."""
        every = [*self.standards, *(Standard(number, number) for number in _inherited() if number not in ours)]
        return [
            Inherited(one.number, one.path, one.flags, one.signature)
            for one in every
            if one.kind == "file" and one.path is not None and one.signature is not None
        ]

    def moved(self) -> bool:
        """Whether standard input has been read since `open`, as far as can be said: of a file only."""
        return self._offset is None or _offset(self.standards[0]) != self._offset

    def _reached_end(self, pump: Pump) -> None:
        """The command has closed its output, or nobody reads it: whoever waits for the end must not wait for us."""
        name = pump.copy.name if pump.copy is not None else ""
        for channel in self.channels:
            # Standard error stays: warnings of ours go there, and hardly anybody waits for its end alone.
            if channel.name == name and channel.target != 2:
                _replace(channel.target)


def inspect(*, stdin: str | None = None, stdout: str | None = None, stderr: str | None = None) -> Streams:
    """Look at the streams that we were given; a path opens a file in a stream's place. Raises OSError where it cannot.

    A number of the three that is closed is taken by /dev/null from here on.
    """
    standards = [Standard(number, number) for number in range(3)]
    # What was opened by us is closed on exec; what we were given is not.
    ours = {one.number for one in standards if one.kind != "closed" and not os.get_inheritable(one.number)}
    closed = frozenset(one.number for one in standards if one.kind == "closed" or one.number in ours)
    for number in ours:
        standards[number].kind = "closed"
    _reserve()
    for number, path in enumerate((stdin, stdout, stderr)):
        if path is not None:
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            shared = number == 2 and path == stdout
            opened = os.dup(standards[1].descriptor) if shared else os.open(path, flags | os.O_CLOEXEC, 0o666)
            standards[number] = Standard(number, opened)
    return Streams((standards[0], standards[1], standards[2]), closed)


def _pump(reader: int, target: int, copy: Copy) -> Pump | None:
    try:
        outlet = Outlet(target)
    except OSError:
        os.close(reader)  # nobody reads there any more
        return None
    return Pump(reader, outlet, copy)


def _reserve() -> None:
    """Take the standard numbers that are closed, so that nothing of ours lands there."""
    try:
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(descriptor)
    except OSError:
        pass


def _replace(descriptor: int) -> None:
    """Let go of what a descriptor leads to, and keep the number."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, descriptor, inheritable=False)
    os.close(null)


def _inherited() -> list[int]:
    """The descriptors above the standard ones that are passed on to the command: ours are closed on exec."""
    found: list[int] = []
    try:
        names = os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")
    except OSError:
        return found
    for name in names:
        number = int(name)
        try:
            if number > 2 and os.get_inheritable(number):
                found.append(number)
        except OSError:
            continue  # the one by which the folder was read
    return found


def _path(descriptor: int, found: os.stat_result) -> str | None:
    """Where a file lies; None where it has no name any more, or never had one."""
    try:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        there = os.stat(path)
    except OSError:
        return None
    return path if (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino) else None


def _offset(one: Standard) -> int | None:
    """How far a file has been read."""
    if one.kind != "file":
        return None
    try:
        return os.lseek(one.descriptor, 0, os.SEEK_CUR)
    except OSError:
        return None


def _terminal(descriptor: int, found: os.stat_result) -> int:
    """The device that a terminal is, also where it was opened as /dev/tty."""
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, _TIOCGDEV, b"\0" * 4), sys.byteorder)
    except OSError:
        return found.st_rdev


def _is_null(found: os.stat_result) -> bool:
    try:
        return found.st_rdev == os.stat(os.devnull).st_rdev
    except OSError:
        return False
