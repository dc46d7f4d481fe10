"""A project to ask, and a command line to ask it with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.calling import Caller
from tests.ops.study import Study


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    study = Study(tmp_path / "p", git=True)
    monkeypatch.chdir(study.root)
    return study


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Caller:
    return Caller(capfd)
