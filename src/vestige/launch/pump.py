"""Bytes on their way from the command to whom they are meant for, without ever blocking whoever moves them.

The descriptors that we were given are shared with other processes, so none is ever made non-blocking. A pipe or a terminal
is opened a second time instead, with a description of our own; a socket is asked not to wait at each call; and where
neither can be had, no more is written than is sure to fit.

While a reader does not read, we do not read either: our pipe fills, and the command waits, as it would have without us.
Lines are not torn: what goes to a pipe goes in pieces that the kernel keeps whole, cut where lines end. Those are pieces of
at most PIPE_BUF bytes, and larger ones while the pipe is empty. So the lines of several programs that write to one pipe
stay as whole as they are without us.
"""

from __future__ import annotations

import fcntl
import os
import select
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK = 1 << 17  # above what a pipe holds, so that one read takes whole writes
_PIECE = select.PIPE_BUF if hasattr(select, "PIPE_BUF") else 512
_LARGE = 1 << 15  # half of what an empty pipe holds: others may write at the same moment
_FIONREAD = 0x541B  # how many bytes lie in a pipe; termios has it, too, but costs a start more
_ROOM = 256  # what a terminal that says it is writable is sure to take
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL if hasattr(select, "poll") else 0


class Watch:
    """poll(2), and whom to call for each descriptor."""

    __slots__ = ("_calls", "_poll", "_wanted")

    def __init__(self) -> None:
        self._poll = select.poll()
        self._calls: dict[int, Callable[[int], None]] = {}
        self._wanted: dict[int, int] = {}

    def set(self, descriptor: int, events: int | None, call: Callable[[int], None]) -> None:
        """Listen for `events`; 0: only for its end; None: for nothing."""
        if self._wanted.get(descriptor) == events:
            return
        if events is None:
            del self._wanted[descriptor], self._calls[descriptor]
            self._poll.unregister(descriptor)
        else:
            self._wanted[descriptor], self._calls[descriptor] = events, call
            self._poll.register(descriptor, events)

    def turn(self, milliseconds: float | None) -> bool:
        """Wait for something to happen, and deal with it. False where nothing did."""
        ready = self._poll.poll(milliseconds)
        for descriptor, events in ready:
            call = self._calls.get(descriptor)
            if call is not None:
                call(events)
        return bool(ready)


class Outlet:
    """Where bytes go. `descriptor` is ours to close."""

    __slots__ = ("_gated", "_socket", "descriptor", "is_pipe", "is_terminal")

    def __init__(self, given: int, *, own: bool = False) -> None:
        """`given` is left as it is; `own` says that it is non-blocking and ours. Raises OSError where nobody reads there."""
        mode = os.fstat(given).st_mode
        self.is_pipe = stat.S_ISFIFO(mode)
        self.is_terminal = stat.S_ISCHR(mode)
        self._socket = None
        self._gated = False
        if stat.S_ISSOCK(mode):
            import _socket

            self._socket = _socket.socket(fileno=os.dup(given))
            self.descriptor = self._socket.fileno()
            return
        self.descriptor, free = (os.dup(given), True) if own else again(given, os.O_WRONLY)
        self._gated = not free

    def write(self, data: memoryview) -> int:
        """How many bytes it took. Raises OSError where its reader has gone."""
        if self._socket is not None:
            import _socket

            try:
                return int(self._socket.send(data, _socket.MSG_DONTWAIT | getattr(_socket, "MSG_NOSIGNAL", 0)))
            except BlockingIOError:
                return 0
        if self.is_pipe:
            return self._write_lines(data)
        return self._write(data)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        else:
            os.close(self.descriptor)

    def _write_lines(self, data: memoryview) -> int:
        end = len(data)
        if end <= _PIECE:
            return self._write(data)
        text = bytes(data)
        start = 0
        while start < end:
            stop = end
            if end - start > _PIECE:
                line = text.rfind(b"\n", start, start + (_LARGE if self._is_empty() else _PIECE))
                stop = line + 1 if line >= 0 else end
            written = self._write(data[start:stop])
            start += written
            if not written:
                break
        return start

    def _is_empty(self) -> bool:
        try:
            return not any(fcntl.ioctl(self.descriptor, _FIONREAD, b"\0" * 4))
        except OSError:
            return False

    def _write(self, data: memoryview) -> int:
        if self._gated:
            if not _writable(self.descriptor):
                return 0
            data = data[: _PIECE if self.is_pipe else _ROOM]
        try:
            return os.write(self.descriptor, data)
        except BlockingIOError:
            return 0


class Copy:
    """What is kept of a stream: its first bytes, and how many there were."""

    __slots__ = ("_left", "descriptor", "name", "size", "truncated")

    def __init__(self, folder: str | None, name: str, limit: int) -> None:
        self.name = name
        self.size = 0
        self.truncated = False
        self._left = limit
        self.descriptor = -1
        if folder is not None:
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
                self.descriptor = os.open(os.path.join(folder, name), flags, 0o600)
            except OSError:
                self._left = 0

    def add(self, data: bytes) -> None:
        size = len(data)
        self.size += size
        if size > self._left:
            self.truncated = True
            data = data[: self._left]
        if self.descriptor < 0 or not data:
            return
        try:
            self._left -= os.write(self.descriptor, data)
        except OSError:
            self._left = 0  # the disk is full: what came so far is kept


class Pump:
    """From a pipe or pseudo-terminal of ours to an outlet."""

    __slots__ = ("_pending", "_watch", "copy", "done", "look", "outlet", "passed", "reader", "tell")

    def __init__(self, reader: int, outlet: Outlet, copy: Copy | None) -> None:
        """`reader` is ours to close."""
        self.reader = reader
        self.outlet = outlet
        self.copy = copy
        #: whether there will be no more, and how many bytes there were
        self.done = False
        self.passed = 0
        #: called with what has come, for what is to be passed on; and when there will be no more
        self.look: Callable[[bytes], bytes] | None = None
        self.tell: Callable[[Pump], None] | None = None
        self._pending = memoryview(b"")
        self._watch: Watch | None = None

    def start(self, watch: Watch) -> None:
        self._watch = watch
        self._settle()

    def pause(self) -> None:
        """Take nothing more until it is started again."""
        if self._watch is not None and not self.done:
            self._watch.set(self.reader, None, self._readable)
            self._watch.set(self.outlet.descriptor, None, self._writable)
        self._watch = None

    @property
    def blocked(self) -> bool:
        """Whether bytes wait for a slow reader."""
        return bool(self._pending)

    def pending(self) -> bytes:
        return bytes(self._pending)

    def finish(self) -> None:
        """No more of this: our end of the pipe is closed, so that the command is told when it writes."""
        if self.done:
            return
        self.pause()
        self.done = True
        self._pending = memoryview(b"")
        os.close(self.reader)
        self.outlet.close()
        if self.tell is not None:
            self.tell(self)

    def _readable(self, _events: int) -> None:
        try:
            data = os.read(self.reader, BLOCK)
        except BlockingIOError:
            return
        except OSError:  # EIO: nobody holds the other side of the pseudo-terminal any more
            data = b""
        if not data:
            self.finish()
            return
        self.passed += len(data)
        self._push(memoryview(data if self.look is None else self.look(data)))
        if self.copy is not None:
            self.copy.add(data)

    def _writable(self, events: int) -> None:
        if events & _GONE:
            self.finish()
        elif self._pending:
            self._push(self._pending)

    def _push(self, data: memoryview) -> None:
        try:
            taken = self.outlet.write(data)
        except OSError:
            self.finish()
            return
        self._pending = data[taken:]
        self._settle()

    def _settle(self) -> None:
        if self._watch is None or self.done:
            return
        self._watch.set(self.reader, None if self._pending else select.POLLIN, self._readable)
        self._watch.set(self.outlet.descriptor, select.POLLOUT if self._pending else 0, self._writable)


def again(given: int, access: int) -> tuple[int, bool]:
    """A second, non-blocking description of what a descriptor leads to; else a duplicate, and False.

    Raises OSError where it is a pipe that nobody reads.
    """
    try:
        return os.open(f"/proc/self/fd/{given}", access | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), True
    except FileNotFoundError:
        return os.dup(given), False
    except PermissionError:
        return os.dup(given), False
    except OSError as error:
        import errno

        if error.errno == errno.ENXIO and stat.S_ISFIFO(os.fstat(given).st_mode):
            raise
        return os.dup(given), False


def _writable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))
