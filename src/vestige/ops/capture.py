"""The context alone: nothing is executed, and no file is used."""

from __future__ import annotations

from collections.abc import Sequence

from vestige.model.run import Run
from vestige.ops import present
from vestige.ops.present import Said
from vestige.ops.project import Project


def capture(
    project: Project, *, name: str | None = None, tags: Sequence[str] = (), note: str | None = None, parent: str | None = None
) -> Run:
    """Record code, environment, machine and variables as they are now. Raises RecordingError, NotFoundError for `parent`."""
    return present.record(project, Said(kind="capture", name=name, tags=tuple(tags), note=note, parent=parent))
