"""What was given as a standard stream is seen for what it is."""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LOOK = """
import json, os, sys
report = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC)
os.dup2(report, 60, inheritable=False); os.close(report)
from vestige.launch import streams
found = streams.inspect()
landed = os.open("/dev/null", os.O_RDONLY)
document = {"kinds": [one.kind for one in found.standards], "paths": [one.path for one in found.standards],
    "identities": [one.identity for one in found.standards], "flags": [one.flags for one in found.standards],
    "closed": sorted(found.closed), "landed": landed,
    "others": [[one.number, one.path, one.flags & os.O_ACCMODE] for one in found.inherited(set()) if one.number > 2]}
os.write(60, json.dumps(document).encode())
"""


def look(folder: Path, line: str = "", **how: Any) -> dict[str, Any]:
    """What is seen by a process that a shell starts with some redirections."""
    report = folder / "report"
    report.unlink(missing_ok=True)
    words = [sys.executable, "-c", LOOK, str(report)]
    subprocess.run(["bash", "-c", f'exec "$@" {line}', "bash", *words], check=True, cwd=folder, timeout=30, **how)
    document: dict[str, Any] = json.loads(report.read_text())
    return document


def test_files_with_their_paths_and_flags(tmp_path: Path) -> None:
    (tmp_path / "in file\n").touch()
    found = look(tmp_path, "< 'in file\n' > out 2>> log".replace("'in file\n'", "$'in file\\n'"))
    assert found["kinds"] == ["file"] * 3
    assert found["paths"] == [str(tmp_path / name) for name in ("in file\n", "out", "log")]
    assert [flags & os.O_ACCMODE for flags in found["flags"]] == [os.O_RDONLY, os.O_WRONLY, os.O_WRONLY]
    assert [bool(flags & os.O_APPEND) for flags in found["flags"]] == [False, False, True]


def test_a_file_that_was_removed_has_no_path(tmp_path: Path) -> None:
    (tmp_path / "in").touch()
    with (tmp_path / "in").open() as file:
        (tmp_path / "in").unlink()
        found = look(tmp_path, "> /dev/null 2> /dev/null", stdin=file)
    assert found["kinds"] == ["file", "null", "null"]
    assert found["paths"] == [None] * 3


def test_pipes_and_sockets_and_which_of_them_are_one(tmp_path: Path) -> None:
    found = look(tmp_path, "2>&1", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert found["kinds"] == ["pipe"] * 3
    assert found["identities"][1] == found["identities"][2] != found["identities"][0]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert look(tmp_path, stdin=theirs, stdout=theirs, stderr=theirs)["kinds"] == ["pipe"] * 3


def test_terminals_and_which_of_them_are_one(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    found = look(tmp_path, f"< {os.ttyname(slave)} 2> /dev/null", stdin=slave, stdout=slave)
    assert found["kinds"] == ["terminal", "terminal", "null"]
    assert found["identities"][0] == found["identities"][1]
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize(("line", "closed"), [("<&-", [0]), (">&-", [1]), ("<&- >&- 2>&-", [0, 1, 2]), ("<&- 2>&-", [0, 2])])
def test_what_is_closed_is_known_and_nothing_lands_there(line: str, closed: list[int], tmp_path: Path) -> None:
    found = look(tmp_path, line)
    assert found["closed"] == closed
    assert [found["kinds"][number] for number in closed] == ["closed"] * len(closed)
    assert found["landed"] > 2


def test_other_descriptors_that_the_command_will_have(tmp_path: Path) -> None:
    (tmp_path / "three").touch()
    found = look(tmp_path, "3< three 7>> seven 8< /dev/null")
    assert found["others"] == [[3, str(tmp_path / "three"), os.O_RDONLY], [7, str(tmp_path / "seven"), os.O_WRONLY]]


def test_devices(tmp_path: Path) -> None:
    assert look(tmp_path, "< /dev/zero > /dev/null 2> /dev/full")["kinds"] == ["other", "null", "other"]
