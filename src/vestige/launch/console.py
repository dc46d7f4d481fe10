"""The user's terminal while a command runs: its keys, its modes, its size, and whose turn it is."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` would load enum
import os

from vestige.launch.pump import Outlet, Pump, Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vestige.launch.terminal import Terminal


class Console:
    """A pseudo-terminal being served. `shown` passes on what the command writes; `reads`: no other terminal is its input."""

    __slots__ = ("_literal", "_reads", "_shown", "_tells_group", "_terminal", "_typed", "_watch", "interrupted")

    def __init__(self, terminal: Terminal, shown: Pump, watch: Watch, *, reads: bool, tells_group: bool) -> None:
        """`tells_group`: a signal to our own group can be told from others when it comes to us, too."""
        self._terminal: Terminal | None = terminal
        self._shown = shown
        self._watch = watch
        self._reads = reads
        self._tells_group = tells_group
        self._typed: Pump | None = None
        self._literal = False
        #: whether Ctrl-C was pressed
        self.interrupted = False
        shown.tell = self._show_no_more
        if terminal.controlling:
            self.take()
        else:
            shown.look = self._show

    def waits(self) -> bool:
        """Whether the terminal is to be taken as soon as it is ours again; no signal tells of that."""
        return self._terminal is not None and self._terminal.controlling and self._typed is None

    def take(self) -> None:
        """If we are in the foreground: make the terminal raw, and read its keys. Beside the command: look at its modes."""
        terminal = self._terminal
        if terminal is None:
            return
        terminal.copy_size()
        if not terminal.controlling:
            self._follow(terminal)
        elif self._typed is None and terminal.raw():
            self._begin_typing(terminal)

    def let_go(self) -> None:
        """Before we are stopped: the terminal as the shell expects it."""
        self._end_typing()
        if self._terminal is not None:
            self._terminal.restore()

    def resized(self) -> None:
        """The window has another size."""
        terminal = self._terminal
        if terminal is not None and terminal.copy_size() and not terminal.controlling:
            os.kill(0, _signal.SIGWINCH)  # the one by which we know of it came before the size was there

    def signal(self, number: int) -> bool:
        """A signal of the user's terminal, for the foreground group of ours. False where there is none any more."""
        if self._terminal is not None:
            self._terminal.signal(number)
        return self._terminal is not None

    def command_ended(self) -> None:
        """From here on, who holds our terminal is not the command."""
        self._shown.tell = None
        if self._terminal is not None:
            self._terminal.close_slave()

    def end(self, *, adopt: bool) -> None:
        """The terminal as it was; with `adopt`, as the command has left it."""
        terminal, self._terminal = self._terminal, None
        unsent = self._end_typing()
        if terminal is None:
            return
        terminal.close_slave()
        terminal.hand_back(unsent)
        terminal.restore(adopt=adopt)
        if not self._shown.done:
            terminal.leave()

    # -- keys ---------------------------------------------------------------------------------------------------------------

    def _begin_typing(self, terminal: Terminal) -> None:
        self._typed = Pump(os.dup(terminal.real), Outlet(terminal.master, own=True), None)
        self._typed.look = self._keys
        self._typed.tell = self._type_no_more
        self._typed.start(self._watch)

    def _end_typing(self) -> bytes:
        """Read no more keys. Returns those that the command's side has not taken."""
        typed, self._typed = self._typed, None
        if typed is None or typed.done:
            return b""
        unsent = typed.pending()
        typed.finish()
        return unsent

    def _type_no_more(self, pump: Pump) -> None:
        """We may not read any more: because we are in the background, without having been told; or the terminal has gone."""
        if pump is self._typed:
            self._typed = None

    def _keys(self, data: bytes) -> bytes:
        """Keys that mean a signal are for our whole process group, as they are where no terminal of ours is between."""
        if self._terminal is not None and self._tells_group:
            found, self._literal = self._terminal.signals_in(data, literal=self._literal)
            for number in found:
                self.interrupted |= number == _signal.SIGINT
                os.kill(0, number)
        return data

    # -- the command's side -------------------------------------------------------------------------------------------------

    def _show(self, data: bytes) -> bytes:
        """Beside the command: as the user's terminal is to be sent it."""
        if self._terminal is None:
            return data
        self._follow(self._terminal)
        return self._terminal.end_lines(data)

    def _follow(self, terminal: Terminal) -> None:
        """Beside the command: it may have changed the modes of our terminal, because it wants single keys."""
        wants = terminal.follow() and self._reads
        if wants and self._typed is None:
            self._begin_typing(terminal)
        elif not wants:
            self._end_typing()

    def _show_no_more(self, _pump: Pump) -> None:
        """The user's terminal has gone (or nobody holds ours): the command is hung up, too."""
        self._end_typing()
        terminal, self._terminal = self._terminal, None
        if terminal is not None:
            terminal.restore()
            terminal.close()
