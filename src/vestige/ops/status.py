"""Which files are as they were recorded, and which are not, and why.

Looked at is the newest version of every path that a run wrote, and every raw input that one of them was made from.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from vestige.capture import digest
from vestige.model import display, pipes
from vestige.model.files import LINKED_ROLES, Use
from vestige.model.lineage import File, Lineage, Version, upstream_of
from vestige.model.links import Linker, asked_for
from vestige.model.run import Summary
from vestige.model.staleness import STATES, FileState, States, judge
from vestige.model.values import value
from vestige.ops.around import Around
from vestige.ops.disk import Disk
from vestige.ops.project import Project
from vestige.store.interface import Index

_ACTIVE = frozenset({"running", "finishing"})
#: Folders in which nothing is anybody's result.
_PASSED_OVER = frozenset({".git", ".hg", ".svn", ".vestige", "__pycache__", ".venv", "node_modules"})


@value
class Entry:
    """A path and its state. `run` made its newest version; none did where it is a raw `input`. `members` counts the
    files of a directory that is one thing."""

    path: str
    state: FileState
    run: Summary | None = None
    input: bool = False
    members: int = 1


@value
class Status:
    """The files of a project: the worst first, then by path. `unknown` are files without a known origin."""

    entries: tuple[Entry, ...]
    root: str
    unknown: tuple[str, ...] = ()

    def __repr__(self) -> str:
        stale = sum(entry.state.state != "fresh" for entry in self.entries)
        return f"<status of {len(self.entries):,} files in {self.root!r}: {stale:,} not fresh>"

    def _repr_html_(self) -> str | None:
        return display.html(self)


def status(project: Project, paths: Sequence[str] = (), *, unknown: str | None = None) -> Status:
    """The states of all files, or of those at and below `paths`; with `unknown`, a folder, also which files in it have no
    known origin."""
    wanted = _below([project.relative(path) for path in paths])
    index = project.index
    newest = [use for use in _newest(index) if wanted(use.path)]
    lineage = upstream_of(index, [_version(use) for use in newest])
    disk = Disk(project)
    disk.look_at(lineage)
    states = judge(lineage, disk, lambda path: index.uses_at(path, written=True), Around(project))
    removed = project.records.removed()
    gone = _Gone(index)
    entries = [
        _entry(index, use, file, states)
        for use, file in zip(newest, lineage.targets, strict=True)
        if states.of(file).state != "missing" or not ((use.run, use.path) in removed or gone.by_a_run(use))
    ]
    inputs = [entry for entry in _inputs(index, lineage, states) if wanted(entry.path)]
    found = sorted(_gathered([*entries, *inputs]), key=lambda entry: (STATES.index(entry.state.state), entry.path))
    return Status(tuple(found), project.root, () if unknown is None else tuple(_without_origin(project, index, unknown)))


def _newest(index: Index) -> list[Use]:
    """The newest version of every path that a run wrote, in the order of paths; not what is being written now."""
    linker = Linker(index)
    found = []
    for use in index.outputs():
        if use.role not in LINKED_ROLES or use.deleted or use.kind in ("directory", pipes.KIND) or _is_link(use):
            continue
        summary = linker.summary(use.run)
        if summary is not None and summary.kind != "reproduction" and not (use.digest is None and summary.status in _ACTIVE):
            found.append(use)
    return sorted(found, key=lambda use: use.path)


def _is_link(use: Use) -> bool:
    """Whether it is a symbolic link, which is listed beside what it leads to."""
    return use.digest is None and use.access == "link"


def _version(use: Use) -> Version:
    return Version(use.path, use.digest, use.size, written=use if use.digest is None else None)


def _entry(index: Index, use: Use, file: File, states: States) -> Entry:
    run = file.origins[0].run if len(file.origins) == 1 else use.run
    return Entry(file.thing or file.path, states.of(file), index.summary(run))


def _inputs(index: Index, lineage: Lineage, states: States) -> Iterator[Entry]:
    """Raw inputs that are not as their last reader found them. Code says so in what was made with it."""
    written = {file.path for file in lineage.targets}
    for file in lineage.raw:
        if file.role not in ("data", "config") or file.path in written or states.of(file).state not in ("modified", "missing"):
            continue
        newest = next(iter(index.uses_at(file.path, written=False)), None)
        if newest is not None and newest.digest == file.digest and not newest.deleted:
            yield Entry(file.path, states.of(file), input=True)


def _gathered(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The members of a directory that is one thing as one entry, in the state of the worst."""
    found: dict[str, Entry] = {}
    for entry in entries:
        other = found.get(entry.path)
        if other is not None:
            worst = min(entry, other, key=lambda one: STATES.index(one.state.state))
            entry = Entry(entry.path, worst.state, worst.run, worst.input, other.members + entry.members)  # noqa: PLW2901
        found[entry.path] = entry
    yield from found.values()


class _Gone:
    """Whether a file that is missing was removed by a run, which is no loss."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def by_a_run(self, write: Use) -> bool:
        reads = self._index.uses_at(write.path, written=False)
        return any(read.deleted and (read.time, read.seq) >= (write.time, write.seq) for read in reads)


def _below(paths: Sequence[str]) -> Callable[[str], bool]:
    if not paths or "." in paths:
        return lambda _: True
    folders = tuple(path.rstrip("/") + "/" for path in paths)
    return lambda path: path in paths or path.startswith(folders)


def _without_origin(project: Project, index: Index, folder: str) -> Iterator[str]:
    """Files below a folder that no run made, by content or by path."""
    linker = Linker(index)
    files = sorted(_walk(folder))
    for hashed in sorted(digest.many(files, project.digests)):
        recorded = project.relative(hashed.path)
        size = hashed.signature.size if hashed.signature is not None else None
        if not linker.link(asked_for(recorded, hashed.digest, size)).writes and not index.uses_at(recorded, written=True):
            yield recorded


def _walk(folder: str) -> Iterator[str]:
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _PASSED_OVER)
        for name in names:
            path = os.path.join(top, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield path
