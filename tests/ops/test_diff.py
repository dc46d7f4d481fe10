"""What differs between two runs, part by part."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.ops.study import Study
from vestige.model.machine import Machine
from vestige.ops.diff import Change, Difference, Part, compare, diff

MACHINE = Machine(host="a", system="Linux", kernel="6.1", architecture="x86_64", memory=1 << 30)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    study = Study(tmp_path / "p", git=True)
    monkeypatch.chdir(study.root)
    return study


def part(difference: Difference, name: str) -> Part:
    return next(one for one in difference.parts if one.name == name)


def test_a_run_does_not_differ_from_itself(study: Study) -> None:
    study.write("step.py", "print(1)\n")
    study.write("in.csv", "raw")
    run = study.record(reads=["in.csv"], code=True, packages={"numpy": "1"}, machine=MACHINE)
    difference = compare(study.project, run, run)
    assert difference.identical
    assert {one.name for one in difference.parts} == {"command", "code", "packages", "machine", "inputs", "result"}


def test_when_a_run_started_and_how_long_it_took_is_no_difference(study: Study) -> None:
    first = study.record()
    assert compare(study.project, first, study.record(change={"duration": 99.0, "user": "eve"})).identical


def test_arguments_are_told_apart_word_by_word(study: Study) -> None:
    first = study.record(("python", "t.py", "--lr", "0.1"))
    second = study.record(("python", "t.py", "--lr", "0.5"))
    assert part(compare(study.project, first, second), "command").changes == (Change("--lr", "0.1", "0.5"),)
    third = study.record(("python3", "t.py", "--lr", "0.1", "--fast"))
    assert part(compare(study.project, first, third), "command").changes == (
        Change("arguments", "python", "python3"),
        Change("arguments", None, "--fast"),
    )


def test_another_working_directory_is_part_of_the_command(study: Study) -> None:
    difference = compare(study.project, study.record(), study.record(change={"cwd": "sub"}))
    assert part(difference, "command").changes == (Change("working directory", ".", "sub"),)


def test_code_differs_file_by_file_and_the_patch_applies(study: Study, tmp_path: Path) -> None:
    study.write("step.py", "print(1)\n")
    study.write("same.py", "x = 1\n")
    first = study.record(code=True)
    study.write("step.py", "print(2)\n")
    study.write("new.py", "y = 1\n")
    second = study.record(code=True)
    difference = compare(study.project, first, second)
    assert [(one.name, one.before is None, one.after is None) for one in part(difference, "code").changes] == [
        ("new.py", True, False),
        ("step.py", False, False),
    ]
    there = tmp_path / "there"
    assert first.code is not None
    study.opened.code.checkout(first.code.snapshot or "", str(there))
    subprocess.run(["git", "apply", "-"], input=difference.patch, cwd=there, check=True)
    assert (there / "step.py").read_text() == "print(2)\n"
    assert (there / "new.py").read_text() == "y = 1\n"


def test_code_that_is_not_known_is_not_called_equal(study: Study) -> None:
    study.write("step.py", "print(1)\n")
    difference = compare(study.project, study.record(), study.record(code=True))
    assert part(difference, "code").unknown == "the code of the first is not known"
    assert not difference.identical


def test_packages_differ_by_version(study: Study) -> None:
    first = study.record(packages={"numpy": "1.26", "pandas": "2.2", "gone": "1"})
    second = study.record(packages={"numpy": "2.0", "pandas": "2.2", "new": "1"})
    found = part(compare(study.project, first, second), "packages")
    assert found.changes == (Change("gone", "1", None), Change("new", None, "1"), Change("numpy", "1.26", "2.0"))
    assert found.same == 1


def test_the_machine_differs_in_what_differs(study: Study) -> None:
    second = replace(MACHINE, host="b", gpus=("H200",))
    difference = compare(study.project, study.record(machine=MACHINE), study.record(machine=second))
    assert part(difference, "machine").changes == (Change("gpus", None, "H200"), Change("host", "a", "b"))


def test_variables_and_values(study: Study) -> None:
    first = study.record(change={"variables": {"LR": "1"}, "values": {"acc": [{"value": 0.5}]}})
    second = study.record(change={"variables": {"LR": "2"}, "values": {"acc": [{"value": 0.1}, {"value": 0.5}]}})
    difference = compare(study.project, first, second)
    assert part(difference, "variables").changes == (Change("LR", "1", "2"),)
    assert part(difference, "values").changes == ()


def test_inputs_and_outputs_differ_by_content(study: Study) -> None:
    study.write("in.csv", "one")
    study.write("only.csv", "x")
    study.write("out.csv", "one")
    first = study.record(reads=["in.csv", "only.csv"], writes=["out.csv"])
    study.write("in.csv", "two")
    second = study.record(reads=["in.csv"], writes=["out.csv"])
    difference = compare(study.project, first, second)
    digests = [use.digest for use in (*first.inputs, *second.inputs)]
    assert part(difference, "inputs").changes == (Change("in.csv", digests[0], digests[2]), Change("only.csv", digests[1], None))
    assert part(difference, "outputs") == Part("outputs", same=1)


def test_a_file_that_was_not_hashed_is_not_called_equal(study: Study) -> None:
    study.write("in.csv", "one")
    first = study.record(reads=["in.csv"])
    unhashed = tuple(replace(use, digest=None) for use in first.inputs)
    difference = compare(study.project, first, study.record(change={"inputs": unhashed}))
    assert part(difference, "inputs").unknown == "in.csv was not hashed"
    assert not difference.identical


def test_how_they_ended_and_what_they_printed(study: Study) -> None:
    first = study.record(streams={"stdout": b"1"})
    second = study.record(streams={"stdout": b"2"}, change={"status": "failed", "exit_code": 3})
    names = [change.name for change in part(compare(study.project, first, second), "result").changes]
    assert names == ["exit code", "status", "stdout"]


def test_files_stand_for_the_runs_that_made_them(study: Study) -> None:
    study.write("a.csv", "content a, long enough")
    first = study.record(("make", "a"), writes=["a.csv"])
    study.write("b.csv", "content b, long enough")
    second = study.record(("make", "b"), writes=["b.csv"])
    difference = diff(study.project, "a.csv", "b.csv")
    assert (difference.first.id, difference.second.id) == (first.id, second.id)


def test_a_snapshot_that_is_gone_is_said(study: Study) -> None:
    study.write("step.py", "print(1)\n")
    first = study.record(code=True)
    gone = study.record(change={"code": replace(first.code, snapshot="git:" + "0" * 40)})  # type: ignore[type-var]
    found = part(compare(study.project, first, gone), "code")
    assert found.unknown is not None
    assert len(found.changes) == 1


def test_values_that_are_only_described_differ_by_their_digests(study: Study) -> None:
    array = {"type": "numpy.ndarray", "shape": [2, 3], "dtype": "int64", "digest": "blake3:aa"}
    first = study.record(change={"values": {"w": [{"value": array}], "loss": [{"value": {"type": "float", "value": "nan"}}]}})
    second = study.record(change={"values": {"w": [{"value": array | {"digest": "blake3:bb"}}], "loss": [{"value": 0.1}]}})
    assert part(compare(study.project, first, second), "values").changes == (
        Change("loss", "nan", "0.1"),
        Change("w", "numpy.ndarray 2×3 int64 blake3:aa", "numpy.ndarray 2×3 int64 blake3:bb"),
    )
