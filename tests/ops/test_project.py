"""A project as every verb finds it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.ops.study import Study
from vestige.capture import digest
from vestige.errors import ConfigError, UsageError
from vestige.model.query import RunQuery
from vestige.ops.doctor import doctor
from vestige.ops.init import init, text
from vestige.ops.project import open_project, project_of


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    study = Study(tmp_path / "p")
    monkeypatch.chdir(study.root)
    return study


def test_opening_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    project = open_project()
    assert not project.exists
    assert list(project.index.runs(RunQuery())) == []
    assert os.listdir(tmp_path) == []


def test_paths_are_as_a_record_has_them(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study.write("sub/a.csv", "x")
    (study.root / "link").symlink_to("sub")
    project = study.project
    assert project.relative("sub/a.csv") == "sub/a.csv"
    assert project.relative("link/a.csv") == "sub/a.csv"
    assert project.relative("link") == "link"
    monkeypatch.chdir(study.root / "sub")
    assert project.relative("a.csv") == "sub/a.csv"
    assert project.relative("../../elsewhere") == str(tmp_path / "elsewhere")
    assert project.absolute("sub/a.csv") == str(study.root / "sub" / "a.csv")
    assert project.absolute("/etc/passwd") == "/etc/passwd"


def test_the_digest_of_a_file_a_folder_and_of_nothing(study: Study) -> None:
    study.write("d/a", "x")
    study.write("d/s/b", "y")
    project = study.project
    assert project.digest_of("d/a") == digest.of_bytes(b"x")
    assert project.digest_of("d") == digest.of_directory({"a": digest.of_bytes(b"x"), "s/b": digest.of_bytes(b"y")})
    assert project.digest_of("nothing") is None
    assert project.digest_of("nul\0") is None


def test_a_file_is_looked_up_in_the_project_that_contains_it(study: Study, tmp_path: Path) -> None:
    other = Study(tmp_path / "other")
    path = other.write("a.csv", "x")
    assert project_of(str(path)).root == str(other.root)
    loose = tmp_path / "loose" / "b.csv"
    assert project_of(str(loose)).root == str(study.root)
    assert project_of(str(path), str(study.root)).root == str(study.root)


def test_a_root_that_is_no_folder_is_refused() -> None:
    with pytest.raises(UsageError):
        open_project(None, "/nonexistent")


def test_a_new_record_is_seen_by_the_next_call(study: Study) -> None:
    study.record()
    assert len(list(study.project.index.runs(RunQuery()))) == 1
    study.record()
    assert len(list(study.project.index.runs(RunQuery()))) == 2


def test_the_configuration_is_read_when_it_is_needed(study: Study) -> None:
    study.write("vestige.toml", "kep = 1\n")
    project = study.project
    with pytest.raises(ConfigError):
        _ = project.config


def test_the_written_configuration_says_nothing_and_then_what_it_says(study: Study) -> None:
    import tomllib

    (study.root / "vestige.toml").unlink()
    path = init(study.project)
    assert tomllib.loads(Path(path).read_text()) == {}
    lines = [line[2:] for line in text().splitlines() if line.startswith("# ") and (" = " in line or line.startswith("# ["))]
    Path(path).write_text("\n".join(line for line in lines if not line.startswith("Each")))
    config = study.project.config
    assert config.keep == 1 << 20
    assert config.flags.inputs == ("-t", "--table")
    assert config.items[0].name == "figures"


def test_the_doctor_finds_everything_it_looks_at(study: Study) -> None:
    study.record()
    groups = dict(doctor(study.project).groups)
    assert list(groups) == ["Observing", "What escaped", "Making again", "Versions", "Project", "Store"]
    found = {one.name: one for findings in groups.values() for one in findings}
    assert found["notify"].state in ("good", "limited", "missing")
    assert found["records"].found == "1 run"
    assert (found["objects"].size or 0) >= 0
    assert "none, and none is needed" in found["configuration"].found


def test_the_doctor_says_where_a_wrong_configuration_is(study: Study) -> None:
    study.write("vestige.toml", "kep = 1\n")
    found = {one.name: one for _, findings in doctor(study.project).groups for one in findings}
    assert found["configuration"].state == "missing"
    assert "did you mean 'keep'" in found["configuration"].found
