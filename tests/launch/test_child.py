"""What a shell would find, and who gains privileges."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from pathlib import Path

import pytest

from vestige.launch import child, serve, streams


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    return one, two


def program(folder: Path, name: str, mode: int) -> Path:
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def test_the_first_executable_along_the_path_is_found(folders: tuple[Path, Path]) -> None:
    one, two = folders
    program(one, "x", 0o644)
    found = program(two, "x", 0o755)
    path = f"{one}:{two}"
    assert child.find_program("x", path) == str(found)
    assert child.find_program("y", path) == 127
    assert child.find_program("x", str(one)) == 126
    assert child.find_program("one", str(one.parent)) == 126
    assert child.find_program("x/y", str(two)) == 127
    assert child.find_program("./x", "/nowhere", str(two)) == "./x"


def test_setuid_programs_of_others_gain_privileges_and_ours_do_not(tmp_path: Path) -> None:
    ours = program(tmp_path, "x", 0o4755)
    assert not child.gains_privileges(str(ours))
    assert not child.gains_privileges(str(tmp_path / "nothing"))
    su = shutil.which("su")
    if su is not None and os.geteuid() != 0 and os.stat(su).st_mode & stat.S_ISUID:
        assert child.gains_privileges(su)


@pytest.mark.parametrize(("status", "code"), [(0, 0), (5 << 8, 5), (15, 143), (9 | 128, 137)])
def test_exit_codes_are_a_shells(status: int, code: int) -> None:
    result = serve.Result()
    result.status = status
    assert serve.exit_code(result) == code


def test_a_watcher_that_is_gone_with_its_command_does_not_keep_the_launcher_waiting(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    standard = streams.inspect(stdin=os.devnull, stdout=str(tmp_path / "out"), stderr=str(tmp_path / "err"))
    child_pid = os.fork()
    if child_pid == 0:  # a process of its own: the launcher takes over the signals
        result = serve.serve(standard, ours.fileno(), 0)
        os._exit(0 if result.status is None else 1)
    assert os.waitpid(child_pid, 0)[1] == 0
