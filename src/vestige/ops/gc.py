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
from typing import Any, Literal

from vestige.errors import VestigeError
from vestige.model.files import Digest
from vestige.model.run import Run
from vestige.model.values import value
from vestige.ops.project import Project
from vestige.record import holdings
from vestige.record.holdings import Again, Content
from vestige.store import journal
from vestige.store.journal import Active
from vestige.store.kept import Tally

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
    runs, unreadable = holdings.runs(project.store)
    required = holdings.required(project.store, runs)
    contents = holdings.contents(project.store, runs, required)
    dropped = [] if unreadable else list(_orphans(project, required | set(contents), moment))
    again = Again(contents, runs, project.code.kept, lambda path: project.digest_of(project.absolute(path)))
    allowed = project.config.budget if budget is None else budget
    dropped += _expendable(again, contents, moment, older_than, allowed)
    code = 0
    if not dry_run:
        for one in dropped:
            project.objects.remove(one.digest)
        project.objects.sweep()
        if not unreadable and os.path.isdir(project.code.path):
            code = project.code.drop(_trees(project, runs))
    gone = {one.digest for one in dropped}
    left = sum(content.size for digest, content in contents.items() if digest not in gone)
    if not dry_run:
        Tally(project.store).settle(left)
    return Collected(tuple(dropped), code, left, unreadable)


def _orphans(project: Project, known: set[Digest], now: float) -> Iterator[Dropped]:
    for digest in project.objects.all():
        path = project.objects.path(digest)
        if digest in known or path is None:
            continue
        found = os.stat(path)
        if now - found.st_mtime > _YOUNG:
            yield Dropped(digest, found.st_size, "nothing refers to it")


def _expendable(
    again: Again, contents: dict[Digest, Content], now: float, older_than: float | None, budget: int
) -> Iterator[Dropped]:
    total = sum(content.size for content in contents.values())
    rest = []
    for digest, content in holdings.oldest_first(contents):
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


def _trees(project: Project, runs: Iterable[Run]) -> set[str]:
    """The snapshots that records name, and those that active runs may be about to name."""
    codes = [run.code for run in runs if run.code]
    found = {tree for code in codes for tree in (code.snapshot, code.base) if tree is not None}
    found |= {tree for code in codes for one in code.repositories for tree in (one.snapshot, one.base) if tree is not None}
    for active in journal.list_active(project.store):
        others = _document(active, "repositories.json").get("repositories")
        for one in (_document(active, "capture.json").get("code"), *(others if isinstance(others, list) else ())):
            if isinstance(one, dict):
                found.update(tree for key in ("snapshot", "base") if isinstance(tree := one.get(key), str))
    return found


def _document(active: Active, name: str) -> dict[str, Any]:
    try:
        return active.document(name)
    except VestigeError:
        return {}
