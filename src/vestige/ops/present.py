"""A record of the present, without anything being executed: what `capture` and `adopt` have in common."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence

from vestige.capture import packages
from vestige.errors import RecordingError
from vestige.model.files import FileUse
from vestige.model.run import Kind, Run
from vestige.model.values import replace, value
from vestige.observe.conclusion import Conclusion
from vestige.ops import find
from vestige.ops.project import Project
from vestige.record import compose, identity, journal, surroundings
from vestige.record.code import CodeOfRun
from vestige.record.configured import Configured
from vestige.record.context import Context, attempt
from vestige.record.journal import Begun
from vestige.record.options import Options
from vestige.store import project as store
from vestige.store.project import Place
from vestige.store.records import share_by_git


@value(kw_only=True)
class Said:
    """What the user says of a record that is made without running anything."""

    kind: Kind
    command: tuple[str, ...] = ()
    name: str | None = None
    tags: tuple[str, ...] = ()
    note: str | None = None
    parent: str | None = None


def record(
    project: Project, said: Said, *, inputs: Sequence[FileUse] = (), outputs: Sequence[FileUse] = (), gaps: Sequence[str] = ()
) -> Run:
    """Write a record of code, environment, machine and variables as they are now. Raises RecordingError."""
    parent = None if said.parent is None else find.run_id(project, said.parent)
    options = Options(
        project.place, project.config, name=said.name, tags=said.tags, note=said.note, parent=parent, kind=said.kind, echo="never"
    )
    try:
        begun = journal.begin(said.command, os.environ, options)
        project.place = begun.place
        try:
            configured = _configured(project, begun) if said.kind == "capture" else None
            run = _composed(project, begun.started, inputs, outputs, gaps, configured)
            project.records.write(run)
            if configured is not None:
                configured.follow_up(run)
            share_by_git(project.store, share=project.config.records == "commit")
        finally:
            begun.discard()
    except OSError as error:
        where = os.fsdecode(error.filename) if error.filename else project.store
        raise RecordingError(f"nothing can be recorded: {where}: {error.strerror}") from error
    if project.config.catalogue:
        try:
            project.catalogue.append(run, project.place)
        except OSError:
            pass  # the record stands; only files that leave the project are answered for less well
    return run


def _configured(project: Project, begun: Begun) -> Configured:
    """Do what is configured to be done before anything is captured, and collect the files."""
    configured = Configured(begun.folder, begun.started, project.place, project.config)
    if "VESTIGE_RUN_ID" not in os.environ:
        configured.prepare()
    configured.collect()
    return configured


def _composed(
    project: Project,
    started: Mapping[str, object],
    inputs: Sequence[FileUse],
    outputs: Sequence[FileUse],
    gaps: Sequence[str],
    configured: Configured | None,
) -> Run:
    context, place = Context(), project.place
    hooks = []
    if started.get("kind") == "capture":
        attempt(context, "hooks", lambda: hooks.append(surroundings.attending(place, started)))
    code = CodeOfRun(place, project.config, prepared=True)
    code.take()
    code.tell(context)
    attempt(context, "code", lambda: code.complete(context))
    attempt(context, "script", lambda: surroundings.script(context, started, place))
    attempt(context, "variables", lambda: surroundings.variables(context, project.config, place))
    attempt(context, "machine", lambda: surroundings.machine(context, place, project.objects))
    attempt(context, "environment", lambda: _environment(context, project, place))
    for attending in filter(None, hooks):
        found, problems = attending.settle()
        context.added.update(found)
        context.problems += problems
    parts = compose.Parts(
        started=started,
        conclusion=Conclusion(),
        context=context,
        root=place.root,
        ended=None,
        method="none",
        gaps=tuple(gaps),
    )
    if configured is not None:
        configured.look(context.code)
    run = replace(
        compose.compose(parts),
        status="finished",
        ended=identity.timestamp(time.time()),
        duration=None,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
    )
    run = run if configured is None else configured.settled(run)
    problems = [problem for attending in filter(None, hooks) for problem in attending.report(run)]
    return replace(run, problems=(*run.problems, *problems)) if problems else run


def _environment(context: Context, project: Project, place: Place) -> None:
    """That of the Python which `python3` would start here; of our own, where there is none."""
    executable = shutil.which("python3") or shutil.which("python") or sys.executable
    captured = packages.capture(executable, store.cache_dir(place))
    context.problems += captured.problems
    context.environment = captured.digest
    if not project.objects.has(captured.digest):
        project.objects.put(captured.data())
