"""What differs between two runs: one line a part first, then each part at length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vestige.model.run import Run, short
from vestige.ops.diff import Change, Difference, Part
from vestige.report import style as styles
from vestige.report.style import Cell, Style, printable

_NAMED = 3  # changes that the line of a part names
_LISTED = 30  # changes that are listed of a part, for people
_HEADERS = ("+++", "---", "diff ", "index ", "new file", "deleted file", "old mode", "new mode", "similarity", "rename")
_NOUNS = {
    "code": "file",
    "packages": "package",
    "system packages": "package",
    "interpreter": "interpreter",
    "variables": "variable",
    "machine": "property",
    "inputs": "file",
    "outputs": "file",
    "values": "value",
}


def page(difference: Difference, style: Style) -> Iterator[str]:
    """For people."""
    first, second = difference.first, difference.second
    yield f"{_name(first, style)} {style.arrow} {_name(second, style)}"
    rows = [[Cell(part.name, "faint"), *cells(part, style)] for part in difference.parts]
    yield from styles.table(style, (), rows, elastic=1, last=True)
    for part in difference.parts:
        if len(part.changes) > _NAMED or (part.name in ("outputs", "inputs") and part.changes):
            yield ""
            yield style.paint(part.name, "strong")
            listed = [[Cell("  " + printable(one.name)), *sides(one, style)] for one in part.changes[:_LISTED]]
            yield from styles.table(style, (), listed, elastic=0)
            if len(part.changes) > _LISTED:
                yield style.paint(f"  {style.more} {len(part.changes) - _LISTED:,} more: --json lists them all", "faint")
    if difference.patch:
        yield ""
        yield from patch(difference, style)


def patch(difference: Difference, style: Style) -> Iterator[str]:
    """What turns the code of the first into that of the second, for people."""
    return (_painted(line, style) for line in _patch(difference).split("\n"))


def lines(difference: Difference) -> Iterator[str]:
    """For programs: part, name, before, after, between tabs; `-` where a run has no such thing. Equal parts say so."""
    for part in difference.parts:
        for change in part.changes:
            fields = (part.name, change.name, change.before or "-", change.after or "-")
            yield "\t".join(printable(field) for field in fields)
        if part.unknown is not None:
            yield f"{part.name}\tunknown\t{printable(part.unknown)}"
        elif not part.changes:
            yield f"{part.name}\tsame"


def document(difference: Difference) -> dict[str, Any]:
    """The whole, as JSON."""
    return {
        "vestige": 1,
        "first": difference.first.id,
        "second": difference.second.id,
        "identical": difference.identical,
        "parts": {
            part.name: {
                "changes": [{"name": one.name, "before": one.before, "after": one.after} for one in part.changes],
                "same": part.same,
                "unknown": part.unknown,
            }
            for part in difference.parts
        },
        "patch": _patch(difference),
    }


def _patch(difference: Difference) -> str:
    return difference.patch.decode("utf-8", "surrogateescape").removesuffix("\n")


def _name(run: Run, style: Style) -> str:
    name = f" {style.paint(printable(run.name), 'strong')}" if run.name else ""
    return f"{style.paint(short(run.id), 'id')}{name}"


def cells(part: Part, style: Style) -> list[Cell]:
    """What is to be said of a part in one line."""
    if not part.changes:
        if part.unknown is not None:
            return [Cell(f"not comparable: {printable(part.unknown)}", "warning")]
        counted = f" ({part.same:,})" if part.same > 1 else ""
        return [Cell(f"same{counted}", "good")]
    noun = _NOUNS.get(part.name)
    if noun is not None and len(part.changes) > _NAMED:
        plural = "properties" if noun == "property" else None
        text = f"{styles.count(len(part.changes), noun, plural)} of {len(part.changes) + part.same:,} differ"
    else:
        text = "; ".join(_short(part, change, style) for change in part.changes)
    if part.unknown is not None:
        text += f" ({printable(part.unknown)})"
    return [Cell(text, "warning")]


def _short(part: Part, change: Change, style: Style) -> str:
    name = printable(change.name)
    if part.name in ("code", "inputs", "outputs") or change.name in ("stdout", "stderr", "terminal"):
        return f"{name} {_how(change)}"
    before, after = printable(change.before or "nothing"), printable(change.after or "nothing")
    if part.name == "command":
        option = "" if change.name == "arguments" else f"{name} " if name.startswith("-") else f"{name}: "
        return f"{option}{before} {style.arrow} {after}"
    return f"{name}: {before} {style.arrow} {after}"


def _how(change: Change) -> str:
    if change.before is None:
        return "only in the second"
    return "only in the first" if change.after is None else "differs"


def sides(change: Change, style: Style) -> list[Cell]:
    """A change in a table: before, an arrow, after."""
    return [Cell(_side(change.before), "bad"), Cell(style.arrow, "faint"), Cell(_side(change.after), "good")]


def _side(text: str | None) -> str:
    if text is None:
        return "none"
    algorithm, colon, rest = text.partition(":")
    if colon and len(rest) >= 40 and algorithm.isalnum():
        return rest[:12]
    return printable(text)


def _painted(line: str, style: Style) -> str:
    text = "".join(one if one.isprintable() or one == "\t" else printable(one) for one in line)
    if line.startswith(
        ("+++", "---", "diff ", "index ", "new file", "deleted file", "old mode", "new mode", "similarity", "rename")
    ):
        return style.paint(text, "strong")
    if line.startswith("@@"):
        return style.paint(text, "notice")
    if line.startswith("+"):
        return style.paint(text, "good")
    return style.paint(text, "bad") if line.startswith("-") else text
