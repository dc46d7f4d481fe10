"""A small project, and programs written for one situation."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from tests.cases.rungs import ALWAYS, observed_by, way
from tests.record.running import last, paths, run

TEXT = "a line of data\n" * 40


@pytest.fixture
def project(tmp_path: Path, rung: str) -> Path:
    """A folder that is no repository, with a file of data in it; what is run in it is observed in the way of this test."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "vestige.toml").write_text(way(rung))
    (folder / "in").write_text(TEXT)
    return folder


def digest(data: bytes | str) -> str:
    return "blake3:" + blake3(data.encode() if isinstance(data, str) else data).hexdigest()


def python(project: Path, source: str, *words: str, **how: Any) -> dict[str, Any]:
    """The record of a Python program that ends well."""
    (project / "step.py").write_text(source)
    return recorded(project, sys.executable, "-I", "-S", "step.py", *words, **how)


def c_program(project: Path, source: str, *flags: str, compiler: str = "gcc") -> str:
    """A C program, built outside the project."""
    program = project.parent / "program"
    with_headers = "".join(f"#include <{name}.h>\n" for name in HEADERS) if "-nostdlib" not in flags else ""
    text = f"#define _GNU_SOURCE\n{with_headers}{source}"
    subprocess.run([compiler, "-w", "-x", "c", "-o", program, "-", *flags], input=text.encode(), check=True)
    return str(program)


HEADERS = (
    *("errno", "fcntl", "pthread", "signal", "stdint", "stdio", "stdlib", "string", "unistd"),
    *("sys/mman", "sys/prctl", "sys/socket", "sys/stat", "sys/syscall"),
    *("sys/time", "sys/un", "sys/wait"),
)


def recorded(
    project: Path, *words: str, status: int = 0, environ: Mapping[str, str] | None = None, options: Sequence[str] = (), **how: Any
) -> dict[str, Any]:
    """The record of a command that ends with this status; observed as the project asks for, and without a problem."""
    rung = observed_by(project)
    if rung == "audit":  # it needs a Python that loads what it is told to
        words = tuple(word for word in words if word not in ("-I", "-S"))
    done = run(project, *words, environ=environ, options=options, **how)
    assert done.returncode == status, done.stderr.decode()
    record = last(project)
    record["done"] = done
    assert (record["observation"]["method"], record["observation"]["refused"]) == (rung, [])
    assert record["problems"] == [], record["problems"]
    return record


def gaps(record: Mapping[str, Any]) -> list[str]:
    """The gaps that a record names, but for the one that its way of observing always has, which must be there."""
    found: list[str] = list(record["observation"]["gaps"])
    if (always := ALWAYS.get(record["observation"]["method"])) is not None:
        found.remove(always)
    return found


def used(record: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """What a run read and wrote, but for what runs itself."""
    return paths(record, "inputs") - {"vestige.toml"}, paths(record, "outputs")


def user() -> bool:
    """Whether this is an ordinary user, to whom the kernel says no."""
    return os.geteuid() != 0
