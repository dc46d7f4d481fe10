"""Scripts that record themselves, run as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PATIENCE = 30.0


def script(
    project: Path, source: str, *words: str, environ: Mapping[str, str] | None = None, patience: float = PATIENCE, **how: Any
) -> Any:
    """Run a script that lies in the project, to the end of its record."""
    (project / "step.py").write_text(source)
    how = {"cwd": project, "capture_output": True, "stdin": subprocess.DEVNULL, "timeout": 60, **how}
    done = subprocess.run([sys.executable, "step.py", *words], env={**os.environ, **(environ or {})}, check=False, **how)
    settled(project, patience)
    return done


def settled(project: Path, patience: float = PATIENCE) -> None:
    """Wait until nothing is being recorded any more."""
    deadline = time.monotonic() + patience
    active = project / ".vestige" / "active"
    while active.exists() and any(active.iterdir()):
        assert time.monotonic() < deadline, sorted(one.name for one in active.iterdir())
        time.sleep(0.02)


def records(project: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """The records, the oldest first."""
    found = [json.loads(path.read_bytes()) for path in (project / ".vestige" / "runs").rglob("*.json")]
    return sorted((one for one in found if kind in (None, one["kind"])), key=lambda one: (one["started"], one["sequence"]))


def record(project: Path, kind: str | None = None) -> dict[str, Any]:
    """The only record."""
    (found,) = records(project, kind)
    return found


def used(found: Mapping[str, Any], *roles: str) -> tuple[set[str], set[str]]:
    """What a run read and wrote."""
    roles = roles or ("data",)
    return tuple({use["path"] for use in found[way] if use["role"] in roles} for way in ("inputs", "outputs"))  # type: ignore[return-value]
