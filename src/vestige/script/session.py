"""This process's recording of itself: the runs that are going on in it, and the process beside it that records them.

A run of a script, of a section or of a function's call has a folder among the active ones, as every run has, from the moment
at which it begins: whatever happens to the process, the folder tells. What takes time (the code, the packages, hashing,
the record) is done by a process beside us, which is told through a pipe what begins and ends, and sees by its end that
we have ended. Under `vestige run` there is such a process already: a script joins the run that it is in.
"""

from __future__ import annotations

import _thread
import atexit
import os
import sys

from vestige.config import Config, load
from vestige.record import identity, journal, said
from vestige.record.journal import Begun
from vestige.record.options import Options
from vestige.script import already, hook, leaving
from vestige.script.hook import INSIDE, Hook, Target
from vestige.store import project

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, TextIO

    from vestige.script.added import Attended
    from vestige.store.project import Place

#: Variables by which the processes that we start know the run that they belong to.
RUN_ID, RUN_NAME, RUN_DIR, OUTPUT_DIR = "VESTIGE_RUN_ID", "VESTIGE_RUN_NAME", "VESTIGE_RUN_DIR", "VESTIGE_OUTPUT_DIR"
#: The folder of a run that observes itself: its workers must tell of themselves, too.
WORKER = "VESTIGE_WORKER"
_BESIDE = "from vestige.script.beside import main; main()"
_PATIENCE = 1.0  # seconds for which our end may wait for what lies beside the results


class Session:
    """What is known of this process's runs. There is one; see `session`."""

    def __init__(self) -> None:
        self.lock = _thread.RLock()
        self.pid = os.getpid()
        self.config = Config()
        self.place: Place | None = None
        self.problem: str | None = None
        #: the run of the script itself; its folder, whoever made it
        self.begun: Begun | None = None
        self.folder: str | None = None
        self._hook: Hook | None = None
        self._tell: Pipe | None = None
        self._told: Pipe | None = None
        self._command = tuple(getattr(sys, "orig_argv", ()) or [sys.executable or "python", *getattr(sys, "argv", ())])
        self._preamble = b""
        self._status = 0
        self._attended: Attended | None = None
        self._is_late = False

    # -- the process's own run --------------------------------------------------------------------------------------------

    def join_or_begin(self, name: str | None, output: str | None = None) -> None:
        """Join the run that we are in, or begin one of this script, with an `output` folder that was made for it. Whatever goes
        wrong is told once, and breaks nothing."""
        with self.lock:
            if self.problem is not None:
                return
            if self.folder is not None:  # a call of a function has joined it, or a value has begun it
                self._name(self.folder, name)
                self.describe(self.folder, output)
                return
            try:
                self._join_or_begin(name, output)
            except Exception as error:
                self._fail(error)

    def _join_or_begin(self, name: str | None, output: str | None) -> None:
        self._locate()
        if self._join():
            assert self.folder is not None
            self._name(self.folder, name)
            self.describe(self.folder, output)
            if WORKER not in os.environ:
                self._attend(self.folder)
            return
        self.begun = self._begin("script", name, parent=os.environ.get(RUN_ID) or None)
        self.folder = self.begun.folder
        if identity.is_task(os.environ):
            from vestige.record import step

            if (mark := step.join(self.begun, os.environ)) is not None:
                os.environ[step.VARIABLE] = mark
        os.environ[RUN_ID], os.environ[RUN_DIR] = self.begun.id, self.begun.folder
        os.environ[RUN_NAME] = name or self.begun.id[-8:]
        self.describe(self.folder, output)
        self._is_late = self._tell is not None  # for the calls before it, somebody records us already
        if self._is_late:
            self.tell("began", self.begun.id)
        self._beside(self.begun.id)
        self._observe(self.begun.folder)
        if not leaving.told_by_the_kernel():
            leaving.watch(self.failed)
        if self._tell is None:
            atexit.register(self._end_alone)
        self._attended = attended(self.begun.folder, self.begun.started)

    def _name(self, folder: str, name: str | None) -> None:
        """The run has begun without a name; or somebody else has begun it, and perhaps given it none."""
        if name is not None:
            try:
                said.say(folder, "name", name)
            except OSError:
                pass

    def _attend(self, folder: str) -> None:
        """Have this program's hooks called for a run that was begun around it."""
        if "vestige.script.added" in sys.modules:
            from vestige.store.journal import Active

            self._attended = attended(folder, Active(folder).started())
            atexit.register(self._dismiss)

    def _dismiss(self) -> None:
        if self._attended is not None and os.getpid() == self.pid:
            self._attended.end(self._status << 8)
            self._attended = None

    def describe(self, folder: str, output: str | None) -> None:
        """Have what belongs beside the results of a run written there."""
        if output is None:
            return
        main = getattr(sys.modules.get("__main__"), "__file__", None)
        facts = {
            "python": sys.executable,
            "host": identity.host(),
            "cwd": project.here(),
            "script": os.path.abspath(main) if isinstance(main, str) else None,
        }
        try:
            said.say(folder, "folder", output, facts)
        except OSError as error:
            warn(f"{output} is not described: {error.strerror}")

    def located(self) -> Place | None:
        """The project that this is in; None where nothing can be recorded."""
        with self.lock:
            try:
                self._locate()
            except Exception as error:
                self._fail(error)
            return self.place

    def _join(self) -> bool:
        """Whether this process belongs to a run that somebody else has begun."""
        outer = os.environ.get(RUN_DIR)
        if outer and identity.is_task(os.environ):
            from vestige.record import step

            if step.is_from_outside(os.environ):
                outer = None  # what srun or mpirun started elsewhere is not seen by the run that started srun
        if self.folder is None and outer and os.path.exists(os.path.join(outer, "started.json")):
            self.folder = outer
            if os.environ.get(WORKER) == outer:
                hooked = self._hooked()
                hooked.roots = (*hooked.roots, Target.again(outer))
        return self.folder is not None

    def _locate(self, at: str | None = None) -> None:
        if self.place is None:
            place = project.locate(at or project.here())
            self.config = load(place.root)
            self.place = project.prepare(place)

    def _begin(
        self,
        kind: str,
        name: str | None,
        parent: str | None,
        items: Sequence[str] = (),
        about: Mapping[str, object] | None = None,
    ) -> Begun:
        assert self.place is not None
        for item in items:
            if self.config.item(item) is None:
                warn_once(f"no item '{item}' is configured")
        options = Options(
            self.place, self.config, name=name, kind=kind, observe="inside", parent=parent, items=items, echo="never"
        )
        return journal.begin(self._command, os.environ, options, about or {})

    def _fail(self, error: BaseException) -> None:
        """Nothing can be recorded: said once, and the program goes on."""
        self.problem = f"nothing can be recorded: {reason(error)}"
        warn(self.problem)

    def _observe(self, folder: str) -> None:
        """Tell the run of the script what happens, from now on; and what has been read already, as far as it shows."""
        hooked = self._hooked()
        self._preamble = self._preamble or hook.preamble(list(self._command))
        hooked.roots = (*hooked.roots, Target(folder, self._preamble + already.used()))
        os.environ[WORKER] = folder

    def _hooked(self) -> Hook:
        if self._hook is None:
            assert self.place is not None
            own = tuple(path.rstrip("/") + "/" for path in project.own_folders(self.place))
            self._hook = Hook(own)
            sys.addaudithook(self._hook)
        return self._hook

    # -- runs inside ------------------------------------------------------------------------------------------------------

    def enter(
        self,
        kind: str,
        name: str | None,
        *,
        items: Sequence[str] = (),
        at: str | None = None,
        function: Mapping[str, object] | None = None,
    ) -> Inside | None:
        """Begin a run inside this process, below the one that this context is in. None where nothing can be recorded.

        `items` are named sets of files that it yields, `at` a folder in the project, should none be known yet, `function` what
        is called.
        """
        try:
            with self.lock:
                if self.problem is not None:
                    return None
                self._locate(at)
                self._join()
                hooked = self._hooked()
                self._preamble = self._preamble or hook.preamble(list(self._command))
        except Exception as error:
            self._fail(error)
            return None
        begun = None
        try:
            around = INSIDE.get()
            parent = os.path.basename(around[-1].folder) if around else os.environ.get(RUN_ID) or None
            begun = self._begin(kind, name, parent, items, None if function is None else {"function": function})
            target = Target(begun.folder, self._preamble)
            self.tell("began", begun.id)  # may start the process beside, which is none of the run's: before it is observed
            inside = Inside(self, begun, target, hooked)
        except Exception as error:  # the next may be recorded: it may be less deep, or there may be room again
            if begun is not None:
                begun.discard()
            warn_once(f"a run is not recorded: {reason(error)}")
            return None
        return inside

    def tell(self, kind: str, run_id: str) -> None:
        """Tell whoever records us of a run of ours."""
        outer = self.folder if self.begun is None else None
        try:
            if outer is not None:
                said.say(outer, kind, run_id)
                return
            if self._tell is None:
                with self.lock:
                    self._beside(None)
            if self._tell is not None:
                self._tell.write(f"{kind} {run_id}\n")
        except OSError:
            pass  # full, or nobody is there: what is in the folder is recorded by the next command
        except ImportError:
            if not sys.is_finalizing():
                raise  # else a generator was left behind; whoever records us sees the end of it

    # -- the process beside -----------------------------------------------------------------------------------------------

    def _beside(self, run_id: str | None) -> None:
        """Start the process that records us; holding the lock."""
        if self._tell is not None or self.place is None or not sys.executable or not hasattr(os, "posix_spawn"):
            return
        ours, theirs = os.pipe(), os.pipe()  # what we tell, what it tells
        package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])}
        for name in ("PYTHONINSPECT", "PYTHONSTARTUP", "PYTHONPROFILEIMPORTTIME", "PYTHONDEVMODE", "PYTHONWARNINGS"):
            environ.pop(name, None)
        words = [sys.executable, "-P", "-S", "-c", _BESIDE, self.place.root, run_id or ""]
        log = os.path.join(self.place.store, "active", run_id, "log") if run_id else os.devnull
        handed = [ours[0], theirs[1]]
        if leaving.told_by_the_kernel():
            try:
                handed.append(os.pidfd_open(os.getpid()))
            except OSError:
                pass
        high = max(handed) + 10
        actions: list[tuple[Any, ...]] = [
            *((os.POSIX_SPAWN_DUP2, descriptor, high + number) for number, descriptor in enumerate(handed)),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666),
            *((os.POSIX_SPAWN_DUP2, high + number, 3 + number) for number in range(len(handed))),
        ]
        try:
            os.posix_spawn(sys.executable, words, environ, file_actions=actions, setsid=True, setsigmask=(), setsigdef=_signals())
        except (OSError, NotImplementedError, ValueError) as error:
            warn(f"the record is completed by the next command of vestige ({error})")
            os.close(ours[1])
            os.close(theirs[0])
        else:
            os.set_blocking(ours[1], False)
            self._tell, self._told = Pipe(ours[1]), Pipe(theirs[0])
            atexit.register(self.end)
        finally:
            for descriptor in handed:
                os.close(descriptor)

    def failed(self, status: int) -> None:
        """How this process ends, as far as it can be known before."""
        self._status = status

    def leave(self) -> None:
        """Be done with all that has begun, and take nothing more."""
        self.end()
        if self._hook is not None:
            self._hook.roots, self._hook.going_on = (), []
        if self.begun is not None:
            for name in (RUN_ID, RUN_NAME, RUN_DIR, OUTPUT_DIR, WORKER):
                os.environ.pop(name, None)

    def _end_alone(self) -> None:
        """Nobody is beside us: the next command of Vestige writes the record, from what is in the folder."""
        if os.getpid() == self.pid and self.begun is not None:
            try:
                self.begun.end(self._status << 8)
            except OSError:
                pass

    def end(self) -> None:
        """The interpreter ends: say how, and make sure that what belongs beside the results is there."""
        self._dismiss()
        if os.getpid() != self.pid or self._told is None:
            return
        import select

        if self.begun is not None and self._hook is not None and self._hook.roots:
            try:
                self._hook.roots[0].write(already.still_used())
            except OSError:
                pass
        if self.begun is not None and self._is_late:
            try:
                self.begun.end(self._status << 8)
            except OSError:
                pass
        if self._tell is not None:
            try:
                self._tell.write(f"status {self._status}\n")
            except OSError:
                pass
            self._tell.close()
            self._tell = None
        if self._told.is_ours():
            poll = select.poll()  # unlike select, of any number
            poll.register(self._told.fd, select.POLLIN)
            poll.poll(_PATIENCE * 1000)
        self._told.close()
        self._told = None


class Pipe:
    """An end of a pipe, above the numbers that programs know. One that closes all descriptors may be given its number for a
    file of its own, into which nothing of ours must be written."""

    __slots__ = ("_identity", "fd")

    def __init__(self, descriptor: int) -> None:
        self.fd = descriptor
        if descriptor < 3:
            import fcntl

            self.fd = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
            os.close(descriptor)
        found = os.fstat(self.fd)
        self._identity = (found.st_dev, found.st_ino)

    def is_ours(self) -> bool:
        """Whether nobody has closed it."""
        try:
            found = os.fstat(self.fd)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    def write(self, line: str) -> None:
        """Say a line, if it is there. Raises OSError."""
        if self.is_ours():
            os.write(self.fd, line.encode("ascii"))

    def close(self) -> None:
        """Be done with it."""
        if self.is_ours():
            os.close(self.fd)


class Inside:
    """One run inside this process, from its beginning to its end."""

    __slots__ = ("_around", "_attended", "_hook", "_session", "_stack", "begun", "target", "token")

    def __init__(self, session: Session, begun: Begun, target: Target, hooked: Hook) -> None:
        self._session = session
        self._hook = hooked
        self.begun = begun
        self.target = target
        self._attended = attended(begun.folder, begun.started)
        self._around = INSIDE.get()
        self._stack = (*self._around, target)
        self.token: Any = None
        if not self._around:
            hooked.going_on.append(self._stack)

    def resume(self) -> None:
        """What happens in this context from now on belongs to the run."""
        self.token = INSIDE.set(self._stack)

    def pause(self) -> None:
        """It does not, for a while: a generator has yielded."""
        if self.token is not None:
            try:
                INSIDE.reset(self.token)
            except ValueError:
                INSIDE.set(self._around)  # it was begun in another context
            self.token = None

    def end(self, status: int, function: Mapping[str, object] | None = None) -> None:
        """The run has ended, with a status as from wait(2); of a function's call, so."""
        self.pause()
        if not self._around and self._stack in self._hook.going_on:
            self._hook.going_on.remove(self._stack)
        self.target.close()
        if self._attended is not None:
            self._attended.end(status)
        try:
            self.begun.end(status, function=function)
        except (OSError, TypeError, ValueError) as error:
            warn(f"the end of {self.begun.name or self.begun.id[-8:]} could not be written: {error}")
        self._session.tell("ended", self.begun.id)


def attended(folder: str, started: Mapping[str, object]) -> Attended | None:
    """Have the hooks that this program has added called for a run; one that has added none has not loaded what that takes."""
    added: Any = sys.modules.get("vestige.script.added")
    found: Attended | None = None if added is None else added.attended(folder, started)
    return found


def warn(line: str) -> None:
    """One line on standard error, of ours. Never raises."""
    say(f"vestige: {line}")


def say(line: str) -> None:
    """One line on standard error. Never raises, and leaves nothing in the stream that its end could not write."""
    try:
        if sys.stderr is not None and not _is_closed(sys.stderr):
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
    except Exception:
        pass  # somebody has put something of his own in its place


def _is_closed(stream: TextIO) -> bool:
    """Whether its descriptor has been closed behind its back."""
    try:
        number = stream.fileno()
    except (OSError, ValueError, AttributeError):
        return False  # it has none, as in a notebook
    try:
        os.fstat(number)
    except OSError:
        return True
    return False


def reason(error: BaseException) -> str:
    """What is wrong, in a few words."""
    if isinstance(error, RecursionError):
        return "it is too deep in calls of its own"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename!r}: {error.strerror}" if isinstance(error.filename, str) else error.strerror
    return f"{error}" or type(error).__name__


_said: set[str] = set()


def warn_once(line: str) -> None:
    """The same line is said once in a process."""
    if line not in _said:
        _said.add(line)
        warn(line)


def problem(folder: str, text: str) -> None:
    """Put a line into the problems of a run."""
    try:
        said.say(folder, "problem", text.encode("utf-8", "replace").decode())
    except OSError:
        pass


def _signals() -> tuple[int, ...]:
    """Those that a program may have told its children to ignore."""
    import _signal  # type: ignore[import-not-found]

    return tuple(getattr(_signal, name) for name in ("SIGPIPE", "SIGINT", "SIGTERM", "SIGHUP") if hasattr(_signal, name))


_THE_ONE = Session()


def _unlock() -> None:
    """In a forked process nobody is left to do so."""
    _THE_ONE.lock = _thread.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)


def session() -> Session:
    """This process's. A forked process has its parent's: the same runs, told to the same process beside."""
    return _THE_ONE


def reset() -> None:
    """As if nothing had been recorded yet in this process: for tests. What began is ended."""
    global _THE_ONE
    _THE_ONE.leave()
    _THE_ONE = Session()
