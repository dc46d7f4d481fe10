"""What must be executed to make something again, with which files, and what stands in the way: pure, from records.

A step is a run that is executed again. Each of its inputs has a source. *Chained*, a step is fed what the steps before it
make now, and only what they cannot make comes from elsewhere; *independent*, every step upstream is fed its recorded inputs
as far as these are to be had. Raw inputs are never made again. A step that cannot be executed says why; what is upstream of it is
then left out, and whoever needs its outputs gets them as recorded, from the disk or the store, or cannot be executed either.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Literal

from vestige.model.files import LINKED_ROLES, Digest, FileUse, nothing
from vestige.model.lineage import File, Lineage
from vestige.model.run import Redaction, Run, short
from vestige.model.topology import executable
from vestige.model.values import field, value

Mode = Literal["chained", "independent"]
#: `snapshot`: comes with the code. `disk`: lies where it lay, unchanged. `kept`: is in the store. `step`: is made by a step
#: before. `link`: a symbolic link, made anew. `nothing`: cannot be had.
Source = Literal["snapshot", "disk", "kept", "step", "link", "nothing"]
State = Literal["there", "changed", "missing", "unreadable"]

_FED = LINKED_ROLES | {"temporary"}
_EXECUTED = frozenset({"command", "script"})
_WHY_NOT: Mapping[str, str] = {
    "adopted": "it was adopted: nobody saw how its outputs were made",
    "capture": "it is a capture of the context: nothing was executed",
    "function": "it is a call of a function from inside a program, which cannot be repeated alone",
    "notebook": "it is a cell of a notebook, not to be executed alone; record all: vestige run jupyter nbconvert --execute …",
    "reproduction": "it is itself a reproduction",
}


@value
class Judged:
    """A file that was asked for: the run that made it, and its path there."""

    run: str
    path: str


@value
class AtHand:
    """What is here today; asked only for what a plan turns on.

    `on_disk`: where the content that a run used at a path lies, or what became of it. `kept`: whether the store has the
    bytes. `snapshot`: the paths in a tree, None where it is not here. `secret`: whether a redacted word can be refilled.
    """

    on_disk: Callable[[FileUse], tuple[State, str | None]]
    kept: Callable[[Digest], bool]
    snapshot: Callable[[str], Container[str] | None]
    secret: Callable[[Redaction], bool]


@value(kw_only=True)
class Supply:
    """How a step gets one file. `place`: where it lies (disk). `run`, `made_as`: who makes it, under which path (step).
    `reason`: why it cannot be had, and who may have it. `needed`: the step cannot be executed without it."""

    use: FileUse
    source: Source
    place: str | None = None
    run: str | None = None
    made_as: str | None = None
    reason: str | None = None
    needed: bool = True


@value(kw_only=True)
class Step:
    """One run to be executed again; `obstacles` say why it cannot be. `after`: runs whose outputs it is fed. `doubts`: what it
    is executed without, although it may have used it."""

    run: Run
    supplies: tuple[Supply, ...] = ()
    expected: tuple[FileUse, ...] = ()
    judged: frozenset[str] = frozenset()
    obstacles: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    after: frozenset[str] = frozenset()
    asked: bool = False

    @property
    def possible(self) -> bool:
        return not self.obstacles


@value(kw_only=True)
class Plan:
    """Steps in an order in which they can be executed."""

    steps: tuple[Step, ...]
    mode: Mode = "chained"
    raw: tuple[str, ...] = ()

    @property
    def possible(self) -> bool:
        """Whether all that was asked for can be made."""
        return all(step.possible for step in self.steps if step.asked)


@value(kw_only=True)
class Question:
    """What is to be planned: the lineage upstream of what was asked for, its runs, what of it is judged, and which run is
    executed instead of another (a run around one that cannot be executed by itself)."""

    lineage: Lineage
    runs: Mapping[str, Run]
    judged: tuple[Judged, ...]
    instead: Mapping[str, str] = field(default_factory=nothing)
    mode: Mode = "chained"


def plan(question: Question, at_hand: AtHand) -> Plan:
    """What is to be executed, in order."""
    planner = _Planner(question, at_hand)
    steps = {run: planner.step(run) for run in planner.order}
    wanted = {one.run for one in planner.judged} if question.mode == "chained" else set(planner.order)
    needed: set[str] = set()
    for run in reversed(planner.order):
        if run in wanted:
            needed.add(run)
            if steps[run].possible:
                wanted |= steps[run].after
    chosen = tuple(steps[run] for run in planner.order if run in needed)
    raw = {supply.use.path: None for step in chosen for supply in step.supplies if planner.is_raw(supply)}
    return Plan(steps=chosen, mode=question.mode, raw=tuple(raw))


def obstacles(run: Run, at_hand: AtHand) -> tuple[str, ...]:
    """Why a run cannot be executed again, whatever its inputs; empty where it can."""
    found = []
    if run.kind not in _EXECUTED or not run.command:
        found.append(_WHY_NOT.get(run.kind, "its command is not known"))
        return tuple(found)
    if run.status in ("running", "finishing"):
        found.append("it has not ended yet")
    elif run.status == "lost" or (run.exit_code is None and run.signal is None):
        found.append("it was lost, so that nobody knows how it would have ended")
    elif run.status == "interrupted":
        found.append("it was interrupted; nobody knows what it would have written")
    if run.code is None or run.code.snapshot is None:
        found.append("its code was not kept")
    elif at_hand.snapshot(run.code.snapshot) is None:
        found.append(f"its code ({run.code.snapshot}) is no longer in the store")
    for redaction in run.redactions:
        if redaction.at.startswith("command[") and not at_hand.secret(redaction):
            name = redaction.variable or redaction.at
            found.append(f"its {redaction.at} is a secret ({redaction.kind}) that was taken out: give it with --secret {name}=…")
    return tuple(found)


def judged_outputs(run: Run) -> tuple[FileUse, ...]:
    """The outputs by which a run is judged: its data; where it wrote none, whatever else it wrote and left."""
    outputs = [use for use in run.outputs if not use.deleted and use.role in _FED]
    for roles in (frozenset({"data"}), LINKED_ROLES):
        if found := [use for use in outputs if use.role in roles]:
            return tuple(found)
    return tuple(outputs)


class _Planner:
    """One question, worked through in the order of execution."""

    def __init__(self, question: Question, at_hand: AtHand) -> None:
        self._question = question
        self._at_hand = at_hand
        self._runs = question.runs
        self._lineage = {step.run.id: {(f.path, f.digest): f for f in step.inputs} for step in question.lineage.steps}
        self._made: dict[str, frozenset[str]] = {}
        self._causes: dict[str, str] = {}
        self.judged = tuple(Judged(self._stand_in(one.run), one.path) for one in question.judged)
        self.order = self._ordered()

    def step(self, run_id: str) -> Step:
        """Plan one run. All that could feed it has been planned."""
        run = self._runs[run_id]
        found = list(obstacles(run, self._at_hand))
        supplies: tuple[Supply, ...] = ()
        if found:
            self._causes[run_id] = f"{short(run_id)} cannot be executed: {found[0]}"
        else:
            supplies = tuple(self._supplies(run))
            found += [one.reason for one in supplies if one.needed and one.source == "nothing" and one.reason]
            if found:
                # However long a history is, what matters is where it breaks.
                self._causes[run_id] = found[0].rpartition(", and cannot be made: ")[2]
        mine = frozenset(one.path for one in self.judged if one.run == run_id)
        step = Step(
            run=run,
            supplies=supplies,
            expected=tuple(use for use in run.outputs if not use.deleted and use.role in _FED),
            judged=mine,
            obstacles=tuple(found),
            doubts=_doubts(run, self._at_hand),
            after=frozenset(one.run for one in supplies if one.run is not None),
            asked=any(one.run == run_id for one in self.judged),
        )
        if step.possible:
            self._made[run_id] = frozenset(use.path for use in step.expected)
        return step

    def _ordered(self) -> list[str]:
        """The runs in an order in which they can be executed, those left out in whose stead another stands."""
        listed = [step.run.id for step in self._question.lineage.steps if step.run.id not in self._question.instead]
        listed += [run for run in dict.fromkeys(one.run for one in self.judged) if run not in set(listed)]
        if not self._question.instead:
            return listed
        rank = {run: ("", number, run) for number, run in enumerate(listed)}
        needs = {
            run: {self._stand_in(one.run) for file in self._lineage.get(run, {}).values() for one in file.origins} - {run}
            for run in listed
        }
        ordered = executable(needs, rank.__getitem__)
        return ordered + [run for run in listed if run not in set(ordered)]

    def is_raw(self, supply: Supply) -> bool:
        """Whether nobody is known who made it; code does not count."""
        use = supply.use
        return (
            use.role in ("data", "config") and use.access != "append" and supply.source in ("disk", "kept") and not supply.made_as
        )

    def _supplies(self, run: Run) -> Iterable[Supply]:
        snapshot = run.code.snapshot if run.code else None
        paths = self._at_hand.snapshot(snapshot) if snapshot else None
        for use, needed in _wanted(run):
            if use.link is not None:
                yield Supply(use=use, source="link")
                continue
            yield self._supply(run, use, () if paths is None else paths, needed=needed)

    def _supply(self, run: Run, use: FileUse, snapshot: Container[str], *, needed: bool) -> Supply:
        origin = self._origin(run.id, use)
        from_step = self._from_step(use, origin)
        if from_step is not None and self._question.mode == "chained":
            return from_step
        if use.role in ("code", "config") and use.path in snapshot and (origin is None or not origin.origins):
            return Supply(use=use, source="snapshot")
        made_as = origin.origins[0].path if origin is not None and origin.origins else None
        if use.digest is None:
            if use.path in snapshot:
                return Supply(use=use, source="snapshot")
            return Supply(use=use, source="nothing", reason=f"{use.path} was not hashed when it was read", needed=needed)
        state, place = self._at_hand.on_disk(use)
        if state == "there":
            return Supply(use=use, source="disk", place=place, made_as=made_as)
        if self._at_hand.kept(use.digest):
            return Supply(use=use, source="kept", made_as=made_as)
        if from_step is not None:
            return from_step
        if use.path in snapshot:
            return Supply(use=use, source="snapshot")
        reason = self._gone(run, use, state, origin)
        return Supply(use=use, source="nothing", reason=reason, needed=needed)

    def _origin(self, run: str, use: FileUse) -> File | None:
        return self._lineage.get(run, {}).get((use.path, use.digest))

    def _from_step(self, use: FileUse, origin: File | None) -> Supply | None:
        if origin is None or len(origin.origins) != 1:
            return None
        maker = self._stand_in(origin.origins[0].run)
        path = origin.origins[0].path
        if path not in self._made.get(maker, ()):
            return None
        return Supply(use=use, source="step", run=maker, made_as=path)

    def _stand_in(self, run: str) -> str:
        return self._question.instead.get(run, run)

    def _gone(self, run: Run, use: FileUse, state: State, origin: File | None) -> str:
        """Why a file cannot be had, and who may still have it."""
        what = {
            "changed": f"{use.path} has changed since it was read, and was not kept",
            "missing": f"{use.path} is gone, and was not kept",
            "unreadable": f"{use.path} cannot be read, and was not kept",
        }.get(state, f"{use.path} cannot be had")
        if origin is not None and len(origin.origins) > 1:
            makers = ", ".join(short(one.run) for one in origin.origins)
            return f"{what}; it may come from {makers}: reproduce the right one first"
        if origin is not None and origin.origins:
            maker = self._stand_in(origin.origins[0].run)
            return f"{what}, and cannot be made: {self._causes.get(maker, f'the record of {short(maker)} is not here')}"
        return f"{what}; {_who(run)} had it as {use.digest}"


def _wanted(run: Run) -> Iterable[tuple[FileUse, bool]]:
    """What must lie there before a run starts, and whether it cannot do without: its inputs, and what it changed in place."""
    inputs = [use for use in run.inputs if use.role in _FED and use.kind is None]
    seen = {use.path for use in inputs}
    yield from ((use, use.access != "append") for use in inputs)
    if run.stdin is not None and run.stdin.kind == "file" and run.stdin.path and run.stdin.path not in seen:
        yield FileUse(path=run.stdin.path, digest=run.stdin.digest), True
    for use in run.inputs:
        if use.kind == "directory" and use.role in _FED and not any(path.startswith(use.path + "/") for path in seen):
            yield use, True
    for use in run.outputs:
        if use.path in seen or use.before is None or use.role not in _FED:
            continue
        if use.access in ("update", "append") or use.deleted:
            yield _as_before(use), use.access == "update" and not use.deleted


def _as_before(use: FileUse) -> FileUse:
    return FileUse(path=use.path, digest=use.before, role=use.role, access=use.access, evidence=use.evidence)


def _doubts(run: Run, at_hand: AtHand) -> tuple[str, ...]:
    """What a step is executed without, although it may have used it: if its outputs differ, that may be why."""
    if run.stdin is None or run.stdin.kind not in ("pipe", "terminal"):
        return ()
    kept = run.streams.get("stdin")
    if kept is not None and (kept.size == 0 or (kept.digest is not None and not kept.truncated and at_hand.kept(kept.digest))):
        return ()
    if run.stdin.kind == "terminal":
        return ("what was typed at its terminal was not kept",)
    return ("its standard input was a pipe, which was not kept; record the whole pipeline as one command",)


def _who(run: Run) -> str:
    host = f" on {run.host}" if run.host else ""
    return f"{run.user or 'somebody'}{host} ({run.started[:10]})"
