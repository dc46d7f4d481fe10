"""Cases 76 to 80: what a run depended on beyond the contents of files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cases.stage import gaps, project, python, recorded, used
from tests.record.running import VESTIGE, last

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")

__all__ = ["project"]  # the fixture


def stored(project: Path, digest: str) -> dict[str, Any]:
    algorithm, _, name = digest.partition(":")
    found: dict[str, Any] = json.loads((project / ".vestige/objects" / algorithm / name[:2] / name[2:]).read_text())
    return found


def test_case_76_what_surrounds_a_command_is_captured_once(project: Path) -> None:
    (project / "below").mkdir()
    environ = {"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", "MY_TOKEN": "abcdefgh-secret", "OMP_NUM_THREADS": "3"}
    line = f"umask 027; ulimit -n 200; exec {' '.join(VESTIGE)} run sh -c true word"
    subprocess.run(["sh", "-c", line], cwd=project / "below", env={**os.environ, **environ}, check=True)
    record = last(project)
    assert record["command"] == ["sh", "-c", "true", "word"]
    assert (record["cwd"], record["umask"], record["host"]) == ("below", "0027", os.uname().nodename)
    assert {name: record["variables"].get(name) for name in ("TZ", "LC_ALL", "OMP_NUM_THREADS")} == {
        "TZ": "Asia/Tokyo",
        "LC_ALL": "C.UTF-8",
        "OMP_NUM_THREADS": "3",
    }
    assert "abcdefgh-secret" not in json.dumps(record)
    assert record["resources"]["limits"]["open_files"] == 200
    machine = stored(project, record["machine"])
    assert machine["cpu"]["flags"] if isinstance(machine.get("cpu"), dict) else machine


def test_case_77_what_the_kernel_tells_is_no_input(project: Path) -> None:
    script = "cat /proc/cpuinfo /proc/meminfo /proc/self/status /proc/$$/stat /sys/kernel/mm/transparent_hugepage/enabled > out"
    record = recorded(project, "sh", "-c", script)
    assert used(record) == (set(), {"out"})
    assert not [use for use in record["inputs"] if use["path"].startswith(("/proc/", "/sys/"))]
    assert record["machine"] is not None


def test_case_78_chance_is_no_input_and_what_seeds_it_is_recorded(project: Path) -> None:
    script = "import os, random, time; os.urandom(8), os.getrandom(8), time.time(); open('/dev/urandom', 'rb').read(8)"
    record = python(project, script, environ={"PYTHONHASHSEED": "17"})
    assert used(record) == (set(), set())
    assert record["variables"]["PYTHONHASHSEED"] == "17"


def test_case_80_devices_are_no_inputs(project: Path) -> None:
    names = [f"/dev/{name}" for name in ("null", "zero", "full", "nvidia0", "nvidiactl", "nvidia-uvm", "dri/card0", "kfd")]
    script = f"""
import os
for name in {names}:
    try:
        os.close(os.open(name, os.O_RDWR))
    except OSError:
        pass
"""
    record = python(project, script)
    assert used(record) == (set(), set())
    assert gaps(record) == []
