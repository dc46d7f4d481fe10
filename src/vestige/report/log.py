"""The runs, one a line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from shlex import join

from vestige.errors import UsageError
from vestige.model import wire
from vestige.model.conditions import check_field, values
from vestige.model.run import Summary, short
from vestige.model.spelling import nearest
from vestige.ops.log import Entry
from vestige.report import style as styles
from vestige.report.style import Cell, Style

#: What people see, and what programs get, without --columns.
PEOPLE = ("id", "name", "status", "started", "duration", "code", "command")
PROGRAMS = ("id", "status", "started", "duration", "name", "code", "command")

_SUMMARY: dict[str, Callable[[Summary], str]] = {
    "id": lambda one: short(one.id),
    "name": lambda one: one.name or "",
    "status": lambda one: one.status,
    "started": lambda one: one.started,
    "duration": lambda one: "" if one.duration is None else f"{one.duration:g}",
    "code": lambda one: _code(one),
    "command": lambda one: join(one.command) or one.label or f"({one.kind})",
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
_NUMBERS = ("duration", "exit_code", "inputs", "outputs", "gaps")


def columns(text: str) -> tuple[str, ...]:
    """The columns that `--columns` names: those of the log, or any field of a record. Raises UsageError."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise UsageError("--columns names no column", hint=f"there are {', '.join(_SUMMARY)}, and the fields of a record")
    for name in names:
        if name not in _SUMMARY:
            try:
                check_field(name)
            except UsageError as error:
                meant = nearest(name, list(_SUMMARY))
                raise UsageError(f"there is no column '{name}'; did you mean '{meant}'?") if meant else error from None
    return names


def needs_records(names: Sequence[str]) -> bool:
    """Whether a column is one that only the record itself has."""
    return any(name not in _SUMMARY for name in names)


def table(entries: Iterable[Entry], names: Sequence[str], style: Style, now: float, *, hidden: bool = False) -> Iterator[str]:
    """For people. `hidden`: there are more runs than these."""
    rows = [[_cell(entry, name, now) for name in names] for entry in entries]
    used = [
        i for i in range(len(names)) if names[i] not in ("name", "tags", "note", "parent") or any(row[i].text for row in rows)
    ]
    titles = [_TITLES.get(names[i], names[i].replace("_", " ")) for i in used]
    rows = [[row[i] for i in used] for row in rows]
    elastic = next((i for i, name in enumerate(titles) if name in ("command", "note", "label")), len(titles) - 1)
    yield from styles.table(style, titles, rows, elastic=elastic, last=True)
    if hidden:
        yield style.paint(f"{style.more} more: vestige log --limit 0 shows all", "faint")


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
    return Cell(styles.printable(_text(entry, name)), right=name in _NUMBERS)


def _text(entry: Entry, name: str) -> str:
    if name in _SUMMARY:
        return _SUMMARY[name](entry.summary)
    if entry.run is None:
        return ""
    return ",".join("" if one is None else str(one) for one in values(wire.encode(entry.run), name))


def _field(text: str) -> str:
    return styles.printable(text) if text else "-"


def _code(one: Summary) -> str:
    return f"{one.commit[:7]}{'+' if one.dirty else ''}" if one.commit else ""


__all__ = ["PEOPLE", "PROGRAMS", "columns", "lines", "needs_records", "table"]
