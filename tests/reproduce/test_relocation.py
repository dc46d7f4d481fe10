"""Words that name places, and what becomes of them."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vestige.reproduce.relocation import Move, inside, moved, names, resolved

OLD, NEW = "/home/ada/p", "/work/1/project"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/ada/p", NEW),
        ("/home/ada/p/", f"{NEW}/"),
        ("/home/ada/p/data/in.csv", f"{NEW}/data/in.csv"),
        ("--in=/home/ada/p/in.csv", f"--in={NEW}/in.csv"),
        ("-I/home/ada/p/include", f"-I{NEW}/include"),
        ("cat /home/ada/p/a /home/ada/p/b > '/home/ada/p/c'", f"cat {NEW}/a {NEW}/b > '{NEW}/c'"),
        ("file:///home/ada/p/x", f"file://{NEW}/x"),
        ("/usr/bin:/home/ada/p/bin:/bin", f"/usr/bin:{NEW}/bin:/bin"),
        ("open('/home/ada/p')", f"open('{NEW}')"),
        ("a,/home/ada/p,b", f"a,{NEW},b"),
        ("/home/ada/pp/in.csv", "/home/ada/pp/in.csv"),
        ("/home/ada/p.old/in.csv", "/home/ada/p.old/in.csv"),
        ("/home/ada/p-2", "/home/ada/p-2"),
        ("/mnt/home/ada/p/in.csv", "/mnt/home/ada/p/in.csv"),
        ("../home/ada/p", "../home/ada/p"),
        ("data/in.csv", "data/in.csv"),
        ("", ""),
    ],
)
def test_a_path_is_led_elsewhere_and_nothing_else_is(text: str, expected: str) -> None:
    assert moved(text, [Move(OLD, NEW)]) == expected
    assert names(text, OLD) == (text != expected)


def test_the_deepest_place_counts() -> None:
    moves = [Move("/home/ada", "/h"), Move(OLD, NEW), Move("/home/ada/p/out.txt", "/o")]
    assert moved("/home/ada/p/out.txt /home/ada/p/in.txt /home/ada/x", moves) == f"/o {NEW}/in.txt /h/x"


def test_what_was_led_elsewhere_is_not_led_on() -> None:
    assert moved("/a/x", [Move("/a", "/b"), Move("/b", "/c")]) == "/b/x"


def test_the_root_of_everything_is_no_place() -> None:
    assert moved("/usr/bin/python", [Move("/", NEW)]) == "/usr/bin/python"


def test_a_place_with_signs_that_mean_something_to_a_pattern_is_found() -> None:
    assert moved("/a+b (c)/[d]/x", [Move("/a+b (c)/[d]", NEW)]) == f"{NEW}/x"


_NAMES = st.text(st.sampled_from("abc.-_+ \n\udcff"), min_size=1, max_size=6).filter(lambda name: name not in (".", ".."))


@given(st.lists(_NAMES, min_size=1, max_size=4), st.lists(_NAMES, max_size=3))
def test_a_word_that_is_a_path_is_led_elsewhere_whatever_its_names(root: list[str], rest: list[str]) -> None:
    old = "/" + "/".join(root)
    tail = "".join("/" + name for name in rest)
    assume(old not in tail)  # behind a space it may as well be a second path
    assert moved(old + tail, [Move(old, NEW)]) == NEW + tail


@pytest.mark.parametrize(
    ("path", "folder", "expected"),
    [("/a/b/c", "/a", "b/c"), ("/a", "/a", None), ("/ab", "/a", None), ("/a/b", "/a/", "b"), ("/a/b", "/", "a/b")],
)
def test_inside_is_by_whole_names(path: str, folder: str, expected: str | None) -> None:
    assert inside(path, folder) == expected


def test_a_recorded_path_is_resolved_from_the_root() -> None:
    assert resolved("data/../in.csv", OLD) == f"{OLD}/in.csv"
    assert resolved("/else/in.csv", OLD) == "/else/in.csv"
