"""Calling the command line: in this process, and as the program that a user starts."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

from vestige.cli import main


@dataclass(frozen=True, slots=True)
class Called:
    """What came of a call."""

    code: int
    out: str
    err: str


class Caller:
    """Calls `main` and keeps what it prints."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *words: str) -> Called:
        self._capture.readouterr()
        code = main(words)
        sys.stdout.flush()
        return Called(code, *self._capture.readouterr())


def program(*words: str, cwd: str | os.PathLike[str], **variables: str) -> subprocess.CompletedProcess[bytes]:
    """The program itself, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "vestige", *words], cwd=cwd, env={**os.environ, **variables}, capture_output=True, check=False
    )
