"""Hooks that a program adds for its own runs: `vestige.add_probe(queue_length)`.

They are called in the program, each in a thread of its own, for every run that begins in it from then on; those that packages
declare are called beside it.
"""

from __future__ import annotations

import time
from typing import TypeVar

from vestige.errors import UsageError
from vestige.model.run import Run
from vestige.model.values import replace
from vestige.record import identity, said
from vestige.record.hooks import Attending, Hook, Kind, Probe, Reporter, Watcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from vestige.model.run import Status

P = TypeVar("P", bound=Probe)
W = TypeVar("W", bound=Watcher)
R = TypeVar("R", bound=Reporter)

_ADDED: list[Hook] = []


def add_probe(probe: P, /, *, name: str | None = None) -> P:
    """Have `probe(run)` called when a run begins in this program; what it returns is in the record, under its name.

    Also a decorator, as are its sisters.
    """
    _add("probe", probe, name)
    return probe


def add_watcher(watcher: W, /, *, name: str | None = None) -> W:
    """Have the context manager `watcher(run)` entered when a run begins in this program, and left when it has ended."""
    _add("watcher", watcher, name)
    return watcher


def add_reporter(reporter: R, /, *, name: str | None = None) -> R:
    """Have `reporter(run)` called when a run begins in this program, and when it has ended (`run.ended` is a time then)."""
    _add("reporter", reporter, name)
    return reporter


def _add(kind: Kind, hook: Any, name: str | None) -> None:
    if not callable(hook):
        raise UsageError(f"a {kind} is a function, not {type(hook).__name__}", hint=f"write vestige.add_{kind}(FUNCTION)")
    name = name or getattr(hook, "__name__", None) or type(hook).__name__
    _ADDED.append(Hook(kind, str(name), lambda: hook))


class Attended:
    """The hooks of one run of this program."""

    def __init__(self, folder: str, started: Mapping[str, object]) -> None:
        self._folder = folder
        self._attending = Attending(_ADDED, started)

    def end(self, status: int) -> None:
        """The run has ended, with a status as from wait(2). Never raises."""
        try:
            found, problems = self._attending.settle()
            problems += self._attending.report(self._run(status))
            for name, value in found.items():
                said.say(self._folder, "context", name, value)
            for problem in problems:
                said.say(self._folder, "problem", problem)
        except Exception:
            return  # the folder is gone, or the disk is full: so is everything else

    def _run(self, status: int) -> Run:
        """What is known here of the run: of its files, nothing."""
        run = self._attending.run
        signal = status & 0x7F
        code = None if signal else status >> 8
        ending: Status = "interrupted" if signal else "failed" if code else "finished"
        now = time.time()
        duration = round((identity.sequence() - run.sequence) / 1e6, 3) if run.sequence else None
        return replace(
            run, ended=identity.timestamp(now), exit_code=code, signal=signal or None, status=ending, duration=duration
        )


def attended(folder: str, started: Mapping[str, object]) -> Attended | None:
    """Have the hooks called, for a run that begins in this program with this started record; None where there are none."""
    if not _ADDED:
        return None
    try:
        return Attended(folder, started)
    except Exception as error:
        try:
            said.say(folder, "problem", f"hooks: {type(error).__name__}: {error}"[:500])
        except OSError:
            pass
        return None


def forget() -> None:
    """As if none had been added: for tests."""
    _ADDED.clear()
