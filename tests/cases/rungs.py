"""Under which ways of observing a case is run: `notify`, and each whose column in docs/observation.md says "yes".

`audit`, which sees of most cases a part only, has tests of its own (`test_audit.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from vestige.observe import audit, preload

PAGE = Path(__file__).parents[2] / "docs" / "observation.md"
RUNGS = ("notify", "ptrace", "preload", "audit")

#: What the record says of each run that is observed so, whatever happens in it.
ALWAYS = {"preload": preload.GAP, "audit": audit.GAP}


@lru_cache
def cells(case: int) -> list[tuple[str, ...]]:
    """What the page says of a case, rung by rung; some cases have two lines."""
    return [row[1:5] for row in _rows() if row[0] == str(case)]


@lru_cache
def _rows() -> list[tuple[str, ...]]:
    """The number of a case, and a cell for each rung."""
    found = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"\| (\d+) ", line):
            fields = [one.strip() for one in line.strip("|").split("|")]
            beyond = 2 if re.fullmatch(r"\d+", fields[0]) else 1  # the title has a column of its own, or none
            found.append((match[1], *fields[beyond : beyond + 4]))
    return found


def sees(case: int, rung: str) -> bool:
    """Whether the page says that a rung sees a case."""
    told = [row[RUNGS.index(rung)] for row in cells(case)]
    return bool(told) and all(one.startswith("yes") for one in told)


def rungs(function: pytest.Function | pytest.FunctionDefinition) -> Iterator[str]:
    """The rungs under which a test is run."""
    if (alone := function.get_closest_marker("under")) is not None:
        yield from alone.args
        return
    told = re.match(r"test_case_(\d+)(?:_and_(\d+))?", function.name)
    numbers = [int(one) for one in told.groups() if one] if told else []
    also = {rung for mark in function.iter_markers("also_under") for rung in mark.args}
    never = {rung for mark in function.iter_markers("not_under") for rung in mark.args}
    for rung in RUNGS[:-1]:
        if rung == "notify" or rung in also or (numbers and rung not in never and all(sees(one, rung) for one in numbers)):
            yield rung


def observed_by(project: Path) -> str:
    """The rung that a project's configuration asks for."""
    found = re.search('^observe = "(.*)"', (project / "vestige.toml").read_text(), re.MULTILINE)
    return found[1] if found else "notify"


def way(rung: str) -> str:
    """What a project's configuration says, so that its runs are observed so; the best way needs no word."""
    return "" if rung == "notify" else f'observe = "{rung}"\n'
