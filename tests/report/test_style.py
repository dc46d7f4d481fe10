from __future__ import annotations

import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.report.style import (
    PLAIN,
    Cell,
    Style,
    ago,
    cells,
    choose,
    count,
    cut,
    digest,
    duration,
    fit,
    pad,
    printable,
    quoted,
    size,
    sparkline,
    table,
)

NOON = 1_795_262_400.0  # 2026-11-21T12:00:00Z


@pytest.mark.parametrize(
    ("then", "words"),
    [
        ("2026-11-21T12:00:00Z", "just now"),
        ("2026-11-21T12:00:30Z", "just now"),
        ("2026-11-21T11:58:00Z", "2 minutes ago"),
        ("2026-11-21T11:01:00.5Z", "1 hour ago"),
        ("2026-11-20T12:00:00Z", "1 day ago"),
        ("2026-11-18T12:00:00Z", "3 days ago"),
        ("2026-11-10T12:00:00Z", "2 weeks ago"),
        ("2026-08-21T12:00:00Z", "3 months ago"),
        ("2020-11-21T12:00:00Z", "6 years ago"),
        ("2026-11-21T13:30:00Z", "at 2026-11-21 13:30"),
        ("yesterday", "at an unknown time"),
    ],
)
def test_times_are_told_relative_to_now(then: str, words: str) -> None:
    assert ago(then, NOON) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.0, "0 ms"),
        (0.34, "340 ms"),
        (2.06, "2.1 s"),
        (12.41, "12.4 s"),
        (59.96, "1 min"),
        (185, "3 min 5 s"),
        (3599.9, "1 h"),
        (7620, "2 h 7 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [(None, ""), (0, "0 B"), (812, "812 B"), (5120, "5 KiB"), (90_210, "88.1 KiB"), (2**31, "2 GiB"), (2**60, "1048576 TiB")],
)
def test_sizes_are_in_binary_units(number: int | None, words: str) -> None:
    assert size(number) == words


def test_counts_and_digests_are_short() -> None:
    assert count(1, "step") == "1 step"
    assert count(3000, "step") == "3,000 steps"
    assert count(2, "index", "indices") == "2 indices"
    assert digest("blake3:0123456789abcdef") == "0123456789ab"
    assert digest(None) == "not hashed"


@pytest.mark.parametrize(
    ("terminal", "environ", "colour"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (True, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(terminal: bool, environ: dict[str, str], colour: bool) -> None:
    assert choose(terminal=terminal, columns=80, environ=environ).colour is colour


def test_a_terminal_without_unicode_gets_lines_of_ascii() -> None:
    style = choose(terminal=True, columns=80, environ={}, encoding="ANSI_X3.4-1968")
    assert (style.tee + style.elbow + style.bar + style.more + style.arrow + style.dot).isascii()


def test_colour_is_by_meaning_and_absent_without() -> None:
    assert Style(colour=True).word("missing") == "\x1b[31mmissing\x1b[0m"
    assert Style(colour=False).word("missing") == "missing"
    assert Style(colour=True).word("elsewhere") == "elsewhere"
    assert Style(colour=True).paint("", "bad") == ""


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("data/x-1.csv", "data/x-1.csv"),
        ("größe.csv", "größe.csv"),
        ("a b", "'a b'"),
        ("a,b", "'a,b'"),
        ("a->b", "'a->b'"),
        ("it's", "'it'\"'\"'s'"),
        ("~root", "'~root'"),
        ("", "''"),
        ("a\nb", "$'a\\nb'"),
        ("\udcffx'", "$'\\xffx\\''"),
    ],
)
def test_names_for_programs_are_quoted_where_they_must_be(name: str, shown: str) -> None:
    assert quoted(name) == shown


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0", max_codepoint=0x2FFF), min_size=1, max_size=20))
def test_a_quoted_name_is_one_line_and_holds_no_separator_outside_its_quotes(name: str) -> None:
    shown = quoted(name)
    assert shown.isprintable()
    if not shown.startswith(("'", "$'")) and "'" not in shown:
        assert shown == name
        assert not set(name) & set(" ,")
        assert "->" not in name


@pytest.mark.parametrize("name", ["a b", "a\nb", "tab\there", "é\n", "it's\n", "back\\slash\n", "\x07bell", "a->b", "\udcff"])
def test_a_shell_reads_a_quoted_name_as_the_name(name: str) -> None:
    done = subprocess.run(["bash", "-c", f"printf %s {quoted(name)}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})
    assert done.stdout == name.encode("utf-8", "surrogateescape")


@given(st.text(max_size=30))
def test_a_printable_name_cannot_move_the_cursor(name: str) -> None:
    assert printable(name).isprintable()
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", printable(name))


@given(
    st.text(st.characters(codec="utf-8", min_codepoint=32, max_codepoint=0xFFFF, exclude_categories=["Cc", "Cf"]), max_size=60),
    st.integers(4, 60),
)
def test_what_is_fitted_fits(text: str, width: int) -> None:
    assert cells(fit(text, width)) <= width
    assert cells(cut(text, width)) <= width


def test_wide_characters_take_two_columns_and_combining_ones_none() -> None:
    assert cells("数据.csv") == 8
    assert cells("e\u0301") == 1
    assert pad("数", 4) + "|" == "数  |"
    assert fit("a/very/long/path/to/figures/roc.png", 16) == "a/ver…es/roc.png"


def test_a_table_fits_the_terminal_and_aligns_numbers_to_the_right() -> None:
    rows = [
        [Cell("7f3a2c91", "id"), Cell("a/very/long/path/to/some/file/figures/roc.png"), Cell("12", right=True)],
        [Cell("91bc0d44", "id"), Cell("b.csv"), Cell("1000", right=True)],
    ]
    lines = list(table(Style(width=40), ["run", "path", "size"], rows, elastic=1))
    assert lines == [
        "run       path                      size",
        "7f3a2c91  a/very/…/figures/roc.png    12",
        "91bc0d44  b.csv                     1000",
    ]


def test_a_table_without_rows_is_nothing() -> None:
    assert list(table(PLAIN, [], [])) == []


@pytest.mark.parametrize(
    ("numbers", "drawn"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([7, 0], "█▁"),
        ([3, 3, 3], "▁▁▁"),
        ([1.7e308, -1.7e308, 0.0], "█▁▅"),
        ([float("inf"), 1, float("nan"), 2], "▁█"),
        ([1], ""),
        ([], ""),
    ],
)
def test_a_series_is_drawn(numbers: list[float], drawn: str) -> None:
    assert sparkline(numbers, Style()) == drawn
    assert sparkline(numbers, Style(unicode=False)) == ""


@given(st.lists(st.floats(), max_size=200))
def test_any_series_is_drawn_in_a_few_columns(numbers: list[float]) -> None:
    assert len(sparkline(numbers, Style())) <= 24
