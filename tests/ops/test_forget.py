"""Forgetting is for good, and leaves a tombstone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.ops.study import Study
from vestige.errors import NotFoundError, RefusedError
from vestige.model.query import RunQuery
from vestige.model.run import short
from vestige.ops.forget import Forgotten, forget


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    study = Study(tmp_path / "p")
    monkeypatch.chdir(study.root)
    return study


def test_a_forgotten_run_is_gone_and_stays_away_when_its_record_comes_back(study: Study) -> None:
    run = study.record()
    kept = study.record()
    path = study.opened.records.path_of(run.id)
    assert path is not None
    data = Path(path).read_bytes()
    assert forget(study.project, short(run.id)) == Forgotten(run.id)
    assert not os.path.exists(path)
    Path(path).write_bytes(data)
    assert [one.id for one in study.project.index.runs(RunQuery())] == [kept.id]


def test_the_catalogue_forgets_too(study: Study) -> None:
    run = study.record()
    study.opened.catalogue.append(run, study.place)
    forget(study.project, run.id)
    with study.opened.catalogue.open() as index:
        assert index.summary(run.id) is None


def test_a_removed_output_is_no_longer_asked_for(study: Study) -> None:
    path = study.write("scratch.csv", "x")
    run = study.record(writes=["scratch.csv"])
    path.unlink()
    assert forget(study.project, "scratch.csv") == Forgotten(run.id, "scratch.csv")
    assert study.opened.records.removed() == {(run.id, "scratch.csv")}
    assert study.opened.records.path_of(run.id) is not None


def test_a_file_that_is_there_is_not_forgotten(study: Study) -> None:
    study.write("out.csv", "x")
    study.record(writes=["out.csv"])
    with pytest.raises(RefusedError, match="is there"):
        forget(study.project, "out.csv")


def test_an_unknown_path_is_not_forgotten(study: Study) -> None:
    with pytest.raises(NotFoundError, match="no run is known that wrote"):
        forget(study.project, "./nothing.csv")


def test_a_run_that_has_not_ended_is_not_forgotten(study: Study) -> None:
    folder = os.path.join(study.opened.store, "active", "0193aaaa-0000-7000-8000-00007f3a2c91")
    os.makedirs(folder)
    text = (
        '{"id": "0193aaaa-0000-7000-8000-00007f3a2c91", "host": "%s", "boot": "%s", "processes_of_vestige": {"w": [%d, 0]}, %s}'
    )
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    more = '"started": "2026-11-21T09:00:00.000000Z", "project": {"id": "x", "root": "/"}, "command": ["x"]'
    Path(folder, "started.json").write_text(text % (os.uname().nodename, boot, os.getpid(), more))
    with pytest.raises(RefusedError, match="has not ended"):
        forget(study.project, "7f3a2c91")
