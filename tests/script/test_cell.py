"""The run of a notebook's cell, as the notebook has it recorded; the notebook itself is tried in `tests/test_notebook.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.script.scripts import record, records, script, used

BEGIN = """
import sys
from vestige.script import cell
def begin(source, space, **how):
    return cell.begin(source, source, space, **{"name": None, "number": 3, **how})
"""


def test_a_cell_is_described_before_it_is_executed(project: Path) -> None:
    source = """
import os
space = {"n": 3, "text": "t", "os": os, "f": begin, "_hidden": 1, "api_key": "abcdef123456", "K": int, "unused": 1}
source = "open('out.csv', 'w').write(text * n)\\nf, os, K, _hidden, api_key, nothing, left"
one = begin(source, {**space, "left": 1}, ignore={"left"})
open('out.csv', 'w').write("ttt")
os._exit(3)
"""
    done = script(project, BEGIN + source)
    assert (done.returncode, done.stderr) == (3, b"")
    found = record(project, "notebook")
    assert found["status"] == "interrupted"
    function = found["function"]
    assert function["source"].startswith("open('out.csv', 'w')")
    assert (function["name"], function["module"], found["name"]) == ("cell 3", "__main__", None)
    arguments = {"text": "t", "n": 3, "api_key": "«redacted:secret»", "left": {"type": "int", "ignored": True}}
    assert function["arguments"] == arguments
    assert used(found)[1] == {"out.csv"}


@pytest.mark.parametrize(
    ("error", "status", "code", "told"),
    [
        ("ValueError('no')", "failed", 1, "ValueError"),
        ("KeyboardInterrupt()", "interrupted", None, "KeyboardInterrupt"),
        ("SystemExit(4)", "failed", 4, "SystemExit"),
    ],
)
def test_a_cell_ends_as_the_notebook_says(project: Path, error: str, status: str, code: int | None, told: str) -> None:
    done = script(project, f"{BEGIN}\none = begin('x', {{}}, name='a name')\none.end({error})\n")
    assert (done.returncode, done.stderr) == (0, b"")
    found = record(project, "notebook")
    assert (found["name"], found["status"], found["exit_code"]) == ("a name", status, code)
    assert (found["function"]["exception"]["type"], found["function"]["result"]) == (told, None)


def test_whatever_stands_in_a_cell_is_recorded(project: Path) -> None:
    source = r"""
class Odd:
    def __repr__(self): raise RuntimeError("no")
    def __getattr__(self, name): raise RuntimeError("no")
for text in ("", "x = = 1", "\x00", "\ud800", "x\n" * 900_000, "(" * 100_000, "odd"):
    one = begin(text, {"odd": Odd()})
    one.end(None, Odd())
"""
    done = script(project, BEGIN + source)
    assert done.returncode == 0, done.stderr
    found = records(project, "notebook")
    assert [one["status"] for one in found] == ["finished"] * 7, done.stderr
    assert found[4]["problems"] == ["only the first 1,048,576 characters of the cell are kept"]
    assert found[6]["function"]["arguments"]["odd"]["type"].endswith("Odd")


def test_a_secret_in_a_cell_is_taken_out(project: Path) -> None:
    token = "ghp_" + "a1B2" * 9
    done = script(project, f"{BEGIN}\none = begin('token = \"{token}\"\\nprint(1)', {{}})\none.end(None, '{token}')\n")
    assert done.returncode == 0, done.stderr
    found = record(project, "notebook")
    assert found["function"]["source"].endswith('"\nprint(1)')
    assert token not in str(found["function"])


def test_who_records_a_run_is_not_taken_for_a_part_of_it(project: Path) -> None:
    done = script(project, f"{BEGIN}\none = begin('x', {{}})\none.end(None)\n")
    assert done.returncode == 0, done.stderr
    assert [gap for gap in record(project, "notebook")["observation"]["gaps"] if "was started" in gap] == []
