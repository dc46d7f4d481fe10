"""Taking in what other systems recorded. All is read before anything is written; what was imported before is left as it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from vestige.errors import StoreError, UsageError
from vestige.exchange import compose, importing
from vestige.exchange.contents import Contents
from vestige.exchange.interface import FORMATS, Reading
from vestige.model.run import Run
from vestige.model.values import value
from vestige.ops.project import Project
from vestige.record.keeping import Keeper
from vestige.store import project as store
from vestige.store.records import share_by_git

Progress = Callable[[int, int], None]


@value
class Imported:
    """The records that were written, the ids of those that were there already, and a line for each thing that could not be
    read. `forgotten`: ids of what was imported once and removed on purpose; it stays away."""

    runs: tuple[Run, ...]
    known: tuple[str, ...]
    notes: tuple[str, ...]
    forgotten: tuple[str, ...] = ()


def import_records(
    project: Project,
    paths: Sequence[str],
    format: str | None = None,  # noqa: A002  # as it is called on the command line
    progress: Progress = lambda _, __: None,
) -> Imported:
    """Import what the paths hold: logs, sidecars, capsules, results, environments, our own records.

    Raises NotFoundError where a path holds nothing that is known, UnreadableError where all of it is damaged, StoreError.
    """
    forced = next((one for one in FORMATS if one == format), None)
    if format is not None and forced is None:
        raise UsageError(f"records are of {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, not of '{format}'")
    reading = importing.read(paths, project.root, forced, progress)
    before = importing.earlier(project.records, progress)
    gone = _forgotten(project)
    new, known = importing.unknown(reading.told, before)
    left_out = [one for one in new if compose.run_id(one) in gone]
    new = [one for one in new if compose.run_id(one) not in gone]
    contents = Contents(before.same, project.digests if project.exists else None)
    claims = [claim for one in new for claim in compose.claims(one)]
    contents.look(claims, progress)
    contents.search(project.root, claims, lambda: progress(0, 1))
    written: list[Run] = []
    try:
        project.place = store.prepare(project.place)
        keeper = Keeper(project.objects, project.config, project.root)
        into = compose.sink(project.place, project.objects, keeper)
        total = len(new) + len(reading.records)
        for run in (*importing.composed(new, contents, into, reading.notes), *_own(project, reading, before, known)):
            project.records.write(run)
            _remember(project, run)
            written.append(run)
            progress(len(written), max(total, len(written)))
        keeper.account()
        share_by_git(project.store, share=project.config.records == "commit")
    except OSError as error:
        where = os.fsdecode(error.filename) if error.filename else project.store
        done = f"; {len(written):,} are imported, the rest follows when you import again" if written else ""
        raise StoreError(f"the records cannot be written: {where}: {error.strerror}{done}") from error
    forgotten = tuple(compose.run_id(one) for one in left_out)
    return Imported(tuple(written), tuple(dict.fromkeys(known)), tuple(reading.notes), forgotten)


def _own(project: Project, reading: Reading, before: importing.Earlier, known: list[str]) -> Iterator[Run]:
    """Records of our own that are not here."""
    seen = set(before.ids)
    for run in reading.records:
        if run.id in seen:
            if run.id in before.ids:
                known.append(run.id)
            continue
        seen.add(run.id)
        yield importing.here(run, project.place)


def _remember(project: Project, run: Run) -> None:
    if project.config.catalogue:
        try:
            project.catalogue.append(run, project.place)
        except OSError:
            pass  # the record stands; only files that leave the project are answered for less well


def _forgotten(project: Project) -> frozenset[str]:
    """The runs whose records were removed on purpose."""
    return project.records.forgotten() if project.exists else frozenset()
