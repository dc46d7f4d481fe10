"""Little programs that do one thing: in Python with nothing imported but `os`, or in C, compiled once a session."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from textwrap import dedent


def python(script: str) -> list[str]:
    """A Python that imports nothing by itself and runs `script`, in which `os` is imported."""
    return [sys.executable, "-I", "-S", "-c", "import os\n" + dedent(script)]


def c(source: str, *flags: str) -> list[str]:
    """A program from C source, in which the usual headers are included; the statements of `main` may stand alone."""
    return [_compiled(dedent(source), flags)]


@lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="cases-")


@lru_cache
def _compiled(source: str, flags: tuple[str, ...]) -> str:
    if "main(" not in source:
        source = f"int main(int argc, char **argv) {{\n{source}\nreturn 0; }}"
    name = hashlib.sha256("\0".join((source, *flags)).encode()).hexdigest()[:12]
    program = Path(_folder().name) / name
    program.with_suffix(".c").write_text(_HEADERS + source)
    subprocess.run(["gcc", "-w", "-o", str(program), str(program.with_suffix(".c")), *flags], check=True)
    return str(program)


_HEADERS = "#define _GNU_SOURCE\n" + "".join(
    f"#include <{name}.h>\n"
    for name in (
        *("errno", "fcntl", "pthread", "sched", "signal", "stdint", "stdio", "stdlib", "string", "unistd"),
        *("sys/stat", "sys/syscall", "sys/wait", "sys/xattr"),
    )
)
