"""The watcher's side of a recording: starts the command and the recorder, watches, reaps, and outlives every orphan."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` would load enum
import _thread
import ctypes
import os
import sys

from vestige.launch import child, streams
from vestige.observe import notify
from vestige.observe.lines import first_line, journal_line
from vestige.observe.shared import Shared
from vestige.record import identity, preimage, secrets
from vestige.record.journal import Begun
from vestige.store import project
from vestige.store.objects import Objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vestige.observe.compiled import CompiledWatch
    from vestige.observe.preload import Post
    from vestige.observe.terms import Terms
    from vestige.observe.watcher import Watch
    from vestige.record.code import CodeOfRun
    from vestige.record.options import Options

_PR_SET_CHILD_SUBREAPER = 36
_IGNORED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGPIPE", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGUSR1", "SIGUSR2")


class Ground:
    """What the watcher and the recorder share: descriptors and a page of memory."""

    __slots__ = (
        "appended", "command", "control", "done", "gaps", "launcher", "listener", "method", "post", "recorder", "refused",
        "rung", "shared", "snapshot", "watched",
    )  # fmt: skip

    def __init__(self, control: int, done: int) -> None:
        self.control = control
        self.done = done
        self.launcher = os.getppid()
        self.listener: int | None = None
        #: where the library that is put before programs finds us
        self.post: Post | None = None
        self.appended: list[tuple[str, os.stat_result]] = []
        #: how we observe, and how it is called in the record: for a run inside another, `outer` and what that one does
        self.method = self.rung = "none"
        #: better ways and why they are not to be had; what escapes this one here
        self.refused: tuple[str, ...] = ()
        self.gaps: tuple[str, ...] = ()
        self.command = 0
        self.recorder = 0
        #: what was received and noted, for whoever stands in
        self.shared = Shared()
        self.snapshot = self.watched = (-1, -1)

    def open(self) -> None:
        """Make the pipes: the command must not hold them, since their ends say who has been killed."""
        self.snapshot = os.pipe()
        self.watched = os.pipe()

    def descriptors(self) -> set[int]:
        """What must stay open."""
        ends = {self.control, self.done, *self.snapshot, *self.watched}
        ends |= set() if self.listener is None else {self.listener}
        return ends if self.post is None else ends | {self.post.descriptor}


def main(
    program: str,
    argv: list[str],
    environ: dict[str, str],
    options: Options,
    begun: Begun | None,
    standard: streams.Streams,
    control: int,
    done: int,
) -> None:
    """All that the watcher does, from its fork to its end."""
    import _socket

    ground = Ground(control, done)
    own_session = standard.terminal is not None
    if own_session:
        os.setsid()
        standard.make_controlling()
    _become_subreaper()
    ours, theirs = _socket.socketpair()
    ground.command = os.fork()
    if ground.command == 0:
        ours.close()  # the listener that lies in it, should nobody take it out, must end with the watcher
        _command(program, argv, environ, options, begun, standard, theirs.fileno(), control)
    theirs.close()
    if not own_session:
        os.setsid()
    _ignore_signals()
    _send(control, b"p", ground.command)
    ground.open()
    if begun is not None:
        ground.appended = _begin_journal(begun, standard, ground)
        _agree(ours.fileno(), ground, begun, program, environ, options)
    ours.close()
    standard.close_all()
    _leave_standard_streams(ground.descriptors(), begun)
    if begun is None:
        Parent(ground, None, options).watch()
        return
    processes = {
        "launcher": identity.process(os.getppid()),
        "watcher": identity.process(os.getpid()),
        "command": identity.process(ground.command),
    }
    begun.started["processes_of_vestige"] = processes
    begun.started["method"] = ground.method
    begun.started["rung"] = ground.rung
    begun.started["refused"] = list(ground.refused)
    ground.recorder = _fork()
    if ground.recorder == 0:
        os.close(control)  # else the launcher would not see that the watcher was killed
        processes["recorder"] = identity.process(os.getpid())
        _recorder(ground, begun, options)
    os.close(ground.snapshot[1])
    os.close(ground.watched[0])
    if ground.recorder < 0:
        ground.recorder = 0  # we finish the record ourselves, in the end
    else:
        processes["recorder"] = identity.process(ground.recorder)
    _write(begun, "started.json", begun.started)
    Parent(ground, begun, options).watch()
    os.close(ground.watched[1])
    if ground.recorder == 0:
        from vestige.record import recorder

        recorder.finish(begun.folder, options.config, done=done)


def _fork() -> int:
    """As fork(2); -1 where no process is to be had."""
    try:
        return os.fork()
    except OSError:
        return -1


def _write(begun: Begun, name: str, document: object) -> None:
    """A document of the journal, unless the disk is full: the command needs us all the same."""
    try:
        begun.write(name, document)
    except OSError:
        pass


def _begin_journal(begun: Begun, standard: streams.Streams, ground: Ground) -> list[tuple[str, os.stat_result]]:
    """The first lines of the journal: the clock, and the files that the command inherits opened.

    Returns those that it may append to, whose content must be taken before it starts.
    """
    found = standard.inherited(ground.descriptors())
    command = ground.command
    lines = [first_line()]
    lines += [journal_line("i", command, one.path, None, one.flags, one.signature, str(one.number)) for one in found]
    try:
        descriptor = os.open(os.path.join(begun.folder, "events.jsonl"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.write(descriptor, "".join(lines).encode("ascii"))
        os.close(descriptor)
    except OSError:
        pass
    return [(one.path, one.signature) for one in found if one.flags & os.O_ACCMODE and one.signature.st_size]


def _command(
    program: str,
    argv: list[str],
    environ: dict[str, str],
    options: Options,
    begun: Begun | None,
    standard: streams.Streams,
    socket: int,
    control: int,
) -> None:
    """The child, up to the moment when it becomes the command. Never returns."""
    try:
        prepare = None
        if begun is not None and options.observe != "none":
            prepare = lambda: _install(socket, begun, environ, options, listens=_listens(program, options, begun))  # noqa: E731
        steps = [step for step in (options.confine, prepare) if step is not None]
        child.execute(program, argv, environ, standard, steps=steps, report=control, cwd=options.cwd, umask=options.umask)
    finally:
        os._exit(127)


def _listens(program: str, options: Options, begun: Begun) -> bool:
    """Whether the child asks the kernel for a listener: not where it is observed, or must gain privileges in spite of us."""
    if options.observe not in ("auto", "notify") or not notify.supported() or _is_traced(begun):
        return False
    return options.observe == "notify" or not _gains(program, options)


def _gains(program: str, options: Options) -> bool:
    """Whether a program must gain privileges, which a filter would forbid."""
    return os.geteuid() != 0 and child.gains_privileges(os.path.join(options.cwd or "", program))


def _install(socket: int, begun: Begun, environ: dict[str, str], options: Options, *, listens: bool) -> None:
    """In the child: put the filter on, and hand the listener to the watcher; where that is refused, do as it says."""
    number = 0
    if listens:
        try:
            listener = notify.install(metadata=options.config.metadata)
        except notify.RefusedError as refused:
            number = refused.errno
        else:
            environ["VESTIGE_JOURNAL"] = begun.folder
            notify.send_listener(socket, listener)
            os.close(listener)
            return
    notify.send_refusal(socket, number)
    notify.obey(socket, environ, metadata=options.config.metadata)


def _agree(socket: int, ground: Ground, begun: Begun, program: str, environ: dict[str, str], options: Options) -> None:
    """Settle how the command is observed, and let it go on."""
    if options.observe == "none":
        return
    ground.listener, refused = notify.receive_listener(socket)
    if ground.listener is not None:
        ground.method = ground.rung = "notify"
        return
    from vestige.record import descent

    path = os.path.join(options.cwd or "", program)
    descent.descend(socket, ground, begun, path, environ, options, refused, gains=_gains(program, options))


def _is_traced(begun: Begun) -> bool:
    """Whether the run above us is our tracer: a listener of our own would take our calls from it."""
    if begun.outer is None:
        return False
    from vestige.record import descent

    return descent.is_traced(begun.outer)


def _recorder(ground: Ground, begun: Begun, options: Options) -> None:
    """The recorder, from its fork to its end. Never returns."""
    status = 1
    try:
        os.close(ground.snapshot[0])
        os.close(ground.watched[1])
        if ground.post is not None:
            os.close(ground.post.descriptor)  # else nobody would see that the watcher was killed
        from vestige.record.code import CodeOfRun

        code = CodeOfRun(begun.place, options.config, prepared=True)
        taken = _thread.allocate_lock()
        if options.code:
            taken.acquire()
            _thread.start_new_thread(_take_code, (code, begun.started, ground.snapshot[1], taken))
        else:
            _tell_taken(ground.snapshot[1])
        from vestige.record import recorder  # while git looks

        with taken:
            pass
        recorder.main(begun, options.config, ground, code)
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()  # into the log of the run's folder
    finally:
        os._exit(status)


def _take_code(code: CodeOfRun, started: Mapping[str, object], end: int, taken: _thread.LockType) -> None:
    try:
        code.take_for(started)
    finally:
        _tell_taken(end)
        taken.release()


def _tell_taken(end: int) -> None:
    """The snapshot has been taken: what was put aside may go on. Short runs have ended by then."""
    try:
        os.write(end, b"1")
    except BrokenPipeError:
        pass


class Parent:
    """The watcher as the command's parent: it reaps whatever ends, and listens to the kernel until nobody is left."""

    __slots__ = ("_begun", "_ended", "_ground", "_options", "_wake", "_watch")

    def __init__(self, ground: Ground, begun: Begun | None, options: Options) -> None:
        self._ground = ground
        self._begun = begun
        self._options = options
        self._ended = False
        self._watch: Watch | None = None
        self._wake = os.pipe()
        for end in self._wake:
            os.set_blocking(end, False)
        _signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)
        _signal.signal(_signal.SIGCHLD, lambda *_: None)
        # Under the filter of a run around us, an open that a signal interrupts fails, and not every caller tries again.
        _signal.siginterrupt(_signal.SIGCHLD, False)

    def watch(self) -> None:
        """Until nothing of the run lives any more."""
        ground, begun = self._ground, self._begun
        if ground.listener is not None and begun is not None:
            self._watch = self._watcher(ground.listener, begun)
            self._begin(self._watch)
            self._reap()
            self._watch.loop({self._wake[0]: self._reap_now, ground.snapshot[0]: self._snapshot_taken})
            os.close(ground.listener)
            while not self._ended:
                self._reap(block=True)
        elif ground.method == "ptrace" and begun is not None:
            self._trace(begun)
        elif ground.post is not None and begun is not None:
            self._sit(ground.post, begun)
        else:
            while not self._reap(block=True):
                pass
        if begun is not None:
            unreadable, lost = (self._watch.unreadable, self._watch.lost) if self._watch else (0, 0)
            _write(begun, "closed.json", {"seq": identity.sequence(), "unreadable": unreadable, "lost": lost})

    def _trace(self, begun: Begun) -> None:
        """As tracer we must not wait for our children but in the tracer's loop: their stops come to us, too."""
        from vestige.observe.ptrace import TracedWatch

        watch = self._watcher(-1, begun, TracedWatch)
        self._watch = watch
        assert isinstance(watch, TracedWatch)
        self._begin(watch)
        watch.trace(self._ground.command, self._child_changed, self._only_recorder)
        watch.loop({self._ground.snapshot[0]: self._snapshot_taken})

    def _sit(self, post: Post, begun: Begun) -> None:
        """Be there for the library that is put before programs: its first process may be waiting."""
        from vestige.observe.notes import Notes
        from vestige.observe.preload import PreloadWatch

        self._watch = watch = PreloadWatch(post, Notes(_journal(begun)), self._ground.shared, self._terms(begun))
        self._begin(watch)
        watch.notes.flush()
        self._reap()
        watch.watch({self._wake[0]: self._reap_now, self._ground.snapshot[0]: self._snapshot_taken}, self._only_recorder)

    def _watcher(self, listener: int, begun: Begun, kind: type[CompiledWatch] | None = None) -> Watch:
        from vestige.observe import compiled  # while the command is being started
        from vestige.observe.notes import Notes
        from vestige.observe.watcher import Watch

        journal, shared, terms = _journal(begun), self._ground.shared, self._terms(begun)
        library = compiled.library()
        if library is None:
            return Watch(listener, Notes(journal), shared, terms)
        return (kind or compiled.CompiledWatch)(library, listener, journal, shared, terms)

    def _terms(self, begun: Begun) -> Terms:
        from vestige.observe.terms import Suspicion, Terms

        place, options = begun.place, self._options
        return Terms(
            place.root,
            own=project.own_folders(place),
            preimage=preimage.saver(Objects(place.store), preimage.rule(options.config, place.root)),
            redact=_redactor(),
            suspicion=Suspicion(secrets.MARKS, secrets.TELLING, secrets.values(os.environ)),
            snapshot_due=options.code,
        )

    def _begin(self, watch: Watch) -> None:
        """Before the first answer, for which the command waits."""
        for path, found in self._ground.appended:
            watch.take(path, found)
        for gap in self._ground.gaps:
            watch.note("g", text=gap)

    def _snapshot_taken(self) -> None:
        """The recorder says so; or it is gone."""
        said = os.read(self._ground.snapshot[0], 16)
        if self._watch is not None:
            self._watch.snapshot_taken(late=not said)

    def _reap_now(self) -> None:
        self._reap()

    def _reap(self, *, block: bool = False) -> bool:
        """Take what has ended; True where no child is left but the recorder."""
        try:
            os.read(self._wake[0], 4096)
        except BlockingIOError:
            pass
        options = os.WUNTRACED | os.WCONTINUED | (0 if block else os.WNOHANG)
        while True:
            if block and self._only_recorder():
                return True
            try:
                pid, status, usage = os.wait4(-1, options)
            except ChildProcessError:
                return True
            if pid == 0:
                return False
            self._child_changed(pid, status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
            if block and self._watch is not None:
                return False

    def _only_recorder(self) -> bool:
        """Whether the command and all its orphans have ended, and only the recorder waits for us."""
        if not self._ended:
            return False
        try:
            with open("/proc/thread-self/children", "rb") as file:
                return not set(file.read().split()) - {str(self._ground.recorder).encode()}
        except OSError:
            return True

    def _child_changed(self, pid: int, status: int, cpu: float, memory: int) -> None:
        ground = self._ground
        if pid == ground.command and not self._ended:
            self._changed(status, cpu, memory)
        elif pid == ground.recorder and (os.WIFEXITED(status) or os.WIFSIGNALED(status)):
            ground.recorder = 0

    def _changed(self, status: int, cpu: float, memory: int) -> None:
        control = self._ground.control
        if os.WIFSTOPPED(status):
            _send(control, b"s", os.WSTOPSIG(status))
        elif os.WIFCONTINUED(status):
            _send(control, b"c", 0)
            _continue_the_launcher(self._ground.launcher)
        else:
            self._ended = True
            if self._watch is not None:
                self._watch.note("e", self._ground.command, flags=status)
                self._watch.notes.flush()
            if self._begun is not None:
                try:
                    self._begun.end(status, usage=(cpu, memory))
                except OSError:
                    pass
            _send(control, b"e", status)


def _journal(begun: Begun) -> int:
    """The journal, opened for appending."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
    try:
        return os.open(os.path.join(begun.folder, "events.jsonl"), flags | os.O_CREAT, 0o666)
    except OSError:
        return os.open("/dev/full", flags)  # so that what is lost is counted


def _send(control: int, kind: bytes, number: int) -> None:
    try:
        os.write(control, child.MESSAGE.pack(kind, number))
    except OSError:
        pass  # the launcher is gone; the record goes on


def _become_subreaper() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _ignore_signals() -> None:
    for name in _IGNORED:
        _signal.signal(getattr(_signal, name), _signal.SIG_IGN)


def _leave_standard_streams(keep: set[int], begun: Begun | None) -> None:
    """Hold nothing of the user's open: a reader of theirs waits for the end of what we hold."""
    null = os.open(os.devnull, os.O_RDWR)
    log = null
    if begun is not None:
        try:
            log = os.open(os.path.join(begun.folder, "log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError:
            log = null
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.dup2(log, 2)
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor > 2 and descriptor not in keep:
            try:
                os.close(descriptor)
            except OSError:
                pass


def _continue_the_launcher(launcher: int) -> None:
    """Whoever continued the command need not have continued the launcher, which was stopped with it."""
    if os.getppid() == launcher:
        os.kill(launcher, _signal.SIGCONT)


def _redactor() -> Callable[[list[str]], list[str]]:
    environ = dict(os.environ)

    def redact(words: list[str]) -> list[str]:
        if not secrets.suspicious(words, environ):
            return words
        from vestige.model import redaction

        return list(redaction.redact_argv(words, environ, secrets.key(project.state_dir()))[0])

    return redact
