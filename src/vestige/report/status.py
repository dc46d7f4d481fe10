"""The states of files: a table for people, lines for programs, a JSON document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vestige.model import wire
from vestige.model.run import short
from vestige.model.staleness import STATES, Cause
from vestige.ops.status import Entry, Status
from vestige.report import style as styles
from vestige.report.style import Cell, Style, printable, quoted

#: The version of the JSON document. It counts up when a key changes its meaning or goes; new keys may come at any time.
FORMAT = 1
#: So many causes are named in a table.
_NAMED = 2
#: What the widest state, two gaps and the beginning of a reason take.
_ROOM = 30


def table(status: Status, style: Style, now: float, *, every: bool = False) -> Iterator[str]:
    """For people: what is not fresh and why, and how many files are; with `every`, those too.

    `now` in seconds since the epoch.
    """
    shown = [entry for entry in status.entries if every or entry.state.state != "fresh"]
    rows = [_row(entry.state.state, _name(entry), _why(entry, now), style) for entry in shown]
    rows += [_row("unknown", printable(path), "no known origin", style) for path in status.unknown]
    yield from styles.table(style, (), rows, elastic=2, last=True)
    if rows:
        yield ""
    yield _summary(status, style)


def lines(status: Status) -> Iterator[str]:
    """For programs: state, path and reason, between tabs, every file on a line; `-` where there is no reason to give."""
    for entry in status.entries:
        why = ", ".join(_cause(cause, quoted) for cause in entry.state.causes)
        yield f"{entry.state.state}\t{quoted(entry.path)}\t{why or '-'}"
    for path in status.unknown:
        yield f"unknown\t{quoted(path)}\tno known origin"


def document(status: Status) -> dict[str, Any]:
    """All files, as `docs/lineage.md` describes it."""
    return {
        "format": FORMAT,
        "root": status.root,
        "files": [_entry(entry) for entry in status.entries],
        "unknown": [_path(path) for path in status.unknown],
    }


def cells(entry: Entry, now: float) -> list[Cell]:
    """A file in a table: its state, its path, and why."""
    state = entry.state.state
    return [Cell(state, styles.meaning_of(state)), Cell(_name(entry), "strong"), Cell(_why(entry, now), "faint")]


def _name(entry: Entry) -> str:
    return printable(entry.path) + (f"/  {styles.count(entry.members, 'file')}" if entry.members > 1 else "")


def _why(entry: Entry, now: float) -> str:
    if entry.state.causes:
        named = [_cause(cause, printable) for cause in entry.state.causes[:_NAMED]]
        if entry.state.more or len(entry.state.causes) > _NAMED:
            named.append("and more")
        return ", ".join(named)
    if entry.input:
        return "a raw input: no run made it"
    if entry.run is None:
        return ""
    if entry.state.state == "unknown":
        return f"cannot be compared; by {short(entry.run.id)} {printable(entry.run.label)}"
    return f"made by {short(entry.run.id)} {printable(entry.run.label)}, {styles.ago(entry.run.started, now)}"


def _cause(cause: Cause, name: Any) -> str:
    path = name(cause.path)
    if cause.wrong in _LISTED:
        shown = ", ".join(name(one) for one in cause.names)
        more = f" and {cause.count - len(cause.names):,} more" if cause.count > len(cause.names) else ""
        return f"{path}/ {_LISTED[cause.wrong]} {shown}{more}"
    if cause.wrong == "replaced" and cause.by is not None:
        return f"{path} rewritten by {short(cause.by)}"
    return f"{path} {_SAID[cause.wrong]}"


_SAID = {
    "modified": "is modified",
    "replaced": "was rewritten",
    "missing": "is missing",
    "unknown": "cannot be compared",
    "appeared": "is there now",
}
#: Of a folder that was listed, before the names.
_LISTED = {"added": "was listed without", "removed": "was listed with"}


def _row(state: str, name: str, why: str, style: Style) -> list[Cell]:
    """The path leaves room for the reason."""
    room = max(min(style.width * 3 // 5, style.width - _ROOM), 8)
    return [Cell(state, styles.meaning_of(state)), Cell(styles.fit(name, room, style), "strong"), Cell(why, "faint")]


def _summary(status: Status, style: Style) -> str:
    counted = {state: sum(entry.state.state == state for entry in status.entries) for state in STATES}
    if not status.entries and not status.unknown:
        return style.paint("no run has written a file here", "faint")
    if counted["fresh"] == len(status.entries) and not status.unknown:
        return style.paint(f"{styles.count(len(status.entries), 'file')}, all fresh", "good")
    counted["unknown"] += len(status.unknown)
    return ", ".join(style.paint(f"{number:,} {state}", styles.meaning_of(state)) for state, number in counted.items() if number)


def _entry(entry: Entry) -> dict[str, Any]:
    return _path(entry.path) | {
        "state": entry.state.state,
        "input": entry.input,
        "run": entry.run.id if entry.run is not None else None,
        "files": entry.members,
        "causes": [cause_document(one) for one in entry.state.causes],
        "more_causes": entry.state.more,
    }


def cause_document(cause: Cause) -> dict[str, Any]:
    """A cause, as `docs/lineage.md` describes it."""
    found = _path(cause.path) | {"wrong": cause.wrong, "by": cause.by, "sure": cause.sure}
    if cause.names:
        found |= {"names": [_path(name)["path"] for name in cause.names], "count": cause.count}
    return found


def _path(path: str) -> dict[str, Any]:
    text, escaped = wire.escape(path)
    return {"path": text, "encoding": "percent"} if escaped else {"path": text}


__all__ = ["FORMAT", "cause_document", "cells", "document", "lines", "table"]
