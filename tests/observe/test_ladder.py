"""Where the best way of observing is refused, the next one is taken, and the record says why. All refusals are the kernel's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.observe.test_watcher import OLD_CALLS, compiled
from tests.record.running import VESTIGE, last, paths, records
from vestige.observe import ladder, ptrace

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these ways are Linux's")

REFUSING = str(Path(__file__).with_name("refusing.py"))
ALL = "open,openat,openat2,creat,rename,renameat,renameat2,unlinkat,unlink,mkdir,mkdirat,execve"

EPERM = "notify: a sandbox forbids it (EPERM)"
EBUSY = "notify: somebody listens to this process's calls already (EBUSY)"
SILENT = "ptrace: its stops do not arrive: a filter above us, or an emulator, takes the calls from it"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "p"
    made.mkdir()
    (made / "in").write_text("hello")
    (made / "vestige.toml").touch()
    return made


def behind(what: str, folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """A command behind a filter that forbids something."""
    command = [sys.executable, REFUSING, what, *words]
    return subprocess.run(command, cwd=folder, env={**os.environ, **environ}, capture_output=True, timeout=60, check=False)


def recorded(what: str, folder: Path, *words: str, observe: str = "auto", **environ: str) -> dict[str, Any]:
    """The record of a command that was run behind such a filter."""
    done = behind(what, folder, *VESTIGE, "run", "--observe", observe, "--", *words, **environ)
    assert (done.returncode, done.stderr) == (0, b"")
    return last(folder)


def observation(record: dict[str, Any]) -> tuple[str, list[str], list[str]]:
    found = record["observation"]
    return found["method"], found["refused"], found["gaps"]


COPY = ("sh", "-c", "cat in > tmp; mv tmp out; mkdir d; cp out d/e")


@pytest.mark.parametrize(
    ("what", "refused"),
    [("listener", EPERM), ("busy", EBUSY), ("listening:mount", EBUSY)],
    ids=["EPERM", "EBUSY", "a listener"],
)
def test_where_no_listener_is_given_the_command_is_traced(folder: Path, what: str, refused: str) -> None:
    record = recorded(what, folder, *COPY)
    assert observation(record) == ("ptrace", [refused], [])
    assert (paths(record, "inputs"), paths(record, "outputs")) == ({"in"}, {"out", "d/e"})


def test_a_listener_above_us_that_takes_some_calls_is_a_gap(folder: Path) -> None:
    record = recorded("listening:mkdirat,renameat2", folder, *COPY)
    gap = "a filter above this process takes some calls from the tracer: mkdirat, renameat2"
    assert observation(record) == ("ptrace", [EBUSY], [gap])
    assert paths(record, "inputs") >= {"in"}


def test_where_stops_do_not_arrive_programs_are_not_traced(folder: Path) -> None:
    method, refused, gaps = observation(recorded("listening:" + ALL, folder, *COPY))
    assert (method, refused) == ("preload", [EBUSY, SILENT])
    assert gaps
    assert (folder / "d" / "e").read_text() == "hello"


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("filters", "no filter can be installed (Operation not permitted)"),
        ("tracing", "somebody traces this process already, or a sandbox forbids it (EPERM)"),
    ],
)
def test_where_nothing_can_be_traced_a_library_is_put_before_programs(folder: Path, what: str, reason: str) -> None:
    record = recorded(what, folder, *COPY)
    method, refused, gaps = observation(record)
    assert method == "preload"
    assert refused[0] == EPERM
    assert refused[1].startswith(f"ptrace: {reason}")
    assert gaps
    assert (paths(record, "inputs"), paths(record, "outputs")) == ({"in"}, {"out", "d/e"})


def test_without_the_compiled_watcher_nothing_is_traced(folder: Path) -> None:
    method, refused, _ = observation(recorded("listener", folder, *COPY, VESTIGE_WATCHER="python"))
    assert method == "preload"
    assert refused == [EPERM, "ptrace: the compiled watcher was not built"]


@pytest.mark.parametrize("wanted", ["notify", "ptrace", "audit"])
def test_what_was_asked_for_gives_way_downwards_only(folder: Path, wanted: str) -> None:
    method, refused, _ = observation(recorded("tracing", folder, *COPY, observe=wanted))
    assert method == ("audit" if wanted == "audit" else "preload")
    assert [one.partition(":")[0] for one in refused] == {"notify": ["notify", "ptrace"], "ptrace": ["ptrace"]}.get(wanted, [])


def test_a_command_that_gains_privileges_is_neither_filtered_nor_traced() -> None:
    found = ladder.descend("auto", 0, gains=True)
    assert found.rung == "preload"
    assert [one.partition(":")[0] for one in found.refused] == ["notify", "ptrace"]
    assert ladder.descend("ptrace", 0, gains=True).rung == "ptrace"


def test_the_doctor_says_what_is_to_be_had_and_why_not_more(folder: Path) -> None:
    said = behind("tracing", folder, *VESTIGE, "doctor").stdout.decode().splitlines()
    found = {name: (state, text) for group, name, state, text, _ in (line.split("\t") for line in said) if group == "observing"}
    assert found["notify"] == ("missing", "not available: a sandbox forbids it (EPERM)")
    assert found["ptrace"][0] == "missing"
    assert found["preload"][0] == "good"
    assert found["preload"][1].endswith("how runs are observed here")
    assert found["audit"] == ("good", "files that Python programs open, from inside, and folders compared before and after")


def test_an_ordinary_run_tries_nothing(folder: Path, tmp_path: Path) -> None:
    program = f"""
import sys
from vestige.record import watch
look = watch.Parent.watch
def watched(parent):
    open({str(tmp_path / "modules")!r}, "w").write(" ".join(sys.modules))
    look(parent)
watch.Parent.watch = watched
from vestige.cli import main
sys.argv = ["vestige", "run", "true"]
main()
"""
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True)
    loaded = set((tmp_path / "modules").read_text().split())
    assert "vestige.record.watch" in loaded
    assert not loaded & {"vestige.observe.ladder", "vestige.observe.ptrace", "vestige.record.descent"}


@pytest.mark.parametrize("wanted", ["auto", "audit"])
def test_privileges_that_an_attempt_has_taken_from_the_run_are_named(folder: Path, wanted: str) -> None:
    """Behind a filter of root's, as in a container: an ordinary user must promise not to gain any before a filter is tried."""
    script = "grep NoNewPrivs /proc/self/status > out"
    inside = ["unshare", "--user", "--map-user=1000", *VESTIGE, "run", "--observe", wanted, "--", "sh", "-c", script]
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, REFUSING, "tracing", *inside],
        cwd=folder, capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    method, _, gaps = observation(last(folder))
    tried = wanted == "auto"
    assert method == ("preload" if tried else "audit")
    assert (folder / "out").read_text().split()[1] == str(int(tried))
    assert (ladder.DEPRIVED in gaps) == tried


# -- tracing ---------------------------------------------------------------------------------------------------------------


def test_a_kernel_that_does_not_tell_of_calls_is_asked_for_registers(folder: Path) -> None:
    record = recorded("call-info", folder, *COPY)
    assert observation(record) == ("ptrace", [EPERM], [])
    assert (paths(record, "inputs"), paths(record, "outputs")) == ({"in"}, {"out", "d/e"})


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the 32-bit entry is x86's")
def test_registers_of_the_32_bit_entry_are_read_as_its_own(folder: Path) -> None:
    program = compiled(folder, OLD_CALLS, "-static", "-nostdlib", "-no-pie", "-fno-pie", "-fno-stack-protector")
    record = recorded("call-info", folder, program)
    assert (paths(record, "inputs"), paths(record, "outputs")) == ({"in"}, {"made"})


def test_a_run_inside_a_traced_one_joins_it(folder: Path) -> None:
    inner = f"{sys.executable} -m vestige run --name inner cp in out"
    outer = [*VESTIGE, "run", "--observe", "ptrace", "--name", "outer", "--", "sh", "-c", f"{inner}; cat out > further"]
    subprocess.run(outer, cwd=folder, check=True, stdin=subprocess.DEVNULL)
    found = {record["name"]: record for record in records(folder)}
    assert found["inner"]["parent"] == found["outer"]["id"]
    assert observation(found["inner"]) == ("ptrace", [], [])
    assert observation(found["outer"]) == ("ptrace", [], [])
    assert (paths(found["inner"], "inputs"), paths(found["inner"], "outputs")) == ({"in"}, {"out"})
    assert paths(found["outer"], "outputs") == {"out", "further"}


def test_a_program_that_listens_to_its_own_calls_is_a_gap(folder: Path) -> None:
    words = [sys.executable, REFUSING, "listening:openat", "cat", "in"]
    command = [*VESTIGE, "run", "--observe", "ptrace", "--", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, b"hello")
    method, _, gaps = observation(last(folder))
    assert method == "ptrace"
    assert any("asked to be told of calls itself (seccomp)" in gap for gap in gaps)


def test_a_debugger_inside_cannot_trace_and_the_user_is_told(folder: Path) -> None:
    trace = "import ctypes, sys; libc = ctypes.CDLL(None, use_errno=True); sys.exit(libc.ptrace(0, 0, 0, 0) != -1)"
    command = [*VESTIGE, "run", "-v", "--observe", "ptrace", "--", sys.executable, "-c", trace]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0
    (gap,) = observation(last(folder))[2]
    assert gap.endswith("cannot trace programs, since it is traced itself; use --observe notify or preload")
    assert f"vestige: {gap}" in done.stderr.decode().splitlines()


def test_a_tracer_that_is_killed_is_said_and_the_status_comes(folder: Path) -> None:
    script = "echo ready > mark; while read line; do :; done; exit 4"
    process = subprocess.Popen(
        [*VESTIGE, "run", "--observe", "ptrace", "--", "sh", "-c", script], cwd=folder, stdin=subprocess.PIPE
    )
    deadline = time.monotonic() + 20
    while not (folder / "mark").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    (started,) = folder.glob(".vestige/active/*/started.json")
    os.kill(json.loads(started.read_text())["processes_of_vestige"]["watcher"][0], signal.SIGKILL)
    time.sleep(0.1)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(20) == 4
    method, _, gaps = observation(last(folder))
    assert method == "ptrace"
    assert "the watcher was killed: what happened after that was not seen" in gaps


def _children() -> set[str]:
    return {pid for thread in Path("/proc/self/task").iterdir() for pid in (thread / "children").read_text().split()}


def test_what_is_tried_leaves_nothing_behind() -> None:
    before, children = set(os.listdir("/proc/self/fd")), _children()
    started = time.monotonic()
    for _ in range(5):
        found = ptrace.tried()
        assert (found.refused, found.silent) == (0, ())
    assert time.monotonic() - started < 2
    assert set(os.listdir("/proc/self/fd")) == before
    assert _children() <= children
