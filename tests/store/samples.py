"""Runs and uses for the tests of the store, said in few words."""

from __future__ import annotations

from typing import Any

from blake3 import blake3

from vestige.model.code import Code
from vestige.model.files import FileUse, Moment
from vestige.model.run import ProjectReference, Run


def digest(text: str) -> str:
    return "blake3:" + blake3(text.encode()).hexdigest()


def run_id(number: int, *, milliseconds: int = 1_795_253_412_123) -> str:
    """A version 7 id whose last eight digits are `number`."""
    head = f"{milliseconds:012x}"
    return f"{head[:8]}-{head[8:]}-7000-8000-0000{number:08x}"


def moment(second: int) -> Moment:
    return Moment(second * 1_000_000, f"2026-11-21T09:{30 + second // 60:02}:{second % 60:02}.000000Z")


def read(path: str, content: str | None = None, second: int = 12, **more: Any) -> FileUse:
    return FileUse(path=path, digest=None if content is None else digest(content), size=100, first=moment(second), **more)


def wrote(path: str, content: str | None = None, second: int = 20, **more: Any) -> FileUse:
    more.setdefault("access", "write")
    return FileUse(path=path, digest=None if content is None else digest(content), size=100, last=moment(second), **more)


def run(number: int, *, second: int = 12, **more: Any) -> Run:
    values: dict[str, Any] = {
        "id": run_id(number),
        "host": "node17",
        "boot": "b1",
        "user": "ada",
        "started": moment(second).time,
        "ended": moment(second + 5).time,
        "duration": 5.0,
        "sequence": moment(second).seq,
        "command": ("python", "step.py"),
        "project": ProjectReference(id="p1", root="/home/ada/p"),
        "code": Code(commit="9c4b2a1f" * 5, dirty=False, snapshot="git:" + "ab" * 20),
        "environment": digest("environment"),
        "exit_code": 0,
    }
    return Run(**values | more)
