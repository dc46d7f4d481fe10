"""The runs, one a line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from shlex import join

from vestige.errors import UsageError
from vestige.model import series, wire
from vestige.model.conditions import KEYS, values
from vestige.model.run import Summary, short
from vestige.ops.log import Entry, called
from vestige.report import style as styles
from vestige.report.style import Cell, Style

#: What people see, and what programs get, without --columns.
PEOPLE = ("id", "name", "status", "started", "duration", "code", "command")
PROGRAMS = ("id", "status", "started", "duration", "name", "code", "command")

_SUMMARY: dict[str, Callable[[Summary], str]] = {
    "id": lambda one: short(one.id),
    "name": lambda one: called(one) or "",
    "status": lambda one: one.status,
    "started": lambda one: one.started,
    "duration": lambda one: "" if one.duration is None else f"{one.duration:g}",
    "code": lambda one: _code(one),
    "command": lambda one: _command(one),
    "label": lambda one: one.label,
    "kind": lambda one: one.kind,
    "user": lambda one: one.user or "",
    "host": lambda one: one.host,
    "exit_code": lambda one: "" if one.exit_code is None else str(one.exit_code),
    "inputs": lambda one: str(one.inputs),
    "outputs": lambda one: str(one.outputs),
    "parent": lambda one: short(one.parent) if one.parent else "",
    "tags": lambda one: ",".join(one.tags),
    "note": lambda one: one.note or "",
    "cwd": lambda one: one.cwd,
    "gaps": lambda one: str(one.gaps),
}
_OPTIONAL = ("name", "tags", "note", "parent")
_TITLES = {"duration": "took"}
#: Values that the log shows of its own accord: so many, no wider than this, and only if the last column keeps so much.
_OFFERED, _SHORT, _LEAST = 4, 16, 16
_NUMBERS = ("duration", "exit_code", "inputs", "outputs", "gaps")


def columns(text: str) -> tuple[str, ...]:
    """The columns that `--columns` names: those of the log, fields of a record, values. Raises UsageError."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise UsageError(
            "--columns names no column", hint=f"there are {', '.join(_SUMMARY)}, the fields of a record, and what runs logged"
        )
    return names


def needs_records(names: Sequence[str]) -> bool:
    """Whether a column is one that only the record itself has."""
    return any(name not in _SUMMARY for name in names)


def shared(entries: Sequence[Entry]) -> tuple[str, ...]:
    """The values of which at least half of these runs have one that fits into a column: the most common first."""
    counts: dict[str, int] = {}
    for entry in entries:
        for name, one in entry.values.items():
            if isinstance(one, int | float) or (isinstance(one, str) and len(one) <= _SHORT):
                counts[name] = counts.get(name, 0) + 1
    taken = [name for name, count in counts.items() if 2 * count >= len(entries) and styles.cells(name) <= _SHORT]
    return tuple(sorted(taken, key=lambda name: -counts[name])[:_OFFERED])


def table(
    entries: Iterable[Entry],
    names: Sequence[str],
    style: Style,
    now: float,
    *,
    hidden: bool = False,
    offered: Sequence[str] = (),
) -> Iterator[str]:
    """For people. `hidden`: there are more runs than these. Of the values that are `offered`, those for which there is room
    stand before the last column."""
    entries = list(entries)
    titles, rows = cells(entries, names, now)
    for name in offered:
        (title,), column = cells(entries, (name,), now)
        wider = [[*row[:-1], *more, row[-1]] for row, more in zip(rows, column, strict=True)]
        if not styles.fits(style, [*titles[:-1], title, titles[-1]], wider, least=_LEAST):
            break
        titles, rows = [*titles[:-1], title, titles[-1]], wider
    elastic = next((i for i, name in enumerate(titles) if name in ("command", "note", "label")), len(titles) - 1)
    yield from styles.table(style, titles, rows, elastic=elastic, last=True)
    if hidden:
        yield style.paint(f"{style.more} more: vestige log --limit 0 shows all", "faint")


def cells(entries: Sequence[Entry], names: Sequence[str], now: float) -> tuple[list[str], list[list[Cell]]]:
    """The titles and the rows of a table; a column of names, notes or the like in which nothing stands is left out."""
    rows = [[_cell(entry, name, now) for name in names] for entry in entries]
    used = [i for i in range(len(names)) if names[i] not in _OPTIONAL or any(row[i].text for row in rows)]
    titles = [styles.printable(_TITLES.get(names[i], names[i].replace("_", " "))) for i in used]
    return titles, [[row[i] for i in used] for row in rows]


def lines(entries: Iterable[Entry], names: Sequence[str]) -> Iterator[str]:
    """For programs: fields between tabs, `-` where there is nothing, times in UTC, durations in seconds."""
    for entry in entries:
        yield "\t".join(_field(_text(entry, name)) for name in names)


def _cell(entry: Entry, name: str, now: float) -> Cell:
    one = entry.summary
    if name == "id":
        return Cell(short(one.id), "id")
    if name == "status":
        return Cell(one.status, styles.meaning_of(one.status))
    if name == "started":
        return Cell(styles.ago(one.started, now), "faint")
    if name == "duration":
        return Cell(styles.duration(one.duration), right=True)
    if name == "code":
        return Cell(_code(one), "commit")
    text = _text(entry, name, people=True)
    return Cell(styles.printable(text), right=name in _NUMBERS or (name not in _SUMMARY and _is_number(text)))


def _text(entry: Entry, name: str, *, people: bool = False) -> str:
    if name in _SUMMARY:
        return _SUMMARY[name](entry.summary)
    if name in entry.values and name not in KEYS:
        found: Iterable[object] = (entry.values[name],)
    elif name in entry.found:
        found = entry.found[name]
    else:
        found = () if entry.run is None else values(wire.encode(entry.run), name)
    shown = series.text if people else str
    return ",".join("" if one is None else shown(one) for one in found)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _field(text: str) -> str:
    return styles.printable(text) if text else "-"


def _command(one: Summary) -> str:
    """What was executed: of a cell of a notebook not its kernel, which says nothing."""
    if one.kind == "notebook":
        return f"%%vestige {one.label}"
    return join(one.command) or one.label or f"({one.kind})"


def _code(one: Summary) -> str:
    return f"{one.commit[:7]}{'+' if one.dirty else ''}" if one.commit else ""


__all__ = ["PEOPLE", "PROGRAMS", "cells", "columns", "lines", "needs_records", "shared", "table"]
