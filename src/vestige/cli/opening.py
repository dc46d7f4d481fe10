"""The project that a verb asks."""

from __future__ import annotations

import os

from vestige import api
from vestige.cli.arguments import Arguments
from vestige.cli.screen import Progress
from vestige.ops.project import open_project, project_of


def project(arguments: Arguments) -> api.Project:
    """The one around the working directory, or that of `--project`."""
    return api.Project(open_project(None, arguments.value("project")), _progress())


def project_holding(arguments: Arguments, word: str) -> api.Project:
    """For a word that may be a file: the project that contains it, if something is recorded there."""
    if os.sep in word or os.path.lexists(word):
        return api.Project(project_of(word, arguments.value("project")), _progress())
    return project(arguments)


def _progress() -> Progress:
    return Progress("reading records")
