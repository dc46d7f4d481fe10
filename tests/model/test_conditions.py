"""Comparisons of a record's fields."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.errors import UsageError
from vestige.model.conditions import parse

RECORD: dict[str, Any] = {
    "name": "train",
    "duration": 12.5,
    "exit_code": 0,
    "command": ["python", "train.py", "--lr", "0.1"],
    "code": {"commit": "9c4b2a1f", "dirty": True},
    "variables": {"LR": "0.10", "A.B": "dotted"},
    "values": {"accuracy": [{"value": 0.5}, {"value": 0.9}]},
    "outputs": [{"path": "a.csv", "size": 10}, {"path": "b.csv", "size": 2000}],
    "note": None,
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("name=train", True),
        ("name=tr*", True),
        ("name=tr", False),
        ("name!=train", False),
        ("duration>10", True),
        ("duration > 10", True),
        ("duration<=12.5", True),
        ("duration<12.5", False),
        ("exit_code=0", True),
        ("command~LR", True),
        ("command!~lr", False),
        ("command=train.py", True),
        ("code.dirty=true", True),
        ("code.commit=9c4b2a1*", True),
        ("variables.LR=0.1", True),
        ("variables.A.B=dotted", True),
        ("variables.NONE=1", False),
        ("variables.NONE!=1", True),
        ("values.accuracy>0.8", True),
        ("values.accuracy=0.5", False),
        ("outputs.size>=2000", True),
        ("outputs.path=c.csv", False),
        ("note=null", True),
        ("code=9c4b2a1f", False),
    ],
)
def test_comparisons(text: str, wanted: bool) -> None:
    assert parse(text).holds(RECORD) is wanted


@pytest.mark.parametrize("text", ["", "name", "=3", "9=1", "a b=1"])
def test_what_is_no_comparison(text: str) -> None:
    with pytest.raises(UsageError, match="is no comparison"):
        parse(text)


def test_an_unknown_field_is_named_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no field 'durration'; did you mean 'duration'"):
        parse("durration>3")


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        condition = parse(text)
    except UsageError:
        return
    assert condition.holds(RECORD) in (True, False)
