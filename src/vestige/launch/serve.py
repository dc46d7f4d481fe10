"""The launcher's loop: bytes through the streams, signals to the command, and its exit status to whoever waits for us.

One thread, one poll(2), nothing in it that blocks: a slow reader stops the command as a pipe does, and never a signal or
the exit status. When the command has ended and others that it left behind still hold its streams, a process of its own goes
on passing their bytes, so that `x=$(command)` waits for them as it would without us, and a shell's prompt does not.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` would load enum
import os
import select
import stat
import time
from _json import encode_basestring_ascii as quoted

from vestige.launch import child, signals, streams
from vestige.launch.pump import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vestige.launch.console import Console
    from vestige.launch.pump import Pump
    from vestige.launch.signals import Arrived
    from vestige.launch.streams import Streams

_SETTLED = 0.1  # seconds after which we prepare for a longer run: a witness is called, and what the command reads let go
_GLANCE = 0.25  # seconds between two looks whether the terminal is ours again; no signal tells so
_GRACE = 0.002  # seconds that the other holders of a stream have for ending together with the command
_HURRY = 0.1  # seconds that passing on what was written last may take; then a process of its own does it
_PATIENCE = 1.0  # seconds that a slow terminal has for showing it
_HELD = 1 << 17  # bytes; more the command cannot have left in a pipe or a terminal
_CONTINUING = 0.01  # seconds in which a command of our process group is continued together with us


class Result:
    """How the command ended: wait status (None where nobody knows), or the errno that kept it from starting.

    `command` is its number (0: it was never started), `unwritten` says why the store could not be written any more.
    `interrupted`: it was ended by Ctrl-C, which was pressed for our whole process group.
    """

    __slots__ = ("command", "exec_errno", "interrupted", "status", "unwritten")

    def __init__(self) -> None:
        self.status: int | None = None
        self.exec_errno = 0
        self.command = 0
        self.unwritten: str | None = None
        self.interrupted = False


def exit_code(result: Result) -> int:
    """What a shell would say: the code, or 128 and the signal's number."""
    if result.status is None:
        return 1
    code = os.waitstatus_to_exitcode(result.status)
    return 128 - code if code < 0 else code


def end_interrupted() -> None:
    """End as the command did that Ctrl-C has ended: a script around us looks at that to know whether to go on.

    A shell that runs a script ends it only when its child died of SIGINT; a child that exits with 130 has dealt with it.
    """
    signals.die(_signal.SIGINT)


def serve(standard: Streams, control: int, watcher: int) -> Result:
    """Serve until the command has ended. `control` is our end of the watcher's socket, `watcher` its number."""
    launcher = _Launcher(standard, control, watcher)
    try:
        return launcher.serve()
    finally:
        launcher.leave()


class _Command:
    """The command, as far as the launcher knows it: sent signals to, and waited for if the watcher is no more."""

    __slots__ = ("_early", "descriptor", "group", "number", "stopped")

    def __init__(self, *, group: bool) -> None:
        """`group`: it has a process group of its own."""
        self.number = 0
        self.group = group
        self.stopped = False
        self.descriptor = -1
        self._early: list[tuple[int, bool]] = []

    def started(self, number: int) -> None:
        self.number = number
        try:
            self.descriptor = os.pidfd_open(number)
        except (OSError, AttributeError):
            self.descriptor = -1
        for early, to_group in self._early:
            self.send(early, to_group=to_group)

    def send(self, number: int, *, to_group: bool = False) -> None:
        """`to_group`: to its process group, if that is not ours."""
        if not self.number:
            self._early.append((number, to_group))  # we have not heard of it yet
            return
        try:
            if to_group and self.group:
                os.killpg(self.number, number)
            elif self.descriptor >= 0:
                _signal.pidfd_send_signal(self.descriptor, number)  # never to another with the same number
            else:
                os.kill(self.number, number)
        except OSError:
            pass

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1

    def wait(self) -> int | None:
        """Its status, where it is our own child by now, and has ended or there is no telling; None where it is not."""
        if not self.number:
            return None
        try:
            return os.waitpid(self.number, 0)[1]
        except ChildProcessError:
            return None


class _Launcher:
    def __init__(self, standard: Streams, control: int, watcher: int) -> None:
        self._standard = standard
        self._control = control
        self._watcher = watcher
        self._command = _Command(group=standard.terminal is not None)
        self._result = Result()
        self._ended = False
        self._interrupted = False
        self._left = False
        self._moved = True
        self._watch = Watch()
        self._inbox = signals.Inbox()
        self._witness: signals.Witness | None = None
        self._settle_at = 0.0
        self._pumps: list[Pump] = []
        self._console: Console | None = None

    def serve(self) -> Result:
        self._watch.set(self._inbox.descriptor, select.POLLIN, self._signals)
        self._watch.set(self._control, select.POLLIN, self._messages)
        for pump in self._standard.pumps():
            self._pumps.append(pump)
            self._attend(pump)
            pump.start(self._watch)
        while not self._ended:
            self._watch.turn(self._timeout())
            self._on_time()
        self._moved = self._standard.moved()
        self._drain()
        self._result.command = self._command.number
        status = self._result.status
        if status is not None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == _signal.SIGINT:
            self._result.interrupted = self._interrupted or (self._console is not None and self._console.interrupted)
        return self._result

    def leave(self) -> None:
        """Whatever happened: the terminal as it was, and nobody left behind but who has bytes to pass on."""
        if self._witness is not None:
            self._witness.dismiss()
        if self._console is not None:
            status = self._result.status
            self._console.end(adopt=status is not None and os.WIFEXITED(status))
        self._leave_pumps()
        self._note(ended=not self._left)
        self._command.close()
        self._inbox.close()

    def _attend(self, pump: Pump) -> None:
        terminal = self._standard.terminal or self._standard.beside
        if terminal is not None and pump.copy is not None and pump.copy.name == "terminal":
            from vestige.launch.console import Console

            reads = self._standard.standards[0].kind != "terminal"
            self._console = Console(terminal, pump, self._watch, reads=reads, tells_group=self._inbox.knows_senders)

    # -- time ---------------------------------------------------------------------------------------------------------------

    def _timeout(self) -> float | None:
        waits = []
        if self._settle_at:
            waits.append(max(self._settle_at - time.monotonic(), 0) * 1000)
        if self._console is not None and self._console.waits():
            waits.append(_GLANCE * 1000)
        return min(waits, default=None)

    def _on_time(self) -> None:
        if self._settle_at and time.monotonic() >= self._settle_at and not self._ended:
            self._settle_at = 0.0
            self._standard.let_go()
            self._witness = signals.witness()
        if self._console is not None and self._console.waits():
            self._console.take()

    # -- the watcher --------------------------------------------------------------------------------------------------------

    def _messages(self, _events: int) -> None:
        """What the watcher says, as long as it says anything: a stop that is over by now is none."""
        stopped = 0
        while not self._ended:
            try:
                data = os.read(self._control, child.MESSAGE.size)
            except OSError:
                data = b""
            if len(data) < child.MESSAGE.size:
                self._watcher_ended()
                return
            kind, number = child.MESSAGE.unpack(data)
            if kind == b"p":
                self._started(number)
            elif kind == b"s":
                stopped, self._command.stopped = number, True
            elif kind == b"c":
                stopped, self._command.stopped = 0, False
            elif kind == b"x":
                self._result.exec_errno = number
            elif kind == b"e":
                self._end(number)
            if not _readable(self._control):
                break
        if stopped and not self._ended:
            self._stop(stopped)

    def _started(self, number: int) -> None:
        self._command.started(number)
        self._settle_at = time.monotonic() + _SETTLED

    def _end(self, status: int | None) -> None:
        self._result.status = status
        self._ended = True
        self._watch.set(self._control, None, self._messages)

    def _watcher_ended(self) -> None:
        """It was killed: the command is our child now (we are a subreaper), and its status ours to take."""
        try:
            os.waitpid(self._watcher, 0)  # it closed its end in dying; its children are ours when it can be waited for
        except ChildProcessError:
            pass
        if not self._command.number:  # killed before it could say it
            for number in _children() - {0 if self._witness is None else self._witness.pid}:
                self._started(number)
        if self._command.descriptor < 0:
            self._end(self._command.wait())
            return
        self._watch.set(self._control, None, self._messages)
        self._watch.set(self._command.descriptor, select.POLLIN, self._orphan_ended)

    def _orphan_ended(self, _events: int) -> None:
        self._watch.set(self._command.descriptor, None, self._orphan_ended)
        self._result.status = self._command.wait()
        self._ended = True

    # -- signals ------------------------------------------------------------------------------------------------------------

    def _signals(self, _events: int) -> None:
        for arrived in self._inbox.take():
            to_group = self._witness is not None and self._witness.saw(arrived.number)
            if arrived.number == _signal.SIGWINCH and arrived.code in (None, signals.KERNEL):
                if self._console is not None:
                    self._console.resized()
            elif arrived.number == _signal.SIGCONT and (self._command.stopped or arrived.sender == self._watcher):
                self._continued()
            else:
                self._pass_on(arrived, to_group=to_group)

    def _pass_on(self, arrived: Arrived, *, to_group: bool) -> None:
        number = arrived.number
        keys = any(one.kind == "terminal" for one in self._standard.standards)
        where = signals.destination(
            arrived, command=self._command.number, shares_group=not self._command.group, to_group=to_group, keys=keys
        )
        from_keys = arrived.code == signals.KERNEL or (arrived.code is None and where == signals.NOTHING)
        if number == _signal.SIGINT and from_keys:
            self._interrupted = True
        if where == signals.GROUP and from_keys and self._console is not None and self._console.signal(number):
            return
        if where != signals.NOTHING:
            self._command.send(number, to_group=where == signals.GROUP)

    def _stop(self, number: int) -> None:
        """The command was stopped (Ctrl-Z): so are we, for the shell above us to see."""
        if self._console is not None:
            self._console.let_go()
        if not signals.stop(number) and self._command.group:
            self._continued()  # nobody above us knows of stopping

    def _continued(self) -> None:
        if self._console is not None:
            self._console.take()
        if not self._command.stopped:
            return
        if not self._command.group and _readable(self._control, _CONTINUING):
            return  # continued together with us: the watcher says so
        self._command.send(_signal.SIGCONT, to_group=True)

    # -- the end ------------------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Pass on what the command wrote last. What others hold open is not waited for."""
        if self._console is not None:
            self._console.command_ended()
        passed = {id(pump): pump.passed for pump in self._pumps}
        start = quiet = time.monotonic()
        while True:
            left = [one for one in self._pumps if not one.done and one.passed - passed[id(one)] <= _HELD]
            if all(one.blocked and not one.outlet.is_terminal for one in left):
                return
            until = start + (_PATIENCE if any(one.outlet.is_terminal for one in left) else _HURRY)
            if not any(one.blocked for one in left):
                until = min(until, quiet + _GRACE)
            before = sum(one.passed for one in left)
            happened = self._watch.turn(max(until - time.monotonic(), 0) * 1000)
            now = time.monotonic()
            if now >= start + 2 * _PATIENCE or (now >= until and not happened):
                return
            if sum(one.passed for one in left) != before:
                quiet = time.monotonic()

    def _leave_pumps(self) -> None:
        """Background processes of the command still hold its streams: somebody must go on passing bytes."""
        left = [pump for pump in self._pumps if not pump.done]
        if not left:
            return
        try:
            self._left = True
            if os.fork() != 0:
                return
        except OSError:
            self._left = False
            return
        try:
            self._go_on(left)
        finally:
            os._exit(0)

    def _go_on(self, left: list[Pump]) -> None:
        """In a process of its own, until nobody holds the command's streams any more."""
        os.setsid()
        os.chdir("/")
        kept = {one.reader for one in left} | {one.outlet.descriptor for one in left}
        kept |= {one.copy.descriptor for one in left if one.copy is not None}
        signals.close_all_but(kept)
        watch = Watch()
        for pump in left:
            pump.look = pump.tell = None
            pump.start(watch)
        while not all(pump.done for pump in left):
            watch.turn(None)
        self._note(ended=True)

    def _note(self, *, ended: bool) -> None:
        """The sizes of what went through, for the record. `ended`: there will be no more."""
        folder = self._standard.folder
        if folder is None:
            return
        stdin = self._standard.standards[0]
        path = "null" if stdin.path is None else quoted(stdin.path)
        parts = [f'"ended":{str(ended).lower()}']
        moved = str(self._moved).lower()
        parts.append(f'"stdin":{{"kind":"{stdin.kind}","path":{path},"moved":{moved}{_pipe(stdin)}}}')
        for pump in self._pumps:
            copy = pump.copy
            if copy is not None:
                truncated = str(copy.truncated).lower()
                to = next((one for one in self._standard.standards if streams.NAMES[one.number] == copy.name), None)
                parts.append(f'"{copy.name}":{{"size":{copy.size},"truncated":{truncated}{_pipe(to)}}}')
        try:
            name = os.path.join(folder, "streams.json")
            descriptor = os.open(name + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            try:
                os.write(descriptor, ("{" + ",".join(parts) + "}\n").encode())
            finally:
                os.close(descriptor)
            os.replace(name + ".new", name)
        except OSError as error:
            self._result.unwritten = error.strerror


def _pipe(one: streams.Standard | None) -> str:
    """Which pipe a stream was, as JSON, or nothing: its other end may be another run's."""
    found = None if one is None else one.signature
    return f',"pipe":"{found.st_dev}:{found.st_ino}"' if found is not None and stat.S_ISFIFO(found.st_mode) else ""


def _children() -> set[int]:
    try:
        with open("/proc/thread-self/children", "rb") as file:
            return {int(number) for number in file.read().split()}
    except OSError:
        return set()


def _readable(descriptor: int, seconds: float = 0.0) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
