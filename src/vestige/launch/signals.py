"""Signals as they arrive: which one, who sent it, and whether to the launcher alone or to its whole process group.

The command must be sent each signal once. Whether it has had one already depends on how the signal came:

| the signal came | the command shares our process group | it has one of its own (a pseudo-terminal's) |
|---|---|---|
| by the keys of a terminal | has it | its terminal's foreground group is sent it |
| from a process, to the group | has it | its group is sent it |
| from a process, to us alone | it is sent it | it is sent it |

The kernel tells keys from processes (`si_code`), but not a group from a single process. So a *witness* sits in our group
with every signal blocked: what lies waiting there was sent to the group. It is asked only when a signal has come, and the
order of the kernel's lists sees to it that it has been served before us, who joined the group earlier.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` would load enum
import os
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

NOTHING, COMMAND, GROUP = "nothing", "command", "group"

#: si_code of what the kernel sends by itself: keys, a terminal that hangs up, timers.
KERNEL = 0x80

_INFO = 128  # bytes of one signalfd_siginfo: signo, errno, code, pid, 32 bits each, then more
_PATIENCE = 50  # milliseconds that the witness may take to forget; a second later it is replaced by nothing

#: Signals that are never held: they cannot be, they say that we ourselves are broken, or Python deals with them.
_OURS = ("KILL", "STOP", "SEGV", "BUS", "FPE", "ILL", "TRAP", "SYS", "ABRT", "CHLD", "PIPE", "XCPU", "XFSZ", "PROF", "VTALRM")
_KEYS = ("SIGINT", "SIGQUIT", "SIGTSTP", "SIGHUP")


class Held:
    """The mask, and the signals that were ignored, before anything was held: what the command is to have."""

    __slots__ = ("ignored", "mask")

    def __init__(self, mask: frozenset[int], ignored: frozenset[int]) -> None:
        self.mask = mask
        self.ignored = ignored


class Arrived:
    """A signal. `code` is its si_code and `sender` the number of the process; None and 0 where the system does not say."""

    __slots__ = ("code", "number", "sender")

    def __init__(self, number: int, code: int | None = None, sender: int = 0) -> None:
        self.number = number
        self.code = code
        self.sender = sender


def hold() -> Held:
    """Block every signal that could end or stop us; whatever arrives waits until somebody asks for it."""
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, _holdable())
    # Python itself ignores SIGPIPE and SIGXFSZ from its start, so what they were is not known: what they mostly are.
    unknown = (_signal.SIGPIPE, getattr(_signal, "SIGXFSZ", 0))
    everything = _signal.valid_signals()
    ignored = (number for number in everything if number not in unknown and _signal.getsignal(number) == _signal.SIG_IGN)
    return Held(frozenset(mask), frozenset(ignored))


def give_back(held: Held) -> None:
    """In the command, before it starts: signals as they were before Python and we changed them."""
    for number in _signal.valid_signals():
        if number in held.ignored or _signal.getsignal(number) == _signal.SIG_DFL or number in (_signal.SIGKILL, _signal.SIGSTOP):
            continue
        _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, held.mask)


def release(held: Held) -> None:
    """Let through what has been held."""
    _signal.pthread_sigmask(_signal.SIG_SETMASK, held.mask)


def let_go(held: Held) -> None:
    """When all is over: nothing is held any more. What has come for a command that has ended is forgotten."""
    if hasattr(_signal, "sigtimedwait"):
        while _signal.sigtimedwait(_holdable() - held.mask, 0) is not None:
            pass
    release(held)


def destination(arrived: Arrived, *, command: int, shares_group: bool, to_group: bool, keys: bool) -> str:
    """Whom a signal is to be passed on to.

    `to_group`: the witness has it too. `keys`: we are in the foreground of a terminal, from which an unknown sender's may be.
    """
    number, code = arrived.number, arrived.code
    if arrived.sender in (os.getpid(), command) and arrived.sender:
        return NOTHING
    from_keys = any(number == getattr(_signal, name, None) for name in _KEYS)
    if code is None:
        return NOTHING if shares_group and keys and from_keys else COMMAND
    if code == KERNEL:
        if number == getattr(_signal, "SIGALRM", None):
            return COMMAND  # `alarm 5; exec vestige run …`: timers survive exec(3)
        return GROUP if from_keys and not shares_group else NOTHING
    if to_group:
        return NOTHING if shares_group else GROUP
    return COMMAND


class Inbox:
    """Held signals, one after another. Readable (`descriptor`) when there are any."""

    __slots__ = ("_wake", "descriptor", "knows_senders")

    def __init__(self, *, native: bool = True) -> None:
        self._wake = -1
        self.descriptor = _signalfd(_holdable()) if native and sys.platform == "linux" else -1
        self.knows_senders = self.descriptor >= 0
        if not self.knows_senders:
            self._catch()

    def close(self) -> None:
        for descriptor in (self.descriptor, self._wake):
            if descriptor >= 0:
                os.close(descriptor)
        if self._wake >= 0:
            _signal.set_wakeup_fd(-1)
        self.descriptor = self._wake = -1

    def take(self) -> list[Arrived]:
        try:
            data = os.read(self.descriptor, _INFO * 16)
        except BlockingIOError:
            return []
        if not self.knows_senders:
            return [Arrived(number) for number in data]
        return [_arrived(data[start : start + _INFO]) for start in range(0, len(data), _INFO)]

    def _catch(self) -> None:
        """Where there is no signalfd(2), handlers: who sent a signal is not known there."""
        self.descriptor, self._wake = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._wake, False)
        _signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        held = _holdable()
        for number in held:
            if _signal.getsignal(number) != _signal.SIG_IGN:
                _signal.signal(number, _noted)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, held)


class Witness:
    """A process of our group that leaves signals lying: what lies there was sent to the whole group."""

    __slots__ = ("_answers", "_asks", "pid")

    def __init__(self) -> None:
        """Raises OSError where no process is to be had."""
        asked, self._asks = os.pipe()
        self._answers, answering = os.pipe()
        try:
            self.pid = os.fork()
        except OSError:
            for descriptor in (asked, self._asks, self._answers, answering):
                os.close(descriptor)
            raise
        if self.pid == 0:
            try:
                _lie(asked, answering)
            finally:
                os._exit(0)
        os.close(asked)
        os.close(answering)

    def saw(self, number: int) -> bool:
        """Whether the whole group has been sent a signal. What was seen is forgotten."""
        try:
            with open(f"/proc/{self.pid}/status", "rb") as file:
                lines = file.read().splitlines()
        except OSError:
            return False
        lying = 0
        for line in lines:
            if line.startswith((b"SigPnd:", b"ShdPnd:")):
                lying |= int(line.split()[1], 16)
        if lying:
            self._forget()
        return bool(lying >> (number - 1) & 1)

    def dismiss(self) -> None:
        try:
            os.kill(self.pid, _signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except OSError:
            pass
        os.close(self._asks)
        os.close(self._answers)

    def _forget(self) -> None:
        try:
            os.write(self._asks, b"\0")
        except OSError:
            return
        answers = select.poll()
        answers.register(self._answers, select.POLLIN)
        if answers.poll(_PATIENCE):
            os.read(self._answers, 1)


def witness() -> Witness | None:
    """A witness, where one is of use and to be had."""
    if sys.platform != "linux":
        return None
    try:
        return Witness()
    except OSError:
        return None


def _lie(asked: int, answering: int) -> None:
    """The witness, until its launcher has gone."""
    everything = _signal.valid_signals()
    _signal.pthread_sigmask(_signal.SIG_BLOCK, everything)
    close_all_but({asked, answering})
    while os.read(asked, 1):
        while _signal.sigtimedwait(everything, 0) is not None:
            pass
        os.write(answering, b"\0")


def close_all_but(kept: Iterable[int]) -> None:
    """Close every descriptor of this process but some."""
    keep = set(kept)
    try:
        names = os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")
    except OSError:
        return
    for name in names:
        if int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:
                pass  # the one by which the folder was read


def stop(number: int) -> bool:
    """Be stopped by a signal, as the command was. False where the kernel does not let us (an orphaned process group).

    When it returns True, somebody has continued us, and the signal by which they did so waits.
    """
    if number == _signal.SIGSTOP:
        os.kill(os.getpid(), number)
        return True
    before = _signal.signal(number, _signal.SIG_DFL)
    held = _signal.pthread_sigmask(_signal.SIG_BLOCK, (number,))
    os.kill(os.getpid(), number)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (number,))
    _signal.pthread_sigmask(_signal.SIG_SETMASK, held)
    _signal.signal(number, before)
    return _signal.SIGCONT in _signal.sigpending() or _signal.SIGCONT not in held


def die(number: int) -> None:
    """Be ended by a signal. Returns where that cannot be."""
    _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (number,))
    os.kill(os.getpid(), number)


def _holdable() -> set[int]:
    ours = {getattr(_signal, f"SIG{name}", 0) for name in _OURS}
    return {int(number) for number in _signal.valid_signals()} - ours


def _signalfd(numbers: set[int]) -> int:
    """A descriptor that held signals are read from; -1 where there is none. See signalfd(2)."""
    import ctypes

    mask = sum(1 << (number - 1) for number in numbers).to_bytes(_INFO, sys.byteorder)
    try:
        return int(ctypes.CDLL(None).signalfd(-1, mask, os.O_CLOEXEC | os.O_NONBLOCK))
    except (OSError, AttributeError):
        return -1


def _arrived(data: bytes) -> Arrived:
    number, _, code, sender = (int.from_bytes(data[start : start + 4], sys.byteorder, signed=True) for start in (0, 4, 8, 12))
    return Arrived(number, code, sender)


def _noted(*_: object) -> None:
    """Nothing: that it came has been written to the inbox."""
