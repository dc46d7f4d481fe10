"""The supported interface, as a program uses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import vestige
from tests.ops.study import Study
from vestige.errors import NotFoundError, UsageError


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    study = Study(tmp_path / "p", git=True)
    monkeypatch.chdir(study.root)
    return study


def test_a_project_is_opened_from_any_folder_in_it(study: Study) -> None:
    (study.root / "sub").mkdir()
    assert vestige.open(study.root / "sub").root == str(study.root)
    assert vestige.open().store == str(study.root / ".vestige")
    assert vestige.open("/", project=study.root).root == str(study.root)
    assert repr(vestige.open()) == f"vestige.Project({str(study.root)!r})"


def test_runs_are_chosen_as_on_the_command_line(study: Study) -> None:
    study.record(change={"name": "a", "user": "ada"})
    study.record(change={"name": "b", "user": "bob", "tags": ("paper",)})
    project = vestige.open()
    assert [run.name for run in project.runs()] == ["b", "a"]
    assert [run.name for run in project.runs(user="ada")] == ["a"]
    assert [run.name for run in project.runs(tag="paper")] == ["b"]
    assert [run.name for run in project.runs(since="2026-11-21T09:00:30Z")] == ["b"]
    assert [run.name for run in project.runs(where=["name=a"], limit=5)] == ["a"]
    with pytest.raises(UsageError, match="does not begin with a number"):
        project.runs(since="soon")


def test_errors_are_of_one_family(study: Study) -> None:
    with pytest.raises(vestige.VestigeError):
        vestige.open().show("nothing")
    with pytest.raises(NotFoundError):
        vestige.open().diff("nothing", "last")
    with pytest.raises(UsageError):
        vestige.open().gc(budget="much")


def test_a_program_that_records_asks_and_makes_again(study: Study) -> None:
    study.write("double.py", "open('out.csv', 'w').write(open('in.csv').read() * 2)\n")
    study.write("in.csv", "some content, long enough\n")
    project = vestige.open()
    run = project.run([sys.executable, "double.py"], name="double")
    assert run.status == "finished"
    assert [step.run.id for step in project.trace("out.csv").lineage.steps] == [run.id]
    assert {entry.path: entry.state.state for entry in project.status().entries} == {"out.csv": "fresh"}
    assert project.restore("out.csv@double") == (study.root / "out.csv").read_bytes()
    assert project.reproduce("out.csv").exit_code == 0
    assert project.check().damaged == ()


def test_public_names_are_typed_and_resolved_late() -> None:
    code = "import sys, vestige; print(sorted(n for n in sys.modules if n.startswith('vestige.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    for name in set(vestige.__all__) - {"output_dir"}:  # to read that begins a run
        assert getattr(vestige, name) is not None


def test_a_room_of_the_house_does_not_hide_the_function_of_its_name(study: Study) -> None:
    for first in ("from vestige.record import identity", "vestige.open().runs()", "import vestige.record.said"):
        code = f"import vestige\n{first}\nassert vestige.record.__name__ == 'record', vestige.record\nvestige.record('a b', 1)"
        subprocess.run([sys.executable, "-c", code], cwd=study.root, check=True)  # may still be recorded: that shows, too
    values = [run.values for run in vestige.open().runs(kind="script")]
    assert [list(one) for one in values] == [["a b"]] * 3
