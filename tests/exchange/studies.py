"""Studies as the seeds left them, copied to where a test may change them, and imported."""

from __future__ import annotations

import shutil
from pathlib import Path

import vestige
from tests.exchange.seeds import GOLDEN
from vestige import api
from vestige.model.run import Run
from vestige.ops.import_records import Imported
from vestige.report.trace import lines


def copied(name: str, folder: Path) -> Path:
    """A study of the golden ones, in a project of its own."""
    root = folder / "study"
    shutil.copytree(GOLDEN / name, root)
    (root / "vestige.toml").touch()
    return root


def project(root: Path) -> api.Project:
    """The project, opened anew."""
    return vestige.open(project=root)


def imported(root: Path, *paths: str, system: str | None = None) -> Imported:
    """What came of importing these paths of a study."""
    return project(root).import_records([root / path for path in paths], system)


def runs(root: Path) -> list[Run]:
    """The runs that are recorded, the oldest first."""
    return list(reversed(list(project(root).runs())))


def traced(root: Path, path: str) -> list[str]:
    """What `vestige trace FILE` prints into a pipe."""
    return list(lines(project(root).trace(root / path)))
