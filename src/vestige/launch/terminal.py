"""A pseudo-terminal between the user's terminal and the command, so that what the command writes can be kept.

It is used in one of two ways.

**Controlling.** The command reads from a terminal, too, and no pipe is about. It gets a session of its own (the watcher's),
whose controlling terminal is ours. While we are in the foreground, the user's terminal is raw: every key goes through, and
the system interprets it on the command's side. Two things happen on the way: a key that means a signal there is also sent
to our own process group, since a script around us expects its Ctrl-C; and what was typed ahead and never read is pushed
back when the command has ended, for the shell to read (where the kernel allows TIOCSTI).

**Beside.** Only output goes through ours: the command was started in the background, or it stands in a pipeline, where
other programs read the terminal's keys (`vestige run make | less`), or its input is a file. It stays in our session and
process group, with the real terminal as its controlling one, so that keys, job control and /dev/tty are the system's own
doing. Programs such as `vim -` use the very descriptor that they write to: when such a program changes the modes of our
terminal, the user's is changed likewise, and if there is no terminal on standard input, keys are passed on.

Of several launchers that share a terminal, one at a time may change its modes: it holds a lock (flock) on the terminal.
After `kill -9` of the launcher, nobody restores a raw terminal but the shell, or `stty sane`.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` would load enum
import fcntl
import os
import select
import sys
import termios

from vestige.launch import pump

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PEER = 0x5441  # TIOCGPTPEER: open the slave of a master. Linux 4.13
_SIGNAL = 0x40045436  # TIOCSIG: a signal to the foreground group of a master's slave
_INPUT, _OUTPUT, _CONTROL, _LOCAL, _KEYS = 0, 1, 2, 3, 6  # in what termios.tcgetattr returns


class Terminal:
    """Both sides, and the user's terminal as it was."""

    __slots__ = ("_changed", "_first", "_followed", "_locked", "_saved", "controlling", "master", "real", "slave")

    def __init__(self, given: int) -> None:
        """`given` is a descriptor of the user's terminal. Raises OSError where no pseudo-terminal is to be had."""
        #: whether the command is to be in a session of its own, with this as its terminal
        self.controlling = False
        self._locked = False
        self._changed = False
        now = _modes(given)
        self.real, _ = pump.again(given, os.O_RDWR)
        try:
            self.master, self.slave = os.openpty()
        except OSError:
            os.close(self.real)
            raise
        os.set_blocking(self.master, False)
        # If another launcher holds the terminal, the modes that it has now are that launcher's, not the user's.
        self._saved = now if self.lock() else _sane(now)
        _set_modes(self.slave, self._saved)
        self._first = self._followed = _modes(self.slave)
        self.copy_size()

    def become_controlling(self) -> bool:
        """Be the terminal that the command reads from, too. False where the user's is not ours to read now."""
        self.controlling = self.in_foreground() and self.lock()
        return self.controlling

    def become_beside(self) -> None:
        """Be there for output alone. Its lines are ended by the user's terminal, not twice."""
        self._leave_line_ends()
        self.unlock()

    def close(self) -> None:
        """Every descriptor of it. The command, if it holds the slave, is hung up."""
        for descriptor in (self.master, self.slave, self.real):
            if descriptor >= 0:
                os.close(descriptor)
        self.master = self.slave = self.real = -1

    def close_slave(self) -> None:
        if self.slave >= 0:
            os.close(self.slave)
            self.slave = -1

    def make_controlling(self) -> None:
        """In the leader of a new session: the slave becomes the session's terminal."""
        if self.controlling:
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)

    def copy_size(self) -> bool:
        """The window's size, for the command's side, where the kernel tells of it by SIGWINCH. Whether it has changed."""
        try:
            size = fcntl.ioctl(self.real, termios.TIOCGWINSZ, b"\0" * 8)
            if fcntl.ioctl(self.master, termios.TIOCGWINSZ, b"\0" * 8) == size:
                return False
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)
        except OSError:
            return False
        return True

    # -- the user's terminal ------------------------------------------------------------------------------------------------

    def in_foreground(self) -> bool:
        """Whether the user's terminal is our controlling one, and listens to our process group."""
        try:
            return os.tcgetpgrp(self.real) == os.getpgrp()
        except OSError:
            return False

    def lock(self) -> bool:
        """Become the one launcher that changes this terminal's modes."""
        if not self._locked:
            try:
                fcntl.flock(self.real, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
            self._locked = True
        return True

    def unlock(self) -> None:
        if self._locked:
            fcntl.flock(self.real, fcntl.LOCK_UN)
            self._locked = False

    def raw(self) -> bool:
        """Every key goes through as it is. False in the background, where that is not for us to decide."""
        return self._change(_raw(self._saved))

    def follow(self) -> bool:
        """Beside the command: change the user's terminal as the command changed ours. Whether it is changed now."""
        try:
            now = _modes(self.master)
        except OSError:
            return self._changed
        if now == self._followed:
            return self._changed
        self._followed = now
        if now == self._first:
            self.restore()
        elif not self.in_foreground():
            os.kill(0, _signal.SIGTTOU)  # what the terminal itself would have done
        elif self.lock():
            self._change([now[_INPUT], now[_OUTPUT], self._saved[_CONTROL], *now[_LOCAL:]])
        return self._changed

    def end_lines(self, data: bytes) -> bytes:
        """Beside the command: `\\n` as the user's terminal wants it, which another launcher may have made raw."""
        if self._changed or self._followed != self._first or b"\n" not in data:
            return data
        try:
            ended = _modes(self.real)[_OUTPUT] & termios.OPOST
        except OSError:
            return data
        return data if ended else data.replace(b"\n", b"\r\n")

    def restore(self, *, adopt: bool = False) -> None:
        """The user's terminal as it was; with `adopt`, as the command left its own (`stty -echo`, `reset`)."""
        wanted = self._saved
        if adopt and self.controlling:
            try:
                last = _modes(self.master)
            except OSError:
                last = self._first
            if last != self._first:
                wanted = last
        if self._changed and self._change(wanted):
            self._changed = False

    def leave(self) -> None:
        """The user's terminal ends lines again, so ours must not: background processes of the command's may still write."""
        if self.controlling:
            self._leave_line_ends()

    def hand_back(self, unsent: bytes) -> None:
        """What was typed and never read, for whoever reads the terminal next. Only when nobody holds the slave any more."""
        if not self.controlling or not self._changed or sys.platform != "linux":
            return
        try:
            typed = self._unread() + unsent
            for number in range(len(typed)):
                fcntl.ioctl(self.real, termios.TIOCSTI, typed[number : number + 1])
        except OSError:
            pass  # dev.tty.legacy_tiocsti = 0

    def _unread(self) -> bytes:
        state = select.poll()
        state.register(self.master, 0)
        if not state.poll(0):
            return b""  # a background process of the command's may still read it
        slave = fcntl.ioctl(self.master, _PEER, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        left = _modes(slave)  # as the command has left them, which `restore` will ask for
        try:
            modes = list(left)
            modes[_LOCAL] &= ~(termios.ICANON | termios.ECHO)
            _set_modes(slave, modes)
            return os.read(slave, 1 << 16)
        except BlockingIOError:
            return b""
        finally:
            _set_modes(slave, left)
            os.close(slave)

    def _change(self, modes: list[Any]) -> bool:
        if not self.in_foreground():
            return False
        try:
            _set_modes(self.real, modes)
        except OSError:
            return False
        self._changed = True
        return True

    # -- the command's side -------------------------------------------------------------------------------------------------

    def signal(self, number: int) -> None:
        """Send a signal to the foreground group of the command's side."""
        try:
            fcntl.ioctl(self.master, _SIGNAL, number)  # a key's, the kernel itself sends
        except OSError:
            try:
                os.killpg(os.tcgetpgrp(self.master), number)
            except OSError:
                pass

    def signals_in(self, data: bytes, *, literal: bool) -> tuple[list[int], bool]:
        """The signals that keys mean on the command's side; see `signals_of`."""
        try:
            modes = _modes(self.master)
        except OSError:
            return [], False
        return signals_of(data, modes, literal=literal)

    def _leave_line_ends(self) -> None:
        try:
            modes = _modes(self.master)
            modes[_OUTPUT] &= ~termios.OPOST
            _set_modes(self.master, modes)
            self._first = self._followed = _modes(self.master)
        except OSError:
            pass


def signals_of(data: bytes, modes: list[Any], *, literal: bool = False) -> tuple[list[int], bool]:
    """The signals that keys mean in some modes, in order, and whether the next key is to be taken literally (Ctrl-V)."""
    if not modes[_LOCAL] & termios.ISIG:
        return [], False
    keys = modes[_KEYS]
    named = ((termios.VINTR, _signal.SIGINT), (termios.VQUIT, _signal.SIGQUIT), (termios.VSUSP, _signal.SIGTSTP))
    meant = {keys[key]: number for key, number in named if keys[key] != b"\0"}
    takes_literally = modes[_LOCAL] & termios.ICANON and modes[_LOCAL] & termios.IEXTEN and keys[termios.VLNEXT] != b"\0"
    found = []
    for number in range(len(data)):
        key = data[number : number + 1]
        if literal:
            literal = False
        elif key in meant:
            found.append(meant[key])
        elif takes_literally and key == keys[termios.VLNEXT]:
            literal = True
    return found, literal


def _raw(modes: list[Any]) -> list[Any]:
    """As cfmakeraw(3) has it."""
    flags = list(modes)
    flags[_INPUT] &= ~(
        termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
        | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON
    )  # fmt: skip
    flags[_OUTPUT] &= ~termios.OPOST
    flags[_LOCAL] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    keys = list(modes[_KEYS])
    keys[termios.VMIN], keys[termios.VTIME] = 1, 0
    flags[_KEYS] = keys
    return flags


def _sane(modes: list[Any]) -> list[Any]:
    """As a terminal is that nobody has made raw."""
    flags = list(modes)
    flags[_INPUT] |= termios.BRKINT | termios.ICRNL | termios.IXON
    flags[_OUTPUT] |= termios.OPOST | termios.ONLCR
    flags[_LOCAL] |= termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN
    keys = list(modes[_KEYS])
    keys[termios.VMIN], keys[termios.VTIME] = b"\x04", b"\0"
    flags[_KEYS] = keys
    return flags


def _modes(descriptor: int) -> list[Any]:
    try:
        return termios.tcgetattr(descriptor)
    except termios.error as error:
        raise OSError(*error.args) from error


def _set_modes(descriptor: int, modes: list[Any]) -> None:
    try:
        termios.tcsetattr(descriptor, termios.TCSANOW, modes)
    except termios.error as error:
        raise OSError(*error.args) from error
