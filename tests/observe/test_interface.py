"""Lines of a journal: written, torn, damaged and read again."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.observe.classify import Follower
from vestige.observe.interface import Event, Stat, line, parse
from vestige.observe.lines import unwritten, written
from vestige.observe.roles import Setting

NAMES = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    st.binary(max_size=20).map(lambda data: data.decode("utf-8", "surrogateescape")),
    st.sampled_from(["%", "%41", "a%", "%\udcff", "\n", "]\n", "\udcff%"]),
)
NUMBERS = st.integers(0, 2**63)
EVENTS = st.builds(
    Event,
    st.sampled_from(string.ascii_lowercase),
    NUMBERS,
    st.integers(0, 2**22),
    st.none() | NAMES,
    st.none() | NAMES,
    st.integers(0, 2**31),
    st.none() | st.builds(Stat, NUMBERS, st.integers(-(2**63), 2**63), NUMBERS, NUMBERS, NUMBERS),
    st.none() | st.text(max_size=20),
)


@given(st.lists(EVENTS, max_size=5))
def test_events_survive_their_journal(events: list[Event]) -> None:
    assert list(parse([line(event) for event in events])) == events


@given(EVENTS)
def test_a_line_is_one_line_of_ascii(event: Event) -> None:
    data = line(event)
    assert data.count(b"\n") == 1
    assert data.endswith(b"]\n")
    data.decode("ascii")


@given(EVENTS, st.integers(1, 200))
def test_a_torn_line_is_passed_over(event: Event, cut: int) -> None:
    data = line(event)
    assert list(parse([data[: -min(cut, len(data))]])) == []


@given(NAMES)
def test_any_name_is_written_so_that_it_comes_back(name: str) -> None:
    assert unwritten(written(name)) == name
    written(name).encode("utf-8")


DAMAGED = [
    "[]",
    '["r"]',
    "[1,2]",
    '[["r"],2]',
    '["r","x"]',
    '["r",null]',
    '["r",1,2,3]',
    '["r",1,"x"]',
    '["r",1,2,"a",4]',
    '["r",1,2,"a","b","c"]',
    '["r",1,2,"a","b",3,4]',
    '["r",1,2,"a","b",3,[1,2,3]]',
    '["r",1,2,"a","b",3,["1","2","3","4","5"]]',
    '["r",1,2,"a","b",3,null,4]',
    '["r",1,2,"a","b",3,null,"t","more"]',
    '{"op":"r","seq":1}]',
    "null]",
    "]",
    "\x00]",
    '"]',
    "[" * 100_000 + "]",
]


@pytest.mark.parametrize("text", DAMAGED, ids=lambda text: text[:40])
def test_a_damaged_line_is_passed_over_and_its_neighbours_are_not(text: str) -> None:
    good = line(Event("r", 1, 2, "/a"))
    assert list(parse([good, text.encode() + b"\n", good])) == [Event("r", 1, 2, "/a")] * 2


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3), lambda one: st.lists(one, max_size=8)
)


@given(st.lists(st.lists(_JSON, min_size=2, max_size=8), max_size=6), st.sampled_from("vpxrwtmlsukdahincge"))
def test_what_is_read_from_any_journal_can_be_followed(lines: list[list[object]], op: str) -> None:
    follower = Follower(Setting("/p"))
    for fields in lines:
        for event in parse([json.dumps([op, 7, *fields[2:]]).encode() + b"\n", json.dumps(fields).encode() + b"\n"]):
            follower.feed(event)
    follower.conclude(lambda _: None, lambda *_: None)


def test_bytes_that_are_no_text_are_passed_over() -> None:
    assert list(parse([b'["r",1,2,"\xff"]\n', b"\xff\xfe]\n"])) == []


def test_among_many_lines_only_the_damaged_ones_are_lost() -> None:
    events = [Event("r", number, 2, f"/{number}") for number in range(1200)]
    lines = [line(event) for event in events]
    lines[3], lines[700] = b'["r",3,["a"]\n', b'["r",7],["r",7]\n'
    assert list(parse(lines)) == [event for event in events if event.seq not in (3, 700)]


@pytest.mark.parametrize("said", ["nan", "inf", "-1", "1e300", "soon", ""])
def test_a_clock_that_cannot_be_is_none(said: str) -> None:
    follower = Follower(Setting("/p"))
    follower.feed(Event("v", 1, 0, None, None, 1, None, said))
    assert follower.conclude(lambda _: None, lambda *_: None).clock is None
