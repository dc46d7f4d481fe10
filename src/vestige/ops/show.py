"""One run, and everything about it that the store holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TypeVar

from vestige.errors import DamagedError, VestigeError
from vestige.model import display, wire
from vestige.model.environment import Environment
from vestige.model.files import Digest
from vestige.model.machine import Machine
from vestige.model.run import Run, Summary, Verdict, summarise
from vestige.model.values import replace, value
from vestige.ops import find
from vestige.ops.hidden import Hidden, read
from vestige.ops.project import Project
from vestige.store.records import Note

T = TypeVar("T")


@value(kw_only=True)
class Shown:
    """A run with what it refers to. `summary` has the tags and the note of today; `problems` says what could not be read,
    or is there in part only."""

    run: Run
    summary: Summary
    environment: Environment | None = None
    machine: Machine | None = None
    parent: Summary | None = None
    children: tuple[Summary, ...] = ()
    notes: tuple[Note, ...] = ()
    hidden: tuple[Hidden, ...] = ()
    problems: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return repr(self.run)

    def _repr_html_(self) -> str | None:
        return display.html(self)


def show(project: Project, word: str, *, hidden: bool = False) -> Shown:
    """The run that RUN or FILE means. `hidden`: with what its record does not list, and why. Raises NotFoundError,
    AmbiguousError, DamagedError."""
    return everything(project, find.run(project, word), hidden=hidden)


def everything(project: Project, run: Run, *, hidden: bool = False) -> Shown:
    """A run with what it refers to."""
    problems: list[str] = []
    partly = project.records.missing(run)
    if partly:
        problems.append(f"only the first {' and '.join(partly)} are known: the rest is not in the store")
    index = project.index
    notes = tuple(project.records.notes_of(run.id))
    return Shown(
        run=_with_verdicts(run, notes),
        summary=index.summary(run.id) or summarise(run),
        environment=_read(problems, lambda: environment(project, run.environment)),
        machine=_read(problems, lambda: machine(project, run.machine)),
        parent=index.summary(run.parent) if run.parent else None,
        children=tuple(index.children(run.id)),
        notes=notes,
        hidden=read(project, run, problems) if hidden else (),
        problems=tuple(problems),
    )


def _with_verdicts(run: Run, notes: tuple[Note, ...]) -> Run:
    """A reproduction with the verdicts on it: they were known only when its record had been written, and stand in a note."""
    for note in reversed(notes):
        said = note.extra.get("reproduction")
        if run.reproduction is not None and isinstance(said, dict):
            verdicts = tuple(wire.decode(Verdict, one) for one in said.get("verdicts") or ())
            return replace(run, reproduction=replace(run.reproduction, verdicts=verdicts))
    return run


def environment(project: Project, digest: Digest | None) -> Environment | None:
    """An environment from the store. Raises NotKeptError, DamagedError."""
    return None if digest is None else wire.decode(Environment, _document(project, digest))


def machine(project: Project, digest: Digest | None) -> Machine | None:
    """A machine from the store. Raises NotKeptError, DamagedError."""
    return None if digest is None else wire.decode(Machine, _document(project, digest))


def streams(project: Project, run: Run) -> Iterator[tuple[str, bytes]]:
    """What a run wrote to its standard streams, as far as it was kept. Raises NotKeptError, DamagedError."""
    for name in sorted(run.streams, key=lambda name: (name != "stdout", name)):
        digest = run.streams[name].digest
        if digest is not None:
            yield name, project.objects.read(digest)


def _read(problems: list[str], read: Callable[[], T]) -> T | None:
    try:
        return read()
    except VestigeError as error:
        problems.append(str(error))
        return None


def _document(project: Project, digest: Digest) -> wire.Document:
    try:
        document = json.loads(project.objects.read(digest))
    except ValueError as error:
        raise DamagedError(f"{digest} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise DamagedError(f"{digest} is not a document")
    return document
