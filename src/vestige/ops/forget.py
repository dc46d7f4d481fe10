"""Forgetting, on purpose and for good: a record, of which a tombstone stays; or a file that need not be there any more."""

from __future__ import annotations

import os

from vestige.errors import NotFoundError, RefusedError, VestigeError
from vestige.model.run import Run, short
from vestige.model.values import value
from vestige.ops import find
from vestige.ops.project import Project
from vestige.record.identity import user
from vestige.store import journal
from vestige.store.records import Note


@value
class Forgotten:
    """What was forgotten: a run, or (with `path`) that a run's output should be there."""

    run: str
    path: str | None = None


def forget(project: Project, word: str) -> Forgotten:
    """Forget a run; or, where the word is the path of a recorded output that is gone, stop asking for that file.

    Raises NotFoundError, AmbiguousError; RefusedError for a run that is running, and for a file that is there.
    """
    if (path := _removed_output(project, word)) is not None:
        return path
    run_id = find.run_id(project, word)
    for active in journal.list_active(project.store):
        if active.id == run_id:
            raise RefusedError(f"run {short(run_id)} has not ended yet", hint="wait for it, or end it, then forget it")
    run = _legible(project, run_id)
    project.records.tombstone(run_id, user=user())
    if run is not None:
        try:
            project.catalogue.forget(run)
        except OSError:
            pass  # the tombstone keeps it away from this project; the catalogue may be on another disk
    return Forgotten(run_id)


def _legible(project: Project, run_id: str) -> Run | None:
    try:
        return project.records.read(run_id)
    except VestigeError:
        return None


def _removed_output(project: Project, word: str) -> Forgotten | None:
    recorded = project.relative(word)
    if os.sep not in word and project.index.matching(word):
        return None
    written = [use for use in project.index.uses_at(recorded, written=True) if not use.deleted]
    if not written:
        if os.sep in word:
            raise NotFoundError(f"no run is known that wrote {word}", hint="vestige log lists the runs")
        return None
    if os.path.lexists(word):
        raise RefusedError(f"{word} is there", hint=f"to forget the run that made it: vestige forget {short(written[0].run)}")
    project.records.add_note(written[0].run, Note(run=written[0].run, user=user(), removed=(recorded,)))
    return Forgotten(written[0].run, recorded)
