"""Which run, and which file version, the words of a user mean.

A RUN is a full id, the beginning of a short id, a name, `last` or `last~2`, or a path: of a file the run that made it.
A path is what holds a separator, so that `./7f3a` is the file where `7f3a` is the run.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice

from vestige.errors import AmbiguousError, NotFoundError
from vestige.model.files import Digest, Use
from vestige.model.links import Linker, asked_for
from vestige.model.query import RunQuery
from vestige.model.run import Run, Summary, short
from vestige.model.values import value
from vestige.ops import reclassified
from vestige.ops.project import Project

_SHOWN = 8


@value
class FileVersion:
    """A file version that a user named: the path as recorded, its digest, and the run that wrote (or read) it."""

    path: str
    digest: Digest | None
    run: str
    size: int | None = None


def run(project: Project, word: str) -> Run:
    """The record of the run that a word means. Raises NotFoundError, AmbiguousError."""
    return record(project, run_id(project, word))


def record(project: Project, run_id: str) -> Run:
    """The record of a run whose full id is known; of one that is not finished, what its journal holds. Files have the roles
    that are configured."""
    return reclassified.run(_recorded(project, run_id), project.roles)


def _recorded(project: Project, run_id: str) -> Run:
    if project.records.path_of(run_id) is not None:
        return project.records.read(run_id)
    from vestige.record import provisional
    from vestige.store.journal import list_active

    for active in list_active(project.store):
        if active.id == run_id:
            return provisional.run(active)
    return project.records.read(run_id)


def run_id(project: Project, word: str) -> str:
    """The full id of the run that a word means. Raises NotFoundError, AmbiguousError."""
    if os.sep in word:
        return maker(project, word).run
    if (back := _steps_back(word)) is not None:
        return _last(project, back)
    found = project.index.matching(word)
    if len(found) == 1:
        return found[0].id
    if found:
        raise AmbiguousError(f"'{word}' fits {len(found)} runs: {candidates(found)}", hint="give more digits of the id")
    if _is_known(project, word):
        return maker(project, word).run
    raise NotFoundError(f"no run and no file is known as '{word}'", hint="vestige log lists the runs")


def maker(project: Project, path: str) -> Use:
    """The write that made a file as it is now; where nobody made it so, the last write at its path.

    Raises NotFoundError, AmbiguousError.
    """
    recorded = project.relative(path)
    index = project.index
    # A folder is hashed only where one was recorded: `show .` need not read a whole project.
    digest = None if os.path.isdir(path) and not index.uses_at(recorded, written=True) else project.digest_of(path)
    if digest is not None:
        size = None if os.path.isdir(path) else os.path.getsize(path)
        writes = Linker(index).link(asked_for(recorded, digest, size)).writes
        if len(writes) == 1:
            return writes[0]
        if writes:
            summaries = [one for write in writes if (one := index.summary(write.run))]
            raise AmbiguousError(f"{path} may come from {len(writes)} runs: {candidates(summaries)}", hint="name the run")
    written = [use for use in index.uses_at(recorded, written=True) if not use.deleted]
    if written:
        return written[0]
    raise NotFoundError(f"no run is known that made {path}", hint=f"vestige adopt {path} records what you know of it")


def file_version(project: Project, word: str) -> FileVersion:
    """The file version that FILE@RUN means; of FILE alone, the newest that was written. Raises NotFoundError, AmbiguousError."""
    path, at, at_run = word.rpartition("@")
    if not at or not path or _is_known(project, word):
        recorded = project.relative(word)
        written = [use for use in project.index.uses_at(recorded, written=True) if use.digest and not use.deleted]
        if not written:
            raise NotFoundError(f"no run is known that wrote {word}", hint="vestige log lists the runs")
        return FileVersion(recorded, written[0].digest, written[0].run, written[0].size)
    wanted = run_id(project, at_run)
    recorded = project.relative(path)
    found = record(project, wanted)
    for use in (*found.outputs, *found.inputs):
        if use.path == recorded and not use.deleted:
            return FileVersion(recorded, use.digest, wanted, use.size)
    for one in found.collected:
        if one.path == recorded:
            return FileVersion(recorded, one.digest, wanted, one.size)
    raise NotFoundError(f"run {short(wanted)} neither wrote nor read {path}", hint=f"vestige show {short(wanted)}")


def candidates(found: Sequence[Summary]) -> str:
    """Runs in one line, to choose from."""
    named = [f"{short(one.id)} {one.name or one.label} ({one.started[:10]})" for one in found[:_SHOWN]]
    if len(found) > _SHOWN:
        named.append(f"and {len(found) - _SHOWN} more")
    return ", ".join(named)


def _steps_back(word: str) -> int | None:
    name, tilde, count = word.partition("~")
    if name != "last":
        return None
    if not tilde:
        return 0
    if not count:
        return 1
    return int(count) if count.isascii() and count.isdecimal() else None


def _last(project: Project, back: int) -> str:
    """The run so many before the last; what happened inside another run does not count."""
    index = project.index
    alone = (one for one in index.runs(RunQuery()) if one.parent is None or index.summary(one.parent) is None)
    found = next(islice(alone, back, None), None)
    if found is not None:
        return found.id
    total = sum(1 for _ in index.runs(RunQuery(limit=back + 1)))
    if not total:
        raise NotFoundError(f"nothing is recorded in {project.root} yet", hint="vestige run CMD records a command")
    raise NotFoundError(f"there are no {back + 1} runs to count back", hint="vestige log lists the runs")


def _is_known(project: Project, path: str) -> bool:
    return os.path.lexists(path) or bool(project.index.uses_at(project.relative(path), written=True))
