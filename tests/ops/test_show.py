"""One run, and everything that it refers to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ops.study import Study
from vestige.errors import DamagedError
from vestige.model.machine import Machine
from vestige.ops import show
from vestige.store.records import Note

MACHINE = Machine(host="node17", system="Linux", kernel="6.1", architecture="x86_64")


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    study = Study(tmp_path / "p")
    monkeypatch.chdir(study.root)
    return study


def test_a_run_is_shown_with_environment_machine_and_relatives(study: Study) -> None:
    outer = study.record(("make",))
    run = study.record(packages={"numpy": "1.26"}, machine=MACHINE, change={"parent": outer.id})
    inner = study.record(change={"parent": run.id})
    shown = show.show(study.project, run.id)
    assert shown.run == run
    assert shown.environment is not None
    assert [one.name for one in shown.environment.packages] == ["numpy"]
    assert shown.machine == MACHINE
    assert shown.parent is not None
    assert shown.parent.id == outer.id
    assert [one.id for one in shown.children] == [inner.id]
    assert shown.problems == ()


def test_what_was_said_later_is_in_the_summary_and_not_in_the_record(study: Study) -> None:
    run = study.record()
    study.opened.records.add_note(run.id, Note(run=run.id, tags=("paper",)))
    shown = show.show(study.project, run.id)
    assert shown.summary.tags == ("paper",)
    assert shown.run.tags == ()
    assert [note.tags for note in shown.notes] == [("paper",)]


def test_a_missing_environment_is_a_problem_and_no_failure(study: Study) -> None:
    run = study.record(packages={"numpy": "1.26"})
    assert run.environment is not None
    study.opened.objects.remove(run.environment)
    shown = show.show(study.project, run.id)
    assert shown.environment is None
    assert any("is not in" in problem for problem in shown.problems)


def test_streams_are_given_back_byte_for_byte(study: Study) -> None:
    run = study.record(streams={"stdout": b"\xff\x00 hello\n", "stderr": b""})
    assert dict(show.streams(study.project, run)) == {"stdout": b"\xff\x00 hello\n", "stderr": b""}


def test_a_damaged_stream_is_not_passed_off_as_sound(study: Study) -> None:
    run = study.record(streams={"stdout": b"hello"})
    path = study.opened.objects.path(run.streams["stdout"].digest or "")
    assert path is not None
    Path(path).write_bytes(b"jello")
    with pytest.raises(DamagedError):
        list(show.streams(study.project, run))
