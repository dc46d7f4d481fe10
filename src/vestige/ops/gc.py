"""Dropping what nothing needs: leftovers, and kept contents that can be made again. Never a record.

What a record refers to (environment, machine, streams, long lists, snapshots of code) is needed for as long as the
record is there. What a record merely *kept*, the bytes of small inputs and outputs, may go: first what nobody has used
for long or the budget has no room for and a recorded run can make again, and only then, for the budget alone, the rest,
the least recently used first.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from typing import Literal

from vestige.errors import VestigeError
from vestige.model.files import Digest
from vestige.model.links import instant
from vestige.model.run import Run
from vestige.model.values import field, value
from vestige.ops.check import needed
from vestige.ops.project import Project
from vestige.store import journal

Reason = Literal["nothing refers to it", "can be made again", "over the budget"]

#: An object younger than this may belong to a run that has not said so yet, in seconds.
_YOUNG = 3600.0


@value
class Dropped:
    """An object that was dropped, or would be."""

    digest: Digest
    size: int
    reason: Reason
    path: str | None = None


@value
class Collected:
    """What was dropped; bytes freed in the store of code; how much kept data is left; damaged records that were passed over,
    because of which nothing was dropped that one of them might need."""

    dropped: tuple[Dropped, ...]
    code: int
    left: int
    unreadable: int = 0

    @property
    def freed(self) -> int:
        """Bytes."""
        return sum(one.size for one in self.dropped) + self.code


@value(frozen=False)
class _Content:
    """A kept content: how large, when some run used it last, where, and which runs wrote it."""

    size: int
    used: float = 0.0
    path: str | None = None
    makers: list[Run] = field(default_factory=list)


def collect(
    project: Project,
    *,
    older_than: float | None = None,
    budget: int | None = None,
    dry_run: bool = False,
    now: float | None = None,
) -> Collected:
    """Drop what nothing needs. `older_than` in seconds; `budget` in bytes (as configured, if not given).

    Raises OSError where the store cannot be written.
    """
    moment = time.time() if now is None else now
    project.settle()
    runs, unreadable = _runs(project)
    required = _required(project, runs)
    contents = _contents(project, runs, required)
    dropped = [] if unreadable else list(_orphans(project, required | set(contents), moment))
    dropped += _expendable(project, contents, moment, older_than, project.config.budget if budget is None else budget)
    code = 0
    if not dry_run:
        for one in dropped:
            project.objects.remove(one.digest)
        project.objects.sweep()
        if not unreadable and os.path.isdir(project.code.path):
            code = project.code.drop(_trees(project, runs))
    gone = {one.digest for one in dropped}
    left = sum(content.size for digest, content in contents.items() if digest not in gone)
    return Collected(tuple(dropped), code, left, unreadable)


def _runs(project: Project) -> tuple[list[Run], int]:
    """Every record, those of active runs included, and how many cannot be read."""
    from vestige.record import provisional

    found, unreadable = [], 0
    for path in project.records.paths():
        try:
            run = project.records.load(path)
        except VestigeError:
            unreadable += 1
            continue
        unreadable += bool(project.records.missing(run))
        found.append(run)
    return [*found, *provisional.runs(journal.list_active(project.store))], unreadable


def _required(project: Project, runs: Iterable[Run]) -> set[Digest]:
    required = {digest for run in runs for _, digest in needed(run)}
    for active in journal.list_active(project.store):
        required.update(one.digest for one in active.digests() if one.digest is not None)
        try:
            captured = active.document("capture.json")
        except VestigeError:
            continue
        required.update(digest for key in ("environment", "machine") if isinstance(digest := captured.get(key), str))
    return required


def _contents(project: Project, runs: Iterable[Run], required: set[Digest]) -> dict[Digest, _Content]:
    found: dict[Digest, _Content] = {}
    for run in runs:
        moment = instant(run.ended or run.started) or 0.0
        for written, uses in ((False, run.inputs), (True, run.outputs)):
            for use in uses:
                for digest in (use.digest, use.before):
                    if digest is None or digest in required:
                        continue
                    content = found.get(digest)
                    if content is None:
                        path = project.objects.path(digest)
                        if path is None:
                            continue
                        content = found[digest] = _Content(os.path.getsize(path))
                    content.used = max(content.used, moment)
                    content.path = content.path or use.path
                    if written and digest == use.digest and not use.deleted:
                        content.makers.append(run)
    return found


def _orphans(project: Project, known: set[Digest], now: float) -> Iterator[Dropped]:
    for digest in project.objects.all():
        path = project.objects.path(digest)
        if digest in known or path is None:
            continue
        found = os.stat(path)
        if now - found.st_mtime > _YOUNG:
            yield Dropped(digest, found.st_size, "nothing refers to it")


def _expendable(
    project: Project, contents: dict[Digest, _Content], now: float, older_than: float | None, budget: int
) -> Iterator[Dropped]:
    again = _Again(project, contents)
    total = sum(content.size for content in contents.values())
    oldest_first = sorted(contents.items(), key=lambda item: (item[1].used, -item[1].size))
    rest = []
    for digest, content in oldest_first:
        too_old = older_than is not None and now - content.used > older_than
        if not (too_old or total > budget) or not again.can_be_made(digest):
            rest.append((digest, content))
            continue
        total -= content.size
        yield Dropped(digest, content.size, "can be made again", content.path)
    for digest, content in rest:
        if total <= budget:
            return
        total -= content.size
        yield Dropped(digest, content.size, "over the budget", content.path)


class _Again:
    """Which contents a recorded run can make again, from what is left when they have gone."""

    def __init__(self, project: Project, contents: dict[Digest, _Content]) -> None:
        self._project = project
        self._contents = contents
        self._known: dict[Digest, bool] = {}

    def can_be_made(self, digest: Digest) -> bool:
        """Whether some run that succeeded wrote this, and has its code and all its inputs."""
        pending = [digest]
        while pending:  # a stack of our own: chains are long
            one = pending[-1]
            if one in self._known:
                pending.pop()
                continue
            asked = self._ask(one, set(pending))
            if isinstance(asked, bool):
                self._known[one] = asked
                pending.pop()
            else:
                pending.append(asked)
        return self._known[digest]

    def _ask(self, digest: Digest, above: set[Digest]) -> bool | Digest:
        """The answer, or another content that must be asked about first."""
        content = self._contents.get(digest)
        for run in content.makers if content is not None else ():
            if not self._is_repeatable(run):
                continue
            for use in run.inputs:
                if use.role not in ("data", "config") or use.link is not None:
                    continue
                if use.digest is None or use.digest in above:
                    break
                if self._is_there(use.path, use.digest):
                    continue
                if use.digest not in self._known:
                    return use.digest
                if not self._known[use.digest]:
                    break
            else:
                return True
        return False

    def _is_repeatable(self, run: Run) -> bool:
        snapshot = run.code.snapshot if run.code else None
        succeeded = run.status == "finished" and run.kind in ("command", "script", "reproduction")
        return succeeded and snapshot is not None and self._project.code.kept(snapshot)

    def _is_there(self, path: str, digest: Digest) -> bool:
        """Whether an input is at hand for good: as it was on disk, or kept and not to be made again by anybody."""
        content = self._contents.get(digest)
        if content is not None and not content.makers:
            return True
        return self._project.digest_of(self._project.absolute(path)) == digest


def _trees(project: Project, runs: Iterable[Run]) -> set[str]:
    """The snapshots that records name, and those that active runs may be about to name."""
    found = {tree for run in runs if run.code for tree in (run.code.snapshot, run.code.base) if tree is not None}
    for active in journal.list_active(project.store):
        try:
            code = active.document("capture.json").get("code")
        except VestigeError:
            continue
        if isinstance(code, dict):
            found.update(tree for key in ("snapshot", "base") if isinstance(tree := code.get(key), str))
    return found
