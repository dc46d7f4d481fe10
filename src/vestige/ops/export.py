"""A run in the form of another system: rendered from its record."""

from __future__ import annotations

import os

from vestige.errors import ExistsError, StoreError, UsageError, VestigeError
from vestige.model.run import Run
from vestige.model.values import value
from vestige.ops import find, show
from vestige.ops.project import Project
from vestige.record import capsule
from vestige.record.changes import of_code
from vestige.record.context import absolute
from vestige.record.info import INFO, PACKAGES, Info, render
from vestige.store import publish

FORMATS = ("capsule", "info")


@value
class Exported:
    """Where it lies, or what it is: `path` is the folder that was written, `data` what was not written anywhere."""

    path: str | None = None
    data: bytes | None = None


def export(project: Project, word: str, format: str, into: str | None = None) -> Exported:  # noqa: A002  # as it is called
    """Export a run. A capsule becomes the folder `into`, or one in the configured vault; `info` the files `info.txt` and
    `package_versions.txt` in that folder, or the bytes of the first.

    Raises UsageError for a format that is not known, NotFoundError, AmbiguousError, ExistsError, StoreError.
    """
    if format not in FORMATS:
        raise UsageError(f"runs are exported as {' or '.join(FORMATS)}, not as '{format}'")
    run = find.run(project, word)
    try:
        if format == "capsule":
            return Exported(path=_capsule(project, run, into))
        if into is None:
            return Exported(data=_info(project, run))
        return Exported(path=_beside(project, run, into))
    except OSError as error:
        where = os.fsdecode(error.filename) if error.filename else into or project.config.capsule.vault
        raise StoreError(f"{where} cannot be written: {error.strerror}") from error


def _capsule(project: Project, run: Run, into: str | None) -> str:
    if into is None:
        return capsule.put(run, project.place, project.config.capsule)
    capsule.write(run, project.place, into, cpu=project.config.capsule.cpu)
    return os.path.abspath(into)


def _beside(project: Project, run: Run, into: str) -> str:
    publish.make_folder(os.path.abspath(into))
    for name, data in ((INFO, _info(project, run)), (PACKAGES, _packages(project, run))):
        if not publish.publish(os.path.join(into, name), data, durable=False):
            raise ExistsError(f"{os.path.join(into, name)} is there already", hint="give another folder with -o")
    return os.path.abspath(into)


def _info(project: Project, run: Run) -> bytes:
    code, root = run.code, run.project.root if run.project is not None else project.root
    changes = None if code is None else of_code(code, project.code, project.objects, _name_of_changes(run))
    note = None
    if code is None or (code.commit is None and code.dirty is None):
        note = "(no git repository)"
    elif code.commit is None:
        note = "(no commit yet)"
    return render(
        Info(
            command=run.command,
            system=run.host,
            python=_python(project, run),
            commit=None if code is None else code.commit,
            changes=changes or b"",
            cwd=absolute(run.cwd, root),
            note=note,
        )
    )


def _name_of_changes(run: Run) -> str:
    """Under which name the system that recorded it kept them, if that was another."""
    said = run.code.extra.get("diffs") if run.code is not None else None
    return next(iter(said), "") if isinstance(said, dict) else ""


def _python(project: Project, run: Run) -> str:
    try:
        found = show.environment(project, run.environment)
    except VestigeError:
        return ""
    known = found.interpreters if found is not None else ()
    return next((one.executable for one in known if one.language == "python"), "")


def _packages(project: Project, run: Run) -> bytes:
    try:
        found = show.environment(project, run.environment)
    except VestigeError:
        return b""
    packages = sorted((one.name, one.version) for one in found.packages) if found is not None else []
    return "".join(f"{name}=={version}\n" for name, version in packages).encode()
