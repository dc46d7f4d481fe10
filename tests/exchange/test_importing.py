"""What holds of every import: what a path is, what is read first, what is said, and our own records coming back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import vestige
from tests.cli.calling import program
from tests.exchange.seeds import GOLDEN
from tests.exchange.studies import copied, imported, project, runs, traced
from tests.ops.study import Study
from tests.store.permissions import read_only
from vestige.errors import NotFoundError, StoreError, UnreadableError, UsageError
from vestige.model import wire


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    """A project in which all seeds were at work."""
    root = tmp_path / "study"
    for name in ("ntrk", "first", "footsteps", "asimov"):
        shutil.copytree(GOLDEN / name, root, dirs_exist_ok=True)
    shutil.copytree(GOLDEN / "later" / "vault", root / "vault", dirs_exist_ok=True)
    (root / "vestige.toml").touch()
    return root


def test_a_project_is_searched_for_all_that_there_is(everything: Path) -> None:
    done = imported(everything, ".")
    systems = [run.extra["imported"]["from"] for run in done.runs]
    assert {system: systems.count(system) for system in systems} == {"ntrk": 2, "capsula": 8, "footsteps": 1, "asimov": 1}
    assert done.notes == ()
    assert len(runs(everything)) == 12
    assert project(everything).check().damaged == ()


def test_only_records_of_the_system_that_is_named_are_taken(everything: Path) -> None:
    assert {run.extra["imported"]["from"] for run in imported(everything, ".", system="capsula").runs} == {"capsula"}
    with pytest.raises(UsageError, match="not of 'capsule'"):
        imported(everything, ".", system="capsule")


def test_ids_are_the_same_wherever_the_same_is_imported(everything: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(everything, copy)
    first = {run.id for run in imported(everything, ".").runs}
    second = {run.id for run in imported(copy, ".").runs}
    assert first == second
    assert all(run_id[14] == "7" and run_id[19] in "89ab" for run_id in first)


def test_ids_begin_with_the_time_of_the_record(everything: Path) -> None:
    from datetime import datetime

    for run in imported(everything, ".ntrk").runs:
        milliseconds = int(run.id.replace("-", "")[:12], 16)
        assert milliseconds == int(datetime.fromisoformat(run.started).timestamp() * 1000)


def test_nothing_is_changed_where_it_is_read(everything: Path) -> None:
    before = {path: path.read_bytes() for path in everything.rglob("*") if path.is_file()}
    imported(everything, ".")
    after = {path: path.read_bytes() for path in everything.rglob("*") if path.is_file() and ".vestige" not in path.parts}
    assert after == before


def test_nothing_is_written_before_all_paths_are_known(everything: Path) -> None:
    with pytest.raises(NotFoundError, match="gone is not there"):
        imported(everything, ".ntrk", "gone")
    assert not (everything / ".vestige").exists()


def test_a_path_that_cannot_be_read_is_one_line(everything: Path, tmp_path: Path) -> None:
    (everything / "pipe.jsonl").unlink(missing_ok=True)
    os.mkfifo(everything / "pipe.jsonl")
    with pytest.raises(UnreadableError, match="is no regular file"):
        imported(everything, "pipe.jsonl")
    (everything / "empty.jsonl").touch()
    with pytest.raises(NotFoundError, match="there is no record in"):
        imported(everything, "empty.jsonl")
    (everything / "dangling").symlink_to("nowhere")
    with pytest.raises(NotFoundError):
        imported(everything, "dangling")


def test_a_sidecar_of_a_name_that_is_not_utf8_is_read(tmp_path: Path) -> None:
    root, name = copied("ntrk", tmp_path), os.fsdecode(b"caf\xe9.csv")
    (root / "out.csv").rename(root / name)
    (root / ".out.csv.ntrk").rename(root / f".{name}.ntrk")
    (run,) = imported(root, name).runs
    assert run.extra["imported"]["source"] == ".caf%E9.csv.ntrk"
    assert len(traced(root, name)) == 1


def test_what_was_imported_is_in_the_log_and_can_be_shown(everything: Path) -> None:
    imported(everything, ".")
    for row in project(everything).log(records=True):
        assert row.run is not None
        shown = program("show", row.run.id, cwd=everything)
        assert (shown.returncode, shown.stderr) == (0, b"")
        assert row.run.id.encode() in shown.stdout


def test_notes_are_on_standard_error_and_the_sum_on_standard_output(everything: Path) -> None:
    with (everything / ".ntrk" / "runs.jsonl").open("a") as log:
        log.write("{\n")
    done = program("import", ".ntrk", cwd=everything)
    assert (done.returncode, done.stdout) == (0, b"imported 2 runs of ntrk\n1 place could not be read\n")
    assert done.stderr.count(b"\n") == 1
    assert b"runs.jsonl: line 3 is not JSON" in done.stderr


def test_a_store_that_cannot_be_written_is_one_line_and_what_was_written_stays(everything: Path) -> None:
    imported(everything, "prod0")
    with read_only(str(everything / ".vestige")), pytest.raises(StoreError, match="the records cannot be written: ") as caught:
        imported(everything, ".ntrk")
    assert "\n" not in str(caught.value)
    imported(everything, ".ntrk")
    assert len(runs(everything)) == 3


def test_how_far_it_is_is_told(everything: Path) -> None:
    told: list[tuple[int, int]] = []
    done = project(everything).import_records([everything], progress=lambda *one: told.append(one))
    assert told[-1] == (len(done.runs), len(done.runs))
    assert all(number <= of for number, of in told)


# --- our own records -------------------------------------------------------------------------------------------------


def test_a_record_that_was_printed_comes_back_in_another_store(study: Study, tmp_path: Path) -> None:
    study.write("raw.csv", "raw data, long enough")
    study.write("out.csv", "a result, long enough")
    run = study.record(reads=["raw.csv"], writes=["out.csv"])
    other = tmp_path / "other"
    other.mkdir()
    (other / "vestige.toml").touch()
    (other / "record.json").write_bytes(wire.dump_run(run))
    done = imported(other, "record.json")
    assert [one.id for one in done.runs] == [run.id]
    shutil.copy(study.root / "out.csv", other / "copy.csv")
    assert traced(other, "copy.csv") == [f"{study.root}/raw.csv -> python step.py @ - -> {study.root}/out.csv"]
    assert imported(other, "record.json").known == (run.id,)


def test_the_results_of_a_script_that_was_recorded_here_are_no_run_of_their_own(study: Study) -> None:
    from vestige.record import info

    words = ("python", "train.py", "a b")
    run = study.record(words, change={"kind": "script", "name": "fold-1"})
    study.write("results/fold-1/w.csv", "6, 9, 42")
    said = info.Info(command=words, system="node17", python="python", commit=None, changes=b"", cwd=str(study.root))
    (study.root / "results" / "fold-1" / "info.txt").write_bytes(info.render(said))
    assert imported(study.root, "results").known == (run.id,)
    study.write("results/fold-2/w.csv", "6, 9, 43")
    (study.root / "results" / "fold-2" / "info.txt").write_bytes(info.render(said))
    assert len(imported(study.root, "results").runs) == 1


def test_many_records_and_a_sidecar_are_read_and_a_newer_one_says_so(study: Study, tmp_path: Path) -> None:
    study.write("out.csv", "a result, long enough")
    documents = [wire.encode(study.record(writes=["out.csv"])) for _ in range(3)]
    documents[1]["vestige"] = 99
    other = tmp_path / "other"
    other.mkdir()
    (other / "vestige.toml").touch()
    (other / "runs.json").write_text(json.dumps(documents))
    (other / ".out.csv.vestige").write_text(json.dumps({"vestige": 1, "records": documents[2:]}))
    done = imported(other, ".out.csv.vestige")
    assert [run.id for run in done.runs] == [documents[2]["id"]]
    done = imported(other, "runs.json")
    assert ([run.id for run in done.runs], done.known) == ([documents[0]["id"]], (documents[2]["id"],))
    assert "record 2 has format 99; this Vestige reads up to 1; install a newer version" in done.notes[0]


def test_a_record_that_was_damaged_is_a_note(study: Study, tmp_path: Path) -> None:
    documents = [wire.encode(study.record()), {"id": "x", "vestige": 1, "command": 7}, {"id": 3, "vestige": 1}, None]
    other = tmp_path / "other"
    other.mkdir()
    (other / "vestige.toml").touch()
    (other / "runs.json").write_text(json.dumps(documents))
    done = vestige.open(project=other).import_records([other / "runs.json"])
    assert (len(done.runs), len(done.notes)) == (1, 3)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path / "p")


def test_a_fresh_project_needs_nothing_but_the_records(tmp_path: Path) -> None:
    root = copied("ntrk", tmp_path)
    (root / "vestige.toml").unlink()
    done = program("import", ".ntrk", cwd=root)
    assert (done.returncode, done.stdout) == (0, b"imported 2 runs of ntrk\n")


def test_what_goes_into_another_project_is_said_to(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "vestige.toml").touch()
    (tmp_path / "other").mkdir()

    def say(*words: str, at: str) -> str:
        command = [sys.executable, "-m", "vestige", *words]
        return subprocess.run(command, cwd=tmp_path / at, check=True, capture_output=True, text=True).stdout

    say("capture", at="one")
    say("export", "last", "-o", "capsule", at="one")
    assert say("import", "../one/capsule", at="other") == f"1 run already imported in {tmp_path / 'one'}\n"
    assert say("import", "capsule", at="one") == "1 run already imported\n"
