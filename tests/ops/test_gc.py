"""What goes, in which order, and what never goes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.ops.study import BEGIN, Study
from vestige.model.files import FileUse
from vestige.model.run import Observation, Stdin
from vestige.model.values import replace
from vestige.ops.check import check
from vestige.ops.gc import Collected, collect

DAY = 86_400.0


@pytest.fixture
def study(tmp_path: Path) -> Study:
    study = Study(tmp_path / "p", git=True)
    study.write("step.py", "print(1)\n")
    return study


def reasons(collected: Collected) -> dict[str | None, str]:
    return {one.path: one.reason for one in collected.dropped}


def chain(study: Study) -> None:
    """raw.csv (never made by a run) to clean.csv to model.json."""
    study.write("raw.csv", "raw" * 100)
    study.write("clean.csv", "clean" * 100)
    study.write("model.json", "model" * 100)
    study.record(reads=["raw.csv"], writes=["clean.csv"], code=True)
    study.record(reads=["clean.csv"], writes=["model.json"], code=True)


def test_nothing_goes_without_need(study: Study) -> None:
    chain(study)
    assert collect(study.project, now=BEGIN + 999 * DAY).dropped == ()


def test_what_is_old_and_can_be_made_again_goes_and_raw_data_stays(study: Study) -> None:
    chain(study)
    for name in ("raw.csv", "clean.csv", "model.json"):
        (study.root / name).unlink()
    collected = collect(study.project, older_than=90 * DAY, now=BEGIN + 100 * DAY)
    assert reasons(collected) == {"clean.csv": "can be made again", "model.json": "can be made again"}
    objects = study.opened.objects
    assert objects.has(study.runs[0].inputs[0].digest or "")
    assert not objects.has(study.runs[0].outputs[0].digest or "")


def test_what_was_used_lately_stays(study: Study) -> None:
    chain(study)
    assert collect(study.project, older_than=90 * DAY, now=BEGIN + 10 * DAY).dropped == ()


def test_what_a_failed_run_wrote_cannot_be_made_again(study: Study) -> None:
    study.write("partial.csv", "partial")
    study.record(writes=["partial.csv"], code=True, change={"status": "failed", "exit_code": 1})
    assert collect(study.project, older_than=0, now=BEGIN + DAY).dropped == ()


def test_without_its_code_nothing_can_be_made_again(study: Study) -> None:
    study.write("out.csv", "out")
    study.record(writes=["out.csv"])
    assert collect(study.project, older_than=0, now=BEGIN + DAY).dropped == ()


def test_what_came_from_a_file_that_is_gone_stays(study: Study) -> None:
    path = study.write("raw.csv", "raw")
    study.write("out.csv", "out")
    study.record(reads=["raw.csv"], writes=["out.csv"], code=True, keep=False)
    study.opened.objects.put(b"out")
    path.write_text("changed since")
    assert collect(study.project, older_than=0, now=BEGIN + DAY).dropped == ()
    path.write_text("raw")
    assert set(reasons(collect(study.project, older_than=0, now=BEGIN + DAY))) == {"out.csv"}


def test_a_file_that_a_run_changed_in_place_is_not_its_own_source(study: Study) -> None:
    study.write("state.json", "state")
    study.record(reads=["state.json"], writes=["state.json"], code=True)
    (study.root / "state.json").unlink()
    assert collect(study.project, older_than=0, now=BEGIN + DAY).dropped == ()


@pytest.mark.parametrize(
    "change",
    [
        {"network": ({"endpoint": "tcp:192.0.2.7:443", "bytes": None},)},
        {"observation": Observation(method="none", events=1)},
        {"observation": Observation(method="audit", events=1, gaps=("a program was not Python",))},
        {"observation": None},
        {"stdin": Stdin(kind="pipe")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_may_have_come_from_elsewhere_is_not_said_to_be_made_again(study: Study, change: dict[str, object]) -> None:
    study.write("out.csv", "out")
    study.record(writes=["out.csv"], code=True, change=change)
    assert collect(study.project, older_than=0, now=BEGIN + DAY).dropped == ()


def test_a_service_of_the_system_makes_no_difference(study: Study) -> None:
    study.write("out.csv", "out")
    asked = ({"endpoint": "unix:/var/run/nscd/socket", "bytes": None},)
    study.record(writes=["out.csv"], code=True, change={"network": asked, "stdin": Stdin(kind="terminal")})
    assert set(reasons(collect(study.project, older_than=0, now=BEGIN + DAY))) == {"out.csv"}


def test_what_a_withheld_file_was_read_for_stays(study: Study) -> None:
    study.write(".env", "X=1")
    study.write("out.csv", "out")
    code = study.record(code=True).code
    study.record(
        writes=["out.csv"], change={"code": code, "inputs": (FileUse(path=".env", digest="blake3:" + "1" * 64, role="code"),)}
    )
    assert code is not None
    assert code.withheld == (".env",)
    assert collect(study.project, older_than=0, now=BEGIN + DAY).dropped == ()


def test_without_the_program_that_a_run_built_nothing_can_be_made_again(study: Study) -> None:
    program = study.write("sim", "machine code")
    study.write("out.csv", "out")
    built = study.record(writes=["sim"], keep=False)
    study.record(writes=["out.csv"], code=True, change={"inputs": (replace(built.outputs[0], role="code", access="execute"),)})
    program.unlink()
    assert collect(study.project, older_than=0, now=BEGIN + DAY).dropped == ()
    study.write("sim", "machine code")
    assert set(reasons(collect(study.project, older_than=0, now=BEGIN + DAY))) == {"out.csv"}


def test_the_budget_takes_what_can_be_made_again_first(study: Study) -> None:
    chain(study)
    collected = collect(study.project, budget=310, now=BEGIN + DAY)
    assert reasons(collected) == {"clean.csv": "can be made again", "model.json": "can be made again"}
    assert collected.left == 300


def test_the_budget_takes_the_rest_if_it_must(study: Study) -> None:
    chain(study)
    collected = collect(study.project, budget=0, now=BEGIN + DAY)
    assert reasons(collected)["raw.csv"] == "over the budget"
    assert collected.left == 0


def test_a_dry_run_changes_nothing(study: Study) -> None:
    chain(study)
    before = sorted(study.opened.objects.all())
    assert collect(study.project, budget=0, dry_run=True, now=BEGIN + DAY).freed == 1300
    assert sorted(study.opened.objects.all()) == before


def test_what_nothing_refers_to_goes_once_it_is_not_young(study: Study) -> None:
    digest = study.opened.objects.put(b"an orphan")
    assert collect(study.project).dropped == ()
    path = study.opened.objects.path(digest)
    assert path is not None
    os.utime(path, (time.time() - 7200,) * 2)
    assert [one.reason for one in collect(study.project).dropped] == ["nothing refers to it"]
    assert not study.opened.objects.has(digest)


def test_next_to_a_damaged_record_no_orphan_is_dropped(study: Study) -> None:
    digest = study.opened.objects.put(b"perhaps its environment")
    os.utime(study.opened.objects.path(digest) or "", (0, 0))
    Path(study.opened.records.write(study.record())).write_text("{")
    collected = collect(study.project)
    assert (collected.dropped, collected.unreadable) == ((), 1)


def test_whatever_is_dropped_the_store_is_sound_and_every_record_there(study: Study) -> None:
    chain(study)
    study.record(packages={"numpy": "1"}, streams={"stdout": b"hello"}, code=True)
    collect(study.project, older_than=0, budget=0, now=BEGIN + 999 * DAY)
    found = check(study.project)
    assert (found.damaged, found.records) == ((), 3)


def test_code_that_no_record_needs_goes(study: Study) -> None:
    study.record(code=True)
    study.write("step.py", "print('another')\n" * 100)
    path = study.opened.records.write(study.record(code=True))
    os.unlink(path)
    for folder, _, names in os.walk(study.opened.code.path):
        for name in names:
            os.utime(os.path.join(folder, name), (0, 0))
    collect(study.project)
    trees = study.project.code.trees()
    kept = {
        tree.removeprefix("git:") for run in study.runs[:1] if run.code for tree in (run.code.snapshot, run.code.base) if tree
    }
    assert set(trees) == kept
    assert check(study.project).damaged == ()


def test_a_chain_of_a_thousand_is_no_recursion(study: Study) -> None:
    study.write("step.py", "print(1)\n")
    base = study.record(code=True)
    for number in range(1100):
        path = f"f{number}"
        (study.root / path).write_text(f"content {number}")
        reads = [f"f{number - 1}"] if number else []
        study.record(reads=reads, writes=[path], change={"code": base.code})
    collected = collect(study.project, older_than=0, dry_run=True, now=BEGIN + 999 * DAY)
    assert len(collected.dropped) == 1100
