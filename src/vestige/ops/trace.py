"""How a file was made, or what was made from it.

The file is known by its content: first in its own project, then wherever on this machine anything was recorded. Where its
content is not known, it is known by its path, and what was recorded last at that path is traced; it is then modified, or
missing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from vestige.errors import NotFoundError, StoreError, UnreadableError
from vestige.model import display
from vestige.model.files import Digest, Use
from vestige.model.lineage import File, Lineage, Lookup, Origin, Version, downstream, upstream, upstream_of
from vestige.model.links import Linker, asked_for
from vestige.model.staleness import States, judge
from vestige.model.values import replace, value
from vestige.ops.around import Around
from vestige.ops.disk import Disk
from vestige.ops.project import Project

_ACTIVE = frozenset({"running", "finishing"})


@value
class Trace:
    """A lineage and the states of its files. Paths inside `root` are relative to it, unless the lineage `spans` projects:
    then it comes from the catalogue, or from the `sidecar` beside the file, and all are absolute."""

    lineage: Lineage
    states: States
    root: str
    spans: bool = False
    sidecar: str | None = None

    def __repr__(self) -> str:
        return repr(self.lineage)

    def _repr_html_(self) -> str | None:
        return display.html(self)


def trace(project: Project, path: str, *, down: bool = False, depth: int | None = None) -> Trace:
    """Trace a file, or a directory that is one thing: upstream, or `down`; `depth` steps at most.

    Raises NotFoundError where nothing is known.
    """
    recorded = project.relative(os.path.realpath(path) if os.path.islink(path) and os.path.exists(path) else path)
    place = project.absolute(recorded)
    version = Version(recorded, None if _holds(place, project.root) else project.digest_of(place), _size(place))
    here = _Question(project=project, lookup=project.index, version=version, down=down, depth=depth)
    found = here.by_content() or _elsewhere(here, _Question.by_content)
    if found is None and not down:
        found = _from_sidecar(here, place)
    found = found or here.by_path() or _elsewhere(here, _Question.by_path)
    if found is None:
        raise _unknown(project, path, recorded, down=down)
    return found


@value(kw_only=True)
class _Question:
    """What is asked, and of which index."""

    project: Project
    lookup: Lookup
    version: Version
    down: bool
    depth: int | None
    spans: bool = False
    sidecar: str | None = None

    def by_content(self) -> Trace | None:
        """Who made this content, or read it."""
        version = self.version
        if version.digest is None:
            return None
        made = Linker(self.lookup).link(asked_for(version.path, version.digest, version.size)).writes
        if made or (self.down and self.lookup.uses_of(version.digest, written=False)):
            return self._traced(version)
        return None

    def by_path(self) -> Trace | None:
        """What was recorded last at the path, or at a directory around it that is one thing."""
        version, lookup = self.version, self.lookup
        last = _last(lookup, version.path, down=self.down) or next(_around(lookup, version.path), None)
        if last is None:
            return None
        summary = lookup.summary(last.run)
        if version.digest is not None and last.path == version.path and summary is not None and summary.status in _ACTIVE:
            return self._traced(replace(version, written=last if last.written else None))
        known = Version(last.path, last.digest, last.size)
        if last.written and not Linker(lookup).link(asked_for(last.path, last.digest, last.size)).writes:
            known = replace(known, written=last)
        return self._traced(known)

    def by_write(self, written: Use) -> Trace:
        """By the write that is known to have made it."""
        return self._traced(replace(self.version, written=written))

    def _traced(self, version: Version) -> Trace:
        walk = downstream if self.down else upstream
        lineage = walk(self.lookup, version, self.depth)
        return Trace(lineage, self._states(lineage, version), self.project.root, self.spans, self.sidecar)

    def _states(self, lineage: Lineage, version: Version) -> States:
        """The states of all files of a lineage: they follow from all that each was made from, however little was asked for."""
        lookup, whole = self.lookup, lineage
        if lineage.down:
            whole = upstream_of(lookup, list(_versions(lookup, _files(lineage))))
        elif lineage.cut:
            whole = upstream(lookup, version)
        disk = Disk(self.project)
        disk.look_at(whole)
        return judge(whole, disk, lambda path: lookup.uses_at(path, written=True), Around(self.project))


def _elsewhere(here: _Question, ask: Callable[[_Question], Trace | None]) -> Trace | None:
    """From the catalogue: copies of what other projects made, projects that were moved, cleaned or are gone."""
    project = here.project
    if not project.config.catalogue:
        return None
    try:
        with project.catalogue.open() as index:
            version = replace(here.version, path=project.absolute(here.version.path))
            return ask(replace(here, lookup=index, version=version, spans=True))
    except (StoreError, OSError):
        return None


def _from_sidecar(here: _Question, place: str) -> Trace | None:
    """What a sidecar tells that came with the file, if it tells of this very content."""
    if here.version.digest is None:
        return None
    from vestige.exchange import sidecar

    try:
        found = sidecar.of(place, here.version.digest)
    except UnreadableError:
        return None  # what is said of an unknown file names it
    if found is None:
        return None
    version = replace(here.version, path=place)
    return replace(here, lookup=found.index, version=version, spans=True, sidecar=found.path).by_write(found.written)


def _files(lineage: Lineage) -> list[File]:
    return [*lineage.targets, *(file for step in lineage.steps for file in (*step.inputs, *step.outputs))]


def _versions(lookup: Lookup, files: Iterable[File]) -> Iterator[Version]:
    """File versions by the very writes that they come from, should others have written the same."""
    writes: dict[Digest, dict[Origin, Use]] = {}
    for file in files:
        if len(file.origins) == 1 and file.digest is not None:
            if file.digest not in writes:
                found = lookup.uses_of(file.digest, written=True)
                writes[file.digest] = {Origin(use.run, use.path): use for use in found}
            yield Version(file.path, file.digest, file.size, written=writes[file.digest].get(file.origins[0]))
        else:
            yield Version(file.path, file.digest, file.size)


def _last(lookup: Lookup, path: str, *, down: bool) -> Use | None:
    """The newest version that was recorded at a path; downstream, one that was only read will do."""
    written = next((use for use in lookup.uses_at(path, written=True) if not use.deleted), None)
    if written is not None or not down:
        return written
    return next((use for use in lookup.uses_at(path, written=False) if use.digest is not None), None)


def _around(lookup: Lookup, path: str) -> Iterator[Use]:
    """Directories around a path that are one thing, and were written."""
    while (end := path.rfind("/")) > 0:
        path = path[:end]
        for use in lookup.uses_at(path, written=True):
            if use.kind == "directory" and not use.deleted:
                yield use


def _unknown(project: Project, path: str, recorded: str, *, down: bool) -> NotFoundError:
    readers = {use.run for use in project.index.uses_at(recorded, written=False)}
    if readers and not down:
        times = "1 run has" if len(readers) == 1 else f"{len(readers):,} runs have"
        return NotFoundError(f"no run made {path}; {times} read it", hint=f"what came of that: vestige trace --down {path}")
    if os.path.isdir(path):
        return NotFoundError(f"{path} is a folder, not a file that a run made", hint=f"vestige status {path} lists its files")
    if not os.path.lexists(path):
        return NotFoundError(f"{path} is not there, and no run is known that made it", hint="vestige log lists the runs")
    if (distrusted := _distrusted(project, path)) is not None:
        return NotFoundError(f"no run is known that made {path}", hint=distrusted)
    what = "made or read" if down else "made"
    return NotFoundError(f"no run is known that {what} {path}", hint=f"vestige adopt {path} records what you know of it")


def _distrusted(project: Project, path: str) -> str | None:
    """Why the sidecar of a file is not believed."""
    from vestige.exchange import sidecar

    digest = project.digest_of(path)
    try:
        if digest is not None:
            sidecar.of(os.path.abspath(path), digest)
    except UnreadableError as error:
        return str(error)
    return None


def _holds(place: str, root: str) -> bool:
    """Whether it is a folder around the project or the project itself, which is no file."""
    return root == place or root.startswith(place.rstrip("/") + "/")


def _size(place: str) -> int | None:
    """The size of a file. A directory has none."""
    try:
        return None if os.path.isdir(place) else os.path.getsize(place)
    except (OSError, ValueError):
        return None
