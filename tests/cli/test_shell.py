"""`vestige shell`, with somebody at the keys: each command is a run, and the shell is what it always is."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.calling import program
from tests.launch.launching import Screen
from tests.record.running import paths, records
from vestige.errors import CouldNotError, ExistsError, UsageError
from vestige.ops.shell import shell as plan

VESTIGE = [sys.executable, "-m", "vestige"]
SHELLS = ["bash", "dash", pytest.param("zsh", marks=pytest.mark.programs)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    (made / ".vestige").mkdir()
    return made


def shell(folder: Path, name: str, *words: str, **environ: str) -> Screen:
    """A shell in which every command is recorded, at its first prompt."""
    home = Path(os.environ["HOME"])
    (home / ".bashrc").write_text(
        "bind 'set enable-bracketed-paste off'\nPS1='$ '\nalias up='tr a-z A-Z'\n" + environ.pop("RC", "")
    )
    (home / ".zshrc").write_text("unsetopt zle prompt_sp prompt_cr\nPROMPT='$ '\nalias up='tr a-z A-Z'\n")
    (home / ".shrc").write_text("alias up='tr a-z A-Z'\n")
    environ = {"PS1": "$ ", "INPUTRC": "/dev/null", "ENV": str(home / ".shrc"), **environ}
    screen = Screen([*VESTIGE, "shell", "--quiet", *words, name], environ=environ, cwd=folder)
    screen.expect(b"(vestige) $ ")
    return screen


def commands(folder: Path) -> list[list[str]]:
    """What was recorded, in the order in which it began."""
    return [one["command"] for one in records(folder)]


def found(folder: Path, name: str) -> dict[str, Any]:
    (one,) = [one for one in records(folder) if one["command"][0] == name]
    return one


@pytest.mark.parametrize("name", SHELLS)
def test_each_command_is_a_run_and_the_shell_is_as_always(folder: Path, name: str) -> None:
    (folder / "sub").mkdir()
    (folder / "my script").write_text("#!/bin/sh\nexit 9\n")
    (folder / "my script").chmod(0o755)
    with shell(folder, name) as screen:
        screen.type(b"echo hello > in.txt; cd sub; twice() { cat $1 $1; }\n")
        screen.expect(b"(vestige) $ ")
        screen.type(b"twice ../in.txt | up | sort > ../out.txt; echo $?=\n")
        screen.expect(b"0=\r\n")
        screen.type(b"cat < ../out.txt; cd ..\n")
        screen.expect(b"HELLO\r\nHELLO\r\n")
        screen.type(b"for i in 1 2; do touch f$i; done; ./my\\ script; echo $?=; nosuch; echo $?=\n")
        screen.expect(b"9=\r\n")
        screen.expect(b"127=\r\n")
        screen.type(b"exit 5\n")
        screen.rest()
        assert os.waitstatus_to_exitcode(screen.status()) == 5
    ran = commands(folder)
    assert sorted(map(tuple, ran)) == sorted(
        [
            ("cat", "../in.txt", "../in.txt"),
            ("tr", "a-z", "A-Z"),
            ("sort",),
            ("cat",),
            ("touch", "f1"),
            ("touch", "f2"),
            ("./my script",),
        ]
    )
    assert found(folder, "sort")["cwd"] == "sub"
    assert paths(found(folder, "sort"), "outputs") == {"out.txt"}
    assert found(folder, "./my script")["exit_code"] == 9
    (reader,) = [one for one in records(folder) if one["command"] == ["cat"]]
    assert reader["stdin"]["path"] == "out.txt"
    assert not [name for one in records(folder) for name in one["variables"] if "PRELOAD" in name]


@pytest.mark.parametrize("name", SHELLS)
def test_a_pipeline_is_linked_to_what_it_read(folder: Path, name: str) -> None:
    (folder / "raw.csv").write_text("3\n1\n2\nsome content\n")
    with shell(folder, name) as screen:
        screen.type(b"cat raw.csv | sort | head -n 2 > top.csv\n")
        screen.expect(b"(vestige) $ ")
        screen.type(b"exit\n")
        screen.rest()
    assert len(commands(folder)) == 3
    trace = program("trace", "top.csv", cwd=folder).stdout.decode()
    assert trace.startswith("raw.csv")


@pytest.mark.parametrize("name", SHELLS)
def test_jobs_are_stopped_continued_and_interrupted(folder: Path, name: str) -> None:
    with shell(folder, name) as screen:
        screen.type(b"sleep 60\n")
        screen.expect(b"sleep 60\r\n")
        time.sleep(0.7)
        screen.type(b"\x1a")
        screen.expect(b"(vestige) $ ")
        screen.type(b"jobs\n")
        screen.expect(b"sleep 60")
        screen.expect(b"(vestige) $ ")
        screen.type(b"fg\n")
        screen.expect(b"sleep 60")
        time.sleep(0.3)
        screen.type(b"\x03")
        screen.expect(b"(vestige) $ ")
        screen.type(b"echo $?=\n")
        screen.expect(b"130=\r\n")
        screen.type(b"sh -c 'sleep 0.5; echo x > late.txt' &\n")
        screen.expect(b"(vestige) $ ")
        screen.type(b"wait; exit\n")
        screen.rest()
    assert found(folder, "sleep")["status"] == "interrupted"
    assert paths(found(folder, "sh"), "outputs") == {"late.txt"}


def test_what_the_prompt_and_the_start_run_is_not_recorded(folder: Path) -> None:
    rc = "PROMPT_COMMAND='seen=$?; cat /dev/null'\nPS1='$(true; head -c 0 /dev/null)$seen $ '\nls > /dev/null\n"
    home = Path(os.environ["HOME"])
    with Screen([*VESTIGE, "shell", "-q", "bash"], environ={}, cwd=folder) as screen:
        screen.expect(b"(vestige) ")
        screen.type(b"exit\n")
        screen.rest()
    (home / ".bashrc").write_text("bind 'set enable-bracketed-paste off'\n" + rc)
    with Screen([*VESTIGE, "shell", "-q", "bash"], environ={}, cwd=folder) as screen:
        screen.expect(b"(vestige) 0 $ ")
        screen.type(b"sh -c 'exit 4'\n")
        screen.expect(b"(vestige) 4 $ ")
        screen.type(b"history | tail -n 1; exit\n")
        screen.expect(b"history | tail -n 1; exit\r\n")
        screen.expect(b"history | tail -n 1; exit\r\n")
        screen.rest()
    assert commands(folder) == [["sh", "-c", "exit 4"], ["tail", "-n", "1"]]


def test_vestige_itself_and_what_is_no_program_are_left_to_the_shell(folder: Path) -> None:
    (folder / "plain").write_text("echo plain $0\n")
    (folder / "plain").chmod(0o755)
    (folder / "vestige").write_text(f'#!/bin/sh\nexec {" ".join(VESTIGE)} "$@"\n')
    (folder / "vestige").chmod(0o755)
    with shell(folder, "bash") as screen:
        screen.type(b"./plain; ./sub; ./vestige log; echo $?=\n")
        screen.expect(b"plain ./plain\r\n")
        screen.expect(b"No such file or directory")
        screen.expect(b"1=\r\n")
        screen.type(b"./vestige shell; echo $?=\n")
        screen.expect(b"this is a vestige shell already")
        screen.expect(b"1=\r\n")
        screen.type(b"exec sh -c 'exit 6'\n")
        screen.rest()
        assert os.waitstatus_to_exitcode(screen.status()) == 6
    assert commands(folder) == [["sh", "-c", "exit 6"]]


def test_the_closing_line_is_shown_unless_it_is_not_wanted(folder: Path) -> None:
    with Screen([*VESTIGE, "shell", "sh"], environ={"PS1": "$ "}, cwd=folder) as screen:
        screen.expect(b"(vestige) ")
        screen.type(b"touch made.txt\n")
        screen.expect(b"vestige: ")
        screen.expect("touch made.txt · 0 in → 1 out".encode())
        screen.type(b"exit\n")
        screen.rest()


def test_a_shell_that_cannot_be_had_is_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no shell nosuch"):
        plan("nosuch")
    with pytest.raises(UsageError, match="true is not a shell that Vestige knows"):
        plan("true")
    with pytest.raises(ExistsError, match="already"):
        plan("bash", environ={**os.environ, "VESTIGE_SHELL": "0"})
    source = tmp_path / "static.c"
    source.write_text('#include <stdio.h>\nint main(void) { puts("x"); return 0; }\n')
    compiled = tmp_path / "ksh"
    assert os.system(f"gcc -static -o {compiled} {source}") == 0
    with pytest.raises(CouldNotError, match="does not load libraries"):
        plan(str(compiled))


def test_the_users_own_preloaded_libraries_stay(folder: Path) -> None:
    library = next(Path("/usr/lib").glob("*/libm.so.6"), None) or next(Path("/lib").glob("*/libm.so.6"))
    with shell(folder, "bash", LD_PRELOAD=str(library)) as screen:
        screen.type(b"echo =$LD_PRELOAD=\n")
        screen.expect(f"={library}=\r\n".encode())
        screen.type(b"exit\n")
        screen.rest()
    assert shutil.which("bash") == plan("bash", environ={"PATH": os.environ["PATH"]}).program
