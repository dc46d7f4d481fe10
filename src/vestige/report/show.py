"""One run on a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from shlex import join, quote

from vestige.model import plain, series
from vestige.model.environment import Environment
from vestige.model.files import LINKED_ROLES, FileUse
from vestige.model.machine import Machine
from vestige.model.run import Run, short
from vestige.ops.hidden import Hidden
from vestige.ops.show import Shown
from vestige.report import style as styles
from vestige.report.style import Cell, Style, printable

_INDENT = 14
_FEW = 6  # variables that are shown without --all
#: Variables that tell little of a run, though they may bear on it: shown with --all.
_COMMONPLACE = frozenset({"HOME", "PATH", "SHELL", "LANG", "USER", "LOGNAME", "TERM", "TZ", "PWD", "TMPDIR"})
#: The word for a run of which something may have escaped observation.
PARTIAL = "partial"
_SOURCE = 20  # lines of a cell that are shown without --all
_LONGEST = 100  # characters of what a hook has found that are shown without --all
_MANY = 40  # files of one list that are shown without --all
_ROLES = {"drop": "no file of the run"}
_HIDDEN = {
    "cache": "what programs keep to be faster: bytecode, fonts, compiled kernels",
    "temporary": "in a temporary folder outside the project",
    "library": "belongs to an installed package",
    "system": "belongs to the system",
}


def page(shown: Shown, style: Style, now: float, *, everything: bool = False) -> Iterator[str]:
    """For people. `everything`: what is hidden otherwise, too, with the reason."""
    yield from _head(shown, style)
    yield ""
    for name, text in facts(shown, now, everything=everything):
        yield from _fact(name, text, style)
    run = shown.run
    yield from _source(run, style, everything=everything)
    yield from _values(run, style, everything=everything)
    yield from _files("inputs", run.inputs, style, everything=everything)
    yield from _files("outputs", run.outputs, style, everything=everything)
    yield from _collected(run, style)
    if everything and run.processes:
        yield ""
        yield style.paint(f"processes ({len(run.processes)})", "strong")
        for process in run.processes:
            yield f"  {process.pid:>7}  {printable(join(process.argv))}"
    yield from _hidden(shown.hidden, style)
    gaps = run.observation.gaps if run.observation else ()
    yield from _warnings("may have escaped", gaps, style)
    yield from _warnings("problems", (*run.problems, *shown.problems), style)


def lines(shown: Shown) -> Iterator[str]:
    """For programs: a name, a tab, what it is. Files have path, digest, size, role, access, all of them; values their name,
    the last one, and how many there are."""
    run = shown.run
    facts = {
        "id": run.id,
        "name": run.name,
        "kind": run.kind,
        "status": shown.summary.status,
        "exit_code": run.exit_code,
        "signal": run.signal,
        "command": join(run.command) if run.command else None,
        "cwd": run.cwd,
        "started": run.started,
        "ended": run.ended,
        "duration": run.duration,
        "user": run.user,
        "host": run.host,
        "commit": run.code.commit if run.code else None,
        "dirty": str(run.code.dirty).lower() if run.code and run.code.dirty is not None else None,
        "snapshot": run.code.snapshot if run.code else None,
        "environment": run.environment,
        "machine": run.machine,
        "parent": run.parent,
        "tags": ",".join(shown.summary.tags) or None,
        "note": shown.summary.note,
        "observed_by": run.observation.method if run.observation else None,
        "observed": (PARTIAL if run.observation.gaps else "whole") if run.observation else None,
    }
    for name, value in facts.items():
        if value is not None:
            yield f"{name}\t{printable(str(value))}"
    for name, found in run.context.items():
        yield f"context\t{printable(name)}\t{printable(plain.dumps(found))}"
    for name, logged in run.values.items():
        yield f"value\t{printable(name)}\t{printable(str(series.last(logged)))}\t{len(series.points(logged))}"
    for name, uses in (("input", run.inputs), ("output", run.outputs)):
        for use in uses:
            size = "-" if use.size is None else str(use.size)
            yield f"{name}\t{printable(use.path)}\t{printable(use.digest or '-')}\t{size}\t{use.role}\t{use.access}"
    for taken in run.collected:
        digest = taken.other or taken.digest or "-"
        yield f"collected\t{printable(taken.path)}\t{printable(digest)}\t{taken.way}\t{printable(taken.item or '-')}"
    for named in run.code.repositories if run.code else ():
        if named.name is not None:
            state = "dirty" if named.dirty else "clean"
            yield f"repository\t{printable(named.name)}\t{printable(named.path)}\t{named.commit or '-'}\t{state}"
    for name, paths in (("private", run.code.private), ("withheld", run.code.withheld)) if run.code else ():
        yield from (f"{name}\t{printable(path)}" for path in paths)
    for one in run.network:
        yield f"connection\t{printable(str(one.get('endpoint')))}\t{printable(str(one.get('name') or '-'))}"
    for reason in run.observation.refused if run.observation else ():
        yield f"refused\t{printable(reason)}"
    for gap in run.observation.gaps if run.observation else ():
        yield f"gap\t{printable(gap)}"
    for problem in (*run.problems, *shown.problems):
        yield f"problem\t{printable(problem)}"


def _head(shown: Shown, style: Style) -> Iterator[str]:
    run, status = shown.run, shown.summary.status
    ending = f"signal {run.signal}" if run.signal is not None else f"exit {run.exit_code}" if run.exit_code else ""
    state = style.word(status) + (f" ({ending})" if ending else "")
    if run.observation is not None and run.observation.gaps:
        state += style.dot + style.paint(PARTIAL, "warning")
    name = f"  {style.paint(printable(run.name), 'strong')}" if run.name else ""
    yield f"{style.paint(short(run.id), 'id')}{name}  {state}"
    if run.command and run.kind != "notebook":  # of a cell it is its kernel's
        yield f"  {style.paint('$', 'faint')} {printable(join(run.command))}"


def facts(shown: Shown, now: float, *, everything: bool = False) -> Iterator[tuple[str, str]]:
    run = shown.run
    if run.kind != "command":
        yield "kind", run.kind
    took = f", took {styles.duration(run.duration)}" if run.duration is not None else ""
    yield "started", f"{run.started[:19].replace('T', ' ')} UTC, {styles.ago(run.started, now)}{took}"
    who = " on ".join(word for word in (run.user, run.host) if word)
    yield "by", f"{who}, in {printable(run.cwd)}" if run.cwd != "." else who
    if run.function:
        yield from _function(run.function, everything=everything)
    if run.code is not None:
        yield "code", _code(run)
        if run.code.private:
            yield "private", f"{_some(run.code.private)}: holds a secret, so kept for you alone, never shared"
    if run.script is not None:
        yield "script", printable(run.script.path)
    if shown.environment is not None:
        yield "environment", _environment(shown.environment)
    if shown.machine is not None:
        yield "machine", _machine(shown.machine)
    yield from _context(shown, everything=everything)


def _context(shown: Shown, *, everything: bool) -> Iterator[tuple[str, str]]:
    run, summary = shown.run, shown.summary
    job = [printable(str(value)) for name, value in (run.job or {}).items() if value is not None and name != "container"]
    if job:
        yield "job", " ".join(job)
    telling = {name: value for name, value in run.variables.items() if everything or name not in _COMMONPLACE}
    if telling:
        named = [f"{name}={_value(value, everything=everything)}" for name, value in sorted(telling.items())]
        more = len(run.variables) - min(len(named), _FEW)
        yield "variables", ", ".join(named if everything or not more else [*named[:_FEW], f"{more} more (--all)"])
    if run.redactions:
        yield "redacted", ", ".join(f"{one.at} ({one.kind})" for one in run.redactions)
    if run.stdin is not None and run.stdin.path:
        yield "stdin", printable(run.stdin.path)
    if run.streams:
        sizes = ", ".join(f"{name} {styles.size(one.size)}" for name, one in run.streams.items())
        yield "streams", f"{sizes} (vestige show {short(run.id)} --log)"
    for name, found in run.context.items():
        yield printable(name), printable(_brief(plain.dumps(found), everything=everything))
    if shown.parent is not None:
        yield "inside", f"{short(shown.parent.id)} {printable(shown.parent.label)}"
    if shown.children:
        yield (
            "ran",
            ", ".join(f"{short(one.id)} {printable(one.label)}" for one in shown.children[:5])
            + (f" and {len(shown.children) - 5} more" if len(shown.children) > 5 else ""),
        )
    if run.reproduction is not None:
        verdicts = ", ".join(f"{one.verdict} {printable(one.path)}" for one in run.reproduction.verdicts)
        yield "reproduces", short(run.reproduction.of) + (f": {verdicts}" if verdicts else "")
    if summary.tags:
        yield "tags", ", ".join(printable(tag) for tag in summary.tags)
    if summary.note:
        yield "note", printable(summary.note)
    if run.observation is not None:
        seen = f", {styles.count(run.observation.events, 'event')}" if run.observation.events else ""
        unread = f", {styles.count(run.observation.unreadable, 'call')} not readable" if run.observation.unreadable else ""
        yield "observed by", f"{run.observation.method}{seen}{unread}"
        for reason in run.observation.refused:
            yield "not by", printable(reason)
    if run.network:
        yield "network", _endpoints(run, everything=everything)


def _function(function: Mapping[str, object], *, everything: bool) -> Iterator[tuple[str, str]]:
    """What was called, with what, and what came of it."""
    line = f", {function.get('file')}:{function['line']}" if function.get("line") else ""
    yield "function", f"{function.get('module')}.{function.get('name')}{line}"
    arguments = function.get("arguments")
    if isinstance(arguments, Mapping) and arguments:
        named = [
            f"{name}={_value(one, everything=everything) if isinstance(one, str) else series.text(one)}"
            for name, one in arguments.items()
        ]
        more = len(named) - _FEW
        yield "arguments", ", ".join(named if everything or more <= 0 else [*named[:_FEW], f"{more} more (--all)"])
    raised = function.get("exception")
    if isinstance(raised, Mapping):
        yield "raised", f"{raised.get('type')}: {raised.get('message')}"
    elif function.get("result") is not None:
        yield "returned", styles.cut(printable(series.text(function["result"])), 200)


def _source(run: Run, style: Style, *, everything: bool) -> Iterator[str]:
    """What stands in the cell of a notebook."""
    source = (run.function or {}).get("source")
    if isinstance(source, str) and source.strip():
        yield ""
        yield style.paint("source", "strong")
        every = source.strip("\n").split("\n")
        shown = every if everything else every[:_SOURCE]
        yield from (f"  {printable(line)}".rstrip() for line in shown)
        if len(shown) < len(every):
            yield "  " + style.paint(f"{style.more} {len(every) - len(shown):,} more lines: --all shows them", "faint")


def _brief(text: str, *, everything: bool) -> str:
    return text if everything or len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _values(run: Run, style: Style, *, everything: bool) -> Iterator[str]:
    """What the run logged: the last of each, how many there are, and how they went."""
    if not run.values:
        return
    yield ""
    yield style.paint(f"values ({len(run.values)})", "strong")
    rows = values(run, style)
    shown = rows if everything else rows[:_MANY]
    yield from (f"  {line}" for line in styles.table(_narrower(style), (), shown))
    if len(shown) < len(rows):
        yield "  " + style.paint(f"{style.more} {len(rows) - len(shown):,} more: --all shows them", "faint")


def values(run: Run, style: Style) -> list[list[Cell]]:
    """The values of a run in a table: name, the last one, how many there are, how they went."""
    rows = []
    for name, logged in run.values.items():
        times = len(series.points(logged))
        drawn = styles.sparkline(series.numbers(logged), style) if times > 1 else ""
        rows.append(
            [
                Cell(printable(name)),
                Cell(styles.cut(printable(series.text(series.last(logged))), 60, style), right=bool(series.numbers(logged))),
                Cell(f"{times:,} times" if times > 1 else "", "faint", right=True),
                Cell(drawn, "notice"),
            ]
        )
    return rows


def _endpoints(run: Run, *, everything: bool) -> str:
    named = [f"{one.get('endpoint')} ({one['name']})" if one.get("name") else str(one.get("endpoint")) for one in run.network]
    rest = [] if everything or len(named) <= _FEW else [f"{len(named) - _FEW} more (--all)"]
    return ", ".join([*(named if not rest else named[:_FEW]), *rest])


def _value(value: str, *, everything: bool) -> str:
    text = printable(value)
    return quote(text) if everything or len(text) <= 30 else text[:29] + "…"


def _code(run: Run) -> str:
    code = run.code
    assert code is not None
    words = [f"{code.commit[:7]}{'+' if code.dirty else ''}" if code.commit else "no commit"]
    if code.branch:
        words.append(f"on {printable(code.branch)}")
    every = "every other source file kept" if code.withheld else "every source file kept"
    words.append(every if code.snapshot else "no snapshot")
    if code.changed_during_run:
        words.append("changed during the run")
    if code.withheld:
        words.append(f"not exactly restorable without {_some(code.withheld)}, withheld")
    return ", ".join([" ".join(words[:2]) if code.branch else words[0], *words[2 if code.branch else 1 :]])


def _some(paths: Sequence[str]) -> str:
    rest = [f"{len(paths) - 3} more"] if len(paths) > 4 else []
    return ", ".join([*map(printable, paths[: 3 if rest else 4]), *rest])


def _environment(environment: Environment) -> str:
    parts = [
        f"{one.language} {one.version or ''}".strip() + (f" ({one.kind})" if one.kind else "") for one in environment.interpreters
    ]
    if environment.packages:
        parts.append(styles.count(len(environment.packages), "package"))
    if environment.conda:
        parts.append(styles.count(len(environment.conda), "conda package"))
    if environment.system:
        parts.append(styles.count(len(environment.system), "system package"))
    return ", ".join(parts) or "nothing known"


def _machine(machine: Machine) -> str:
    parts = [machine.distribution or machine.system, f"kernel {machine.kernel}"]
    if machine.cpu:
        parts.append(f"{machine.cpus} × {machine.cpu}" if machine.cpus else machine.cpu)
    if machine.memory:
        parts.append(styles.size(machine.memory))
    parts += machine.gpus
    if machine.container:
        parts.append(f"in {machine.container}")
    return ", ".join(printable(part) for part in parts)


def _fact(name: str, text: str, style: Style) -> Iterator[str]:
    """A name and its text, wrapped so that the name stands alone."""
    lead = f"  {style.paint(styles.pad(printable(name), _INDENT - 2), 'faint')}"
    width = max(style.width - _INDENT, 30) if style.width else 0
    for position, part in enumerate(styles.wrap(printable(text), width)):
        yield (lead if position == 0 else " " * _INDENT) + part


def _files(title: str, uses: Sequence[FileUse], style: Style, *, everything: bool) -> Iterator[str]:
    seen = uses if everything else [use for use in uses if use.role in LINKED_ROLES]
    hidden = len(uses) - len(seen)
    if not uses:
        return
    yield ""
    yield style.paint(f"{title} ({len(seen)})", "strong")
    shown = list(seen) if everything else _first(seen)
    yield from (
        f"  {line}"
        for line in styles.table(_narrower(style), (), [row(use, style, everything=everything) for use in shown], elastic=0)
    )
    rest = []
    if len(shown) < len(seen):
        rest.append(f"{len(seen) - len(shown):,} more")
    if hidden:
        roles = " and ".join(sorted({use.role for use in uses if use.role not in LINKED_ROLES}))
        rest.append(f"{hidden:,} hidden ({roles})")
    if rest:
        yield "  " + style.paint(f"{style.more} {', '.join(rest)}: --all shows them", "faint")


def _collected(run: Run, style: Style) -> Iterator[str]:
    """What the configuration had collected, and the further repositories that it names."""
    ways = {"digest": "", "copy": "copied", "move": "moved"}
    rows = []
    for one in run.collected:
        algorithm = (one.other or one.digest or "").partition(":")[0]
        rows.append([Cell(printable(one.path)), Cell(algorithm, "faint"), Cell(ways.get(one.way, one.way))])
    if rows:
        yield ""
        yield style.paint(f"collected ({len(rows)})", "strong")
        yield from (f"  {line}" for line in styles.table(_narrower(style), (), rows, elastic=0))
    repositories = [one for one in run.code.repositories if one.name is not None] if run.code else []
    if repositories:
        yield ""
        yield style.paint(f"repositories ({len(repositories)})", "strong")
    for named in repositories:
        state = "+" if named.dirty else ""
        yield f"  {printable(named.name or '')} @ {(named.commit or '-')[:7]}{state}  {printable(named.path)}"


def _hidden(hidden: Sequence[Hidden], style: Style) -> Iterator[str]:
    """What the record does not list, by the rule that hid it."""
    if not hidden:
        return
    yield ""
    yield style.paint(f"hidden ({len(hidden):,})", "strong")
    for (role, rule), group in groupby(hidden, key=lambda one: (one.role, one.rule)):
        paths = [printable(one.path) for one in group]
        yield f"  {_ROLES.get(role, role)}: {rule} ({len(paths):,})"
        yield from (f"    {style.paint(path, 'faint')}" for path in paths)


def _first(uses: Sequence[FileUse]) -> list[FileUse]:
    """Data before configuration before code, and not too many."""
    order = {"data": 0, "config": 1, "code": 2}
    return sorted(uses, key=lambda use: order.get(use.role, 3))[:_MANY]


def row(use: FileUse, style: Style, *, everything: bool = False) -> list[Cell]:
    """A use of a file in a table: path, size, digest, and what is to be said of it."""
    marks = []
    if use.role != "data":
        marks.append(f"{use.role}: {_HIDDEN[use.role]}" if everything and use.role in _HIDDEN else use.role)
    if use.access not in ("read", "write"):
        marks.append(use.access)
    if use.evidence == ("declared",):
        marks.append("declared")
    marks += [word for word, said in (("kept", use.kept), ("deleted", use.deleted), ("recovered", use.recovered)) if said]
    if use.kind:
        marks.append(use.kind)
    path = printable(use.path) + (f" {style.arrow} {printable(use.link)}" if use.link else "")
    digest = Cell("link", "faint") if use.link else Cell(styles.digest(use.digest), "faint")
    return [Cell(path), Cell(styles.size(use.size), right=True), digest, Cell(", ".join(marks), "faint")]


def _narrower(style: Style) -> Style:
    return Style(colour=style.colour, width=max(style.width - 2, 38) if style.width else 0, unicode=style.unicode)


def _warnings(title: str, texts: Iterable[str], style: Style) -> Iterator[str]:
    found = list(texts)
    if found:
        yield ""
        yield style.paint(title, "warning")
        for text in found:
            yield from (f"  {part}" for part in styles.wrap(printable(text), style.width and style.width - 2))
