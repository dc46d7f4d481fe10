"""One step, executed: in a process of its own, behind its walls, watched, and recorded as a reproduction.

    who makes it again      plans, prepares, compares; waits for
    the keeper              a fork, in a process group of its own; enters the step's view, opens its streams, records
    the command             behind walls

The keeper sees what the step sees, so that what it records is true. Steps are handed to any `concurrent.futures.Executor`
as `executor.submit(run, job)`; a job and its ending can be pickled.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

from vestige.config import Config
from vestige.model.values import value
from vestige.reproduce import confine
from vestige.reproduce.confine import Bind, Walls, Ways
from vestige.store.project import Place

P = ParamSpec("P")
T = TypeVar("T")

_NEEDED = ("vestige.record.command", "vestige.record.watch", "vestige.record.recorder")
_TAIL = 4096  # bytes of what a step said that are shown when it fails
_GRACE = 3.0  # seconds from a request to end to the end
_SETTLING = 30.0  # seconds that a record may take after its command has ended
_LINGERING = 1.0  # seconds that processes of a step may outlive it


@value(kw_only=True)
class Job:
    """What is executed and where. Paths are as the step sees them. `stdout` and `stderr` are files, or None where what
    is said there is kept as a stream; `append` says which of them are added to. `seconds`: how long it may take."""

    of: str
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    cwd: str
    umask: int | None
    stdin: str | None
    stdout: str | None
    stderr: str | None
    append: frozenset[str] = frozenset()
    binds: tuple[Bind, ...] = ()
    folders: tuple[str, ...] = ()
    ways: Ways
    place: Place
    config: Config
    store: str
    seconds: float | None = None


@value(kw_only=True)
class Ending:
    """How a step ended: its status as a shell says it (None where it never began), its record, how long it took, the end of
    what it said, and what went wrong if it was not the command."""

    exit_code: int | None = None
    run: str | None = None
    seconds: float = 0.0
    said: str = ""
    problem: str | None = None


class Serial(Executor):
    """Does each thing when it is submitted, in this process: so that Ctrl-C reaches it."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class StoppedError(Exception):
    """Whoever wanted the step wants it no longer."""


#: In a worker: becomes readable when its work is no longer wanted, or when whoever wanted it has died.
_stop: ContextVar[int | None] = ContextVar("stop", default=None)


@contextmanager
def executor(jobs: int) -> Iterator[Executor]:
    """Where steps are executed, `jobs` at once. When it is left by an exception, nothing is left running."""
    for module in _NEEDED:  # now, so that not every step loads them anew
        import_module(module)
    if jobs <= 1:
        yield Serial()
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    read, write = os.pipe()
    pool = ProcessPoolExecutor(jobs, get_context("fork"), _begin_worker, (read, write))
    try:
        yield pool
    finally:
        os.close(write)
        pool.shutdown(wait=True, cancel_futures=True)
        os.close(read)


def run(job: Job) -> Ending:
    """Execute one step and wait for its end. KeyboardInterrupt ends it, and whatever it started."""
    output, report = os.pipe(), os.pipe()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    began = time.monotonic()
    keeper = os.fork()
    if keeper == 0:
        try:
            os.close(output[0])
            os.close(report[0])
            _keep(job, output[1], report[1])
        finally:
            os._exit(125)
    try:
        os.setpgid(keeper, keeper)  # it does so itself, too: whoever comes first
    except OSError:
        pass
    os.close(output[1])
    os.close(report[1])
    attending = _Attending(keeper, output[0], report[0], job)
    try:
        attending.wait()
    except BaseException:
        attending.kill()
        raise
    finally:
        attending.close()
    return attending.ending(time.monotonic() - began)


def _begin_worker(read: int, write: int) -> None:
    os.close(write)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is told, and ends its step in good order
    _stop.set(read)


# -- the keeper ---------------------------------------------------------------------------------------------------------


def _keep(job: Job, output: int, report: int) -> None:
    """In the keeper. Never returns but by an exception."""
    os.setpgid(0, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    try:
        if job.ways.view:
            confine.enter(job.binds)
        os.chdir(job.cwd)
        if job.umask is not None:
            os.umask(job.umask)
        _open_streams(job, output)
        code, recorded = _record(job, report)
    except Exception as error:
        _say(report, {"problem": f"{type(error).__name__}: {error}" if not isinstance(error, OSError) else _words(error)})
    else:
        _say(report, {"exit_code": code, "run": recorded})
    os._exit(0)


def _open_streams(job: Job, output: int) -> None:
    stdin = os.open(job.stdin or os.devnull, os.O_RDONLY)
    opened: dict[str, int] = {}
    for name, target in (("stdout", 1), ("stderr", 2)):
        path: str | None = getattr(job, name)
        if path is None:
            os.dup2(output, target)
            continue
        if path not in opened:
            how = os.O_APPEND if name in job.append else os.O_TRUNC
            opened[path] = os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o666)
        os.dup2(opened[path], target)
    os.dup2(stdin, 0)
    for descriptor in {stdin, output, *opened.values()} - {0, 1, 2}:
        os.close(descriptor)


def _record(job: Job, report: int) -> tuple[int, str | None]:
    """Through the same recording as any command."""
    from vestige.record.command import record
    from vestige.record.options import Options

    options = Options(
        job.place,
        job.config,
        kind="reproduction",
        reproduction_of=job.of,
        environ=job.environ,
        confine=_walls(job, report),
        echo="never",
        code=False,
    )
    outcome = record(job.argv, options)
    return outcome.exit_code, outcome.run_id


def _walls(job: Job, report: int) -> Callable[[], None]:
    walls = Walls(job.folders, job.ways)

    def close() -> None:
        try:
            walls()
        except OSError as error:
            _say(report, {"problem": f"the walls around the step could not be closed: {_words(error)}"})
            raise

    return close


def _say(report: int, document: Mapping[str, object]) -> None:
    os.write(report, json.dumps(document).encode("ascii") + b"\n")


def _words(error: OSError) -> str:
    name = f"{os.fsdecode(error.filename)}: " if error.filename else ""
    return name + (error.strerror or str(error))


# -- whoever waits for it -----------------------------------------------------------------------------------------------


class _Attending:
    """Listens to a keeper until it ends, keeps the end of what its command says, and ends it when its time is over."""

    def __init__(self, keeper: int, output: int, report: int, job: Job) -> None:
        self._keeper = keeper
        self._output = output
        self._report = report
        self._job = job
        self._said = b""
        self._reported = b""
        self._ended = False
        self._problem: str | None = None

    def wait(self) -> None:
        """Until the keeper has ended, and its record is written."""
        deadline = None if self._job.seconds is None else time.monotonic() + self._job.seconds
        poll = select.poll()
        poll.register(self._output, select.POLLIN)
        poll.register(self._report, select.POLLIN)
        stop = _stop.get()
        if stop is not None:
            poll.register(stop, select.POLLIN)
        while not self._ended:
            for descriptor, _ in poll.poll(50):
                if descriptor == stop:
                    raise StoppedError
                if not self._take(descriptor):
                    poll.unregister(descriptor)
            self._look()
            if deadline is not None and time.monotonic() > deadline and not self._ended:
                self._problem = f"it was ended after {self._job.seconds:g} s"
                self.kill()
        self._drain()
        self._settle()

    def kill(self) -> None:
        """End the step: ask, then insist."""
        for number, patience in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, _GRACE)):
            if self._ended:
                break
            self._signal(number)
            until = time.monotonic() + patience
            while not self._ended and time.monotonic() < until:
                self._drain()
                time.sleep(0.02)
                self._look()
        self._signal(signal.SIGKILL)
        self._settle(patience=_GRACE)

    def close(self) -> None:
        os.close(self._output)
        os.close(self._report)

    def ending(self, seconds: float) -> Ending:
        """What came of it."""
        code, recorded, problem = None, None, self._problem
        for line in self._reported.splitlines():
            document: dict[str, Any] = json.loads(line)
            problem = problem or document.get("problem")
            code = document.get("exit_code", code)
            recorded = document.get("run", recorded)
        if code is None and problem is None:
            problem = "whoever kept it was killed"
        said = self._said.decode("utf-8", "replace")
        return Ending(exit_code=None if problem else code, run=recorded, seconds=seconds, said=said, problem=problem)

    def _take(self, descriptor: int) -> bool:
        block = os.read(descriptor, 65536)
        if descriptor == self._output:
            self._said = (self._said + block)[-_TAIL:]
        else:
            self._reported += block
        return bool(block)

    def _drain(self) -> None:
        """Whatever is there already; some process of the step may hold the pipe for ever."""
        for descriptor in (self._output, self._report):
            while select.select([descriptor], [], [], 0)[0] and self._take(descriptor):
                pass

    def _look(self) -> None:
        if not self._ended and os.waitpid(self._keeper, os.WNOHANG)[0]:
            self._ended = True

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._keeper, number)
        except ProcessLookupError:
            pass
        except PermissionError:
            os.kill(self._keeper, number)

    def _settle(self, patience: float = _SETTLING) -> None:
        """Wait until the record is written, and end what the step has left running, which would keep it from that."""
        folder = self._active()
        began = time.monotonic()
        while folder is not None and os.path.isdir(folder) and time.monotonic() - began < patience:
            if time.monotonic() - began > _LINGERING:
                for process in _left_running(folder):
                    _end(process)
            time.sleep(0.005)

    def _active(self) -> str | None:
        """The folder of the step's recording, while there is one."""
        top = os.path.join(self._job.store, "active")
        for name in os.listdir(top) if os.path.isdir(top) else ():
            folder = os.path.join(top, name)
            if _processes(folder).get("launcher", [0])[0] == self._keeper:
                return folder
        return None


def _processes(folder: str) -> dict[str, list[int]]:
    """The processes that record a run."""
    try:
        with open(os.path.join(folder, "started.json"), "rb") as file:
            found = json.load(file).get("processes_of_vestige")
    except (OSError, ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


def _left_running(folder: str) -> list[int]:
    """Processes of a run that live on: below its watcher, all but its recorder."""
    processes = _processes(folder)
    if "watcher" not in processes or "recorder" not in processes:
        return []
    return [process for process in _below(processes["watcher"][0]) if process != processes["recorder"][0]]


def _below(ancestor: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            children.setdefault(parent, []).append(int(name))
    found, waiting = [], [ancestor]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _end(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except OSError:
        pass
