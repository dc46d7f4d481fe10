"""The environment of this interpreter as three files, for the build hook of a workflow manager."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

import vestige
from tests.exchange.seeds import GOLDEN
from vestige.errors import StoreError
from vestige.model.environment import CondaPackage, Environment, Interpreter, Package
from vestige.ops import environment


def test_the_paths_that_were_written_are_returned(tmp_path: Path) -> None:
    found = vestige.capture_environment(tmp_path / "run" / "prod0")
    assert found == {
        "metadata": str(tmp_path / "run" / "prod0" / "environment.json"),
        "pip": str(tmp_path / "run" / "prod0" / "environment-pip.txt"),
    }
    assert sorted(os.listdir(tmp_path / "run" / "prod0")) == ["environment-pip.txt", "environment.json"]


def test_the_metadata_has_the_documented_fields(tmp_path: Path) -> None:
    found = json.loads(Path(vestige.capture_environment(tmp_path)["metadata"]).read_text())
    golden = json.loads((GOLDEN / "asimov" / "prod0" / "environment.json").read_text())
    assert list(found) == list(golden)
    assert found["python_version"].split()[0] == ".".join(map(str, sys.version_info[:3]))
    assert found["python_executable"] == sys.executable
    assert found["environment_type"] in ("virtualenv", "system", "conda")
    assert abs(datetime.fromisoformat(found["timestamp"]).timestamp() - Path(tmp_path / "environment.json").stat().st_mtime) < 5


def test_the_packages_are_those_that_this_interpreter_sees(tmp_path: Path) -> None:
    lines = Path(vestige.capture_environment(tmp_path)["pip"]).read_text().splitlines()
    assert f"pytest=={pytest.__version__}" in lines
    assert lines == sorted(lines, key=lambda line: line.lstrip("# ").lower()) or any(line.startswith("#") for line in lines)


def test_a_later_call_replaces_what_an_earlier_one_wrote(tmp_path: Path) -> None:
    vestige.capture_environment(tmp_path)
    (tmp_path / "environment-pip.txt").write_text("old")
    vestige.capture_environment(os.fspath(tmp_path))
    assert (tmp_path / "environment-pip.txt").read_text() != "old"


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file cannot be written: File exists"):
        vestige.capture_environment(tmp_path / "file")


def test_what_was_written_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "vestige.toml").touch()
    vestige.capture_environment(tmp_path / "prod0")
    project = vestige.open(project=tmp_path)
    (run,) = project.import_records([tmp_path / "prod0"]).runs
    shown = project.show(run.id).environment
    assert shown is not None
    assert any((package.name, package.version) == ("pytest", pytest.__version__) for package in shown.packages)


IN_CONDA = Environment(
    interpreters=(
        Interpreter(language="python", version="3.11.7", executable="/c/lab/bin/python", prefix="/c/lab", kind="conda"),
    ),
    conda=(CondaPackage(name="xz", version="5.4", build="h5"), CondaPackage(name="gsl", version="2.7", build="h1")),
    packages=(
        Package(name="b", version="2"),
        Package(name="A", version="1"),
        Package(
            name="vcs", version="1", origin={"url": "https://example.org/v.git", "vcs_info": {"vcs": "git", "commit_id": "9c4b"}}
        ),
        Package(name="wheel", version="1", origin={"url": "https://example.org/wheel-1.whl", "archive_info": {}}),
        Package(name="own", version="3", origin={"url": "file:///home/ada/own", "dir_info": {"editable": True}}),
    ),
)


def test_a_conda_environment_has_its_own_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONDA_DEFAULT_ENV", raising=False)
    found = environment.rendered(IN_CONDA, datetime.now(UTC))
    lines = found["conda"].splitlines()
    assert lines[0] == "# This file may be used to create an environment using:"
    assert lines[-2:] == ["gsl=2.7=h1", "xz=5.4=h5"]
    metadata = json.loads(found["metadata"])
    assert (metadata["environment_type"], metadata["conda_env_name"]) == ("conda", "lab")
    assert environment.NAMES["conda"] == "environment-conda.txt"


def test_nobody_is_told_to_install_from_a_folder_of_this_machine() -> None:
    assert environment.rendered(IN_CONDA, datetime.now(UTC))["pip"].splitlines() == [
        "A==1",
        "b==2",
        "# from file:///home/ada/own, where nobody else can install it: own==3",
        "vcs @ git+https://example.org/v.git@9c4b",
        "wheel @ https://example.org/wheel-1.whl",
    ]


def test_a_build_hook_need_not_be_in_a_project(tmp_path: Path) -> None:
    program = "import vestige; print(vestige.capture_environment('out')['pip'])"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path / "out" / "environment-pip.txt")
    assert os.listdir(tmp_path) == ["out"]
