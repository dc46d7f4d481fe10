"""Verdicts on real files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.samples import digest, wrote
from vestige.capture.digest import of_directory
from vestige.model.run import Verdict
from vestige.reproduce.verify import Pair, could_not, exit_code, judge, text


def judged(tmp_path: Path, was: bytes, now: bytes | None, *, kept: bool = True) -> Verdict:
    before, made = tmp_path / "before", tmp_path / "made"
    before.write_bytes(was)
    if now is not None:
        made.write_bytes(now)
    use = wrote("out", was.decode("latin-1") if was.isascii() else None)
    return judge(use, str(made), lambda _: str(before) if kept else None, lambda path: path)


def test_equal_bytes_are_identical(tmp_path: Path) -> None:
    found = judged(tmp_path, b"same\n", b"same\n")
    assert (found.verdict, found.expected, found.actual) == ("identical", digest("same\n"), digest("same\n"))


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    assert judged(tmp_path, b"same\n", None).verdict == "missing"


def test_a_file_whose_digest_is_not_known_cannot_be_compared(tmp_path: Path) -> None:
    (tmp_path / "made").write_text("x")
    assert judge(wrote("out"), str(tmp_path / "made"), lambda _: None, str).verdict == "not comparable"


def test_the_first_line_that_differs_is_shown(tmp_path: Path) -> None:
    found = judged(tmp_path, b"a\naccuracy 0.913\n", b"a\naccuracy 0.915\n")
    assert (found.verdict, found.note) == ("different", "line 2: accuracy 0.913 → accuracy 0.915")


def test_lines_that_were_added_or_lost_are_shown(tmp_path: Path) -> None:
    assert judged(tmp_path, b"a\n", b"a\nb\n").note == "line 2: (nothing) → b"
    assert judged(tmp_path, b"a\nb\n", b"a\n").note == "line 2: b → (nothing)"


def test_ends_of_lines_are_told_from_content(tmp_path: Path) -> None:
    assert judged(tmp_path, b"a\nb\n", b"a\r\nb\r\n").note == "only the ends of lines differ"


def test_bytes_are_told_by_their_place(tmp_path: Path) -> None:
    assert judged(tmp_path, b"ab\0cd", b"ab\0cX\0").note == "from byte 4; 5 B → 6 B"


def test_without_the_recorded_bytes_sizes_are_shown(tmp_path: Path) -> None:
    assert judged(tmp_path, b"a\n" * 50, b"bb\n", kept=False).note == "100 B → 3 B"


def test_a_directory_that_is_one_thing_is_compared_as_one(tmp_path: Path) -> None:
    made = tmp_path / "made"
    (made / "deep").mkdir(parents=True)
    (made / "a").write_text("a")
    (made / "deep/b").write_text("b")
    whole = of_directory({"a": digest("a"), "deep/b": digest("b")})
    use = wrote("store.zarr", kind="directory")
    for wanted, verdict in ((whole, "identical"), (digest("other"), "different")):
        named = type(use)(path=use.path, digest=wanted, kind="directory", access="write")
        assert judge(named, str(made), lambda _: None, str).verdict == verdict


def test_a_link_is_compared_by_where_it_leads(tmp_path: Path) -> None:
    os.symlink("raw.csv", tmp_path / "now.csv")
    os.symlink("/w/project/raw.csv", tmp_path / "absolute")
    same = judge(wrote("now.csv", link="raw.csv"), str(tmp_path / "now.csv"), lambda _: None, str)
    other = judge(wrote("now.csv", link="old.csv"), str(tmp_path / "now.csv"), lambda _: None, str)
    moved = judge(
        wrote("x", link="/home/ada/p/raw.csv"),
        str(tmp_path / "absolute"),
        lambda _: None,
        lambda p: p.replace("/w/project", "/home/ada/p"),
    )
    gone = judge(wrote("y", link="raw.csv"), str(tmp_path / "y"), lambda _: None, str)
    assert [one.verdict for one in (same, other, moved, gone)] == ["identical", "different", "identical", "missing"]


def test_what_was_made_and_cannot_be_read_is_not_comparable(tmp_path: Path) -> None:
    (tmp_path / "made").symlink_to("nowhere")
    assert judge(wrote("out", "x"), str(tmp_path / "made"), lambda _: None, str).verdict == "not comparable"


@pytest.mark.parametrize(
    ("words", "exact", "code"),
    [
        (["identical"], False, 0),
        (["identical", "equivalent"], False, 0),
        (["identical", "equivalent"], True, 1),
        (["identical", "different"], False, 1),
        (["identical", "missing"], False, 1),
        (["not comparable"], False, 1),
        (["different", "could not"], False, 2),
        ([], False, 2),
    ],
)
def test_the_exit_code_is_that_of_the_worst(words: list[str], exact: bool, code: int) -> None:
    assert exit_code([Verdict(path="x", verdict=word) for word in words], exact=exact) == code


def test_what_could_not_be_made_says_why() -> None:
    assert could_not(wrote("out", "x"), "its code was not kept").note == "its code was not kept"


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_two_contents_can_be_told_apart(tmp_path_factory: pytest.TempPathFactory, was: bytes, now: bytes) -> None:
    folder = tmp_path_factory.mktemp("pair")
    (folder / "was").write_bytes(was)
    (folder / "now").write_bytes(now)
    found = text(Pair("out", str(folder / "was"), str(folder / "now")))
    assert (found is None) == (was == now and b"\0" not in was) or b"\0" in was + now
    if found is not None:
        assert found.word == "different"
        assert "\n" not in found.note
