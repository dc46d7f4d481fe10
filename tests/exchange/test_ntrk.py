"""What ntrk recorded: its log and its sidecars."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

import vestige
from tests.exchange.studies import copied, imported, project, runs, traced
from vestige.errors import NotFoundError, UnreadableError
from vestige.model.run import Run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copied("ntrk", tmp_path)


def log_of(root: Path) -> list[dict]:
    return [json.loads(line) for line in (root / ".ntrk" / "runs.jsonl").read_text().splitlines()]


def write_log(root: Path, *records: object) -> None:
    lines = [one if isinstance(one, str) else json.dumps(one) for one in records]
    (root / ".ntrk" / "runs.jsonl").write_text("\n".join(lines) + "\n")


def steps(lines: list[str]) -> list[tuple[set[str], str, str]]:
    """The lines of a trace, of ntrk's or of ours: what was read in any order, the script and commit, what was written."""
    found = []
    for line in lines:
        read, maker, written = line.split(" -> ")
        found.append((set(read.split(", ")), maker.removesuffix(" [partial]"), written))
    return found


def test_its_log_becomes_runs_and_a_trace_answers_as_its_own_did(root: Path) -> None:
    done = imported(root, ".ntrk")
    assert (len(done.runs), done.known, done.notes) == (2, (), ())
    assert steps(traced(root, "final.csv")) == steps((root / "trace.txt").read_text().splitlines())
    first, second = runs(root)
    assert first.command == ("python3", "step.py", "-i", "in.csv", "-o", "out.csv")
    assert (first.kind, first.status, first.exit_code, first.cwd) == ("command", "finished", 0, ".")
    assert first.code is not None
    assert (first.code.commit, first.code.branch, first.code.dirty) == (log_of(root)[0]["git"]["commit"], "main", False)
    assert first.script is not None
    assert (first.script.path, first.script.git_blob) == ("step.py", log_of(root)[0]["script"]["blob"])
    assert [use.evidence for use in (*first.inputs, *first.outputs)] == [("declared",)] * 2
    assert first.observation is not None
    assert (first.observation.method, len(first.observation.gaps)) == ("none", 1)
    assert first.problems
    assert second.started[:19] + "Z" == log_of(root)[1]["ts"]


def test_what_is_still_there_is_known_by_both_digests(root: Path) -> None:
    imported(root, ".ntrk")
    first, _ = runs(root)
    (use,) = first.outputs
    assert use.digest == project(root)._opened.digest_of(str(root / "out.csv"))
    assert use.extra["stated"] == "md5:" + log_of(root)[0]["outputs"][0]["md5"]
    assert use.kept


def test_what_is_gone_keeps_its_md5_and_still_joins_the_steps(root: Path) -> None:
    (root / "out.csv").unlink()
    imported(root, ".ntrk")
    first, second = runs(root)
    gone = "md5:" + log_of(root)[0]["outputs"][0]["md5"]
    assert [use.digest for use in first.outputs] == [gone]
    assert gone in {use.digest for use in second.inputs}
    assert steps(traced(root, "final.csv")) == [
        ({"in.csv"}, f"step.py @ {log_of(root)[0]['git']['commit'][:7]}", "out.csv"),
        ({"in.csv", "out.csv [missing]"}, f"step.py @ {log_of(root)[0]['git']['commit'][:7]}", "final.csv"),
    ]


def test_what_comes_back_as_it_was_is_fresh_by_its_md5_and_what_differs_is_modified(root: Path) -> None:
    text = (root / "out.csv").read_text()
    (root / "out.csv").unlink()
    imported(root, ".ntrk")
    (root / "out.csv").write_text(text)
    assert "[" not in traced(root, "final.csv")[1].replace("[partial]", "")
    (root / "out.csv").write_text(text.replace("step", "Step"))
    assert "out.csv [modified]" in traced(root, "final.csv")[1]


def test_a_file_that_was_moved_before_the_import_is_found_by_its_content(root: Path) -> None:
    (root / "old").mkdir()
    (root / "out.csv").rename(root / "old" / "renamed.csv")
    imported(root, ".ntrk")
    assert len(traced(root, "old/renamed.csv")) == 1
    assert traced(root, "old/renamed.csv")[0].endswith("-> out.csv")


def test_importing_twice_changes_nothing(root: Path) -> None:
    first = imported(root, ".ntrk")
    before = {path: path.read_bytes() for path in (root / ".vestige" / "runs").rglob("*.json")}
    (root / "in.csv").unlink()
    again = imported(root, ".ntrk", ".out.csv.ntrk", ".")
    assert (again.runs, set(again.known)) == ((), {run.id for run in first.runs})
    assert {path: path.read_bytes() for path in (root / ".vestige" / "runs").rglob("*.json")} == before


def test_a_log_that_has_grown_brings_only_what_is_new_and_joins_what_was_there(root: Path) -> None:
    one, two = log_of(root)
    write_log(root, one)
    imported(root, ".ntrk")
    (root / "out.csv").unlink()
    write_log(root, one, two)
    done = imported(root, ".ntrk")
    assert (len(done.runs), len(done.known)) == (1, 1)
    assert len(traced(root, "final.csv")) == 2


def test_a_content_that_was_not_found_at_first_goes_on_by_its_md5(root: Path) -> None:
    one, two = log_of(root)
    text = (root / "out.csv").read_text()
    (root / "out.csv").unlink()
    write_log(root, one)
    imported(root, ".ntrk")
    (root / "out.csv").write_text(text)
    write_log(root, one, two)
    imported(root, ".ntrk")
    assert len(traced(root, "final.csv")) == 2


def test_a_sidecar_alone_is_enough_and_is_the_same_run_as_its_line(root: Path) -> None:
    (by_sidecar,) = imported(root, ".out.csv.ntrk").runs
    done = imported(root, ".ntrk")
    assert done.known == (by_sidecar.id,)
    assert len(done.runs) == 1


def test_a_file_stands_for_its_sidecar(root: Path) -> None:
    assert len(imported(root, "out.csv").runs) == 1
    assert len(traced(root, "out.csv")) == 1


def test_a_file_that_was_copied_elsewhere_is_traced_by_the_sidecar_that_went_with_it(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "vestige.toml").touch()
    for name in ("out.csv", ".out.csv.ntrk"):
        shutil.copy(root / name, elsewhere / name)
    (elsewhere / "out.csv").rename(elsewhere / "given.csv")
    (elsewhere / ".out.csv.ntrk").rename(elsewhere / ".given.csv.ntrk")
    imported(elsewhere, ".given.csv.ntrk")
    assert traced(elsewhere, "given.csv")[0].startswith("in.csv [missing] -> step.py @ ")


def test_a_sidecar_is_not_believed_of_bytes_that_it_does_not_describe(root: Path) -> None:
    (root / "out.csv").write_text("something else, and long enough\n")
    imported(root, ".out.csv.ntrk")
    assert traced(root, "out.csv")[0].endswith("-> out.csv [modified]")
    (root / "out.csv").rename(root / "renamed.csv")
    with pytest.raises(NotFoundError, match="no run is known that made"):
        traced(root, "renamed.csv")


def test_a_damaged_line_is_a_note_and_the_rest_is_imported(root: Path) -> None:
    one, two = log_of(root)
    write_log(root, one, '{"v": 1, "id": "tor', two, "[1]", "null", {"v": 1, "ts": "yesterday", "command": ["x"]})
    done = imported(root, ".ntrk")
    assert len(done.runs) == 2
    assert ["line 2" in done.notes[0], "line 4" in done.notes[1], "line 5" in done.notes[2]] == [True] * 3
    assert "'ts' holds no time" in done.notes[3]
    assert all("\n" not in note for note in done.notes)


@pytest.mark.parametrize(
    "change",
    [
        {"command": "python x.py"},
        {"command": []},
        {"command": [1]},
        {"ts": 7},
        {"ts": None},
        {"inputs": [{"md5": "0" * 32}]},
        {"outputs": ["out.csv"]},
        {"outputs": [{"path": "a\0b", "md5": "0" * 32}]},
        {"command": ["\ud800"]},
        {"cwd": "a\0b"},
    ],
    ids=str,
)
def test_a_line_with_something_impossible_in_it_is_a_note(root: Path, change: dict) -> None:
    one, two = log_of(root)
    write_log(root, one | change, two)
    done = imported(root, ".ntrk")
    assert (len(done.runs), len(done.notes)) == (1, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"git": None},
        {"script": None},
        {"script": {"path": "gone.py", "blob": None, "md5": None}},
        {"inputs": None},
        {"id": None},
        {"more": {"deep": [1, 2]}},
        {"outputs": [{"path": "a name\nof two lines.csv", "md5": "nonsense", "size": "large"}]},
        {"outputs": [{"path": "caf\udce9.csv", "md5": "0" * 32, "size": 1}]},
        {"outputs": [{"path": "/elsewhere/out.csv", "md5": "0" * 32, "size": 1}]},
    ],
    ids=ascii,
)
def test_what_is_missing_or_strange_keeps_no_run_out(root: Path, change: dict) -> None:
    one, two = log_of(root)
    write_log(root, one | change, two)
    done = imported(root, ".ntrk")
    assert (len(done.runs), done.notes) == (2, ())
    assert len(runs(root)) == 2


def test_a_newer_format_says_so(root: Path) -> None:
    one, two = log_of(root)
    write_log(root, one, two | {"v": 2})
    done = imported(root, ".ntrk")
    assert len(done.runs) == 1
    assert "line 2 has ntrk's format 2; this Vestige reads up to 1" in done.notes[0]


def test_nothing_is_written_where_nothing_can_be_read(root: Path) -> None:
    write_log(root, "{", "}")
    with pytest.raises(UnreadableError, match="line 1"):
        imported(root, ".ntrk")
    assert not (root / ".vestige").exists()


def test_runs_of_one_second_stay_in_the_order_of_their_lines(root: Path) -> None:
    one, two = log_of(root)
    write_log(root, *[record | {"ts": "2026-06-25T19:33:12Z"} for record in (one, two)])
    imported(root, ".ntrk")
    assert [run.command[-1] for run in runs(root)] == ["out.csv", "final.csv"]
    assert len(traced(root, "final.csv")) == 2


def test_an_input_is_linked_to_an_earlier_run_and_never_to_a_later_one(root: Path) -> None:
    one, two = log_of(root)
    later = one | {"ts": "2030-01-01T00:00:00Z", "command": [*one["command"], "--again"], "id": "f" * 32}
    write_log(root, one, two, later)
    imported(root, ".ntrk")
    assert len(traced(root, "final.csv")) == 2
    found = project(root).trace(root / "final.csv").lineage.steps
    assert "--again" not in found[0].run.command


def test_a_secret_in_a_command_does_not_reach_the_store(root: Path) -> None:
    one, two = log_of(root)
    secret = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dF3gH6"[:36]
    write_log(root, one | {"command": [*one["command"], "--token", secret]}, two)
    imported(root, ".ntrk")
    stored = b"".join(path.read_bytes() for path in (root / ".vestige").rglob("*") if path.is_file())
    assert secret.encode() not in stored
    assert runs(root)[0].redactions


def test_a_chain_of_a_thousand_steps_is_traced_to_its_beginning(root: Path) -> None:
    one = log_of(root)[0]
    records = [
        one
        | {
            "ts": f"2026-06-01T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z",
            "id": f"{n:032x}",
            "inputs": [{"path": f"s{n}.csv", "md5": f"{n:032x}", "size": 100}],
            "outputs": [{"path": f"s{n + 1}.csv", "md5": f"{n + 1:032x}", "size": 100}],
        }
        for n in range(1000)
    ]
    write_log(root, *records)
    assert len(imported(root, ".ntrk").runs) == 1000
    assert len(traced(root, "s1000.csv")) == 1000


def test_what_was_forgotten_on_purpose_stays_away(root: Path) -> None:
    first = imported(root, ".ntrk").runs[0]
    project(root).forget(first.id)
    again = imported(root, ".ntrk")
    assert (again.runs, again.forgotten) == ((), (first.id,))


def test_a_run_of_ours_that_reads_what_ntrk_made_is_joined_to_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    imported(root, ".ntrk")
    run: Run = vestige.open().run(["sh", "-c", "tr a-z A-Z < final.csv > loud.csv"])
    assert run.status == "finished"
    assert len(traced(root, "loud.csv")) == 3


def test_paths_are_those_of_the_project_where_that_lies_around_it(tmp_path: Path) -> None:
    inner = copied("ntrk", tmp_path)
    os.unlink(inner / "vestige.toml")
    (tmp_path / "vestige.toml").touch()
    imported(tmp_path, "study")
    assert traced(tmp_path, "study/final.csv")[0].startswith("study/in.csv -> step.py @ ")
