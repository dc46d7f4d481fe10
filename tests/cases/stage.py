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

from tests.record.running import last, paths, run

TEXT = "a line of data\n" * 40


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder that is no repository, with a file of data in it."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "vestige.toml").touch()
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
    """The record of a command that ends with this status; observed by the kernel's help, and without a problem."""
    done = run(project, *words, environ=environ, options=options, **how)
    assert done.returncode == status, done.stderr.decode()
    record = last(project)
    record["done"] = done
    assert record["observation"]["method"] == "notify"
    assert record["problems"] == [], record["problems"]
    return record


def used(record: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """What a run read and wrote, but for what runs itself."""
    return paths(record, "inputs") - {"vestige.toml"}, paths(record, "outputs")


def user() -> bool:
    """Whether this is an ordinary user, to whom the kernel says no."""
    return os.geteuid() != 0
