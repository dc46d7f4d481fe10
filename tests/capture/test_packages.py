"""The environment of an interpreter: the same for ever while nothing changes, another as soon as anything does."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.capture.test_distributions import dist
from tests.capture.test_interpreters import PYTHON, virtual
from vestige.capture import digest, packages
from vestige.model import wire
from vestige.model.environment import Environment, Interpreter, Package


@pytest.fixture
def python(tmp_path: Path) -> str:
    return virtual(tmp_path / "v")


def site_of(python: str) -> Path:
    return next((Path(python).parent.parent / "lib").glob("python*/site-packages"))


def settle(*folders: Path) -> None:
    for folder in folders:
        os.utime(folder, (time.time() - 100, time.time() - 100))


def names(captured: packages.Captured) -> dict[str, str]:
    return {package["name"]: package["version"] for package in json.loads(captured.data())["packages"]}


def test_a_virtual_environment_is_captured_with_its_packages(python: str, tmp_path: Path) -> None:
    dist(site_of(python), INSTALLER="pip")
    captured = packages.capture(python, str(tmp_path / "cache"), {})
    environment = wire.decode(Environment, json.loads(captured.data()))
    assert environment.interpreters[0].kind == "virtualenv"
    assert [package.name for package in environment.packages] == ["demo"]
    assert captured.digest == digest.of_bytes(captured.data())
    assert captured.problems == ()


def test_an_unchanged_environment_is_neither_asked_nor_read(python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dist(site_of(python))
    settle(site_of(python))
    cache = str(tmp_path / "cache")
    first = packages.capture(python, cache, {})

    def refuse(*_: object) -> object:
        raise AssertionError("looked again")

    monkeypatch.setattr(packages, "_look", refuse)
    second = packages.capture(python, cache, {})
    assert (second.digest, second.data(), second.problems) == (first.digest, first.data(), first.problems)


def test_the_unchanged_case_costs_next_to_nothing(python: str, tmp_path: Path) -> None:
    for number in range(300):
        dist(site_of(python), name=f"demo{number}")
    settle(site_of(python))
    packages.capture(python, str(tmp_path / "cache"), {})
    costs = []
    for _ in range(20):
        began = time.process_time()
        packages.capture(python, str(tmp_path / "cache"), {})
        costs.append(time.process_time() - began)
    assert min(costs) < 0.002


def test_what_is_installed_later_is_seen(python: str, tmp_path: Path) -> None:
    site, cache = site_of(python), str(tmp_path / "cache")
    settle(site)
    assert names(packages.capture(python, cache, {})) == {}
    dist(site)
    settle(site)
    assert names(packages.capture(python, cache, {})) == {"demo": "1.0"}


def test_while_an_installation_goes_on_nothing_is_remembered(python: str, tmp_path: Path) -> None:
    info = dist(site_of(python), record=None, INSTALLER="pip")
    cache = str(tmp_path / "cache")
    assert packages.capture(python, cache, {}).problems == (f"demo: RECORD in {info} is missing",)
    (info / "RECORD").write_text("demo.py,sha256=x,1\n")
    os.utime(site_of(python), (time.time() - 10, time.time() - 10))
    assert packages.capture(python, cache, {}).problems == ()


def test_bytes_are_had_again_when_the_cache_lost_or_damaged_them(python: str, tmp_path: Path) -> None:
    dist(site_of(python))
    settle(site_of(python))
    first = packages.capture(python, str(tmp_path / "cache"), {})
    (data,) = (tmp_path / "cache").glob("python-*.data")
    data.write_bytes(b"damaged")
    assert packages.capture(python, str(tmp_path / "cache"), {}).data() == first.data()
    data.unlink()
    assert packages.capture(python, str(tmp_path / "cache"), {}).data() == first.data()


def test_a_cache_that_cannot_be_written_changes_nothing(python: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert packages.capture(python, str(tmp_path / "file"), {}).data() == packages.capture(python, None, {}).data()


def test_folders_that_variables_add_come_first(python: str, tmp_path: Path) -> None:
    dist(site_of(python), version="1.0")
    dist(tmp_path / "extra", version="2.0")
    assert names(packages.capture(python, None, {"PYTHONPATH": f"{tmp_path}/extra{os.pathsep}relative"})) == {"demo": "2.0"}
    assert names(packages.capture(python, None, {})) == {"demo": "1.0"}
    assert names(packages.python_environment(python, [str(tmp_path / "extra")], environ={})) == {"demo": "2.0"}


def test_the_users_own_site_is_seen_by_who_sees_it(python: str, tmp_path: Path) -> None:
    user = tmp_path / "home" / ".local" / "lib" / site_of(python).parent.name / "site-packages"
    dist(user, name="own")
    home = {"HOME": str(tmp_path / "home")}
    open_ = virtual(tmp_path / "w", system=True)
    assert "own" not in names(packages.capture(python, None, home))
    assert "own" in names(packages.capture(open_, None, home))
    assert "own" in names(packages.capture(PYTHON, None, home))
    assert "own" in names(packages.capture(PYTHON, None, {"PYTHONUSERBASE": f"{tmp_path}/home/.local"}))
    assert "own" not in names(packages.capture(PYTHON, None, {**home, "PYTHONNOUSERSITE": "1"}))


def test_conda_is_found_beneath_the_interpreter(python: str, tmp_path: Path) -> None:
    notes = tmp_path / "v" / "conda-meta"
    notes.mkdir()
    (notes / "zlib-1.3-h1.json").write_text('{"name": "zlib", "version": "1.3", "build": "h1", "channel": "c"}')
    (notes / "history").write_text("# update specs: ['zlib']\n")
    document = json.loads(packages.capture(python, None, {}).data())
    assert [package["name"] for package in document["conda"]] == ["zlib"]
    assert document["conda_specs"] == ["zlib"]
    assert document["interpreters"][0]["kind"] == "virtualenv"


def test_what_is_no_interpreter_is_not_run(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    script.chmod(0o755)
    assert not packages.is_interpreter(str(script))
    assert packages.capture(str(script), None, {}).problems == (f"{script} is no interpreter that is known",)
    assert not (tmp_path / "ran").exists()


def test_another_language_is_an_environment_of_its_interpreter_alone(tmp_path: Path) -> None:
    from tests.capture.test_interpreters import compiled

    julia = compiled(tmp_path, "julia", '#include <stdio.h>\nint main(void) { puts("julia version 1.10.4"); return 0; }\n')
    assert packages.is_interpreter(julia)
    environment = wire.decode(Environment, json.loads(packages.capture(julia, str(tmp_path / "cache"), {}).data()))
    assert environment == Environment(interpreters=(Interpreter(language="julia", version="1.10.4", executable=julia),))


def test_one_environment_joined_with_nothing_is_itself(python: str) -> None:
    captured = packages.capture(python, None, {})
    assert packages.join([captured]) is captured


def test_several_interpreters_are_joined_the_main_one_first(python: str, tmp_path: Path) -> None:
    other = virtual(tmp_path / "w")
    dist(site_of(python), name="shared")
    dist(site_of(python), name="mine")
    dist(site_of(other), name="shared")
    dist(site_of(other), name="theirs")
    cache = str(tmp_path / "cache")
    both = [packages.capture(python, cache, {}), packages.capture(other, cache, {})]
    joined = packages.join([*both, both[1]], {"libc6": "2.36"}, cache)
    environment = wire.decode(Environment, json.loads(joined.data()))
    assert [its.executable for its in environment.interpreters] == [python, other]
    assert [(package.name, package.extra.get("interpreter")) for package in environment.packages] == [
        ("mine", None),
        ("shared", None),
        ("theirs", 1),
    ]
    assert environment.system == {"libc6": "2.36"}
    assert joined.digest == digest.of_bytes(joined.data())
    again = packages.join([*both, both[1]], {"libc6": "2.36"}, cache)
    assert (again.digest, again.data()) == (joined.digest, joined.data())
    assert packages.join(both, {"libc6": "2.37"}, cache).digest != joined.digest


def test_the_same_environment_has_the_same_bytes() -> None:
    one = Environment(packages=(Package(name="a", version="1"),), system={"b": "2", "a": "1"})
    other = Environment(packages=(Package(name="a", version="1"),), system={"a": "1", "b": "2"})
    assert packages.environment_bytes(one) == packages.environment_bytes(other)
