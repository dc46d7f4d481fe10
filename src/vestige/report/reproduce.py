"""What would be made again and how, how far it is, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from shlex import join
from typing import Any

from vestige.model import wire
from vestige.model.files import FileUse
from vestige.model.run import Run, label, short
from vestige.ops.reproduce import Judgement, Reproduction
from vestige.report import style as styles
from vestige.report.style import Style
from vestige.reproduce.plan import Plan, Step, Supply
from vestige.reproduce.session import Done, State

_IN = {"current": "in the present environment"}
_SOURCES = {
    "snapshot": "with the code",
    "disk": "on disk",
    "kept": "kept",
    "link": "a link",
    "nothing": "cannot be had",
}
#: The order in which verdicts are counted.
_WORDS = ("identical", "equivalent", "different", "missing", "not comparable", "could not")


# -- the plan -----------------------------------------------------------------------------------------------------------


def plan(planned: Plan, style: Style) -> Iterator[str]:
    """The plan as people read it: steps in order, what each is fed and from where, and what it makes."""
    possible = [step for step in planned.steps if step.possible]
    yield f"{styles.count(len(possible), 'step')} to execute, in the present environment, {planned.mode}"
    numbers = {step.run.id: number for number, step in enumerate(planned.steps, 1)}
    for step in planned.steps:
        yield ""
        yield f"{numbers[step.run.id]:>3}  {_called(step.run, style)}"
        command = styles.cut(styles.printable(join(step.run.command)), max(style.width - 6, 20), style)
        yield f"     {style.paint(command, 'faint')}"
        for reason in step.obstacles:
            yield f"     {style.word('could not')}  {styles.printable(reason)}"
        for doubt in step.doubts if step.possible else ():
            yield f"     {style.paint('note', 'notice')}  {styles.printable(doubt)}"
        rows = [(styles.printable(one.use.path), _fed(one, numbers)) for one in _shown(step.supplies)]
        width = max((styles.cells(path) for path, _ in rows), default=0)
        for path, whence in rows:
            yield f"     {styles.pad(path, width)}  {style.paint(whence, 'faint')}"
        for use in _made(step):
            mark = style.paint("judged", "strong") if use.path in step.judged else ""
            yield f"     {style.arrow} {styles.printable(use.path)}  {mark}".rstrip()


def plan_lines(planned: Plan) -> Iterator[str]:
    """The plan as programs read it, one line a step: `in [source], … -> step @ commit -> out`, or `could not STEP: reason`."""
    for step in planned.steps:
        name = f"{styles.quoted(label(step.run))} @ {_commit(step.run)}"
        if not step.possible:
            yield f"could not {short(step.run.id)} {name}: {styles.printable('; '.join(step.obstacles))}"
            continue
        fed = ", ".join(f"{styles.quoted(one.use.path)} [{_tag(one)}]" for one in _shown(step.supplies))
        yield f"{fed or '(no inputs)'} -> {name} -> {', '.join(styles.quoted(use.path) for use in _made(step))}"


def plan_document(planned: Plan) -> dict[str, Any]:
    """The plan as JSON: `steps`, each with `run`, `command`, `cwd`, `inputs` (`path`, `digest`, `source`, `from`, `reason`),
    `outputs` (`path`, `digest`, `judged`), `obstacles` and `notes`; `raw`, the inputs that no step makes; `possible`."""
    return {
        "vestige": 1,
        "environment": "current",
        "mode": planned.mode,
        "possible": planned.possible,
        "raw": list(planned.raw),
        "steps": [
            {
                "run": step.run.id,
                "command": list(step.run.command),
                "cwd": step.run.cwd,
                "inputs": [
                    {
                        "path": wire.escape(one.use.path)[0],
                        "digest": one.use.digest,
                        "source": one.source,
                        "from": one.run or one.place,
                        "reason": one.reason,
                    }
                    for one in step.supplies
                ],
                "outputs": [
                    {"path": wire.escape(use.path)[0], "digest": use.digest, "judged": use.path in step.judged}
                    for use in step.expected
                ],
                "obstacles": list(step.obstacles),
                "notes": list(step.doubts),
            }
            for step in planned.steps
        ],
    }


# -- on the way ---------------------------------------------------------------------------------------------------------


def progress(planned: Plan, number: int, state: State, style: Style) -> str:
    """One line that says which step is at work, and how long it took when it was recorded."""
    step = planned.steps[number]
    took = f"; it took {styles.duration(step.run.duration)} then" if step.run.duration and step.run.duration >= 1 else ""
    text = f"[{number + 1}/{len(planned.steps)}] {state} {styles.printable(label(step.run))} {short(step.run.id)}{took}"
    return styles.cut(text, style.width - 1, style)


# -- what came of it ----------------------------------------------------------------------------------------------------


def verdicts(made: Reproduction, style: Style) -> Iterator[str]:
    """A verdict for each file that was asked for, then what else was made, then what went wrong, then one line for all."""
    where = _IN[made.environment]
    asked = [one for one in made.judgements if one.asked]
    others = [one for one in made.judgements if not one.asked]
    width = max((styles.cells(styles.printable(one.verdict.path)) for one in made.judgements), default=0)
    for one in asked:
        yield _line(one, width, where, style)
    if others:
        yield style.paint("also written, for information:", "faint")
        for one in others:
            yield _line(one, width, where, style)
    for done in made.steps:
        yield from _troubles(done, style)
    yield _summary(made, asked, where)


def verdict_lines(made: Reproduction) -> Iterator[str]:
    """The same for programs, fields separated by a tab: verdict, path, environment, note; what was not asked for begins
    with `also `. The last line counts."""
    for one in sorted(made.judgements, key=lambda one: not one.asked):
        also = "" if one.asked else "also "
        note = styles.printable(one.verdict.note or "")
        yield f"{also}{one.verdict.verdict}\t{styles.quoted(one.verdict.path)}\t{_IN[made.environment]}\t{note}".rstrip("\t")
    yield _summary(made, [one for one in made.judgements if one.asked], _IN[made.environment])


def document(made: Reproduction) -> dict[str, Any]:
    """The outcome as JSON: `exit_code`, `environment`, `mode`, `seconds`; `verdicts` (`path`, `verdict`, `expected`, `actual`,
    `note`, the `run` that is judged, and whether that was `asked`); `steps` (`run`, `state`, `reproduction`: the record of what
    was executed now, `exit_code`, `seconds`, `reason`, `notes`, `workspace` if it was left)."""
    return {
        "vestige": 1,
        "environment": made.environment,
        "mode": made.mode,
        "exit_code": made.exit_code,
        "seconds": round(made.seconds, 3),
        "verdicts": [
            {
                "path": wire.escape(one.verdict.path)[0],
                "verdict": one.verdict.verdict,
                "expected": one.verdict.expected,
                "actual": one.verdict.actual,
                "note": one.verdict.note,
                "run": one.run,
                "asked": one.asked,
            }
            for one in made.judgements
        ],
        "steps": [
            {
                "run": done.step.run.id,
                "state": done.state,
                "reproduction": done.ending.run if done.ending else None,
                "exit_code": done.ending.exit_code if done.ending else None,
                "seconds": round(done.ending.seconds, 3) if done.ending else None,
                "reason": done.reason,
                "notes": list(done.notes),
                "workspace": done.workspace,
            }
            for done in made.steps
        ],
    }


def _line(one: Judgement, width: int, where: str, style: Style) -> str:
    verdict = one.verdict
    path = styles.pad(styles.printable(verdict.path), width)
    word = style.word(verdict.verdict) + " " * (11 - len(verdict.verdict))
    note = f"; {styles.printable(verdict.note)}" if verdict.note else ""
    return f"{word} {path}  {style.paint(where, 'faint')}{note}"


def _troubles(done: Done, style: Style) -> Iterator[str]:
    name = f"{short(done.step.run.id)} {styles.printable(label(done.step.run))}"
    if done.state in ("failed", "could not"):
        word = "failed" if done.state == "failed" else "could not be executed"
        yield f"{style.paint(f'{name} {word}', 'bad')}: {styles.printable(done.reason or '')}"
        for obstacle in done.step.obstacles[1:]:
            yield f"  and {styles.printable(obstacle)}"
    for note in done.notes:
        yield f"{name}: {styles.printable(note)}"
    if done.workspace is not None:
        yield f"{name}: its workspace was left in {styles.printable(done.workspace)}"


def _summary(made: Reproduction, asked: Sequence[Judgement], where: str) -> str:
    counts = Counter(one.verdict.verdict for one in asked)
    said = ", ".join(f"{counts[word]:,} {word}" for word in _WORDS if counts[word]) or "nothing to compare"
    executed = sum(done.ending is not None for done in made.steps)
    return f"{styles.count(executed, 'step')}, {styles.duration(made.seconds)}, {where}: {said}"


def _called(run: Run, style: Style) -> str:
    commit = style.paint(_commit(run), "commit")
    return f"{style.paint(styles.printable(label(run)), 'strong')} @ {commit}  {style.paint(short(run.id), 'id')}"


def _commit(run: Run) -> str:
    code = run.code
    return f"{code.commit[:7]}{'+' if code.dirty else ''}" if code is not None and code.commit else "-"


def _shown(supplies: Sequence[Supply]) -> list[Supply]:
    """What is worth a line: not the code that comes as one."""
    return [one for one in supplies if one.source not in ("snapshot", "link")]


def _made(step: Step) -> list[FileUse]:
    """What is worth a line: not what is left in temporary folders, unless it was asked for."""
    return [use for use in step.expected if use.role != "temporary" or use.path in step.judged]


def _fed(one: Supply, numbers: dict[str, int]) -> str:
    if one.source == "step" and one.run is not None:
        return f"from step {numbers[one.run]}" if one.run in numbers else f"from {short(one.run)}"
    return _SOURCES.get(one.source, one.source)


def _tag(one: Supply) -> str:
    return short(one.run) if one.source == "step" and one.run is not None else one.source
