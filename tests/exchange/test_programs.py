"""The seeds themselves, as they are installed today, recorded and imported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.exchange import seeds
from tests.exchange.studies import imported, project, runs, traced

pytestmark = pytest.mark.programs


def steps(lines: list[str]) -> list[tuple[set[str], str, str]]:
    """The lines of a trace, of ntrk's or of ours."""
    found = []
    for line in lines:
        read, maker, written = line.split(" -> ")
        found.append((set(read.split(", ")), maker.removesuffix(" [partial]"), written))
    return found


def test_what_ntrk_records_is_traced_as_ntrk_traces_it(tmp_path: Path) -> None:
    root = tmp_path / "study"
    said = seeds.ntrk(root, sys.executable)
    assert len(imported(root, ".ntrk").runs) == 2
    assert steps(traced(root, "final.csv")) == steps(said.splitlines())
    assert imported(root, ".").runs == ()


def test_what_footsteps_leaves_is_a_run(tmp_path: Path) -> None:
    root = tmp_path / "study"
    seeds.footsteps(root, sys.executable)
    (run,) = imported(root, "results").runs
    assert run.command == (sys.executable, "train.py", "fold-1")
    assert [use.path for use in run.outputs] == ["results/fold-1/weights.csv"]
    assert run.code is not None
    assert (bool(run.code.commit), run.code.dirty) == (True, True)
    assert run.environment is not None
    assert b'"footsteps"' in project(root)._opened.objects.read(run.environment)


def test_what_capsula_puts_into_its_vault_is_runs(tmp_path: Path) -> None:
    root = tmp_path / "study"
    seeds.capsula_later(root, sys.executable)
    done = imported(root, "vault")
    assert done.notes == ()
    assert sorted((run.kind, run.status) for run in runs(root)) == [
        ("capture", "finished"),
        ("command", "finished"),
        ("function", "failed"),
        ("function", "finished"),
    ]
    fine = next(run for run in done.runs if run.values)
    assert fine.values["accuracy"][0]["value"] == 0.9
    assert {use.path for use in (*fine.inputs, *fine.outputs)} == {"raw.csv", "out.csv"}
    assert imported(root, "vault").runs == ()
