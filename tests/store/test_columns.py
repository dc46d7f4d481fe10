from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.errors import DamagedError
from vestige.store import columns, rows, words

moments = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31))  # noqa: DTZ001  # given their zone below


@given(moments)
def test_a_moment_comes_back_as_it_is_written_in_records(moment: datetime) -> None:
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
    stored = columns.instant(text)
    assert stored is not None
    assert columns.iso(stored) == text
    days = (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days
    assert stored // 86_400_000_000 == days


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-11-21T09:30:12Z", "2026-11-21T09:30:12.000000Z"),
        ("2026-11-21T10:30:12.5+01:00", "2026-11-21T09:30:12.500000Z"),
        ("2026-11-21 09:30:12", "2026-11-21T09:30:12.000000Z"),
        ("2026-11-21", "2026-11-21T00:00:00.000000Z"),
        ("1969-12-31T23:59:59.000000Z", "1969-12-31T23:59:59.000000Z"),
        ("yesterday", ""),
        ("2026-13-41T09:30:12.000000Z", ""),
        ("", ""),
    ],
)
def test_other_forms_of_a_time_mean_the_same_moment(text: str, same: str) -> None:
    assert columns.iso(columns.instant(text)) == same


def test_what_is_no_text_is_no_time() -> None:
    assert columns.instant(None) is None
    assert columns.instant(5) is None


@given(st.lists(st.text().filter(lambda text: "\0" not in text)))
def test_a_list_of_texts_stands_in_one_column(texts: list[str]) -> None:
    assert columns.parted(columns.joined(texts)) == tuple(texts)


def test_an_argument_that_is_not_utf8_comes_back() -> None:
    assert columns.parted(columns.joined(["a", "caf\udce9", ""])) == ("a", "caf\udce9", "")


@given(st.text())
def test_any_text_has_a_key_and_comes_back(text: str) -> None:
    assert words.text_of(*words.key_of(text)) == text


@given(st.binary(min_size=32, max_size=32))
def test_of_a_digest_only_the_rest_is_stored(raw: bytes) -> None:
    key, rest = words.key_of("blake3:" + raw.hex())
    assert rest == raw[8:]
    assert words.text_of(key, rest) == "blake3:" + raw.hex()


@pytest.mark.parametrize("text", ["blake3:" + "AB" * 32, "blake3:" + "a " * 32, "\0", "caf\udce9", "\0\udcff", "\ud800"])
def test_what_only_looks_like_a_digest_and_what_is_not_utf8_comes_back(text: str) -> None:
    key, rest = words.key_of(text)
    assert isinstance(rest, str)
    assert words.text_of(key, rest) == text


def test_the_last_key_is_followed_by_the_first() -> None:
    assert words.next_key(5) == 6
    assert words.next_key(2**63 - 1) == -(2**63)


USE = {"path": "p", "digest": None}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"id": 5},
        {"id": "x", "inputs": [None]},
        {"id": "x", "inputs": [{}]},
        {"id": "x", "inputs": [USE | {"path": 5}]},
        {"id": "x", "inputs": [USE | {"digest": []}]},
        {"id": "x", "inputs": [USE | {"size": "big"}]},
        {"id": "x", "inputs": [USE | {"size": 2**64}]},
        {"id": "x", "inputs": [USE | {"size": -(2**64)}]},
        {"id": "x", "inputs": [USE | {"first": {"seq": 2**70, "time": ""}}]},
        {"id": "x", "inputs": [USE | {"first": {"seq": 1}}]},
        {"id": "x", "inputs": [USE | {"first": 5}]},
        {"id": "x", "inputs": [USE | {"role": {"a": 1}}]},
        {"id": "x", "inputs": [USE | {"access": ["r"]}]},
        {"id": "x", "inputs": {"a": 1}},
        {"id": "x", "name": 5},
        {"id": "x", "sequence": "first"},
        {"id": "x", "sequence": 2**70},
        {"id": "x", "exit_code": -(2**70)},
        {"id": "x", "duration": "long"},
        {"id": "x", "duration": 10**400},
        {"id": "x", "duration": float("inf")},
        {"id": "x", "command": "ls"},
        {"id": "x", "command": [1]},
        {"id": "x", "tags": [1]},
        {"id": "x", "tags": "tag"},
        {"id": "x", "code": "main"},
        {"id": "x", "code": {"dirty": "yes"}},
        {"id": "x", "code": {"commit": 5}},
        {"id": "x", "host": []},
        {"id": "x", "script": {"path": 5}},
        {"id": "x", "function": {"name": 5}},
        {"id": "x", "observation": {"gaps": 5}},
        {"id": "x", "parent": 5},
        {"id": "x", "cwd": 5},
    ],
)
def test_a_record_that_holds_what_it_cannot_hold_is_damaged(document: dict[str, object]) -> None:
    with pytest.raises(DamagedError, match="cannot hold"):
        rows.of(document)


def test_a_record_may_lack_every_key_but_its_id() -> None:
    row = rows.of({"id": "x"})
    assert (row.run.id, row.run.kind, row.run.status, row.run.cwd, row.uses) == ("x", "command", "finished", ".", [])
