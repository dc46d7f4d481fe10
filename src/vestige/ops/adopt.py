"""A record for files that were made without Vestige: what the user says, marked as that."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from vestige.errors import NotFoundError, UsageError
from vestige.model.files import Access, FileUse
from vestige.model.run import Run
from vestige.ops import present
from vestige.ops.present import Said
from vestige.ops.project import Project
from vestige.record.keeping import Keeper

GAP = "adopted: made without Vestige, recorded by the user's word; code and environment are those of the day of adoption"


def adopt(
    project: Project,
    files: Sequence[str],
    *,
    command: Sequence[str] = (),
    inputs: Sequence[str] = (),
    name: str | None = None,
    tags: Sequence[str] = (),
    note: str | None = None,
) -> Run:
    """Record files as outputs of `command`, made from `inputs`; a folder stands for the files below it.

    Raises NotFoundError where a file is not there, UsageError for what is no file, RecordingError.
    """
    written = [use for path in files for use in _uses(project, path, "write")]
    read = [use for path in inputs for use in _uses(project, path, "read")]
    if not written:
        raise UsageError(f"there is no file below {', '.join(files)}")
    said = Said(kind="adopted", command=tuple(command), name=name, tags=tuple(tags), note=note)
    return present.record(project, said, inputs=read, outputs=written, gaps=(GAP,))


def _uses(project: Project, path: str, access: Access) -> Iterator[FileUse]:
    if not os.path.lexists(path):
        raise NotFoundError(f"{path} is not there", hint="only files that exist can be adopted")
    if os.path.isdir(path):
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                if os.path.isfile(os.path.join(folder, name)):
                    yield _use(project, os.path.join(folder, name), access)
        return
    if not os.path.isfile(path):
        raise UsageError(f"{path} is neither a file nor a folder")
    yield _use(project, path, access)


def _use(project: Project, path: str, access: Access) -> FileUse:
    digest = project.digest_of(path)
    if digest is None:
        raise NotFoundError(f"{path} cannot be read, or changes while it is read")
    size = os.path.getsize(path)
    kept = Keeper(project.objects, project.config, project.root).keep(os.path.abspath(path), digest, size)
    return FileUse(
        path=project.relative(path), digest=digest, size=size, role="data", access=access, evidence=("declared",), kept=kept
    )
