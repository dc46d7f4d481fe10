"""Interpreters, asked who they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

from vestige.capture import interpreters
from vestige.model.environment import Interpreter

PYTHON = os.path.realpath(sys.executable)


def virtual(path: Path, *, system: bool = False) -> str:
    venv.create(path, symlinks=True, with_pip=False, system_site_packages=system)
    return str(path / "bin" / "python")


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("python", "python"),
        ("python3", "python"),
        ("python3.11", "python"),
        ("python3.13t", "python"),
        ("python3.11-dbg", "python"),
        ("pypy3.10", "python"),
        ("python.exe", "python"),
        ("R", "R"),
        ("Rscript", "R"),
        ("node", "node"),
        ("perl5.36.0", "perl"),
        ("lua5.4", "lua"),
        ("python-config", None),
        ("python3.11-config", None),
        ("pythonista", None),
        ("ld", None),
        ("", None),
    ],
)
def test_a_language_is_known_by_the_name_of_its_interpreter(name: str, language: str | None) -> None:
    assert interpreters.language(f"/usr/bin/{name}") == language


def test_a_script_is_run_by_the_interpreter_of_its_first_line(tmp_path: Path) -> None:
    python = virtual(tmp_path / "v")
    cases = {
        "direct": f"#!{python} -u\n",
        "env": "#!/usr/bin/env python3\n",
        "shell": "#!/bin/sh\n",
        "gone": "#!/gone/python\n",
        "none": "#!",
    }
    for name, line in cases.items():
        (tmp_path / name).write_text(line)
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 1\n")
    assert {name: interpreters.resolve(str(tmp_path / name)) for name in [*cases, "python3", "absent"]} == {
        "direct": python,
        "env": None,
        "shell": None,
        "gone": None,
        "none": None,
        "python3": None,
        "absent": None,
    }
    assert interpreters.resolve(python) == python
    assert interpreters.resolve("/bin/ls") is None


def test_a_script_that_names_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "python").write_text(f"#!{tmp_path}/python\n")
    assert interpreters.resolve(str(tmp_path / "python")) is None


def test_python_says_who_it_is() -> None:
    answer = interpreters.ask(PYTHON)
    assert answer.problems == ()
    assert answer.interpreter == Interpreter(
        language="python",
        version="{}.{}.{}".format(*sys.version_info[:3]),
        executable=PYTHON,
        implementation=sys.implementation.name,
        build=" ".join(sys.version.split()),
        prefix=sys.base_prefix,
        base_prefix=sys.base_prefix,
        kind="conda" if os.path.isdir(os.path.join(sys.base_prefix, "conda-meta")) else "system",
    )
    assert any(folder.endswith("-packages") for folder in answer.folders)


@pytest.mark.parametrize("system", [False, True])
def test_a_virtual_environment_is_known_by_the_name_it_was_called_by(tmp_path: Path, system: bool) -> None:
    python = virtual(tmp_path / "v", system=system)
    answer = interpreters.ask(python)
    program = "import json, sys, site; print(json.dumps([sys.prefix, [p for p in sys.path if p.endswith('-packages')]]))"
    environ = {**os.environ, "PYTHONNOUSERSITE": "1"}
    environ.pop("PYTHONPATH", None)
    prefix, path = json.loads(subprocess.check_output([python, "-c", program], env=environ))
    assert (answer.interpreter.kind, answer.interpreter.prefix) == ("virtualenv", prefix)
    assert answer.interpreter.base_prefix == sys.base_prefix
    assert [folder for folder in answer.folders if os.path.isdir(folder)] == path
    assert answer.sees_user == system


def test_a_virtual_environment_inside_conda_is_a_virtual_environment(tmp_path: Path) -> None:
    python = virtual(tmp_path / "v")
    (tmp_path / "v" / "conda-meta").mkdir()
    assert interpreters.ask(python).interpreter.kind == "virtualenv"


def test_no_code_of_the_users_runs_to_learn_a_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = virtual(tmp_path / "v")
    site = next((tmp_path / "v" / "lib").glob("python*/site-packages"))
    mark = tmp_path / "ran"
    code = f"open({str(mark)!r}, 'a').write('x')\n"
    (site / "sitecustomize.py").write_text(code)
    (site / "evil.pth").write_text(f"import sys; {code}")
    (tmp_path / "json.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "json.py"))
    assert interpreters.ask(python).interpreter.version is not None
    assert not mark.exists()
    subprocess.run([python, "-c", "import json"], check=True)
    assert mark.exists(), "the trap does not work"


def test_an_interpreter_is_asked_once_as_long_as_it_stays_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = virtual(tmp_path / "v")
    first = interpreters.ask(python, str(tmp_path / "cache"))

    def refuse(argv: list[str]) -> tuple[str | None, str | None]:
        raise AssertionError(argv)

    with monkeypatch.context() as patch:
        patch.setattr(interpreters, "_output", refuse)
        assert interpreters.ask(python, str(tmp_path / "cache")) == first
    with open(tmp_path / "v" / "pyvenv.cfg", "a") as file:
        file.write("include-system-site-packages = true\n")
    assert interpreters.ask(python, str(tmp_path / "cache")).sees_user


def test_a_damaged_cache_asks_again(tmp_path: Path) -> None:
    python = virtual(tmp_path / "v")
    first = interpreters.ask(python, str(tmp_path / "cache"))
    (file,) = (tmp_path / "cache").iterdir()
    for damage in (b"", b"{}", b"\xff", file.read_bytes()[:-20], b'{"state": 3}'):
        file.write_bytes(damage)
        assert interpreters.ask(python, str(tmp_path / "cache")) == first


def compiled(tmp_path: Path, name: str, source: str) -> str:
    (tmp_path / "x.c").write_text(source)
    subprocess.run(["gcc", "-o", str(tmp_path / name), str(tmp_path / "x.c")], check=True)
    return str(tmp_path / name)


def test_one_that_never_answers_is_a_problem_and_no_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "PATIENCE", 0.2)
    silent = compiled(tmp_path, "ruby", "#include <unistd.h>\nint main(void) { pause(); return 0; }\n")
    began = time.monotonic()
    answer = interpreters.ask(silent, str(tmp_path / "cache"))
    assert answer.interpreter == Interpreter(language="ruby", version=None, executable=silent)
    assert answer.problems == (f"{silent} did not say its version within 0 s",)
    assert time.monotonic() - began < 2
    assert not (tmp_path / "cache").exists()


def test_one_that_fails_says_why(tmp_path: Path) -> None:
    broken = compiled(tmp_path, "python3", '#include <stdio.h>\nint main(void) { puts("no home"); return 3; }\n')
    answer = interpreters.ask(broken)
    assert answer.interpreter.version is None
    assert answer.problems == (f"{broken} failed when asked for its version: no home",)
    assert interpreters.ask(str(tmp_path / "julia")).problems == (
        f"{tmp_path}/julia cannot be asked for its version: No such file or directory",
    )


def test_other_languages_say_their_version(tmp_path: Path) -> None:
    julia = compiled(tmp_path, "julia", '#include <stdio.h>\nint main(void) { puts("julia version 1.10.4"); return 0; }\n')
    assert interpreters.ask(julia).interpreter == Interpreter(language="julia", version="1.10.4", executable=julia)
    perl = shutil.which("perl")
    if perl is not None:
        said = subprocess.check_output([perl, "-e", 'printf "%vd", $^V'], text=True)
        assert interpreters.ask(perl).interpreter.version == said


def test_r_is_known_by_its_base_package(tmp_path: Path) -> None:
    (tmp_path / "R/bin/exec").mkdir(parents=True)
    (tmp_path / "R/library/base").mkdir(parents=True)
    (tmp_path / "R/library/base/DESCRIPTION").write_text("Package: base\nVersion: 4.2.2\nPriority: base\n")
    program = compiled(tmp_path, "program", "int main(void) { return 1; }\n")
    os.rename(program, tmp_path / "R/bin/exec/R")
    assert interpreters.ask(str(tmp_path / "R/bin/exec/R")).interpreter.version == "4.2.2"
