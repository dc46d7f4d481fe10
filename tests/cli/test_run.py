"""`vestige run`: what its options come to in the record."""

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

from tests.cli.calling import Caller, program
from tests.ops.study import Study
from vestige.store.journal import Active, is_alive


def last(study: Study) -> dict[str, Any]:
    """The newest record, once nothing is being finished."""
    deadline = time.monotonic() + 20
    while os.listdir(study.root / ".vestige" / "active") and time.monotonic() < deadline:
        time.sleep(0.02)
    found: list[dict[str, Any]] = [json.loads(path.read_text()) for path in (study.root / ".vestige" / "runs").rglob("*.json")]
    return max(found, key=lambda record: record["id"])


def test_name_tags_and_note(study: Study) -> None:
    program("run", "--name", "n", "--tag", "a", "--tag=b", "--note", "why", "true", cwd=study.root)
    record = last(study)
    assert (record["name"], record["tags"], record["note"]) == ("n", ["a", "b"], "why")


def test_it_says_what_it_recorded_only_where_that_is_wanted(study: Study) -> None:
    assert program("run", "true", cwd=study.root).stderr == b""
    assert program("run", "-v", "true", cwd=study.root).stderr.startswith(b"vestige: ")
    assert program("run", "-q", "true", cwd=study.root).stderr == b""


def test_the_options_of_the_command_are_its_own(study: Study) -> None:
    done = program("run", "--name", "n", "echo", "--name", "-v", "--", "x", cwd=study.root)
    assert done.stdout == b"--name -v -- x\n"
    assert program("run", "--", "echo", "--", "x", cwd=study.root).stdout == b"-- x\n"


@pytest.mark.parametrize("verb", ["track", "monitor"])
def test_other_names_record_as_well(study: Study, verb: str) -> None:
    assert program(verb, "echo", "x", cwd=study.root).stdout == b"x\n"
    assert last(study)["command"] == ["echo", "x"]


def test_a_dry_run_runs_nothing_and_writes_nothing(tmp_path: Path) -> None:
    done = program("run", "--dry-run", "--input", "a b", "--tag", "t", "touch", "ran", cwd=tmp_path)
    assert done.returncode == 0
    assert b"would run:    touch ran\n" in done.stdout
    assert b"inputs:       'a b'\n" in done.stdout
    assert os.listdir(tmp_path) == []


def test_declared_files_are_in_the_record(study: Study) -> None:
    study.write("in.csv", "x")
    program("run", "--observe", "none", "--input", "in.csv", "--output", "out.csv", "cp", "in.csv", "out.csv", cwd=study.root)
    record = last(study)
    assert [(use["path"], use["evidence"]) for use in record["inputs"]] == [("in.csv", ["declared"])]
    assert [(use["path"], use["evidence"]) for use in record["outputs"]] == [("out.csv", ["declared"])]


def test_the_files_of_an_item_are_taken_along(study: Study) -> None:
    study.write("vestige.toml", '[items]\nfigures = ["*.png"]\n')
    study.write("old.png", "from before")
    time.sleep(0.05)
    program("run", "--observe", "none", "-i", "figures", "sh", "-c", "echo x > new.png", cwd=study.root)
    assert [use["path"] for use in last(study)["outputs"]] == ["new.png"]


def test_an_item_that_is_none_is_asked_about_before_anything_runs(study: Study, call: Caller) -> None:
    called = call("run", "-i", "in.csv", "touch", "ran")
    assert (called.code, called.err) == (64, "vestige: no item 'in.csv'; did you mean --input in.csv?\n")
    assert not (study.root / "ran").exists()


def test_a_parent_is_named_as_any_run(study: Study, call: Caller) -> None:
    outer = study.record(change={"name": "outer"})
    program("run", "--parent", "outer", "true", cwd=study.root)
    assert last(study)["parent"] == outer.id
    assert call("run", "--parent", "nonsense", "touch", "ran").code == 1
    assert not (study.root / "ran").exists()


def test_strict_refuses_uncommitted_changes(study: Study) -> None:
    study.write("step.py", "print(1)\n")
    done = program("run", "--strict", "touch", "ran", cwd=study.root)
    assert done.returncode == 1
    assert done.stderr.startswith(b"vestige: refusing to run: commit your changes first (every run maps to a commit)\n  ")
    assert not (study.root / "ran").exists()
    study.commit()
    assert program("run", "--strict", "touch", "ran", cwd=study.root).returncode == 0


def test_a_wrong_configuration_stops_no_command_and_stands_in_the_record(study: Study) -> None:
    study.write("vestige.toml", "kep = 1\n")
    assert program("run", "echo", "x", cwd=study.root).stdout == b"x\n"
    assert any("there is no key 'kep'" in problem for problem in last(study)["problems"])
    assert program("run", "--strict", "touch", "ran", cwd=study.root).returncode == 64


def test_keep_keeps_whatever_its_size(study: Study) -> None:
    study.write("vestige.toml", "keep = 3\n")
    program("run", "sh", "-c", "echo long enough > a", cwd=study.root)
    assert [use["kept"] for use in last(study)["outputs"]] == [False]
    program("run", "--keep", "sh", "-c", "echo long enough too > b", cwd=study.root)
    assert [use["kept"] for use in last(study)["outputs"]] == [True]


def test_records_are_shared_by_git_where_that_is_configured(study: Study) -> None:
    study.write("vestige.toml", 'records = "commit"\n')
    program("run", "true", cwd=study.root)
    last(study)
    subprocess.run(["git", "add", "-A"], cwd=study.root, check=True)
    listed = subprocess.run(["git", "ls-files"], cwd=study.root, capture_output=True, check=True).stdout
    assert b".vestige/runs/" in listed
    assert b".vestige/code.git" not in listed


def killed(study: Study) -> Path:
    """The folder of a run whose processes were all killed, after it had written out.csv."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "vestige", "run", "sh", "-c", "echo x > out.csv; echo ready; exec sleep 60"],
        cwd=study.root,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert worker.stdout is not None
    worker.stdout.read(1)
    (folder,) = (study.root / ".vestige" / "active").iterdir()
    processes: dict[str, list[int]] = {}
    while "recorder" not in processes or b"out.csv" not in (folder / "events.jsonl").read_bytes():
        processes = json.loads((folder / "started.json").read_text())["processes_of_vestige"]
        time.sleep(0.02)
    for pid, _ in processes.values():
        os.kill(pid, signal.SIGKILL)
    worker.stdout.close()
    worker.wait()
    while is_alive(Active(str(folder))):
        time.sleep(0.02)
    return folder


def test_a_lost_run_is_in_the_log_and_its_files_are_traced(study: Study, call: Caller) -> None:
    killed(study)
    assert call("log", "--columns", "status").out == "lost\n"
    assert call("trace", "out.csv").out.endswith("-> out.csv\n")
    assert "output\tout.csv" in call("show", "last").out


def test_a_run_that_ended_unrecorded_is_recorded_by_whoever_asks(study: Study, call: Caller) -> None:
    folder = killed(study)
    (folder / "ended.json").write_text('{"status": 0, "time": "2026-11-21T09:00:00.000000Z", "seq": 0}')
    assert call("log", "--columns", "status").out == "finished\n"
    assert not folder.exists()
    assert [use["path"] for use in last(study)["outputs"]] == ["out.csv"]


def test_a_call_within_a_program_leaves_its_signals_and_descriptors_alone(tmp_path: Path) -> None:
    """Whoever calls the function goes on afterwards. Its pipes it would lose, as a launcher lets go of them: so, files."""
    program = """
import os, signal, sys
from vestige.cli import main
def state():
    return signal.pthread_sigmask(signal.SIG_BLOCK, []), sorted(os.listdir("/proc/self/fd"))
main(["run", "true"])
before = state()
main(["run", "sh", "-c", "kill -TERM $$"])
print(before == state(), before[0])
"""
    with (tmp_path / "said").open("w") as said:
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, stdout=said, stderr=said, stdin=said, check=True)
    assert (tmp_path / "said").read_text() == "True set()\n"
