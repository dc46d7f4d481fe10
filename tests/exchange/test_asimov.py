"""The environments that asimov captured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.exchange.studies import copied, imported, project, runs
from vestige.errors import UnreadableError
from vestige.model import plain


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copied("asimov", tmp_path)


def environment(root: Path) -> dict:
    (run,) = runs(root)
    assert run.environment is not None
    return plain.loads(project(root)._opened.objects.read(run.environment))


def change(root: Path, **keys: object) -> None:
    path = root / "prod0" / "environment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def test_a_set_becomes_a_capture_with_its_environment(root: Path) -> None:
    (run,) = imported(root, ".").runs
    assert (run.kind, run.name, run.cwd, run.status) == ("capture", "prod0", "prod0", "finished")
    assert run.started == json.loads((root / "prod0" / "environment.json").read_text())["timestamp"][:26] + "Z"
    found = environment(root)
    (interpreter,) = found["interpreters"]
    assert (interpreter["version"], interpreter["kind"], interpreter["executable"]) == ("3.11.7", "virtualenv", "/usr/bin/python")
    assert interpreter["build"] == "(main, May  9 2026, 07:35:25) [GCC 12.2.0]"
    assert {"name": "pytest", "version": "9.2.0"}.items() <= {one["name"]: one for one in found["packages"]}["pytest"].items()


def test_the_packages_of_conda_have_channel_and_build(root: Path) -> None:
    change(root, environment_type="conda", conda_env_name="igwn")
    (root / "prod0" / "environment-conda.txt").write_text(
        "# This file may be used to create an environment using:\nnumpy=1.26.4=py311h64a7726_0\nbilby=2.3=pypi_0\n"
    )
    imported(root, "prod0")
    found = environment(root)
    assert [(one["name"], one["version"], one["build"]) for one in found["conda"]] == [
        ("numpy", "1.26.4", "py311h64a7726_0"),
        ("bilby", "2.3", "pypi_0"),
    ]
    assert found["interpreters"][0]["conda_environment"] == "igwn"


def test_every_way_in_which_pip_names_a_package_is_read(root: Path) -> None:
    (root / "prod0" / "environment-pip.txt").write_text(
        "numpy==1.26.4\n"
        "bilby @ git+https://ada:secretpassword@example.org/bilby.git@v2\n"
        "-e git+https://example.org/mine.git@abc#egg=mine\n"
        "# Editable install with no version control (local==1)\n"
        "-e /home/ada/local\n"
        "\n"
        "not a package at all\n"
    )
    imported(root, "prod0")
    found = environment(root)
    assert [(one["name"], one["version"]) for one in found["packages"]] == [
        ("numpy", "1.26.4"), ("bilby", ""), ("mine", ""), ("local", "")
    ]  # fmt: skip
    assert "secretpassword" not in json.dumps(found)


def test_a_list_that_is_gone_is_said(root: Path) -> None:
    (root / "prod0" / "environment-pip.txt").unlink()
    (run,) = imported(root, "prod0").runs
    assert any("environment-pip.txt cannot be read" in problem for problem in run.problems)


def test_importing_twice_changes_nothing_and_two_equal_environments_are_stored_once(root: Path) -> None:
    (run,) = imported(root, ".").runs
    (root / "prod1").mkdir()
    for name in ("environment.json", "environment-pip.txt"):
        (root / "prod1" / name).write_bytes((root / "prod0" / name).read_bytes())
    assert imported(root, "prod0").known == (run.id,)
    path = root / "prod1" / "environment.json"
    path.write_text(path.read_text().replace("11:4", "12:4"))
    (other,) = imported(root, "prod1").runs
    assert (other.environment, other.id != run.id) == (run.environment, True)


def test_a_time_that_is_none_is_an_error_of_one_line(root: Path) -> None:
    change(root, timestamp="soon")
    with pytest.raises(UnreadableError, match="'timestamp' holds no time") as caught:
        imported(root, "prod0")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["python_executable", "conda_env_name"])
@pytest.mark.parametrize("wrong", [None, 7, [1], {"a": 1}], ids=repr)
def test_no_key_of_a_wrong_kind_keeps_a_set_out(root: Path, key: str, wrong: object) -> None:
    change(root, **{key: wrong})
    assert len(imported(root, "prod0").runs) == 1
