"""Runs in runs, and runs side by side in one folder: each has what is its own, and the outer one the whole."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.record.running import VESTIGE, last, paths, records, run, use

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="observed by the kernel on Linux alone")

STEP = " ".join([*VESTIGE, "run", "-q", "--"])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.in").write_text("".join(f"{name}{number}\n" for number in range(9, 0, -1)))
    return folder


def by_command(project: Path) -> dict[str, dict[str, Any]]:
    """The records of a project by the last word of their commands."""
    return {record["command"][-1]: record for record in records(project)}


def data(record: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    return paths(record, "inputs"), paths(record, "outputs")


def test_each_step_of_a_makefile_is_a_child_and_the_whole_is_seen_by_the_outer_run(project: Path) -> None:
    (project / "Makefile").write_text(
        f"all.out: a.out b.out\n\t{STEP} sh -c 'cat a.out b.out > all.out' all\n"
        f"%.out: %.in\n\t{STEP} sh -c 'sort $< > $@.part; sleep 0.3; mv $@.part $@' $*\n"
    )
    done = run(project, "make", "-s", "-j2", "all.out")
    assert (done.returncode, done.stderr) == (0, b"")
    found = by_command(project)
    outer = found.pop("all.out")
    assert {name: data(record) for name, record in found.items()} == {
        "a": ({"a.in"}, {"a.out"}),
        "b": ({"b.in"}, {"b.out"}),
        "all": ({"a.out", "b.out"}, {"all.out"}),
    }
    assert {record["parent"] for record in found.values()} == {outer["id"]}
    assert outer["parent"] is None
    assert data(outer) == ({"a.in", "b.in"}, {"a.out", "b.out", "all.out"})
    for name, record in found.items():
        (own,) = record["outputs"]
        assert own["digest"] == use(outer, "outputs", f"{name}.out")["digest"]
        assert record["observation"]["method"] == outer["observation"]["method"] == "notify"
    traced = subprocess.run([*VESTIGE, "trace", "all.out"], cwd=project, capture_output=True, text=True, check=True).stdout
    assert {"a.in", "b.in", "a.out", "b.out"} <= set(traced.split())


def test_a_run_in_a_run_in_a_run(project: Path) -> None:
    inner = f"{STEP} sh -c 'sort b.in > b.out' inner"
    (project / "middle.sh").write_text(f"cat a.in > a.out\n{inner}\n")
    run(project, "sh", "-c", f"{STEP} sh middle.sh middle; cat a.out b.out > all.out", "outer")
    found = by_command(project)
    assert found["inner"]["parent"] == found["middle"]["id"]
    assert found["middle"]["parent"] == found["outer"]["id"]
    assert data(found["inner"]) == ({"b.in"}, {"b.out"})
    assert data(found["middle"]) == ({"a.in", "b.in"}, {"a.out", "b.out"})
    assert data(found["outer"]) == ({"a.in", "b.in"}, {"a.out", "b.out", "all.out"})


def test_what_an_inner_run_reads_of_what_the_outer_one_has_written_is_its_input(project: Path) -> None:
    run(project, "sh", "-c", f"sort a.in > made; {STEP} cp made copy; rm made", "outer")
    found = by_command(project)
    assert data(found["copy"]) == ({"made"}, {"copy"})
    assert data(found["outer"]) == ({"a.in"}, {"copy"})


def test_an_inner_run_that_fails_is_a_failed_child_and_its_status_reaches_make(project: Path) -> None:
    (project / "Makefile").write_text(f"a.out: a.in\n\t{STEP} sh -c 'cat a.in > a.part; exit 7' failing\n")
    done = run(project, "make", "-s", "a.out")
    assert done.returncode == 2
    assert b"Error 7" in done.stderr
    found = by_command(project)
    assert (found["failing"]["status"], found["failing"]["exit_code"]) == ("failed", 7)
    assert found["failing"]["parent"] == found["a.out"]["id"]
    assert data(found["failing"]) == ({"a.in"}, {"a.part"})


def test_an_inner_run_that_outlives_the_outer_command(project: Path) -> None:
    done = run(
        project, "sh", "-c", f"{STEP} sh -c 'sleep 0.6; sort b.in > b.out' late > /dev/null 2>&1 & sort a.in > a.out", "outer"
    )
    assert done.returncode == 0
    found = by_command(project)
    assert found["late"]["parent"] == found["outer"]["id"]
    assert data(found["late"]) == ({"b.in"}, {"b.out"})
    assert data(found["outer"])[1] >= {"a.out", "b.out"}


def test_a_script_that_imports_vestige_joins_the_run_that_it_is_in(project: Path) -> None:
    (project / "pipeline.py").write_text(
        "import os, vestige\n"
        "project = vestige.open()\n"
        "first = project.run(['sort', 'a.in', '-o', 'a.out'], name='first')\n"
        "second = project.run(['sh', '-c', 'cat a.out b.in > all.out'], name='second')\n"
        "assert first.parent == second.parent == os.environ['VESTIGE_RUN_ID']\n"
        "assert [use.path for use in first.outputs] == ['a.out'], first.outputs\n"
        "print(second.id)\n"
    )
    done = run(project, sys.executable, "pipeline.py")
    assert (done.returncode, done.stderr) == (0, b"")
    outer, first, second = records(project)
    assert done.stdout.decode().split() == [second["id"]]
    assert [record["parent"] for record in (outer, first, second)] == [None, outer["id"], outer["id"]]
    assert data(first) == ({"a.in"}, {"a.out"})
    assert data(second) == ({"a.out", "b.in"}, {"all.out"})
    assert data(outer) == ({"a.in", "b.in"}, {"a.out", "all.out"})


def test_a_run_in_another_project_is_recorded_there_and_seen_here(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "vestige.toml").touch()
    run(project, "sh", "-c", f"sort a.in > a.out; cd ../other; {STEP} cp ../project/a.out there", "outer")
    outer = last(project)
    inner = last(other)
    assert inner["parent"] == outer["id"]
    assert paths(inner, "outputs") == {"there"}
    assert paths(outer, "inputs", "data") == {"a.in"}
    assert paths(outer, "outputs", "data", "temporary") == {"a.out", str(other / "there")}


def test_many_runs_at_once_in_one_folder_never_mix(project: Path) -> None:
    script = "for i in 1 2 3; do cat $1.in > $1.$2.$i; sleep 0.0$2; mv $1.$2.$i $1.$2.done$i; done"
    started = {
        f"{name}.{number}": subprocess.Popen(
            [*VESTIGE, "run", "sh", "-c", script, f"{name}.{number}", name, str(number)], cwd=project
        )
        for name in "ab"
        for number in range(4)
    }
    assert {process.wait() for process in started.values()} == {0}
    found = {record["command"][3]: data(record) for record in records(project)}
    assert found == {one: ({f"{one[0]}.in"}, {f"{one}.done{step}" for step in (1, 2, 3)}) for one in started}


def test_one_run_reads_while_another_one_writes(project: Path) -> None:
    """Each has what it did itself, though it was the same file at the same time."""
    writer = subprocess.Popen([*VESTIGE, "run", "sh", "-c", "echo x > shared; sleep 1; echo y >> shared"], cwd=project)
    while not (project / "shared").exists() or not (project / "shared").read_text():
        assert writer.poll() is None
    run(project, "cp", "shared", "copy")
    assert writer.wait() == 0
    found = by_command(project)
    assert data(found["copy"]) == ({"shared"}, {"copy"})
    assert data(found["echo x > shared; sleep 1; echo y >> shared"]) == (set(), {"shared"})


def test_a_run_that_is_told_to_look_in_no_way_inside_another_is_seen_by_the_outer_one(project: Path) -> None:
    run(project, "sh", "-c", f"{' '.join(VESTIGE)} run --observe none cp a.in a.out", "outer")
    found = by_command(project)
    assert found["a.out"]["observation"]["method"] == "none"
    assert data(found["outer"]) == ({"a.in"}, {"a.out"})
