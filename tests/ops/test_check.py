"""Every damage is found, named once, and leaves the rest alone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.ops.study import Study
from vestige.model.run import short
from vestige.ops.check import check
from vestige.store.records import Note


@pytest.fixture
def study(tmp_path: Path) -> Study:
    study = Study(tmp_path / "p", git=True)
    study.write("step.py", "print(1)\n")
    study.write("in.csv", "raw")
    study.record(reads=["in.csv"], code=True, packages={"numpy": "1"}, streams={"stdout": b"hello"})
    return study


def reasons(study: Study) -> list[str]:
    return [f"{os.path.basename(one.path)}: {one.reason}" for one in check(study.project).damaged]


def test_a_sound_store_is_called_sound(study: Study) -> None:
    found = check(study.project)
    assert (found.records, found.objects, found.snapshots, found.damaged) == (1, 3, found.snapshots, ())
    assert found.snapshots > 0


def test_an_empty_project_is_sound(tmp_path: Path) -> None:
    assert check(Study(tmp_path / "empty").project).damaged == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"id": ', "is not JSON"),
        ("[]", "is not a record"),
        ('{"id": "x", "vestige": 99}', "reads up to 1"),
        ('{"id": "x", "inputs": 3}', "cannot be read"),
    ],
)
def test_a_damaged_record_is_one_line(study: Study, content: str, said: str) -> None:
    path = next(study.opened.records.paths())
    Path(path).write_text(content)
    damaged = [one for one in check(study.project).damaged if one.path == path]
    assert len(damaged) == 1
    assert said in damaged[0].reason
    assert "\n" not in damaged[0].reason


def test_a_record_under_a_wrong_name_is_found(study: Study) -> None:
    path = next(study.opened.records.paths())
    os.rename(path, os.path.join(os.path.dirname(path), "093012-00000000.json"))
    assert len([one for one in reasons(study) if "holds the record of another run" in one]) == 1


def test_a_changed_object_is_found(study: Study) -> None:
    digest = study.runs[0].inputs[0].digest or ""
    Path(study.opened.objects.path(digest) or "").write_bytes(b"r4w")
    assert len(reasons(study)) == 1


def test_what_was_kept_and_dropped_is_no_damage(study: Study) -> None:
    study.opened.objects.remove(study.runs[0].inputs[0].digest or "")
    assert reasons(study) == []


def test_an_environment_that_is_gone_is_damage(study: Study) -> None:
    run = study.runs[0]
    study.opened.objects.remove(run.environment or "")
    assert reasons(study) == [f"run {short(run.id)}: its environment is missing: {run.environment}"]


def test_a_damaged_note_is_found(study: Study) -> None:
    path = study.opened.records.add_note(study.runs[0].id, Note(run=study.runs[0].id))
    Path(path).write_text("{")
    assert len(reasons(study)) == 1


def test_lost_code_is_found(study: Study) -> None:
    objects = os.path.join(study.opened.code.path, "objects")
    for name in os.listdir(objects):
        if len(name) == 2:
            shutil.rmtree(os.path.join(objects, name))
    for name in os.listdir(os.path.join(objects, "pack")):
        os.unlink(os.path.join(objects, "pack", name))
    assert any("is missing" in one for one in reasons(study))


def test_a_snapshot_that_is_not_listed_is_found(study: Study) -> None:
    os.unlink(os.path.join(study.opened.code.path, "snapshots"))
    assert [one for one in reasons(study) if "the snapshot of its code is missing" in one]


def test_an_active_run_that_cannot_be_finished_is_found(study: Study) -> None:
    folder = os.path.join(study.opened.store, "active", "0193aaaa-0000-7000-8000-000000000000")
    os.makedirs(folder)
    Path(folder, "started.json").write_text("{")
    assert [one for one in reasons(study) if "cannot be finished" in one]
