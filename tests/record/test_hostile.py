"""What may go wrong around a recorded command: it runs as it would have, and one line says what was not recorded."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.record.running import VESTIGE, last, paths, records, run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="recording is complete on Linux only")

STRANGE = os.fsdecode(b"a\nb\tc\x1b[31m\xff")
SHOWN = rb"a\nb\tc\x1b[31m\xff"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "in.csv").write_text("a,b\n1,2\n3,4\n5,6\n")
    return folder


def ask(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*VESTIGE, *words], cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, check=False)


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (STRANGE, 127, SHOWN + b": not found"),
        ("./" + STRANGE, 127, b"./" + SHOWN + b": not found"),
        ("", 127, b": not found"),
        ("./no/such", 127, b"./no/such: not found"),
        ("./in.csv", 126, b"./in.csv: cannot be executed"),
        ("./in.csv/below", 126, b"./in.csv/below: cannot be executed"),
        (".", 126, b".: cannot be executed"),
    ],
)
def test_what_cannot_be_started_is_one_line_a_record_and_takes_no_time(
    project: Path, command: str, code: int, said: bytes
) -> None:
    begun = time.monotonic()
    done = run(project, command)
    assert time.monotonic() - begun < 1.5  # it once waited two seconds for itself
    if (code, done.returncode) == (126, 127):
        code, said = 127, done.stderr.removeprefix(b"vestige: ").rstrip(b"\n")
    assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"vestige: " + said + b"\n")
    record = last(project)
    assert (record["status"], record["exit_code"], record["command"]) == ("failed", code, [command])


def test_strange_names_go_through_every_verb(project: Path) -> None:
    copy = STRANGE + "2"
    assert run(project, "cp", "in.csv", STRANGE).returncode == 0
    assert run(project, "cp", STRANGE, copy).returncode == 0
    assert records(project)
    for words in (("trace", copy), ("trace", "--down", "in.csv"), ("log",), ("show", "last"), ("status",), ("reproduce", copy)):
        done = ask(project, *words)
        assert done.returncode == 0, (words, done)
        assert b"\x1b" not in done.stdout + done.stderr
        assert rb"\x1b[31m\xff" in done.stdout
        assert done.stdout.count(b"\n") <= 60
    documents = json.loads(ask(project, "log", "--json").stdout)
    assert documents[0]["outputs"][0]["path"] == "a%0Ab%09c%1B%5B31m%FF2"
    assert b"\x1b" not in ask(project, "trace", "--json", copy).stdout + ask(project, "trace", "--dot", copy).stdout
    assert ask(project, "restore", copy, "-o", STRANGE + "3").returncode == 0
    assert (project / (STRANGE + "3")).read_bytes() == (project / "in.csv").read_bytes()


def small() -> None:
    """No file may be written at all: as a disk that is full, for root and everybody."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


@pytest.mark.parametrize("command", [("cat", "in.csv"), ("sh", "-c", "cat in.csv; exit 3")])
def test_where_nothing_can_be_written_the_command_runs_with_one_warning(project: Path, command: tuple[str, ...]) -> None:
    done = subprocess.run([*VESTIGE, "run", "-v", *command], cwd=project, capture_output=True, preexec_fn=small, check=False)
    assert (done.returncode, done.stdout) == (3 if "sh" in command else 0, (project / "in.csv").read_bytes())
    assert done.stderr.startswith(b"vestige: ")
    assert done.stderr.endswith(b"cannot be written (File too large); the command runs unrecorded\n")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("part", ["", "runs", "active", "objects", "notes", "code.git", "project"])
def test_a_part_of_the_store_that_is_something_else_stops_no_command(project: Path, part: str) -> None:
    path = project / ".vestige" / part
    if part == "project":
        path.mkdir(parents=True)
    else:
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    done = run(project, "cp", "in.csv", "out.csv", options=["-v"])
    assert (done.returncode, done.stderr.count(b"\n")) == (0, 1)
    assert done.stderr.startswith(b"vestige: ")
    assert b".tmp-" not in done.stderr
    assert (project / "out.csv").exists()


def test_a_read_only_project_is_one_line_that_names_the_store(project: Path) -> None:
    if os.geteuid() == 0:
        command = f'mount --bind . . && mount -o remount,ro,bind "$PWD" && cd "$PWD" && {" ".join(VESTIGE)} run -v cat in.csv'
        done = subprocess.run(["unshare", "-m", "sh", "-c", command], cwd=project, capture_output=True, check=False)
    else:
        project.chmod(0o555)
        done = run(project, "cat", "in.csv", options=["-v"])
        project.chmod(0o755)
    assert (done.returncode, done.stdout) == (0, (project / "in.csv").read_bytes())
    assert done.stderr.startswith(f"vestige: {project}/.vestige cannot be written (".encode())
    assert done.stderr.endswith(b"); the command runs unrecorded\n")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "variable",
    [
        "VESTIGE_RUN_ID=../../x",
        "VESTIGE_RUN_ID=\xff\n",
        "VESTIGE_RUN_DIR=/etc/passwd",
        "VESTIGE_KEEP=lots",
        "VESTIGE_OBSERVE=psychic",
        "VESTIGE_NONSENSE=1",
        "PYTHONPATH=/no:/etc/passwd",
        "PYTHONWARNINGS=error",
        "HOME=relative",
        "HOME=",
        "XDG_STATE_HOME=/etc/passwd/x",
        "XDG_CACHE_HOME=/etc/passwd/x",
        "TMPDIR=/no/such",
        "COLUMNS=99999999999999999999",
        "TZ=Nonsense/Zone",
        "GIT_DIR=/no/such",
    ],
)
def test_no_variable_stops_a_command_from_being_recorded(project: Path, variable: str) -> None:
    name, _, value = variable.partition("=")
    done = run(project, "cp", "in.csv", "out.csv", options=["-v"], environ={name: value})
    assert done.returncode == 0
    assert b"Warning" not in done.stderr
    lines = done.stderr.splitlines()
    if name in ("VESTIGE_KEEP", "VESTIGE_OBSERVE"):
        assert lines.pop(0).startswith(b"vestige: the configuration was passed over: " + name.encode())
    assert len(lines) == 1, done.stderr
    assert paths(last(project), "outputs") == {"out.csv"}


def test_an_input_that_has_vanished_is_still_in_the_lineage(project: Path) -> None:
    (project / "gone.txt").write_text("precious and long enough")
    run(project, "sh", "-c", "cat gone.txt > out.txt; rm gone.txt")
    assert records(project)
    traced = ask(project, "trace", "out.txt")
    assert (traced.returncode, traced.stdout.startswith(b"gone.txt ")) == (0, True)


def test_a_working_directory_that_has_vanished_stops_nothing(project: Path) -> None:
    script = f"mkdir gone && cd gone && rmdir ../gone && {' '.join(VESTIGE)} run -v true; {' '.join(VESTIGE)} log"
    done = subprocess.run(["sh", "-c", script], cwd=project, capture_output=True, check=False)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr


def test_runs_at_the_same_moment_are_all_recorded(project: Path) -> None:
    script = "".join(f"{' '.join(VESTIGE)} run -q cp in.csv out{i} & " for i in range(6)) + "wait"
    subprocess.run(["sh", "-c", script], cwd=project, check=True)
    assert sorted(paths(one, "outputs").pop() for one in records(project)) == [f"out{i}" for i in range(6)]
    assert ask(project, "check").returncode == 0


@pytest.mark.parametrize("delay", [0.03, 0.08, 0.15, 0.3, 0.5])
def test_a_launcher_killed_at_any_moment_leaves_a_run_that_ended_and_its_outputs(project: Path, delay: float) -> None:
    process = subprocess.Popen([*VESTIGE, "run", "sh", "-c", "cat in.csv > one; sleep 0.2; cat in.csv > two"], cwd=project)
    time.sleep(delay)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while any((project / ".vestige" / "active").glob("*/started.json")) and time.monotonic() < deadline:
        ask(project, "log")
        time.sleep(0.05)
    listed = ask(project, "log")
    assert b"Traceback" not in listed.stderr
    if (project / "two").exists():
        assert paths(last(project), "outputs") == {"one", "two"}
        assert ask(project, "trace", "two").stdout.startswith(b"in.csv ")
    assert ask(project, "check").returncode == 0


def test_a_watcher_that_is_killed_costs_neither_time_nor_the_exit_status(project: Path) -> None:
    process = subprocess.Popen([*VESTIGE, "run", "sh", "-c", "sleep 0.6; exit 3"], cwd=project)
    deadline = time.monotonic() + 10
    while not (found := list(project.glob(".vestige/active/*/started.json"))) or b'"recorder"' not in found[0].read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(json.loads(found[0].read_text())["processes_of_vestige"]["watcher"][0], 9)
    begun = time.monotonic()
    assert process.wait() == 3
    assert time.monotonic() - begun < 3  # the recorder once kept the launcher from seeing it
    record = last(project)
    assert (record["status"], record["exit_code"]) == ("failed", 3)


TORN = {
    "cut off": lambda lines: lines[:-7],
    "torn within": lambda lines: lines[:200] + b"\n" + lines[250:],
    "zeros behind": lambda lines: lines + b"\0" * 500,
    "other things between": lambda lines: b'["o"]\n[]\n5\n{}\n["o","x","y",5]\n["o",1,2,3,4,5,6,7,8,9]\n' + lines,
    "nested without end": lambda lines: b"[" * 5000 + b"\n" + lines,
    "a number without end": lambda lines: b'["o",%s,1,"x"]\n' % (b"9" * 5000) + lines,
    "binary": lambda _: bytes(range(256)) * 30,
    "empty": lambda _: b"",
}


@pytest.fixture
def lost(project: Path) -> Path:
    """The folder of a run of which every process was killed."""
    process = subprocess.Popen([*VESTIGE, "run", "sh", "-c", "cat in.csv > one; sleep 60"], cwd=project)
    deadline = time.monotonic() + 20
    while not any(b"/one" in path.read_bytes() for path in project.glob(".vestige/active/*/events.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (folder,) = (project / ".vestige" / "active").iterdir()
    time.sleep(0.2)
    processes = json.loads((folder / "started.json").read_text())["processes_of_vestige"]
    for name in ("recorder", "watcher", "launcher", "command"):
        os.kill(processes[name][0], 9)
    process.wait()
    return folder


ASKING = (("log",), ("trace", "one"), ("gc",))


def assert_answered(project: Path, what: object) -> None:
    for words in ASKING:
        done = ask(project, *words)
        assert b"Traceback" not in done.stderr, (what, words, done.stderr)
        assert b"defect" not in done.stderr, (what, words, done.stderr)


def test_next_to_a_torn_journal_every_verb_answers(project: Path, lost: Path) -> None:
    lines = (lost / "events.jsonl").read_bytes()
    for name, tear in TORN.items():
        (lost / "events.jsonl").write_bytes(tear(lines))
        assert_answered(project, name)
    (lost / "events.jsonl").write_bytes(lines)
    assert ask(project, "trace", "one").stdout.startswith(b"in.csv ")
    assert b"\tlost\t" in ask(project, "log").stdout


def test_next_to_a_damaged_started_record_every_verb_answers_and_check_names_it(project: Path, lost: Path) -> None:
    started = json.loads((lost / "started.json").read_text())
    keys = ("processes_of_vestige", "options", "command", "project", "started", "sequence", "cwd", "id")
    for key in keys:
        (lost / "started.json").write_text(json.dumps({**started, key: 5 if key != "sequence" else "x"}))
        assert_answered(project, key)
        checked = ask(project, "check")
        assert checked.returncode == 1, key
        assert str(lost).encode() in checked.stdout + checked.stderr
