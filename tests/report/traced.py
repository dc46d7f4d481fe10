"""Lineages of literal histories, with a disk that is as they left it but for what a test changes."""

from __future__ import annotations

from collections.abc import Mapping

from tests.model.history import MORNING, History
from tests.model.test_lineage import ask
from vestige.model.lineage import Version, downstream, upstream, upstream_of
from vestige.model.staleness import Current, judge
from vestige.ops.trace import Trace
from vestige.report.style import Style
from vestige.report.trace import lines
from vestige.report.tree import tree

#: A day and an hour after the histories begin.
NOW = MORNING + 90_000.0


def traced(
    history: History,
    what: str,
    changed: Mapping[str, str | None] | None = None,
    *,
    down: bool = False,
    depth: int | None = None,
    spans: bool = False,
) -> Trace:
    """`changed`: other contents than recorded, by path; None: gone."""
    lineage = (downstream if down else upstream)(history, ask(what), depth)
    files = [*lineage.targets, *(file for step in lineage.steps for file in (*step.inputs, *step.outputs))]
    whole = upstream_of(history, [Version(file.path, file.digest, file.size) for file in files]) if down else lineage
    lying: dict[str, str | None] = {use.path: use.digest for use in sorted(history.uses, key=lambda use: use.seq)}
    lying |= {path: None if content is None else f"b:{content}" for path, content in (changed or {}).items()}
    target = ask(what)
    lying.setdefault(target.path, target.digest)

    def current(path: str) -> Current:
        return Current(exists=lying.get(path) is not None, digest=lying.get(path))

    return Trace(lineage, judge(whole, current, lambda path: history.uses_at(path, written=True)), "/home/ada/p", spans)


def screen(trace: Trace, width: int = 80, *, unicode: bool = True) -> str:
    """The tree as it stands on a terminal."""
    return "\n" + "\n".join(tree(trace, Style(width=width, unicode=unicode), NOW)) + "\n"


def piped(trace: Trace) -> str:
    """The lines as a program gets them."""
    return "\n" + "\n".join(lines(trace)) + "\n"
