"""The process beside a program that records itself: it follows the journals of its runs, and writes their records.

It is called with the project's root and the id of the program's own run, if that has one.

Descriptor 3 is a pipe that the program, and every process it forks, holds open: `began ID`, `ended ID` and `status N` come
through it, and its end says that all of them have ended. A byte to descriptor 4 says that what belongs beside the results
is there. Descriptor 5, if there is one, is the program's own.
"""

from __future__ import annotations

import os
import select
import sys
import time

from vestige.model import plain
from vestige.record import info
from vestige.record.said import Said
from vestige.store import project

_TICK, _SLOWEST, _HEARTBEAT = 0.02, 0.25, 20.0


TYPE_CHECKING = False
if TYPE_CHECKING:
    from vestige.record.recorder import Recorder


class Beside:
    """What is known of the program, and the recorders of its runs."""

    def __init__(self, root: str, run_id: str) -> None:
        from vestige.config import Config, load
        from vestige.errors import VestigeError
        from vestige.record.inner import Inner
        from vestige.script.ending import Ending

        self._place = project.prepare(project.locate(root, root))
        try:
            self._config = load(root)
        except VestigeError:
            self._config = Config()
        self._ending = Ending(5)
        self._status: int | None = None
        self._own: Recorder | None = None
        self._folder = _folder(self._place.store, run_id)
        if self._folder is not None:
            self._own = self._begin(self._folder)
        self._inner = Inner(self._place, self._config, like=self._own)
        self._rest = b""

    def _begin(self, folder: str) -> Recorder | None:
        from vestige.errors import VestigeError
        from vestige.record import identity, journal, recorder
        from vestige.record.code import CodeOfRun
        from vestige.store.journal import Active

        code = CodeOfRun(self._place, self._config)
        try:
            started = Active(folder).started()
            code.take_for(started)
            started["processes_of_vestige"]["recorder"] = identity.process(os.getpid())
            journal.write(folder, "started.json", started)
            own = recorder.Recorder(folder, self._place, self._config, method="inside", started=started)
            own.begin(code)
            own.attend()
        except (VestigeError, OSError):
            return None  # removed meanwhile
        return own

    def main(self) -> None:
        """Until the program and all that it forked have ended."""
        poll = select.poll()
        poll.register(3, select.POLLIN | select.POLLHUP)
        pause, beat, ended = _TICK, time.monotonic(), False
        while not ended:
            news = self._step()
            pause = _TICK if news else min(pause * 1.5, _SLOWEST)
            if time.monotonic() - beat > _HEARTBEAT:
                beat = time.monotonic()
                for each in (self._own, self._inner):
                    if each is not None:
                        each.touch()
            if poll.poll(pause * 1000):
                ended = self._read()
        self._ending.note()
        self._step()
        self._finish()

    def _step(self) -> bool:
        news = False
        if self._own is not None:
            news = self._own.step()
        self._inner.step()
        return news

    def _read(self) -> bool:
        """Take in what the program says; True where nobody can say anything any more."""
        data = os.read(3, 1 << 16)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            kind, _, what = line.decode("ascii", "replace").partition(" ")
            if kind in ("began", "ended"):
                self._inner.tell(kind, what)
            elif kind == "status":
                self._status = int(what) if what.isdecimal() else 1
        return not data

    def _finish(self) -> None:
        self._inner.finish()
        if self._own is None or self._folder is None:
            return
        from vestige.errors import VestigeError
        from vestige.record import journal

        status, problem = self._ending.status(self._status)
        try:
            if problem is not None:
                self._own.say(problem)
            if status is not None:
                journal.write(self._folder, "ended.json", self._ending.document(status))
            self._own.finish()
            self._own.tidy()
        except (VestigeError, OSError):
            pass  # the next command tries again


def main() -> None:
    """From the command line."""
    for signal in (1, 2, 3, 15):  # the program's end is ours: what ends its terminal or its job must not end us before
        _ignore(signal)
    _make_room()
    root, run_id = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    try:
        os.getcwd()
    except OSError:
        os.chdir(root)  # the program has begun in a folder that is gone
    try:
        _describe(root, run_id)
    finally:
        try:
            os.write(4, b"1")
        except OSError:
            pass  # nobody waits
    import site  # it takes as long as all before, and only what follows needs other packages

    site.main()
    Beside(root, run_id).main()


def _describe(root: str, run_id: str) -> None:
    """What the program's end may wait for, before anything else is loaded."""
    folder = _folder(project.locate(root, root).store, run_id)
    if folder is None:
        return
    try:
        with open(os.path.join(folder, "started.json"), "rb") as file:
            command = [str(word) for word in plain.loads(file.read()).get("command") or ()]
        scratch = os.path.join(folder, "scratch")
        os.makedirs(scratch, exist_ok=True)
        for kind, path, *rest in Said(folder).news():
            if kind == "folder":
                info.write(path, rest[0], command, scratch)
    except Exception as error:
        sys.stderr.write(f"{info.INFO}: {error}\n")  # into the log; the recorder tries again, and says so in the record


def _folder(store: str, run_id: str) -> str | None:
    return os.path.join(store, "active", run_id) if run_id else None


def _make_room() -> None:
    """A call that waits for a thousand others is followed as they are: as many files may be open as we are allowed to have."""
    try:
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (ImportError, ValueError, OSError):
        pass


def _ignore(number: int) -> None:
    import _signal  # type: ignore[import-not-found]

    _signal.signal(number, _signal.SIG_IGN)
