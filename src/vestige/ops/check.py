"""Is every record and every object of the store sound? Everything is read once, and compared with its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from vestige.errors import NewerFormatError, VestigeError
from vestige.model.run import Run, short
from vestige.model.values import value
from vestige.ops.project import Project
from vestige.record.holdings import needed
from vestige.store import journal
from vestige.store.interface import Damaged

_PARTS = ("runs", "notes", "objects", "active", "code.git")
Progress = Callable[[int, int], None]


@value
class Checked:
    """What was read, and what of it is damaged."""

    records: int
    objects: int
    snapshots: int
    damaged: tuple[Damaged, ...]


def check(project: Project, progress: Progress | None = None) -> Checked:
    """Read everything that the store holds. Nothing is changed."""
    damaged: list[Damaged] = []
    runs = list(_records(project, damaged))
    damaged += _notes(project)
    damaged += _folders(project)
    damaged += _active(project)
    known = list(project.objects.all())
    sound = set()
    for position, digest in enumerate(known):
        if project.objects.is_sound(digest):
            sound.add(digest)
        else:
            path = project.objects.path(digest) or digest
            damaged.append(Damaged(path, "does not have the content that its name says"))
        if progress is not None:
            progress(position + 1, len(known))
    for run in runs:
        damaged += [
            Damaged(f"run {short(run.id)}", f"its {what} is missing: {digest}")
            for what, digest in needed(run)
            if digest not in sound and digest not in known
        ]
    damaged += _snapshots(project, runs)
    return Checked(len(runs), len(known), len(project.code.trees()), tuple(damaged))


def _records(project: Project, damaged: list[Damaged]) -> Iterator[Run]:
    for path in project.records.paths():
        try:
            run = project.records.load(path)
        except (VestigeError, OSError) as error:
            reason = str(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")
            damaged.append(Damaged(path, f"{reason} ({error.hint})" if isinstance(error, NewerFormatError) else reason))
            continue
        if not _is_named_after(path, run.id):
            damaged.append(Damaged(path, f"holds the record of another run, {run.id}"))
        yield run


def _is_named_after(path: str, run_id: str) -> bool:
    name = os.path.basename(path).removesuffix(".json").partition("-")[2]
    return bool(name) and run_id.replace("-", "").endswith(name)


def _notes(project: Project) -> Iterator[Damaged]:
    for folder, _, names in os.walk(project.records.notes):
        for name in sorted(names):
            path = os.path.join(folder, name)
            if name.endswith(".json") and not name.startswith("."):
                try:
                    project.records.load_note(path)
                except VestigeError as error:
                    yield Damaged(path, str(error).removeprefix(f"{path} "))


def _folders(project: Project) -> Iterator[Damaged]:
    """What stands where the store, or a part of it, should."""
    for path in (project.store, *(os.path.join(project.store, name) for name in _PARTS)):
        if os.path.lexists(path) and not os.path.isdir(path):
            yield Damaged(path, "no folder, so that nothing can be recorded; move it away")


def _active(project: Project) -> Iterator[Damaged]:
    """Runs that ended and that nobody can finish."""
    for active in journal.list_active(project.store):
        if not journal.is_alive(active):
            try:
                active.started()
            except VestigeError as error:
                yield Damaged(active.path, f"a run that cannot be finished: {str(error).removeprefix(f'{active.path}/')}")


def _snapshots(project: Project, runs: list[Run]) -> Iterator[Damaged]:
    path = project.code.path
    if os.path.isdir(path):
        for damage in project.code.verify():
            yield Damaged(path, f"snapshot {damage.tree[:12]}{f', {damage.path}' if damage.path else ''}: {damage.what}")
    kept = set(project.code.trees())
    for run in runs:
        snapshot = run.code.snapshot if run.code else None
        if snapshot is not None and snapshot.removeprefix("git:") not in kept:
            yield Damaged(f"run {short(run.id)}", f"the snapshot of its code is missing: {snapshot}")
