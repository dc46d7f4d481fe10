"""The journal as it grows, and the part of an outer one that belongs to a run inside."""

from __future__ import annotations

import gzip
from pathlib import Path

from vestige.observe.interface import Event, line, parse
from vestige.record.tail import Tail, compressed


def write(path: Path, *events: Event) -> None:
    with path.open("ab") as file:
        file.writelines(line(event) for event in events)


def test_lines_come_once_and_whole(tmp_path: Path) -> None:
    journal = tmp_path / "events.jsonl"
    tail = Tail(str(tmp_path), None, {"id": "i"})
    assert list(tail.lines()) == []
    write(journal, Event("r", 1, 7, "/a"))
    with journal.open("ab") as file:
        file.write(b'["r",2,7,"/b')
    assert [event.path for event in parse(tail.lines())] == ["/a"]
    with journal.open("ab") as file:
        file.write(b'c"]\n')
    assert [event.path for event in parse(tail.lines())] == ["/bc"]
    assert list(tail.lines()) == []


def test_a_run_inside_another_takes_only_what_its_own_processes_did(tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    write(
        outer / "events.jsonl",
        Event("v", 0, 0, text="1.0", flags=1),
        Event("p", 10, 100, flags=1, text="make"),
        Event("r", 20, 100, "/early"),
        Event("r", 110, 100, "/makefile"),
        Event("r", 120, 201, "/of/the/watcher"),
        Event("p", 130, 202, flags=201, text="python"),
        Event("r", 140, 202, "/in"),
        Event("p", 150, 300, flags=202, text="sh"),
        Event("w", 160, 300, "/out", flags=577),
        Event("p", 165, 203, flags=201, text="vestige"),
        Event("r", 166, 203, "/of/the/recorder"),
        Event("h", 170, 0, "/out", text="blake3:0"),
        Event("p", 180, 400, flags=100, text="cc"),
        Event("w", 190, 400, "/other", flags=577),
        Event("p", 200, 300, None, "again", 100, None, "cc"),
        Event("w", 210, 300, "/of/another", flags=577),
    )
    processes = {"launcher": [200, 1], "watcher": [201, 1], "command": [202, 1], "recorder": [203, 1]}
    tail = Tail(str(tmp_path), str(outer), {"id": "i", "sequence": 100, "processes_of_vestige": processes})
    assert [(event.op, event.path) for event in parse(tail.lines())] == [
        ("p", None),
        ("r", "/in"),
        ("p", None),
        ("w", "/out"),
        ("h", "/out"),
    ]


def test_the_lines_can_be_had_again_from_the_beginning(tmp_path: Path) -> None:
    write(tmp_path / "events.jsonl", Event("p", 1, 7, flags=6), Event("r", 2, 7, "/a"))
    tail = Tail(str(tmp_path), None, {"id": "i"})
    first = list(tail.lines())
    assert list(tail.lines()) == []
    assert list(tail.again()) == first
    assert len(first) == 2


def test_of_a_very_long_journal_the_first_lines_are_kept() -> None:
    lines = [b"%06d\n" % number for number in range(1000)]
    assert gzip.decompress(compressed(lines, 7000)) == b"".join(lines)
    assert gzip.decompress(compressed(lines, 6999)) == b"".join(lines[:999])
    assert compressed(lines, 70) == compressed(lines[:10], 1000)
