"""What differs: one line a part first, then each part at length."""

from __future__ import annotations

from vestige.model.run import Run
from vestige.ops.diff import Change, Difference, Part
from vestige.report.diff import document, lines, page
from vestige.report.style import PLAIN, Style

FIRST = Run(id="0193aaaa-0000-7000-8000-00007f3a2c91", name="shallow")
SECOND = Run(id="0193aaaa-0000-7000-8000-000091bc0d44", name="deep")
ONE, OTHER = "blake3:" + "a" * 64, "blake3:" + "b" * 64
PATCH = b"--- a/t.py\n+++ b/t.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n"
DIFFERENCE = Difference(
    FIRST,
    SECOND,
    (
        Part("command", (Change("--depth", "1", "4"), Change("working directory", ".", "sub")), same=1),
        Part("code", (Change("t.py", "git:1", "git:2"),)),
        Part("packages", tuple(Change(f"p{n}", "1", "2") for n in range(5)), same=78),
        Part("variables", (Change("LR", None, "0.1"),)),
        Part("machine", same=1),
        Part("inputs", same=3),
        Part("outputs", (Change("model.json", ONE, OTHER), Change("gone.csv", ONE, None))),
        Part("values", unknown="nobody knows"),
    ),
    PATCH,
)


def test_the_page_begins_with_a_line_a_part() -> None:
    assert list(page(DIFFERENCE, Style(width=80)))[:9] == [
        "7f3a2c91 shallow → 91bc0d44 deep",
        "command    --depth 1 → 4; working directory: . → sub",
        "code       t.py differs",
        "packages   5 packages of 83 differ",
        "variables  LR: nothing → 0.1",
        "machine    same",
        "inputs     same (3)",
        "outputs    model.json differs; gone.csv only in the first",
        "values     not comparable: nobody knows",
    ]


def test_then_come_the_long_parts_and_the_patch() -> None:
    text = "\n".join(page(DIFFERENCE, Style(width=80)))
    assert "packages\n  p0  1  →  2\n" in text
    assert f"  model.json  {'a' * 12}  →  {'b' * 12}\n" in text
    assert f"  gone.csv    {'a' * 12}  →  none" in text
    assert text.endswith("-x = 1\n+x = 2")


def test_programs_get_a_line_a_difference() -> None:
    found = list(lines(DIFFERENCE))
    assert found[0] == "command\t--depth\t1\t4"
    assert "variables\tLR\t-\t0.1" in found
    assert "machine\tsame" in found
    assert found[-1] == "values\tunknown\tnobody knows"


def test_the_document_holds_everything() -> None:
    found = document(DIFFERENCE)
    assert (found["first"], found["second"], found["identical"]) == (FIRST.id, SECOND.id, False)
    assert found["parts"]["variables"] == {
        "changes": [{"name": "LR", "before": None, "after": "0.1"}],
        "same": 0,
        "unknown": None,
    }
    assert found["patch"] == PATCH.decode().removesuffix("\n")


def test_colour_tells_what_was_added_and_removed() -> None:
    text = "\n".join(page(DIFFERENCE, Style(colour=True)))
    assert "\x1b[31m-x = 1\x1b[0m" in text
    assert "\x1b[32m+x = 2\x1b[0m" in text


def test_a_patch_cannot_move_the_cursor() -> None:
    hostile = Difference(FIRST, SECOND, (), b"+\x1b[2J\xff\n")
    assert "\x1b[2J" not in "\n".join(page(hostile, Style(colour=True)))


def test_equal_runs_differ_in_nothing() -> None:
    equal = Difference(FIRST, SECOND, (Part("command", same=1), Part("inputs", same=2)))
    assert equal.identical
    assert list(lines(equal)) == ["command\tsame", "inputs\tsame"]
    assert "→" not in "".join(list(page(equal, PLAIN))[1:])
