"""A journal for which there is no room for a while."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vestige.observe import compiled
from vestige.observe.interface import parse
from vestige.observe.notes import Notes
from vestige.observe.shared import Shared
from vestige.observe.terms import Terms

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")

SHARED: list[Shared] = []  # the library writes into it


def of_the_library(journal: int) -> Notes:
    library = compiled.library()
    assert library is not None, "the compiled watcher has not been built: install the package again, with a compiler at hand"
    SHARED.append(Shared())
    return compiled.CompiledNotes(library, journal, SHARED[-1], Terms("/"))


@pytest.mark.parametrize("made", [Notes, of_the_library])
@pytest.mark.parametrize("room", [1, 1000, 1001, 1037])
def test_what_is_lost_is_counted_and_what_follows_is_whole(tmp_path: Path, made: Callable[[int], Notes], room: int) -> None:
    path = tmp_path / "journal"
    journal = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    notes = made(journal)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        for number in range(3):
            for one in range(50):
                notes.note("g", text=f"{number} {one}")
            notes.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.stat().st_size == room
    for one in range(50):
        notes.note("g", text=f"later {one}")
    notes.flush()
    os.close(journal)
    found = [event.text for event in parse(path.read_bytes().splitlines(keepends=True))]
    assert found[-50:] == [f"later {one}" for one in range(50)]
    assert notes.lost - (200 - len(found)) in (0, 1)  # a line that lacks nothing but its end comes back
    assert 150 - room // 10 <= notes.lost <= 150
