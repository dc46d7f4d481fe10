"""A lineage as a graph for Graphviz: files are boxes with rounded corners, runs are boxes, arrows run as the data did."""

from __future__ import annotations

from collections.abc import Iterator

from vestige.model.run import short
from vestige.model.staleness import State
from vestige.ops.trace import Trace
from vestige.report.style import printable
from vestige.report.trace import Thing, code, origin_of, shown, things, worst

_COLOURS: dict[State, str] = {
    "fresh": "black",
    "modified": "darkorange",
    "missing": "red",
    "stale": "darkorange",
    "possibly stale": "steelblue",
    "unknown": "gray50",
}


def dot(trace: Trace) -> Iterator[str]:
    """The lines of the graph."""
    lineage = trace.lineage
    yield "digraph lineage {"
    yield "  rankdir=LR;"
    yield '  node [fontname="Helvetica,sans-serif", fontsize=11];'
    files: dict[object, str] = {}
    for file in lineage.targets:
        thing = Thing(file.thing or file.path, (file,))
        yield _file(trace, files, thing, None)
    for number, step in enumerate(lineage.steps):
        run = step.run
        label = f"{printable(run.label) or run.kind}\n@ {code(run)}  {short(run.id)}"
        yield f'  run{number} [shape=box, style=filled, fillcolor="gray95", label={_text(label)}];'
        for thing in things(step.inputs):
            if _key(thing) not in files:
                yield _file(trace, files, thing, run.id)
            marks = [name for name, holds in (("clocks differ", thing.one.clock), ("ambiguous", thing.one.ambiguous)) if holds]
            style = f" [style=dashed, label={_text(', '.join(marks))}]" if marks else ""
            yield f"  {files[_key(thing)]} -> run{number}{style};"
        for thing in things(step.outputs):
            if _key(thing) not in files:
                yield _file(trace, files, thing, None)
            yield f"  run{number} -> {files[_key(thing)]};"
    yield "}"


def _file(trace: Trace, files: dict[object, str], thing: Thing, reader: str | None) -> str:
    """The line of a file, which gets a name by it."""
    name = files[_key(thing)] = f"file{len(files)}"
    state = worst(trace, thing, reader).state
    words = printable(shown(trace, thing.path)) + ("" if state in ("fresh", "unknown") else f"\n{state}")
    return f'  {name} [shape=box, style=rounded, color="{_COLOURS[state]}", label={_text(words)}];'


def _key(thing: Thing) -> object:
    """A file that one run made and another read is one box, whatever either calls it."""
    one = thing.one
    if (made_as := origin_of(one)) is not None:
        return (one.origins[0].run, made_as, None if one.thing is not None else one.digest)
    return (thing.path, one.digest)


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


__all__ = ["dot"]
