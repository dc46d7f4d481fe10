"""A program bare and under `vestige run`, in two fresh copies of one folder, and all that can be told of it afterwards."""

from __future__ import annotations

import difflib
import fnmatch
import os
import re
import shutil
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.launch.launching import Screen
from tests.record.running import last

PYTHON = sys.executable
RUN = [PYTHON, "-m", "vestige", "run"]

#: What is waited for on a screen, and the keys that are typed then.
Step = tuple[bytes, bytes]

_ADDRESS = re.compile(rb"0x[0-9a-f]+")


@dataclass(frozen=True)
class Program:
    """What is run, in which folder, and what must come of it, so that it cannot be the same by doing nothing.

    `files` is what it finds, `given` its standard input. It ends with `code`, says `says` and writes `writes`. `normal` takes
    out of its outputs what differs each time; files like `apart` do so by nature, and their bytes are not compared.
    """

    words: tuple[str, ...]
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    given: bytes | None = None
    code: int = 0
    says: bytes = b""
    writes: tuple[str, ...] = ()
    normal: Callable[[bytes], bytes] = bytes
    apart: tuple[str, ...] = ()

    def prepare(self, folder: Path) -> None:
        folder.mkdir()
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = content.encode() if isinstance(content, str) else content
            path.write_bytes(text)
            if text.startswith(b"#!"):
                path.chmod(0o755)


def sh(script: str, files: Mapping[str, str | bytes] | None = None, **more: Any) -> Program:
    return Program(("sh", "-c", textwrap.dedent(script)), files or {}, **more)


def bash(script: str, files: Mapping[str, str | bytes] | None = None, **more: Any) -> Program:
    return Program(("bash", "-c", textwrap.dedent(script)), files or {}, **more)


def python(text: str, files: Mapping[str, str | bytes] | None = None, **more: Any) -> Program:
    return Program((PYTHON, "program.py"), {"program.py": textwrap.dedent(text), **(files or {})}, **more)


def perl(text: str, files: Mapping[str, str | bytes] | None = None, **more: Any) -> Program:
    return Program(("perl", "program.pl"), {"program.pl": textwrap.dedent(text), **(files or {})}, **more)


def c(text: str, *, build: str = "", start: str = "exec ./program", **more: Any) -> Program:
    """A program in C, built first."""
    return Program(("sh", "-c", f"gcc {build} -o program program.c && {start}"), {"program.c": textwrap.dedent(text)}, **more)


@dataclass(frozen=True)
class Seen:
    """What came of a program: output, error, the exit status as a shell says it, and every file of its folder."""

    out: bytes
    err: bytes
    code: int
    files: Mapping[str, tuple[object, ...]]


def both(folder: Path, program: Program, *, around: str = "", method: str | None = "notify", **how: Any) -> Seen:
    """Run a program both ways and compare; returns what came of it.

    Its two folders have one path, one after the other, so that it may say where it is. The store lies above it. `around` is
    a line of a shell's, in which it is "$@". `method` is how the run must have been observed (None: it need not be
    recorded); `how` is for the start of the process.
    """
    shell = ["sh", "-c", around, "sh"] if around else []
    bare, recorded = (_piped(folder, [*shell, *way], program, how) for way in ([], [*RUN, "--"]))
    _compare(bare, recorded)
    _check(folder, program, bare, method)
    return bare


def both_in_a_terminal(folder: Path, program: Program, steps: Sequence[Step] = (), *, around: str = "") -> Seen:
    """The same in a terminal, with somebody at the keys: the whole screen is compared."""
    shell = ["sh", "-c", around, "sh"] if around else []
    bare, recorded = (_shown(folder, [*shell, *way], program, steps) for way in ([], [*RUN, "-q", "--"]))
    _compare(bare, recorded)
    _check(folder, program, bare, "notify")
    return bare


def without_addresses(text: bytes) -> bytes:
    """Addresses are others each time."""
    return _ADDRESS.sub(b"0x", text)


def _compare(bare: Seen, recorded: Seen) -> None:
    """Whatever is not the same is said, line by line."""
    found = [] if bare.code == recorded.code else [f"status {bare.code} and {recorded.code}"]
    for one, other in ((bare.out, recorded.out), (bare.err, recorded.err)):
        if one != other:
            lines = (ascii(text)[2:-1].split("\\n") for text in (one, other))
            found += [line for line in difflib.ndiff(*lines) if line[0] in "+-"][:50]
    for path in sorted(bare.files.keys() | recorded.files.keys()):
        if (before := bare.files.get(path)) != (after := recorded.files.get(path)):
            found.append(f"{path}: {str(before)[:300]} and {str(after)[:300]}")
    assert bare == recorded, "\n".join(found)


def _piped(folder: Path, way: Sequence[str], program: Program, how: Mapping[str, Any]) -> Seen:
    work = _fresh(folder, program)
    stdin = {"stdin": subprocess.DEVNULL} if program.given is None else {"input": program.given}
    done = subprocess.run([*way, *program.words], cwd=work, capture_output=True, timeout=100, check=False, **{**stdin, **how})
    out, err = program.normal(done.stdout), program.normal(done.stderr)
    return Seen(out, err, _code(done.returncode), _files(work, program.apart))


def _shown(folder: Path, way: Sequence[str], program: Program, steps: Sequence[Step]) -> Seen:
    work = _fresh(folder, program)
    with Screen([*way, *program.words], cwd=work) as screen:
        for text, keys in steps:
            screen.expect(text)
            screen.type(keys)
        screen.rest()
        code = _code(os.waitstatus_to_exitcode(screen.status()))
    return Seen(program.normal(screen.shown), b"", code, _files(work, program.apart))


def _check(folder: Path, program: Program, seen: Seen, method: str | None) -> None:
    assert (seen.code, seen.err if seen.code != program.code else None) == (program.code, None)
    assert program.says in seen.out, seen
    assert set(program.writes) <= set(seen.files), seen
    if method is not None:
        assert last(folder)["observation"]["method"] == method


def _fresh(folder: Path, program: Program) -> Path:
    """The folder to work in, as it was at first."""
    (folder / "vestige.toml").touch()
    work = folder / "work"
    if work.exists():
        shutil.rmtree(work)
    program.prepare(work)
    return work


def _code(code: int) -> int:
    """As a shell says it."""
    return 128 - code if code < 0 else code


def _files(folder: Path, apart: Sequence[str]) -> Mapping[str, tuple[object, ...]]:
    """Every file of a folder, however deep: kind and mode, how many names it has, and its bytes, or where it leads."""
    found: dict[str, tuple[object, ...]] = {}
    for above, folders, files, place in os.fwalk(os.fsencode(folder)):
        for name in (*folders, *files):
            state = os.lstat(name, dir_fd=place)
            path = os.fsdecode(os.path.relpath(os.path.join(above, name), os.fsencode(folder)))
            content: object = None
            if stat.S_ISLNK(state.st_mode):
                content = os.readlink(name, dir_fd=place)
            elif stat.S_ISREG(state.st_mode) and not any(fnmatch.fnmatchcase(path, one) for one in apart):
                content = _content(name, place, state.st_mode)
            found[path] = (oct(state.st_mode), state.st_nlink if stat.S_ISREG(state.st_mode) else 0, content)
    return found


def _content(name: bytes, place: int, mode: int) -> bytes:
    if not mode & stat.S_IRUSR:
        os.chmod(name, mode | stat.S_IRUSR, dir_fd=place)
    with open(os.open(name, os.O_RDONLY, dir_fd=place), "rb") as file:
        return file.read()
