"""Whole processes, in turn, with every descendant's CPU time counted; medians and ratios, since machines are noisy."""

from __future__ import annotations

import ctypes
import os
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Cost:
    """Seconds: by the clock until the command returned, and of all processors until its last descendant had ended."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Command:
    """What is measured: `before` is called, uncounted, before each time."""

    argv: Sequence[str]
    cwd: str
    environ: Mapping[str, str] | None = None
    before: Callable[[], object] | None = None


def once(command: Command) -> Cost:
    """Run a command to the end of its last descendant."""
    if command.before is not None:
        command.before()
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        try:
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            os.chdir(command.cwd)
            environ = dict(os.environ if command.environ is None else command.environ)
            os.execvpe(command.argv[0], list(command.argv), environ)
        finally:
            os._exit(127)
    _, status = os.waitpid(pid, 0)
    wall = time.perf_counter() - started
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    if status:
        raise RuntimeError(f"{' '.join(command.argv)} ended with {os.waitstatus_to_exitcode(status)}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def alternate(commands: Mapping[str, Command], times: int, warm: int = 2) -> dict[str, Cost]:
    """Medians of each command's cost, the commands in turn: A B C A B C …"""
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for turn in range(times + warm):
        for name, command in commands.items():
            cost = once(command)
            if turn >= warm:
                costs[name].append(cost)
    return {
        name: Cost(statistics.median(c.wall for c in all_), statistics.median(c.cpu for c in all_))
        for name, all_ in costs.items()
    }


@dataclass(frozen=True)
class Row:
    """One line of the table: what, the figure, what it is measured against, and what is to be reached."""

    what: str
    figure: str
    against: str
    reach: str
    ok: bool | None = None


def table(rows: Sequence[Row]) -> str:
    """The table as text."""
    heads = ("what", "figure", "against", "reach", "")
    cells = [
        heads,
        *((row.what, row.figure, row.against, row.reach, {True: "ok", False: "MISSED", None: ""}[row.ok]) for row in rows),
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells)
