"""Records that are made without running anything: `capture` and `adopt`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.ops.study import Study
from vestige.errors import NotFoundError, RecordingError, UsageError
from vestige.ops import show
from vestige.ops.adopt import GAP, adopt
from vestige.ops.capture import capture
from vestige.ops.project import open_project


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    study = Study(tmp_path / "p", git=True)
    study.write("step.py", "print(1)\n")
    study.commit()
    study.write("step.py", "print(2)\n")
    monkeypatch.chdir(study.root)
    return study


def test_a_capture_holds_code_environment_machine_and_variables(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    run = capture(study.project, name="now", tags=["a"], note="n")
    assert (run.kind, run.status, run.name, run.tags, run.note) == ("capture", "finished", "now", ("a",), "n")
    assert (run.command, run.inputs, run.outputs) == ((), (), ())
    assert run.problems == ()
    assert run.code is not None
    assert run.code.dirty is True
    shown = show.show(study.project, run.id)
    assert shown.run == run
    assert shown.environment is not None
    assert shown.environment.interpreters[0].language == "python"
    assert shown.machine is not None
    assert run.variables["OMP_NUM_THREADS"] == "3"


def test_the_code_of_a_capture_can_be_restored(study: Study, tmp_path: Path) -> None:
    run = capture(study.project)
    assert run.code is not None
    study.project.code.checkout(run.code.snapshot or "", str(tmp_path / "there"))
    assert (tmp_path / "there" / "step.py").read_text() == "print(2)\n"


def test_nothing_is_left_active(study: Study) -> None:
    capture(study.project)
    assert os.listdir(os.path.join(study.opened.store, "active")) == []


def test_a_capture_belongs_to_its_parent(study: Study) -> None:
    outer = study.record(change={"name": "outer"})
    assert capture(study.project, parent="outer").parent == outer.id
    with pytest.raises(NotFoundError):
        capture(study.project, parent="nonsense")


def test_the_catalogue_knows_it(study: Study) -> None:
    run = capture(study.project)
    with study.project.catalogue.open() as index:
        assert index.summary(run.id) is not None


def test_records_are_shared_by_git_where_that_is_configured(study: Study) -> None:
    study.write("vestige.toml", 'records = "commit"\n')
    capture(study.project)
    subprocess.run(["git", "add", "-A"], cwd=study.root, check=True)
    listed = subprocess.run(["git", "ls-files", ".vestige"], cwd=study.root, capture_output=True, check=True).stdout.decode()
    assert ".vestige/runs/" in listed
    assert ".vestige/objects/" not in listed


def test_without_git_and_without_a_store_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    run = capture(open_project())
    assert run.code is not None
    assert run.code.commit is None
    assert open_project().records.path_of(run.id) is not None


def test_where_nothing_can_be_written_it_says_so(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    project = study.project
    project.place.store = "/proc/nonexistent/.vestige"
    with pytest.raises(RecordingError, match="nothing can be recorded: /proc/nonexistent"):
        capture(project)


def test_adopted_files_are_outputs_by_the_users_word(study: Study) -> None:
    study.write("raw.csv", "raw")
    study.write("clean.csv", "clean")
    run = adopt(study.project, ["clean.csv"], command=["python", "clean.py"], inputs=["raw.csv"], note="from the portal")
    assert (run.kind, run.status, run.command, run.note) == ("adopted", "finished", ("python", "clean.py"), "from the portal")
    assert [(use.path, use.access, use.evidence, use.kept) for use in (*run.inputs, *run.outputs)] == [
        ("raw.csv", "read", ("declared",), True),
        ("clean.csv", "write", ("declared",), True),
    ]
    assert run.observation is not None
    assert run.observation.gaps == (GAP,)
    assert run.duration is None


def test_a_folder_stands_for_the_files_below_it(study: Study) -> None:
    study.write("data/a.csv", "a")
    study.write("data/sub/b.csv", "b")
    (study.root / "data" / "dangling").symlink_to("nowhere")
    assert [use.path for use in adopt(study.project, ["data"]).outputs] == ["data/a.csv", "data/sub/b.csv"]


def test_what_is_not_there_or_no_file_is_named(study: Study) -> None:
    with pytest.raises(NotFoundError, match=r"gone\.csv is not there"):
        adopt(study.project, ["gone.csv"])
    (study.root / "empty").mkdir()
    with pytest.raises(UsageError, match="no file below empty"):
        adopt(study.project, ["empty"])
    os.mkfifo(study.root / "pipe")
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        adopt(study.project, ["pipe"])


def test_a_secret_file_is_adopted_but_not_kept(study: Study) -> None:
    study.write(".env", "API_KEY=1234567890abcdef\n")
    (use,) = adopt(study.project, [".env"]).outputs
    assert use.digest is not None
    assert use.kept is False
    assert not study.project.objects.has(use.digest)


def test_a_secret_in_the_command_is_taken_out(study: Study) -> None:
    study.write("clean.csv", "clean")
    secret = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"
    run = adopt(study.project, ["clean.csv"], command=["curl", f"--token={secret}"])
    path = study.project.records.path_of(run.id)
    assert path is not None
    assert secret not in Path(path).read_text()
    assert run.redactions
