"""The launcher's loop: bytes through the streams, signals to the command, and its exit status to whoever waits for us.

Pumps are threads that may block: a slow reader blocks the program exactly as a pipe would, and never a signal or the exit
status. No inherited descriptor is ever made non-blocking, since others hold the same.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` would load enum
import _thread
import os
import select
from _json import encode_basestring_ascii as quoted

from vestige.launch import child, streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vestige.launch.terminal import Terminal

_BLOCK = 1 << 16
_DRAIN = 0.2  # seconds that what is left in our pipes may take when the command has ended
_KERNEL = 0x80  # si_code: from the terminal, to the whole group; the command has it already
_FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM")
_NOTED = ("SIGWINCH", "SIGCONT", "SIGTSTP", "SIGTTIN", "SIGTTOU")


class Result:
    """How the command ended: wait status (None where nobody knows), or the errno that kept it from starting.

    `command` is its number (0: it was never started), `unwritten` says why the store could not be written any more.
    """

    __slots__ = ("command", "exec_errno", "status", "unwritten")

    def __init__(self) -> None:
        self.status: int | None = None
        self.exec_errno = 0
        self.command = 0
        self.unwritten: str | None = None


def exit_code(result: Result) -> int:
    """What a shell would say: the code, or 128 and the signal's number."""
    if result.status is None:
        return 1
    code = os.waitstatus_to_exitcode(result.status)
    return 128 - code if code < 0 else code


def serve(standard: streams.Streams, control: int, watcher: int) -> Result:
    """Serve until the command has ended. `control` is our end of the watcher's socket, `watcher` its number."""
    launcher = _Launcher(standard, control, watcher)
    try:
        return launcher.serve()
    finally:
        launcher.leave()


class _Copy:
    """What is kept of a stream: its first bytes, and how many there were."""

    __slots__ = ("_file", "_left", "name", "size")

    def __init__(self, folder: str | None, name: str, limit: int) -> None:
        self.name = name
        self.size = 0
        self._left = limit
        self._file = -1
        if folder is not None:
            try:
                path = os.path.join(folder, name)
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            except OSError:
                self._file = -1

    def add(self, data: bytes) -> None:
        self.size += len(data)
        if self._file < 0 or self._left <= 0:
            return
        piece = data[: self._left]
        self._left -= len(piece)
        try:
            os.write(self._file, piece)
        except OSError:
            self._left = 0


class _Launcher:
    def __init__(self, standard: streams.Streams, control: int, watcher: int) -> None:
        self._standard = standard
        self._control = control
        self._watcher = watcher
        self._command = 0
        self._result = Result()
        self._terminal: Terminal | None = standard.terminal
        self._copies: list[_Copy] = []
        self._running = 0
        self._lock = _thread.allocate_lock()
        self._wake = os.pipe()
        self._background: list[tuple[int, int]] = []
        self._offset = standard.offset()
        self._left = False

    def serve(self) -> Result:
        self._catch()
        for pump in self._standard.pumps:
            self._start(pump.reader, pump.target, pump.name)
        if self._terminal is not None:
            self._terminal.raw()
            self._start(self._terminal.master, self._output(), "terminal")
            if self._standard.standards[0].kind == "terminal":
                _thread.start_new_thread(self._type, (self._terminal,))
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wake[0], select.POLLIN)
        told = True
        while told and self._result.status is None:
            for descriptor, _ in poll.poll():
                if descriptor == self._control:
                    told = self._listen()
                    if not told:
                        self._result.status = self._orphan()
                        break
                else:
                    for number in os.read(self._wake[0], 4096):
                        self._handle(number)
        self._drain()
        return self._result

    def leave(self) -> None:
        """The terminal as it was, whatever happened."""
        if self._terminal is not None:
            self._terminal.restore()
        self._note()

    # -- the watcher ---------------------------------------------------------------------------------------------------

    def _listen(self) -> bool:
        """Take the watcher's messages; False where it is gone."""
        try:
            data = os.read(self._control, child.MESSAGE.size)
        except OSError:
            return False
        if len(data) < child.MESSAGE.size:
            return False
        kind, number = child.MESSAGE.unpack(data)
        if kind == b"p":
            self._command = self._result.command = number
        elif kind == b"s":
            self._stopped(number)
        elif kind == b"e":
            self._result.status = number
        elif kind == b"x":
            self._result.exec_errno = number
        return True

    def _orphan(self) -> int | None:
        """The watcher was killed: the command is our child now (we are a subreaper), and its status ours to take."""
        while True:
            try:
                pid, status = os.waitpid(-1, 0)
            except ChildProcessError:
                return None
            # Killed before it could say the command's number, the watcher had no other child.
            if pid == self._command or (not self._command and pid != self._watcher):
                return status

    # -- signals ---------------------------------------------------------------------------------------------------------

    def _catch(self) -> None:
        """Signals wake the loop; none of them ends us before the command has ended."""
        os.set_blocking(self._wake[1], False)
        _signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)
        for name in (*_FORWARDED, *_NOTED):
            number = getattr(_signal, name, None)
            if number is not None and _signal.getsignal(number) != _signal.SIG_IGN:
                _signal.signal(number, lambda *_: None)
                _signal.siginterrupt(number, False)

    def _handle(self, number: int) -> None:
        if number == _signal.SIGWINCH and self._terminal is not None:
            self._terminal.copy_size()
        elif number == _signal.SIGCONT:
            self._continued()
        elif number in (_signal.SIGTSTP, _signal.SIGTTIN, _signal.SIGTTOU):
            self._stop_ourselves(number)
        elif self._command and not self._reaches_the_group(number):
            self._send(number)

    def _reaches_the_group(self, number: int) -> bool:
        """Whether the command was sent this signal too: by the keys of a terminal that it shares with us."""
        if self._terminal is not None or number not in (_signal.SIGINT, _signal.SIGQUIT):
            return False
        return any(one.kind == "terminal" for one in self._standard.standards) or _has_terminal()

    def _send(self, number: int) -> None:
        try:
            if self._terminal is not None:
                os.killpg(self._command, number)
            else:
                os.kill(self._command, number)
        except OSError:
            pass

    def _stopped(self, number: int) -> None:
        """The command was stopped (Ctrl-Z): so are we, for the shell above us to see."""
        self._stop_ourselves(number)

    def _stop_ourselves(self, number: int) -> None:
        if self._terminal is not None:
            self._terminal.restore()
        elif number in (_signal.SIGTTIN, _signal.SIGTTOU):
            number = _signal.SIGTSTP
        previous = _signal.signal(_signal.SIGTSTP, _signal.SIG_DFL)
        os.kill(os.getpid(), _signal.SIGSTOP if number == _signal.SIGSTOP else _signal.SIGTSTP)
        _signal.signal(_signal.SIGTSTP, previous)
        self._continued()

    def _continued(self) -> None:
        if self._terminal is not None:
            self._terminal.copy_size()
            self._terminal.raw()
            self._send(_signal.SIGCONT)

    # -- bytes -------------------------------------------------------------------------------------------------------------

    def _output(self) -> int:
        """Where the pseudo-terminal's output goes: the terminal itself, by whichever stream leads there."""
        for one in (self._standard.standards[1], self._standard.standards[2], self._standard.standards[0]):
            if one.kind == "terminal":
                return one.descriptor
        return 1

    def _start(self, reader: int, target: int, name: str) -> None:
        copy = _Copy(self._standard.folder, name, self._standard.limit)
        self._copies.append(copy)
        self._background.append((reader, target))
        with self._lock:
            self._running += 1
        _thread.start_new_thread(self._pump, (reader, target, copy))

    def _pump(self, reader: int, target: int, copy: _Copy) -> None:
        watch = select.poll()
        watch.register(reader, select.POLLIN)
        watch.register(target, 0)  # tells of its reader's going alone
        try:
            while True:
                ready = dict(watch.poll())
                if self._left:
                    break  # a process of its own reads here now
                if ready.get(target, 0) & (select.POLLERR | select.POLLNVAL):
                    break
                if reader not in ready:
                    continue
                data = os.read(reader, _BLOCK)
                if not data:
                    break
                copy.add(data)
                view = memoryview(data)
                while view:
                    view = view[os.write(target, view) :]
        except OSError:
            pass  # EIO: the last holder of the slave has gone; EPIPE: our reader has
        finally:
            with self._lock:
                self._running -= 1
                self._background.remove((reader, target))
                if self._terminal is None or reader != self._terminal.master:
                    os.close(reader)
            _poke(self._wake[1])

    def _type(self, terminal: Terminal) -> None:
        """What is typed goes to the command's side, while we are in the foreground."""
        watch = select.poll()
        watch.register(terminal.real, select.POLLIN)
        while True:
            try:
                watch.poll()
                if not terminal.in_foreground():
                    select.poll().poll(200)
                    continue
                data = os.read(terminal.real, 4096)
                if not data:
                    return
                view = memoryview(data)
                while view:
                    view = view[os.write(terminal.master, view) :]
            except OSError:
                return

    def _drain(self) -> None:
        """What the command wrote last is passed on; what others hold open is left to a process of its own."""
        poll = select.poll()
        poll.register(self._wake[0], select.POLLIN)
        quiet = 0
        while quiet < 2:
            with self._lock:
                if not self._running:
                    return
                pending = [reader for reader, _ in self._background]
            waiting = select.poll()
            for reader in pending:
                waiting.register(reader, select.POLLIN)
            quiet = 0 if any(events & select.POLLIN for _, events in waiting.poll(0)) else quiet + 1
            poll.poll(_DRAIN * 500)
            if poll.poll(0):
                os.read(self._wake[0], 4096)
        self._leave_a_pump()

    def _leave_a_pump(self) -> None:
        """Background processes of the command still hold our pipes: somebody must go on passing bytes."""
        with self._lock:
            left = list(self._background)
            self._left = bool(left)
            if not left or os.fork() != 0:
                return
        try:
            os.setsid()
            os.close(self._control)
            _pass_on(left, self._terminal.master if self._terminal is not None else -1)
        finally:
            os._exit(0)

    def _note(self) -> None:
        """The sizes of what went through, for the record."""
        if self._standard.folder is None:
            return
        limit = self._standard.limit
        stdin = self._standard.standards[0]
        moved = "false" if self._offset is not None and self._standard.offset() == self._offset else "true"
        path = "null" if stdin.path is None else quoted(stdin.path)
        parts = [f'"stdin":{{"kind":"{stdin.kind}","path":{path},"moved":{moved}}}']
        parts += [f'"{copy.name}":{{"size":{copy.size},"truncated":{str(copy.size > limit).lower()}}}' for copy in self._copies]
        try:
            name = os.path.join(self._standard.folder, "streams.json")
            descriptor = os.open(name + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            os.write(descriptor, ("{" + ",".join(parts) + "}\n").encode())
            os.close(descriptor)
            os.replace(name + ".new", name)
        except OSError as error:
            self._result.unwritten = error.strerror


def _pass_on(left: list[tuple[int, int]], master: int) -> None:
    """Go on until every holder has gone. The user's terminal is no longer raw: it ends lines by itself."""
    poll = select.poll()
    targets = dict(left)
    for reader in targets:
        poll.register(reader, select.POLLIN)
    while targets:
        for reader, _ in poll.poll():
            try:
                data = os.read(reader, _BLOCK)
                view = memoryview(data.replace(b"\r\n", b"\n") if reader == master else data)
                while view:
                    view = view[os.write(targets[reader], view) :]
            except OSError:
                data = b""
            if not data:
                poll.unregister(reader)
                os.close(reader)
                del targets[reader]


def _has_terminal() -> bool:
    """Whether we are in the foreground of a controlling terminal, whose keys reach the command as well."""
    try:
        descriptor = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _poke(descriptor: int) -> None:
    try:
        os.write(descriptor, b"\0")
    except OSError:
        pass
