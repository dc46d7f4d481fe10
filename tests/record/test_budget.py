"""The budget holds by itself, and nothing goes for it that cannot be had again."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest

from tests.ops.lab import Lab
from tests.ops.study import Study
from vestige.config import Config
from vestige.errors import NotKeptError
from vestige.ops import restore
from vestige.ops.check import check
from vestige.ops.doctor import Finding, doctor
from vestige.ops.gc import collect
from vestige.record import budget
from vestige.store.kept import Tally

STEP = "open('out.csv', 'w').write(open('in.csv').read().upper())\n"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """raw.csv (300 bytes, of no run) to clean.csv (500) to model.json (500), and a budget of 600."""
    study = Study(tmp_path / "p", git=True)
    (study.root / "vestige.toml").write_text("budget = 600\n")
    study.write("step.py", "print(1)\n")
    study.write("raw.csv", "raw" * 100)
    study.write("clean.csv", "clean" * 100)
    study.write("model.json", "model" * 100)
    study.record(reads=["raw.csv"], writes=["clean.csv"], code=True)
    study.record(reads=["clean.csv"], writes=["model.json"], code=True)
    Tally(study.place.store).add(1300)
    return study


def enforce(study: Study) -> int:
    return budget.enforce(study.place, study.project.config)


def kept(study: Study) -> set[str]:
    uses = [use for run in study.runs for use in (*run.inputs, *run.outputs)]
    return {use.path for use in uses if study.opened.objects.has(use.digest or "")}


def finding(study: Study) -> Finding:
    return next(one for _, found in doctor(study.project).groups for one in found if one.name == "kept")


def test_what_can_be_made_again_goes_and_a_tenth_is_free_then(study: Study) -> None:
    assert enforce(study) == 1000
    assert kept(study) == {"raw.csv"}
    assert Tally(study.place.store).total == 300
    assert check(study.project).damaged == ()
    assert finding(study).state == "good"


def test_no_more_goes_than_must(study: Study) -> None:
    (study.root / "vestige.toml").write_text("budget = 1000\n")
    assert enforce(study) == 500
    assert kept(study) == {"raw.csv", "model.json"}  # what was used last stays


def test_what_cannot_be_had_again_stays_until_somebody_types_gc(study: Study) -> None:
    (study.root / "raw.csv").write_text("changed since")
    study.runs.clear()
    study.write("notes.txt", "n" * 700)
    study.record(reads=["notes.txt"])
    Tally(study.place.store).add(700)
    assert enforce(study) == 1000
    assert kept(study) == {"notes.txt"}
    assert Tally(study.place.store).total == 1000
    assert Tally(study.place.store).is_stuck(600)
    assert (finding(study).state, finding(study).size) == ("limited", 1000)
    assert enforce(study) == 0
    collect(study.project)
    assert Tally(study.place.store).total <= 600


def test_within_the_budget_no_record_is_read(study: Study) -> None:
    Tally(study.place.store).settle(600)
    for path in study.opened.records.paths():
        os.truncate(path, 0)
    assert enforce(study) == 0


def test_next_to_a_damaged_record_nothing_goes(study: Study) -> None:
    os.truncate(next(study.opened.records.paths()), 10)
    assert enforce(study) == 0
    assert not Tally(study.place.store).is_due(600)  # not every run reads all records in vain


def test_two_do_not_clean_up_at_once(study: Study) -> None:
    with open(Tally(study.place.store).path + ".lock", "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert enforce(study) == 0
    assert enforce(study) == 1000


def settled(lab: Lab) -> Tally:
    """The count, once the recorder in the background is done."""
    for _ in range(1500):
        tally = Tally(str(lab.root / ".vestige"))
        if tally.base:
            return tally
        time.sleep(0.02)
    raise AssertionError("nobody cleaned up")


def test_a_run_that_keeps_too_much_leaves_a_store_within_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(tmp_path / "p")
    monkeypatch.chdir(lab.root)
    lab.write("vestige.toml", "budget = 3000\n")
    lab.write("step.py", STEP)
    lab.write("in.csv", "abcdefghij" * 200)
    run = lab.sh("run python3 step.py")
    assert settled(lab).total <= 3000  # the input, and the code in use
    objects = lab.project.objects
    assert objects.has(next(use.digest or "" for use in run.inputs if use.path == "in.csv"))
    assert not objects.has(next(use.digest or "" for use in run.outputs if use.path == "out.csv"))
    assert check(lab.project).damaged == ()
    os.unlink(lab.root / "out.csv")
    with pytest.raises(NotKeptError):
        restore.content(lab.project, f"out.csv@{run.id}")
    assert lab.vestige("reproduce", run.id).returncode == 0


def test_a_closing_line_says_once_that_nothing_more_can_go(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "p")
    lab.write("vestige.toml", "budget = 1000\n")
    lab.write("step.py", "open('log.txt').read(); open('log.txt', 'w').write('new')\n")
    lab.write("log.txt", "a file that no run made" * 100)
    run = lab.sh("run python3 step.py")
    assert settled(lab).base > 1000
    assert lab.project.objects.has(run.outputs[0].before or "")
    said = []
    for number in range(3):
        lab.write("in.csv", f"{number}" * 20)
        said.append(lab.vestige("run", "-v", "--", "cat", "in.csv").stderr)
    assert ["cannot be made again: vestige gc" in text for text in said] == [True, False, False]
    assert lab.project.objects.has(run.outputs[0].before or "")


def test_the_default_is_what_the_manual_says() -> None:
    assert Config().budget == 2 << 30
