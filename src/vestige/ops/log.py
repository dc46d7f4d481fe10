"""The runs of a project, the newest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from vestige.errors import VestigeError
from vestige.model import wire
from vestige.model.conditions import Condition
from vestige.model.query import RunQuery
from vestige.model.run import Run, Summary
from vestige.model.values import replace, value
from vestige.ops import find
from vestige.ops.project import Project


@value
class Entry:
    """One row of the log: what the index says of a run, and its record where that was asked for."""

    summary: Summary
    run: Run | None = None


def log(project: Project, query: RunQuery, where: Sequence[Condition] = (), *, records: bool = False) -> Iterator[Entry]:
    """The runs that fit. Without conditions the index answers alone, unless the `records` are wanted, too; then one
    that cannot be read is passed over, as `check` says."""
    if not where and not records:
        return (Entry(summary) for summary in project.index.runs(query))
    return islice(_read(project, replace(query, limit=None), where), query.limit)


def _read(project: Project, query: RunQuery, where: Sequence[Condition]) -> Iterator[Entry]:
    for summary in project.index.runs(query):
        try:
            run = find.record(project, summary.id)
        except VestigeError:
            continue
        run = replace(run, status=summary.status, tags=summary.tags, note=summary.note)
        document = wire.encode(run) if where else {}
        if all(condition.holds(document) for condition in where):
            yield Entry(summary, run)
