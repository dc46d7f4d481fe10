"""A pseudo-terminal between the user's terminal and the command.

The command gets the slave side; what it writes is passed on and kept. The user's terminal is put into raw mode while we
are in its foreground, so that every key, Ctrl-C and Ctrl-Z among them, reaches the command's side and is interpreted there.
"""

from __future__ import annotations

import fcntl
import os
import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TIOCSCTTY = 0x540E


class Terminal:
    """Both sides, and the user's terminal as it was."""

    __slots__ = ("_saved", "master", "real", "slave")

    def __init__(self, real: int) -> None:
        """`real` is a descriptor of the user's terminal. Raises OSError where no pseudo-terminal is to be had."""
        self.real = real
        self.master, self.slave = os.openpty()
        self._saved: list[Any] = termios.tcgetattr(real)
        termios.tcsetattr(self.slave, termios.TCSANOW, self._saved)
        self.copy_size()

    def copy_size(self) -> None:
        """The window's size, for the command's side; the kernel tells the command by SIGWINCH."""
        try:
            size = fcntl.ioctl(self.real, termios.TIOCGWINSZ, b"\0" * 8)
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)
        except OSError:
            pass

    def make_controlling(self) -> None:
        """Make the slave the controlling terminal of this process's session."""
        fcntl.ioctl(self.slave, getattr(termios, "TIOCSCTTY", _TIOCSCTTY), 0)

    def in_foreground(self) -> bool:
        """Whether the user's terminal listens to our process group."""
        try:
            return os.tcgetpgrp(self.real) == os.getpgrp()
        except OSError:
            return False

    def raw(self) -> None:
        """Every key goes through as it is. Only in the foreground: else the system would stop us."""
        if not self.in_foreground():
            return
        i, o, c, l, *speeds, keys = self._saved  # noqa: E741  # the names of termios(3)
        i &= ~(
            termios.BRKINT | termios.ICRNL | termios.IGNBRK | termios.IGNCR | termios.INLCR | termios.INPCK
            | termios.ISTRIP | termios.IXON | termios.PARMRK
        )  # fmt: skip
        c = c & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        l &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)  # noqa: E741
        keys = [*keys]
        keys[termios.VMIN], keys[termios.VTIME] = 1, 0
        mode = [i, o & ~termios.OPOST, c, l, *speeds, keys]
        self._set(mode)

    def restore(self) -> None:
        """The user's terminal as it was."""
        if self.in_foreground():
            self._set(self._saved)

    def _set(self, mode: list[Any]) -> None:
        try:
            termios.tcsetattr(self.real, termios.TCSADRAIN, mode)
        except (OSError, termios.error):
            pass
