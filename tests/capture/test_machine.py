"""The machine and the job, from what lies in /proc, in /sys and in the variables."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path

import pytest

from vestige.capture import gpu, machine
from vestige.model import wire
from vestige.model.machine import Machine


def test_this_machine_is_described() -> None:
    found = machine.machine()
    assert (found.host, found.system, found.kernel, found.architecture) == (
        platform.node(),
        platform.system(),
        platform.release(),
        platform.machine(),
    )
    assert found.cpus == os.cpu_count()
    assert found.memory == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert found.cpu
    assert "problems" not in found.extra
    libc, version = platform.libc_ver()
    if libc == "glibc":
        assert found.libc == f"glibc {version}"
    assert found.distribution == platform.freedesktop_os_release()["PRETTY_NAME"]
    assert wire.decode(Machine, json.loads(wire.dump(wire.encode(found)))) == found


def test_it_is_looked_at_once_a_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = machine.machine(str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(machine, "_look", lambda: pytest.fail("looked again"))
        assert wire.encode(machine.machine(str(tmp_path))) == wire.encode(first)
        began = time.process_time()
        machine.machine(str(tmp_path))
        assert time.process_time() - began < 0.01
    looked: list[Machine] = []

    def look() -> Machine:
        looked.append(first)
        return first

    monkeypatch.setattr(machine, "boot", lambda: "another")
    monkeypatch.setattr(machine, "_look", look)
    machine.machine(str(tmp_path))
    assert looked == [first]


def test_a_damaged_or_unwritable_cache_is_no_harm(tmp_path: Path) -> None:
    first = machine.machine(str(tmp_path))
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"{damaged")
    assert wire.encode(machine.machine(str(tmp_path))) == wire.encode(first)
    (tmp_path / "file").touch()
    assert wire.encode(machine.machine(str(tmp_path / "file"))) == wire.encode(first)


def test_a_probe_that_fails_is_a_problem_and_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> dict[str, object]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(machine, "_processor", fail)
    found = machine.machine(str(tmp_path))
    assert found.cpu is None
    assert found.host == platform.node()
    assert found.extra["problems"] == ["machine: the processor is not known: Permission denied"]
    assert list(tmp_path.iterdir()) == []


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_cards_are_known_by_what_their_driver_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proc, drm = tmp_path / "nvidia", tmp_path / "drm"
    write(proc / "version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC\n")
    write(proc / "gpus/0000:41:00.0/information", "Model: \t\t NVIDIA A100-SXM4-80GB\nIRQ: 12\nGPU UUID: \t GPU-2c1f\n")
    write(proc / "gpus/0000:01:00.0/information", "Model: \t\t NVIDIA T4\nGPU UUID: \t GPU-????????-????\n")
    write(drm / "card1/device/vendor", "0x1002\n")
    write(drm / "card1/device/product_name", "Instinct MI250X\n")
    write(drm / "card0/device/vendor", "0x8086\n")
    (drm / "card0-DP-1").mkdir()
    monkeypatch.setattr(gpu, "_asked", lambda: {"cuda": "12.4"})
    assert gpu.look(str(proc), str(drm)) == {
        "gpus": ("NVIDIA T4", "NVIDIA A100-SXM4-80GB (GPU-2c1f)", "Instinct MI250X"),
        "driver": "nvidia 550.54.15",
        "cuda": "12.4",
    }
    assert gpu.look(str(tmp_path / "none"), str(tmp_path / "none")) == {}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("nvmlInit = None", {}),
        ("import time\ndef nvmlInit(): time.sleep(60)", {}),
        (
            "class Memory: total = 5\nnvmlInit = nvmlShutdown = lambda: None\nnvmlDeviceGetCount = lambda: 2\n"
            "nvmlDeviceGetHandleByIndex = lambda n: n\nnvmlDeviceGetMemoryInfo = lambda c: Memory\n"
            "nvmlSystemGetCudaDriverVersion = lambda: 12040",
            {"gpu_memory": [5, 5], "cuda": "12.4"},
        ),
    ],
)
def test_the_makers_library_is_asked_but_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, expected: dict[str, object]
) -> None:
    (tmp_path / "pynvml.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    monkeypatch.setattr(gpu, "PATIENCE", 0.3)
    began = time.monotonic()
    assert gpu._asked() == expected
    assert time.monotonic() - began < 2
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)


def test_containers_are_known_by_their_marks(tmp_path: Path) -> None:
    def at(root: str, **environ: str) -> str | None:
        return machine.container(environ, str(tmp_path / root))

    write(tmp_path / "docker/.dockerenv", "")
    write(tmp_path / "podman/run/.containerenv", 'engine="podman-4.3"\nimage="docker.io/library/python:3.11"\n')
    write(tmp_path / "rootless/run/.containerenv", "")
    (tmp_path / "sif/.singularity.d").mkdir(parents=True)
    (tmp_path / "pod/var/run/secrets/kubernetes.io").mkdir(parents=True)
    write(tmp_path / "nspawn/run/systemd/container", "systemd-nspawn\n")
    assert at("docker") == "docker"
    assert at("podman") == "podman docker.io/library/python:3.11"
    assert at("rootless") == "podman"
    assert at("sif") == "apptainer"
    assert at("sif", APPTAINER_CONTAINER="/images/lab.sif") == "apptainer /images/lab.sif"
    assert at("pod") == "kubernetes"
    assert at("nspawn") == "systemd-nspawn"
    assert at("bare", container="lxc") == "lxc"
    assert at("bare") is None


def test_a_container_is_identified_by_its_mounts() -> None:
    identity = "0af1" * 16
    for path in (f"/var/lib/docker/containers/{identity}/hostname", f"/x/overlay-containers/{identity}/userdata/hosts"):
        assert (
            machine.container_id(f"22 21 0:1 / /proc rw - proc proc rw\n36 35 98:0 {path} /etc/hostname rw - ext4 a b")
            == identity
        )
    assert machine.container_id("22 21 0:1 / /proc rw - proc proc rw") is None
    assert machine.container_id(f"1 2 0:1 /blobs/{identity} /x rw - a b c") is None


def test_limits_of_control_groups_hold_from_above(tmp_path: Path) -> None:
    every = os.cpu_count() or 1
    write(tmp_path / "user/job/memory.max", "max\n")
    write(tmp_path / "user/memory.max", "4000000\n")
    write(tmp_path / "user/job/cpu.max", "50000 100000\n")
    assert machine.limits(str(tmp_path), "0::/user/job\n") == {"cpus": 0.5, "memory": 4000000}
    write(tmp_path / "user/job/cpu.max", "max 100000\n")
    assert machine.limits(str(tmp_path), "0::/user/job\n") == {"memory": 4000000} | (
        {} if len(os.sched_getaffinity(0)) == every else {"cpus": len(os.sched_getaffinity(0))}
    )
    write(tmp_path / "memory/job/memory.limit_in_bytes", "9223372036854771712\n")
    assert "memory" not in machine.limits(str(tmp_path), "9:memory:/job\n4:cpuset:/x\nodd\n")
    write(tmp_path / "memory/memory.limit_in_bytes", "77\n")
    assert machine.limits(str(tmp_path), "9:memory:/job\n")["memory"] == 77


def test_a_job_is_what_its_scheduler_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "limits", dict)
    monkeypatch.setattr(machine, "container", lambda _: None)
    slurm = {"SLURM_JOB_ID": "71", "SLURM_ARRAY_JOB_ID": "70", "SLURM_ARRAY_TASK_ID": "3", "SLURM_JOB_PARTITION": "gpu"}
    assert machine.job(slurm) == {"scheduler": "slurm", "id": "71", "array": "70", "task": "3", "partition": "gpu"}
    assert machine.job({"PBS_JOBID": "9.host", "TORCHELASTIC_RUN_ID": "x"}) == {"scheduler": "pbs", "id": "9.host"}
    assert machine.job({"JOB_ID": "12", "SGE_TASK_ID": "undefined", "QUEUE": "all.q"}) == {
        "scheduler": "sge",
        "id": "12",
        "task": "undefined",
        "queue": "all.q",
    }
    assert machine.job({"GITHUB_RUN_ID": "5", "GITHUB_JOB": "build"}) == {
        "scheduler": "github-actions",
        "id": "5",
        "step": "build",
    }
    assert machine.job({"PATH": "/bin"}) is None


def test_a_job_in_a_container_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "limits", lambda: {"cpus": 2})
    assert machine.job({"SINGULARITY_CONTAINER": "/i.sif"}) == {"container": "apptainer /i.sif", "cpus": 2}
