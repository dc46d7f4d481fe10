"""Commands recorded for real, as a user would, and their records."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

VESTIGE = [sys.executable, "-m", "vestige"]


def run(
    folder: Path,
    *words: str,
    options: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    stdin: Any = subprocess.DEVNULL,
) -> subprocess.CompletedProcess[bytes]:
    """`vestige run OPTIONS WORDS` in a folder."""
    command = [*VESTIGE, "run", *options, "--", *words]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **(environ or {})}, capture_output=True, stdin=stdin, timeout=60, check=False
    )


def records(folder: Path, *, wait: float = 20.0) -> list[dict[str, Any]]:
    """Every record of a project, the oldest first, when no run is being finished any more."""
    store = folder / ".vestige"
    deadline = time.monotonic() + wait
    while any((store / "active").glob("*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    found = [json.loads(path.read_text()) for path in store.glob("runs/*/*/*.json")]
    return sorted(found, key=lambda record: record["id"])


def last(folder: Path) -> dict[str, Any]:
    """The newest record."""
    return records(folder)[-1]


def paths(record: Mapping[str, Any], which: str, *roles: str) -> set[str]:
    """The paths of a record's inputs or outputs, in some roles (data and config unless said otherwise)."""
    return {use["path"] for use in record[which] if use["role"] in (roles or ("data", "config"))}


def use(record: Mapping[str, Any], which: str, path: str) -> dict[str, Any]:
    """One input or output."""
    (found,) = [use for use in record[which] if use["path"] == path]
    return dict(found)
