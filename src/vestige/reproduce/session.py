"""A plan carried out: each step prepared as soon as what it needs is made, executed, and compared.

The folder of a session lies outside every project and is removed at the end, but for the workspaces of steps that failed.
A lock tells whose session still lives, so that the next one sweeps what a crash has left.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from heapq import heapify, heappop, heappush
from typing import Literal

from vestige.errors import VestigeError
from vestige.model.files import Digest
from vestige.model.run import Run, Verdict, short
from vestige.model.values import replace, value
from vestige.reproduce import execute, raw, relocation, staging, verify, workspace
from vestige.reproduce.execute import Ending, Job
from vestige.reproduce.plan import Plan, Step
from vestige.reproduce.staging import Setting
from vestige.reproduce.workspace import Prepared, Stock, UnpreparedError
from vestige.store.records import Records

State = Literal["preparing", "running", "done", "failed", "could not"]

_LEFT = "left"  # marks a folder in which somebody may still want to look at something
_KEPT_SECONDS = 14 * 86_400  # workspaces of failed steps are swept after that


@value(kw_only=True)
class Done:
    """What came of one step. `run`: the record of its reproduction. `reason`: why it failed or could not be executed.
    `workspace`: where it can be looked at, if it was left. `verdicts`: on all its outputs."""

    step: Step
    state: State
    ending: Ending | None = None
    reason: str | None = None
    notes: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    workspace: str | None = None


#: Told of each change: the step's number (from 0), and what is known of it by now.
Watching = Callable[[int, State], None]


def carry_out(plan: Plan, setting: Setting, executor: Executor, watching: Watching, jobs: int = 1) -> list[Done]:
    """Execute a plan, `jobs` steps at once; what came of each, in its order. KeyboardInterrupt leaves nothing running."""
    session = _Session(plan, setting, executor, watching, jobs)
    session.go()
    return session.done()


@contextmanager
def folder(top: str) -> Iterator[str]:
    """A folder for one session below `top`, locked while it lives. What crashed sessions have left is swept."""
    os.makedirs(top, 0o700, exist_ok=True)
    _sweep(top)
    path = os.path.join(top, os.urandom(4).hex())
    os.mkdir(path, 0o700)
    lock = os.open(os.path.join(path, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _locked(lock)
        yield path
    except BaseException:
        workspace.remove(path)
        raise
    finally:
        os.close(lock)
    if any(name.isdecimal() for name in os.listdir(path)):
        os.close(os.open(os.path.join(path, _LEFT), os.O_WRONLY | os.O_CREAT, 0o600))
    else:
        workspace.remove(path)


class _Session:
    """One plan on its way: which steps wait for which, and which workspaces are still needed."""

    def __init__(self, plan: Plan, setting: Setting, executor: Executor, watching: Watching, jobs: int) -> None:
        self._steps = plan.steps
        self._setting = setting
        self._executor = executor
        self._watching = watching
        self._jobs = jobs
        self._number = {step.run.id: number for number, step in enumerate(plan.steps)}
        self._before = [{self._number[run] for run in step.after if run in self._number} for step in plan.steps]
        self._behind: list[list[int]] = [[] for _ in plan.steps]
        for number, before in enumerate(self._before):
            for one in before:
                self._behind[one].append(number)
        self._missing = [len(before) for before in self._before]
        self._wanted = [len(behind) for behind in self._behind]
        self._ready = [number for number, missing in enumerate(self._missing) if not missing]
        heapify(self._ready)
        self._done: dict[int, Done] = {}
        self._prepared: dict[int, Prepared] = {}
        self._running: dict[Future[Ending], int] = {}

    def go(self) -> None:
        """Until every step is done. What is left on the way of an exception goes with the session's folder."""
        while self._ready or self._running:
            while self._ready and len(self._running) < self._jobs:
                self._start(heappop(self._ready))
            if self._running:
                for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                    self._finish(self._running.pop(future), future.result())

    def done(self) -> list[Done]:
        return [self._done[number] for number in range(len(self._steps))]

    # -- one step -------------------------------------------------------------------------------------------------------

    def _start(self, number: int) -> None:
        step = self._steps[number]
        blocked = next((self._steps[one] for one in self._before[number] if self._done[one].state != "done"), None)
        if step.obstacles:
            self._give_up(number, step, step.obstacles[0])
            return
        if blocked is not None:
            self._give_up(number, step, f"it needs what {short(blocked.run.id)} did not make")
            return
        self._watching(number, "preparing")
        try:
            job = self._prepare(number, step)
        except (UnpreparedError, VestigeError) as error:
            self._give_up(number, step, str(error))
        except OSError as error:
            name = f"{os.fsdecode(error.filename)}: " if error.filename else ""
            self._give_up(number, step, f"its workspace could not be made: {name}{error.strerror or error}")
        else:
            self._watching(number, "running")
            self._running[self._executor.submit(execute.run, job)] = number

    def _prepare(self, number: int, step: Step) -> Job:
        setting = self._setting
        layout = staging.layout(step, os.path.join(setting.folder, str(number + 1)), setting.ways, setting.place.root)
        known = raw.read(step.run, setting.objects)
        stock = Stock(setting.code, setting.objects, self._made, setting.on_disk)
        self._prepared[number] = prepared = Prepared(layout)
        workspace.prepare(step, prepared, stock, known)
        workspace.furnish_home(layout.home, setting.home, setting.caches)
        return staging.job(step, prepared, setting, known)

    def _finish(self, number: int, ending: Ending) -> None:
        step, prepared = self._steps[number], self._prepared[number]
        reason = ending.problem or _ended(ending, status(step.run))
        if reason is None:
            verdicts = tuple(self._verdicts(step, prepared))
        else:
            reason = "; ".join((reason, *step.doubts))
            verdicts = tuple(verify.could_not(use, f"{short(step.run.id)} failed: {reason}") for use in step.expected)
        if any(one.verdict not in ("identical", "equivalent") for one in verdicts):
            prepared.notes += self._refused(ending, prepared) + self._unlike(step)
        done = Done(
            step=step,
            state="done" if reason is None else "failed",
            ending=ending,
            reason=reason,
            notes=tuple(prepared.notes),
            verdicts=verdicts,
            workspace=prepared.layout.top if reason is not None or self._setting.keep else None,
        )
        self._conclude(number, done)

    def _refused(self, ending: Ending, prepared: Prepared) -> list[str]:
        """What the step tried to change outside its walls, as its record tells."""
        try:
            made = Records(self._setting.place.store).read(ending.run or "")
        except (VestigeError, OSError):
            return []
        folders = (*staging.folders(prepared.layout, self._setting.ways), self._setting.place.store)
        paths = raw.outside(made, self._setting.objects, folders)
        more = f" (and {len(paths) - 1:,} more)" if len(paths) > 1 else ""
        return [f"it tried to change {paths[0]}{more}, outside its workspace, and was refused"] if paths else []

    def _unlike(self, step: Step) -> list[str]:
        """Which variables, of those whose values were not recorded, are not as they were."""
        names = [name for name, mark in step.run.other_variables.items() if self._setting.unlike(name, mark)]
        return [f"not as they were, and not recorded by value: {', '.join(sorted(names))}"] if names else []

    def _verdicts(self, step: Step, prepared: Prepared) -> Iterator[Verdict]:
        layout, setting = prepared.layout, self._setting

        def before(digest: Digest) -> str | None:
            use = next((one for one in step.expected if one.digest == digest), None)
            return setting.objects.path(digest) or (setting.on_disk(use) if use is not None else None)

        def back(path: str) -> str:
            return relocation.moved(path, [relocation.Move(layout.project, layout.root)])

        for use in step.expected:
            verdict = verify.judge(use, layout.place(use.path), before, back)
            if verdict.verdict == "different" and not layout.bound and verify.holds(layout.place(use.path), layout.project):
                verdict = replace(verdict, note=f"{verdict.note}; it names the folder in which it was made")
            if step.doubts and verdict.verdict in ("different", "missing"):
                verdict = verify.could_not(use, step.doubts[0])
            yield verdict

    def _give_up(self, number: int, step: Step, reason: str) -> None:
        verdicts = tuple(verify.could_not(use, reason) for use in step.expected)
        notes = tuple(self._prepared[number].notes) if number in self._prepared else ()
        self._conclude(number, Done(step=step, state="could not", reason=reason, notes=notes, verdicts=verdicts))

    def _conclude(self, number: int, done: Done) -> None:
        self._done[number] = done
        for behind in self._behind[number]:
            self._missing[behind] -= 1
            if not self._missing[behind]:
                heappush(self._ready, behind)
        for before in self._before[number]:
            self._wanted[before] -= 1
            self._leave(before)
        self._leave(number)
        self._watching(number, done.state)

    def _leave(self, number: int) -> None:
        """Remove a workspace from which nobody needs anything any more."""
        done = self._done.get(number)
        if done is not None and done.workspace is None and not self._wanted[number] and number in self._prepared:
            workspace.remove(self._prepared.pop(number).layout.top)

    def _made(self, run: str, path: str) -> str | None:
        number = self._number.get(run)
        if number is None or number not in self._prepared:
            return None
        layout = self._prepared[number].layout
        place = layout.place(path)
        within = relocation.inside(os.path.realpath(place), os.path.realpath(layout.top)) is not None
        return place if within and os.path.exists(place) else None


def status(run: Run) -> int | None:
    """How a run ended, as a shell says it."""
    return run.exit_code if run.signal is None else 128 + run.signal


def _ended(ending: Ending, expected: int | None) -> str | None:
    """What is wrong with how a step ended; None where it ended as it should."""
    if ending.exit_code == expected:
        return None
    said = next((line.strip() for line in reversed(ending.said.splitlines()) if line.strip()), None)
    return f"it ended with {ending.exit_code} instead of {expected}" + (f": {said}" if said else "")


def _locked(lock: int) -> bool:
    try:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return True
    except OSError:
        return False
    return True


def _sweep(top: str) -> None:
    """Remove what sessions that live no more have left, but for failed steps that somebody may still want to look at."""
    for name in os.listdir(top):
        path = os.path.join(top, name)
        try:
            lock = os.open(os.path.join(path, "lock"), os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            age = time.time() - os.stat(path).st_mtime
            crashed = not os.path.exists(os.path.join(path, _LEFT))
            if _locked(lock) and (crashed or age > _KEPT_SECONDS):
                workspace.remove(path)
        finally:
            os.close(lock)
