"""Files that a program only asks about, where that is wanted; and whom it sends to without a connection."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cases.stage import TEXT, c_program
from tests.cases.test_hostile import project
from tests.record.running import last, paths, run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")

__all__ = ["project"]  # the fixture

WAYS = ("notify", "notify-python", "ptrace")

ASKING = """
int main(void) {
    struct stat found;
    struct statx more;
    int folder = open("folder", O_PATH), data = open("read", O_RDONLY);
    if (stat("by-stat", &found) || lstat("by-lstat", &found) || access("by-access", R_OK))
        return 1;
    if (fstatat(folder, "by-fstatat", &found, 0) || statx(folder, "by-statx", 0, STATX_ALL, &more))
        return 2;
    if (faccessat(folder, "by-faccessat", R_OK, AT_EACCESS))
        return 3;
#ifdef SYS_stat
    if (syscall(SYS_stat, "by-old-stat", &found))
#else
    if (stat("by-old-stat", &found))
#endif
        return 4;
    if (fstat(data, &found) || stat("read", &found) || stat("written", &found) == 0 || stat("folder", &found))
        return 5;
    return creat("written", 0666) < 0 || stat("written", &found) || stat("/proc/self/status", &found);
}
"""

ASKED = {"by-stat", "by-lstat", "by-access", "folder/by-fstatat", "folder/by-statx", "folder/by-faccessat", "by-old-stat"}


@pytest.fixture
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name, _, watcher = str(request.param).partition("-")
    if watcher:
        monkeypatch.setenv("VESTIGE_WATCHER", watcher)
    return name


def listed(project: Path, digest: str | None) -> set[str]:
    """What stands in a list of paths."""
    if digest is None:
        return set()
    algorithm, _, name = digest.partition(":")
    found: list[str] = json.loads((project / ".vestige/objects" / algorithm / name[:2] / name[2:]).read_bytes())
    return set(found)


def asking(project: Path, way: str) -> dict[str, Any]:
    """The record of a program that asks about files in every way there is."""
    (project / "folder").mkdir()
    for name in (*ASKED, "read"):
        (project / name).write_text(TEXT)
    done = run(project, c_program(project, ASKING), options=["--observe", way])
    assert (done.returncode, done.stderr) == (0, b"")
    record = last(project)
    assert (record["observation"]["method"], record["problems"]) == (way, [])
    return record


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_case_75_what_a_program_only_asks_about_is_listed_where_it_is_wanted(project: Path, way: str) -> None:
    (project / "vestige.toml").write_text("metadata = true\n")
    record = asking(project, way)
    assert {name for name in listed(project, record["observation"]["asked"]) if not name.startswith("/")} == ASKED
    assert "written" not in listed(project, record["absent"])  # the run has made it
    assert paths(record, "inputs") - {"vestige.toml"} == {"read"}
    assert paths(record, "outputs") == {"written"}
    assert record["observation"]["gaps"] == []


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_case_75_where_it_is_not_wanted_nobody_is_asked(project: Path, way: str) -> None:
    record = asking(project, way)
    assert "asked" not in record["observation"]
    assert record["observation"]["events"] < 20


def test_a_way_that_cannot_see_what_is_asked_says_so(project: Path) -> None:
    (project / "vestige.toml").write_text("metadata = true\n")
    assert run(project, "cat", "in", options=["--observe", "audit"]).returncode == 0
    assert any("only asked about" in gap for gap in last(project)["observation"]["gaps"])


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_case_79_whom_a_program_sends_to_without_a_connection_is_in_the_record(project: Path, way: str) -> None:
    script = """
import socket, sys
end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for turn in range(100):
    end.sendto(b"x", ("127.0.0.1", int(sys.argv[1])))
end.sendto(b"x", ("127.0.0.1", int(sys.argv[2])))
one, other = socket.socketpair()
for turn in range(100):
    one.send(b"y")  # sendto(2), too, and to nobody in particular
"""
    (project / "step.py").write_text(script)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        ports = []
        for end in (one, other):
            end.bind(("127.0.0.1", 0))
            ports.append(str(end.getsockname()[1]))
        done = run(project, sys.executable, "-I", "-S", "step.py", *ports, options=["--observe", way])
    assert done.returncode == 0, done.stderr
    record = last(project)
    assert record["observation"]["method"] == way
    assert [one["endpoint"] for one in record["network"]] == sorted(f"udp:127.0.0.1:{port}" for port in ports)
    assert any("not reproducible from files" in gap for gap in record["observation"]["gaps"])
    assert record["observation"]["events"] < 100
