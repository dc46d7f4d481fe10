"""A project in which commands are really recorded."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from vestige.model.run import Run
from vestige.ops import find
from vestige.ops.project import Project, open_project


class Lab:
    """A folder with a store; `sh` records a command line as a user would type it."""

    def __init__(self, root: Path, *, git: bool = True) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        if git:
            subprocess.run(["git", "init", "-q", "-b", "main", str(root)], check=True)
        else:
            (root / "vestige.toml").touch()

    @property
    def project(self) -> Project:
        """Opened anew: as another call would see it."""
        return open_project(str(self.root))

    def write(self, path: str, text: str, *, executable: bool = False) -> Path:
        """Write a file."""
        full = self.root / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_text(text)
        if executable:
            full.chmod(0o755)
        return full

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def commit(self, message: str = "x") -> None:
        """Commit everything."""
        for command in (["add", "-A"], ["commit", "-qm", message, "--allow-empty"]):
            subprocess.run(["git", "-C", str(self.root), *command], check=True)

    def sh(
        self, line: str, *, status: int = 0, cwd: str = ".", environ: Mapping[str, str] | None = None, feed: bytes | None = None
    ) -> Run:
        """Record `vestige run` of what the line says after `run` stands for it; returns the last run."""
        done = subprocess.run(
            ["/bin/sh", "-c", line.replace("run ", f"{sys.executable} -m vestige run ", 1)],
            cwd=self.root / cwd,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL if feed is None else None,
            input=feed,
            capture_output=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
        active = self.root / ".vestige" / "active"
        for _ in range(3000):  # a busy machine may finish a record in the background
            if not active.is_dir() or not os.listdir(active):
                break
            time.sleep(0.01)
        return self.last()

    def last(self) -> Run:
        """The last run that is no reproduction and happened inside none."""
        return find.run(self.project, "last")

    def vestige(self, *words: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Any other verb."""
        return subprocess.run(
            [sys.executable, "-m", "vestige", *words],
            cwd=self.root,
            env={**os.environ, **(environ or {})},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
