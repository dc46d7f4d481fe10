"""Commands recorded from inside a Python program, with real commands."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from tests.ops.study import Study
from vestige.errors import NotFoundError, RefusedError, UsageError
from vestige.ops.recording import Request, run


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    study = Study(tmp_path / "p", git=True)
    study.write("step.py", "import os; open('out.csv', 'w').write(open('in.csv').read() * 2 + os.environ.get('LR', ''))\n")
    study.write("in.csv", "some content\n")
    monkeypatch.chdir(study.root)
    return study


def test_the_record_is_complete_when_it_is_returned(study: Study) -> None:
    found = run(study.project, Request(command=(sys.executable, "step.py"), name="twice", tags=("a",)))
    assert (found.status, found.exit_code, found.name, found.tags) == ("finished", 0, "twice", ("a",))
    assert [use.path for use in found.outputs if use.role == "data"] == ["out.csv"]
    assert "in.csv" in [use.path for use in found.inputs]
    assert study.project.records.path_of(found.id) is not None


def test_a_command_that_fails_is_a_record_and_no_exception(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert run(study.project, Request(command=("sh", "-c", "exit 3"))).exit_code == 3
    found = run(study.project, Request(command=("no-such-command",)))
    assert (found.exit_code, found.status) == (127, "failed")


def test_the_commands_working_directory_and_environment_are_as_asked(study: Study) -> None:
    (study.root / "sub").mkdir()
    study.write("sub/in.csv", "x")
    environ = {**os.environ, "LR": "0.5"}
    found = run(study.project, Request(command=(sys.executable, "../step.py"), cwd="sub", environ=environ))
    assert found.cwd == "sub"
    assert (study.root / "sub" / "out.csv").read_text() == "xx0.5"


def test_the_command_sees_nothing_of_how_it_was_started(study: Study) -> None:
    command = "import os; print(sorted(n for n in os.environ if n not in eval(os.environ['KNOWN'])), file=open('seen', 'w'))"
    known = repr({*os.environ, "KNOWN"})
    run(study.project, Request(command=(sys.executable, "-c", command), environ={**os.environ, "KNOWN": known}))
    seen = eval((study.root / "seen").read_text())
    assert all(name.startswith("VESTIGE_") for name in seen)


def test_a_threaded_program_can_record(study: Study) -> None:
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()
    try:
        assert run(study.project, Request(command=("true",))).exit_code == 0
    finally:
        stop.set()
        other.join()


def test_strict_refuses_uncommitted_changes_before_anything_runs(study: Study) -> None:
    with pytest.raises(RefusedError, match="commit your changes first"):
        run(study.project, Request(command=("touch", "ran"), strict=True))
    assert not (study.root / "ran").exists()


def test_where_nothing_can_be_recorded_that_is_said(study: Study) -> None:
    project = study.project
    project.place.root = "/nonexistent"
    with pytest.raises(UsageError, match="/nonexistent is not a folder"):
        run(project, Request(command=("true",)))


def test_a_parent_that_is_not_known_is_named_before_anything_runs(study: Study) -> None:
    with pytest.raises(NotFoundError, match="known as 'nonsense'"):
        run(study.project, Request(command=("touch", "ran"), parent="nonsense"))
    assert not (study.root / "ran").exists()
