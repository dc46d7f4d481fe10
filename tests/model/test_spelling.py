"""What people type, read generously."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.model.spelling import moment, nearest, size, span


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("0", 0), ("812", 812), ("1 MiB", 1 << 20), ("2G", 2 << 30), ("500 kB", 500_000), ("1.5 KiB", 1536), ("1_000 B", 1000)],
)
def test_sizes(text: str, wanted: int) -> None:
    assert size(text) == wanted


@pytest.mark.parametrize("text", ["", "9" * 400, "much", "1 XB", "G", "1..2", "-1", "1 MiBs"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"size|number"):
        size(text)


@pytest.mark.parametrize(
    ("text", "wanted"), [("90d", 90 * 86_400), ("12 h", 43_200), ("2 weeks", 1_209_600), ("30min", 1800), ("1 y", 31_557_600)]
)
def test_spans(text: str, wanted: float) -> None:
    assert span(text) == wanted


@pytest.mark.parametrize("text", ["", "soon", "3 parsecs", "d", "9" * 400 + "y"])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(ValueError, match=r"span|number"):
        span(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-11-01T10:00:00+02:00", "2026-11-01T08:00:00.000000Z"),
        ("2026-11-01T10:00:00Z", "2026-11-01T10:00:00.000000Z"),
        ("1h", "2001-09-09T00:46:40.000000Z"),
        ("2 days ago", "2001-09-07T01:46:40.000000Z"),
    ],
)
def test_moments(text: str, wanted: str) -> None:
    assert moment(text, 1_000_000_000.0) == wanted


def test_yesterday_is_before_today() -> None:
    assert moment("yesterday", 1e9) < moment("today", 1e9) < moment("1 s", 1e9 + 90_000)


def test_the_word_that_was_meant() -> None:
    assert nearest("shwo", ["log", "show"]) == "show"
    assert nearest("xyzzy", ["log", "show"]) is None


@given(st.text())
def test_no_text_is_worse_than_a_value_error(text: str) -> None:
    for read in (size, span, lambda one: moment(one, 1e9)):
        try:
            read(text)
        except ValueError:
            pass
