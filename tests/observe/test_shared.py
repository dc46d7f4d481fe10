"""What a watcher that was killed has noted and not written is written by whoever stands in for it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from vestige.observe import compiled
from vestige.observe.interface import parse
from vestige.observe.shared import Shared
from vestige.observe.terms import Terms

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the compiled watcher is Linux's")


def killed(journal: Path, shared: Shared, *, flushed: bool) -> None:
    """A process notes three names, two of them before it flushes, and is killed."""
    pid = os.fork()
    if pid == 0:
        try:
            library = compiled.library()
            assert library is not None
            descriptor = os.open(journal, os.O_WRONLY | os.O_APPEND)
            notes = compiled.CompiledNotes(library, descriptor, shared, Terms("/"))
            notes.note("a", 1, "/one")
            notes.note("a", 1, "/two")
            if flushed:
                notes.flush()
            notes.note("a", 1, "/thr\udcffee")
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL


@pytest.mark.parametrize("flushed", [False, True])
def test_nothing_that_was_noted_is_lost(tmp_path: Path, flushed: bool) -> None:
    journal = tmp_path / "events.jsonl"
    journal.write_text("first\n")
    shared = Shared()
    killed(journal, shared, flushed=flushed)
    shared.write_rest(str(journal))
    lines = journal.read_bytes().splitlines(keepends=True)
    assert [event.path for event in parse(lines[1:])] == ["/one", "/two", "/thr\udcffee"]


def test_what_was_written_before_the_end_is_not_written_twice(tmp_path: Path) -> None:
    journal = tmp_path / "events.jsonl"
    journal.write_text("")
    shared = Shared()
    killed(journal, shared, flushed=False)
    rest = tmp_path / "rest"
    rest.write_text("")
    shared.write_rest(str(rest))
    journal.write_bytes(rest.read_bytes()[:30])  # killed in the middle of a write
    shared.write_rest(str(journal))
    assert journal.read_bytes() == rest.read_bytes()


def test_who_has_noted_nothing_leaves_nothing(tmp_path: Path) -> None:
    journal = tmp_path / "events.jsonl"
    journal.write_text("")
    Shared().write_rest(str(journal))
    assert journal.read_bytes() == b""
    assert Shared().unanswered() == []
