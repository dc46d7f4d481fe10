"""What escaped observation lately, gathered by what it was and what helps against it."""

from __future__ import annotations

from vestige.errors import VestigeError
from vestige.model.query import RunQuery
from vestige.model.values import replace, value
from vestige.observe import escapes
from vestige.ops.project import Project

_LATELY = 200  # runs that are looked at


@value
class Met:
    """A kind of gap: the latest of it in the words of its record, in how many runs it was met, the last of them, what helps."""

    kind: str
    gap: str
    runs: int
    last: str
    advice: str | None


def met(project: Project) -> tuple[Met, ...]:
    """The gaps of the latest runs, the most frequent kind first."""
    found: dict[str, Met] = {}
    for summary in project.index.runs(RunQuery(limit=_LATELY)):
        if not summary.gaps:
            continue
        try:
            observation = project.records.read(summary.id).observation
        except VestigeError:
            continue  # running, or damaged: `check` says so
        kinds = {escapes.kind(gap): gap for gap in reversed(observation.gaps if observation else ())}
        for kind, gap in kinds.items():
            known = found.get(kind)
            if known is None:
                found[kind] = Met(kind, gap, 1, summary.id, escapes.advice(gap))
            else:
                found[kind] = replace(known, runs=known.runs + 1)
    return tuple(sorted(found.values(), key=lambda one: -one.runs))
