"""Tasks of one step share a run and a folder: started with the variables that SLURM and MPI set, and by these themselves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.record.running import VESTIGE, records
from vestige.record import step

SCRIPT = """
import os, vestige
rank = os.environ.get("SLURM_PROCID") or os.environ.get("OMPI_COMM_WORLD_RANK") or os.environ["PMI_RANK"]
open(vestige.output_dir + f"part-{rank}.txt", "w").write(rank)
vestige.log(rank=int(rank))
"""


def slurm(rank: int, tasks: int, **others: str) -> dict[str, str]:
    """What srun sets for a task."""
    return {
        "SLURM_JOB_ID": "4711",
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NUM_TASKS": str(tasks),
        "SLURM_PROCID": str(rank),
        "SLURM_CLUSTER_NAME": "vestige",
        **others,
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "step.py").write_text(SCRIPT)
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


def start(project: Path, words: Sequence[str], environs: Sequence[dict[str, str]]) -> list[bytes]:
    """Start one process with each of these variables at once; what they say on standard error."""
    tasks = [
        subprocess.Popen(words, cwd=project, env={**os.environ, **one}, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for one in environs
    ]
    said = [task.communicate(timeout=100)[1] for task in tasks]
    assert [task.returncode for task in tasks] == [0] * len(tasks), said
    return said


def is_one_run(found: Sequence[dict[str, Any]], tasks: int, *, parent: str | None = None) -> None:
    """Every task has a record; one of them is the parent of the others, and has taken the code for all."""
    assert len(found) == tasks
    (first,) = [one for one in found if one["parent"] == parent]
    assert {one["parent"] for one in found if one is not first} <= {first["id"]}
    assert {one["code"]["snapshot"] for one in found} == {first["code"]["snapshot"]}
    assert first["code"]["snapshot"] is not None
    assert {one["job"]["rank"] for one in found} == {str(rank) for rank in range(tasks)}
    assert [one["problems"] for one in found] == [[]] * tasks
    assert {one["status"] for one in found} == {"finished"}


def is_one_folder(project: Path, tasks: int) -> None:
    """One folder, which holds what every task has written."""
    (folder,) = (project / "results").iterdir()
    parts = {f"part-{rank}.txt" for rank in range(tasks)}
    assert {one.name for one in folder.iterdir()} == {"info.txt", "package_versions.txt", *parts}


def test_tasks_of_a_script_share_a_run_and_a_folder(project: Path) -> None:
    said = start(project, [sys.executable, "step.py"], [slurm(rank, 12) for rank in range(12)])
    found = records(project)
    is_one_run(found, 12)
    is_one_folder(project, 12)
    assert sum(b"Saving results to results/" in one for one in said) == 1  # one of them says it
    ranks = {one["values"]["rank"][0]["value"] for one in found}
    assert ranks == set(range(12))
    for one in found:
        (output,) = [use["path"] for use in one["outputs"] if "/part-" in use["path"]]
        assert output.endswith(f"part-{one['job']['rank']}.txt")


def test_tasks_under_vestige_run_are_children_of_the_first(project: Path) -> None:
    command = [*VESTIGE, "run", "sh", "-c", "echo x > out-$SLURM_PROCID"]
    start(project, command, [slurm(rank, 12) for rank in range(12)])
    is_one_run(records(project), 12)


def test_another_step_and_another_attempt_are_other_runs(project: Path) -> None:
    command = [*VESTIGE, "run", "true"]
    for others in ({}, {"SLURM_STEP_ID": "1"}, {"SLURM_RESTART_COUNT": "1"}, {"SLURM_JOB_ID": "4712"}):
        start(project, command, [slurm(rank, 2, **others) for rank in range(2)])
    found = records(project)
    assert len(found) == 8
    assert sum(one["parent"] is None for one in found) == 4


def test_mpi_names_its_steps_otherwise(project: Path) -> None:
    mpi = [
        {"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": str(rank), "PMIX_NAMESPACE": "451936257", "PMIX_RANK": str(rank)}
        for rank in range(3)
    ]
    start(project, [sys.executable, "step.py"], mpi)
    is_one_run(records(project), 3)
    is_one_folder(project, 3)
    hydra = {"PMI_SIZE": "2", "PMI_RANK": "0"}
    assert step.step(hydra) is not None
    assert step.step(hydra).key == step.step({**hydra, "PMI_RANK": "1"}).key  # type: ignore[union-attr]
    prrte = step.step({"PMIX_NAMESPACE": "prterun-node7-4711@1", "PMIX_RANK": "2"})
    assert prrte is not None
    assert prrte.key.startswith("pmix-prterun-node7-4711_1-")


def test_a_task_alone_is_in_no_step() -> None:
    assert step.step(slurm(0, 1)) is None
    assert step.step({"SLURM_JOB_ID": "1", "SLURM_PROCID": "0"}) is None  # a batch script
    assert step.step({"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"}) is None
    assert step.step({"SLURM_STEP_NUM_TASKS": "x", "SLURM_JOB_ID": "1", "SLURM_STEP_ID": "0"}) is None
    hostile = step.step(slurm(0, 2, SLURM_CLUSTER_NAME="../../a b\n\udcff"))
    assert hostile is not None
    assert "/" not in hostile.key


def test_a_run_inside_a_task_is_a_child_of_it(project: Path) -> None:
    inner = f"{' '.join(VESTIGE)} run true"
    start(project, [*VESTIGE, "run", "sh", "-c", inner], [slurm(rank, 2) for rank in range(2)])
    found = records(project)
    outer = {one["id"]: one for one in found if one["command"][0] == "sh"}
    inside = [one for one in found if one["command"][0] == "true"]
    assert {one["parent"] for one in inside} == set(outer)
    assert len(inside) == 2
    assert sum(one["parent"] is None for one in outer.values()) == 1


def test_tasks_that_a_recorded_command_starts_elsewhere_do_not_join_it(project: Path) -> None:
    run = "".join(f"SLURM_PROCID={rank} {sys.executable} step.py & " for rank in range(2)) + "wait"
    environ = {name: value for name, value in slurm(0, 2).items() if name != "SLURM_PROCID"}
    outer = f"export {' '.join(f'{name}={value}' for name, value in environ.items())}; {run}"
    start(project, [*VESTIGE, "run", "sh", "-c", outer], [{}])
    found = records(project)
    (parent,) = [one for one in found if one["kind"] == "command"]
    is_one_run([one for one in found if one["kind"] == "script"], 2, parent=parent["id"])
    is_one_folder(project, 2)


def agree(folder: Path, count: int) -> list[str]:
    """What as many threads are told, of which each wants to be first."""
    told: list[str] = []
    gate = threading.Barrier(count)

    def ask(number: int) -> None:
        gate.wait()
        told.append(step.first(str(folder), "one", str(number)))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def test_all_agree_on_the_first(tmp_path: Path) -> None:
    for number in range(20):
        told = agree(tmp_path / str(number), 16)
        assert len(told) == 16
        assert len(set(told)) == 1
        assert os.listdir(tmp_path / str(number)) == ["one"]


def test_they_agree_where_the_file_system_knows_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")  # as FAT and some network file systems say

    monkeypatch.setattr(os, "link", refuse)
    for number in range(20):
        told = agree(tmp_path / str(number), 16)
        assert (len(told), len(set(told))) == (16, 1)


def test_whoever_waits_in_vain_makes_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "_PATIENCE", 0.2)
    found = step.Step("slurm-1-0", "1")
    step.first(str(tmp_path / "steps"), "slurm-1-0-what.first", "a task that was killed")
    assert step.shared(str(tmp_path), found, "what", lambda: "mine") == ("mine", True)


def test_what_a_step_has_agreed_upon_is_forgotten_in_time(project: Path) -> None:
    folder = project / ".vestige" / "steps"
    folder.mkdir(parents=True)
    for name, age in (("old", 40 * 86400), ("new", 86400)):
        (folder / name).write_text("x")
        os.utime(folder / name, (time.time() - age,) * 2)
    start(project, [*VESTIGE, "run", "true"], [slurm(0, 2)])
    assert sorted(os.listdir(folder)) == ["new", "slurm-vestige-4711-0"]


def test_a_store_where_nothing_can_be_agreed_upon_costs_no_run(project: Path) -> None:
    (project / ".vestige").mkdir()
    (project / ".vestige" / "steps").write_text("in the way")
    start(project, [*VESTIGE, "run", "true"], [slurm(0, 2)])
    start(project, [sys.executable, "step.py"], [slurm(1, 2)])
    found = records(project)
    assert [one["parent"] for one in found] == [None, None]
    assert all("the other tasks of step slurm-vestige-4711-0 could not be found" in one["problems"][0] for one in found)


@pytest.mark.programs
def test_sixty_four_tasks_of_slurm_share_a_folder_and_none_is_lost(project: Path) -> None:
    srun = ["srun", "--overcommit", "-n", "64"]
    assert shutil.which("srun"), "slurm is started by .ci/run"
    os.chmod(project, 0o777)
    start(project, [*srun, sys.executable, "step.py"], [{}])
    is_one_run(records(project, wait=60), 64)
    is_one_folder(project, 64)
    shutil.rmtree(project / ".vestige")
    start(project, [*srun, *VESTIGE, "run", "sh", "-c", "echo x > out-$SLURM_PROCID"], [{}])
    is_one_run(records(project, wait=60), 64)
    assert len(list(project.glob("out-*"))) == 64


@pytest.mark.programs
def test_the_manual_is_right_about_what_to_write(project: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "hpc.md").read_text()
    script, program = (page.split(f"```{kind}\n")[1].split("```")[0] for kind in ("sh", "python"))
    (project / "fit.py").write_text(program)
    (project / "vestige").write_text(f'#!/bin/sh\nexec {" ".join(VESTIGE)} "$@"\n')
    (project / "vestige").chmod(0o755)
    environ = {**os.environ, "PATH": f"{project}:{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}

    def submit(text: str, *options: str) -> subprocess.CompletedProcess[str]:
        (project / "fit.sh").write_text(text.replace("--ntasks=64", "--ntasks=3 --overcommit").replace("srun", "srun -O"))
        sbatch = ["sbatch", *options, "-o", str(project / "log"), "fit.sh"]
        return subprocess.run(
            [*VESTIGE, "run", "-v", *sbatch], cwd=project, env=environ, capture_output=True, text=True, check=False
        )

    done = submit(script.replace("vestige run ", ""), "--hold")
    subprocess.run(["scancel", done.stdout.split()[-1]], check=True)
    line = next(line for line in page.splitlines() if "in fit.sh, write:" in line).strip()
    assert line.replace("srun", "srun -O") in done.stderr.splitlines()
    done = submit(script, "--wait")
    assert done.returncode == 0, (project / "log").read_text()
    assert "is recorded by runs of its own" in done.stderr
    submission = [one["id"] for one in records(project) if "--wait" in one["command"]]
    is_one_run([one for one in records(project) if one["command"][0] == "python"], 3, parent=submission[0])
    (folder,) = (project / "results").iterdir()
    assert {one.name for one in folder.glob("part-*")} == {f"part-{rank}.csv" for rank in range(3)}


@pytest.mark.programs
def test_tasks_of_open_mpi_share_a_folder(project: Path) -> None:
    root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    mpirun = ["mpirun", *root, "--oversubscribe", "-n", "8"]
    start(project, [*mpirun, sys.executable, "step.py"], [{}])
    is_one_run(records(project), 8)
    is_one_folder(project, 8)


@pytest.mark.programs
def test_what_is_submitted_says_what_to_write_and_names_the_gap(project: Path) -> None:
    (project / "fit.sh").write_text("#!/bin/sh\n#SBATCH -n 2\nexport A=1\nsrun -n 2 --overcommit python step.py\n")
    done = subprocess.run(
        [*VESTIGE, "run", "-v", "sbatch", "-o", "/dev/null", "fit.sh"], cwd=project, capture_output=True, text=True, check=True
    )
    line = "in fit.sh, write: srun -n 2 --overcommit vestige run python step.py"
    assert f"vestige: what sbatch submits is not recorded by this run; {line}\n" in done.stderr
    (found,) = records(project)
    assert "sbatch: the job runs elsewhere, and its files were not seen" in found["observation"]["gaps"]
    assert json.dumps(found)
