"""Values as a notebook shows them: HTML without scripts, readable on a light and on a dark ground, and without its styles.

Every text that came from outside is escaped, and passes through `printable` first, as on a terminal. Colours are of a lightness
at which they can be read on white and on black; what they say stands there in words.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from shlex import join
from typing import Any

from vestige.model.files import LINKED_ROLES, FileUse
from vestige.model.lineage import Lineage
from vestige.model.run import Run, Verdict, short, summarise
from vestige.model.staleness import States
from vestige.ops.diff import Difference
from vestige.ops.log import Entry
from vestige.ops.reproduce import Reproduction
from vestige.ops.show import Shown
from vestige.ops.status import Status
from vestige.ops.trace import Trace
from vestige.report import diff, log, reproduce, show, status, tree
from vestige.report import style as styles
from vestige.report.style import Cell, Meaning, Style, printable

_MANY = 100  # rows of one table
_LINES = 400  # of a tree or of a patch
_STYLE = Style(colour=True, width=110)
_COLOURS: Mapping[Meaning, str] = {
    "good": "#2f8a4c",
    "notice": "#2f7fb5",
    "warning": "#a8701a",
    "bad": "#d0433f",
    "id": "#a8701a",
    "commit": "#2f7fb5",
}
_RULES = (
    ".vestige{font-size:13px;line-height:1.45;color:inherit;max-width:100%;overflow-x:auto}"
    ".vestige table{border-collapse:collapse;margin:.3em 0;background:none;color:inherit}"
    ".vestige tr{background:none!important}"
    ".vestige td,.vestige th{text-align:left;padding:.15em .9em .15em 0;border:0;border-bottom:1px solid rgba(128,128,128,.25);"
    "vertical-align:top;font-weight:normal;color:inherit;white-space:nowrap}"
    ".vestige td:last-child{white-space:normal;overflow-wrap:anywhere;max-width:48em}"
    ".vestige th{opacity:.65}.vestige td.n{text-align:right;font-variant-numeric:tabular-nums}"
    ".vestige pre,.vestige code{background:none;color:inherit;font-family:monospace;padding:0;margin:0}"
    ".vestige pre{margin:.3em 0;overflow-x:auto;white-space:pre}"
    ".vestige .faint{opacity:.65}.vestige .strong{font-weight:bold}.vestige summary{cursor:pointer;opacity:.8}"
    + "".join(f".vestige .{meaning}{{color:{colour}}}" for meaning, colour in _COLOURS.items())
)


def of(value: object, now: float | None = None) -> str | None:
    """A value as HTML; None for what is shown as text only. `now` in seconds since the epoch, for a moment other than this."""
    draw = next((draw for kind, draw in _DRAWN if isinstance(value, kind)), None)
    return None if draw is None else page(draw(value, time.time() if now is None else now))


def page(parts: Iterable[str]) -> str:
    """Parts of HTML as one that stands by itself."""
    return f'<div class="vestige"><style>{_RULES}</style>{"".join(parts)}</div>'


def line(text: str, meaning: Meaning = "plain") -> str:
    """One line of text."""
    return f"<div>{span(text, meaning)}</div>"


def span(text: str, meaning: Meaning = "plain") -> str:
    """A text in the colour of its meaning."""
    shown = escape(printable(text))
    return shown if meaning == "plain" else f'<span class="{meaning}">{shown}</span>'


def table(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """A table; `header` may be empty. Of very many rows the first are shown."""
    rows = list(rows)
    if not rows:
        return ""
    head = f"<thead><tr>{''.join(f'<th>{span(title)}</th>' for title in header)}</tr></thead>" if header else ""
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows[:_MANY])
    more = line(f"… {len(rows) - _MANY:,} more", "faint") if len(rows) > _MANY else ""
    return f"<table>{head}<tbody>{body}</tbody></table>{more}"


def runs(entries: Sequence[Entry], root: str, now: float, *, hidden: bool = False) -> str:
    """The runs of a project, the newest first; `hidden`: there are more."""
    more = [line("… and more", "faint")] if hidden else []
    return page([line(root, "faint"), _runs(entries, now), *more])


def _cell(cell: Cell) -> str:
    kind = ' class="n"' if cell.right else ""
    return f"<td{kind}>{span(cell.text, cell.meaning)}</td>"


def _runs(entries: Sequence[Entry], now: float) -> str:
    names = [*log.PEOPLE[:-1], *log.shared(entries), log.PEOPLE[-1]]
    return table(*log.cells(entries, names, now))


def _text(lines: Iterable[str]) -> str:
    """What a report for terminals says, colours included."""
    every = list(lines)
    if len(every) > _LINES:
        every = [*every[:_LINES], f"… {len(every) - _LINES:,} more lines"]
    return "<pre>" + "\n".join(map(_painted, every)) + "</pre>"


def _painted(text: str) -> str:
    """A line with the codes of a terminal in it, as HTML: nothing but a `Style` writes those."""
    codes = {code: meaning for meaning, code in styles.CODES.items() if meaning not in ("id", "commit")}
    found: list[str] = []
    for part in text.split("\x1b["):
        code, letter, rest = part.partition("m") if found else ("", "", part)
        meaning = codes.get(code) if letter else None
        found.append(f'<span class="{meaning}">{escape(rest)}</span>' if meaning else escape(rest))
    return "".join(found)


def _title(name: str, many: int) -> str:
    return f"<div><b>{span(name)}</b> {span(f'({many:,})', 'faint')}</div>"


# -- each kind of value -------------------------------------------------------------------------------------------------


def _shown(found: Shown, now: float) -> Iterator[str]:
    run, state = found.run, found.summary.status
    ending = f" (signal {run.signal})" if run.signal is not None else f" (exit {run.exit_code})" if run.exit_code else ""
    partial = f" · {span(show.PARTIAL, 'warning')}" if run.observation is not None and run.observation.gaps else ""
    name = f"<b>{span(run.name)}</b> " if run.name else ""
    yield f"<div>{span(short(run.id), 'id')} {name}{span(state, styles.meaning_of(state))}{span(ending)}{partial}</div>"
    if run.command and run.kind != "notebook":
        yield f"<div><code>$ {span(join(run.command))}</code></div>"
    yield table((), [[Cell(name, "faint"), Cell(text)] for name, text in show.facts(found, now)])
    source = (run.function or {}).get("source")
    if isinstance(source, str):
        text = _text(map(printable, source.rstrip().split("\n")))
        yield f"<details><summary>source</summary>{text}</details>"
    if run.values:
        yield _title("values", len(run.values)) + table((), show.values(run, _STYLE))
    yield from _uses(run)
    gaps = run.observation.gaps if run.observation is not None else ()
    for title, texts in (("may have escaped", gaps), ("problems", (*run.problems, *found.problems))):
        if texts:
            yield line(title, "warning") + "".join(line(text) for text in texts)


def _run(run: Run, now: float) -> Iterator[str]:
    yield from _shown(Shown(run=run, summary=summarise(run)), now)


def _uses(run: Run) -> Iterator[str]:
    for title, uses in (("inputs", run.inputs), ("outputs", run.outputs)):
        seen = [use for use in uses if use.role in LINKED_ROLES]
        if seen:
            yield _title(title, len(seen)) + table((), [show.row(use, _STYLE) for use in seen])


def _use(use: FileUse, _: float) -> Iterator[str]:
    yield table(("file", "size", "digest", ""), [show.row(use, _STYLE)])


def _trace(found: Trace, now: float) -> Iterator[str]:
    yield _text(tree.tree(found, _STYLE, now))


def _lineage(found: Lineage, now: float) -> Iterator[str]:
    yield from _trace(Trace(found, States({}, {}), ""), now)


def _status(found: Status, now: float) -> Iterator[str]:
    wide = Style(colour=True, width=0)
    *_, summary = status.table(found, wide, now)
    shown = [entry for entry in found.entries if entry.state.state != "fresh"]
    rows = [status.cells(entry, now) for entry in shown]
    rows += [[Cell("unknown", "faint"), Cell(path, "strong"), Cell("no known origin", "faint")] for path in found.unknown]
    yield table((), rows)
    yield f"<div>{_painted(summary)}</div>"


def _diff(found: Difference, _: float) -> Iterator[str]:
    sides = [f"{span(short(run.id), 'id')} {span(run.name or '')}".strip() for run in (found.first, found.second)]
    yield f"<div>{' → '.join(sides)}</div>"
    yield table((), [[Cell(part.name, "faint"), *diff.cells(part, _STYLE)] for part in found.parts])
    for part in found.parts:
        if len(part.changes) > 1:
            rows = [[Cell(one.name), *diff.sides(one, _STYLE)] for one in part.changes]
            yield f"<details><summary>{span(part.name)} ({len(rows):,})</summary>{table((), rows)}</details>"
    if found.patch:
        yield f"<details><summary>patch</summary>{_text(diff.patch(found, _STYLE))}</details>"


def _reproduction(made: Reproduction, _: float) -> Iterator[str]:
    ordered = sorted(made.judgements, key=lambda one: not one.asked)
    yield table(
        (),
        [[*_verdict_cells(one.verdict), Cell("" if one.asked else "also written, for information", "faint")] for one in ordered],
    )
    *troubles, summary = reproduce.verdicts(made, _STYLE)
    said = len(made.judgements) + any(not one.asked for one in made.judgements)
    yield from (f"<div>{_painted(text)}</div>" for text in troubles[said:])
    yield line(summary)


def _verdict(verdict: Verdict, _: float) -> Iterator[str]:
    yield table((), [_verdict_cells(verdict)])


def _verdict_cells(verdict: Verdict) -> list[Cell]:
    word = Cell(verdict.verdict, styles.meaning_of(verdict.verdict))
    return [word, Cell(verdict.path, "strong"), Cell(verdict.note or "", "faint")]


def _entry(entry: Entry, now: float) -> Iterator[str]:
    yield _runs([entry], now)


_DRAWN: tuple[tuple[type, Callable[[Any, float], Iterator[str]]], ...] = (
    (Run, _run),
    (Shown, _shown),
    (FileUse, _use),
    (Trace, _trace),
    (Lineage, _lineage),
    (Status, _status),
    (Difference, _diff),
    (Reproduction, _reproduction),
    (Verdict, _verdict),
    (Entry, _entry),
)
