"""Is it the same? A verdict for each file that was made again, and what differs, said by comparators that know the format."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Literal

from vestige.model.files import Digest, FileUse
from vestige.model.run import Verdict
from vestige.model.values import value
from vestige.reproduce.workspace import content_of

Word = Literal["identical", "equivalent", "different", "missing", "not comparable", "could not"]

#: How much of a text is looked at for its first difference, and how much of a line is shown.
_READ = 16 << 20
_SHOWN = 60


@value
class Pair:
    """A file as it was recorded (`before`: where these bytes lie, if they are at hand) and as it was made now."""

    path: str
    before: str | None
    now: str


@value
class Finding:
    """What a comparator has found out of two files whose bytes differ."""

    word: Literal["equivalent", "different"]
    note: str


#: Looks at two files; None where it does not know their format.
Comparator = Callable[[Pair], Finding | None]


def judge(use: FileUse, now: str, before: Callable[[Digest], str | None], back: Callable[[str], str]) -> Verdict:
    """The verdict on one output. `now` is where it should have been made; `before` where recorded bytes lie, if anywhere;
    `back` leads a path of the workspace to where it would have been."""
    if use.link is not None:
        return _judge_link(use, now, back)
    if not os.path.lexists(now):
        return Verdict(path=use.path, verdict="missing", expected=use.digest, note="the step ended without writing it")
    if use.digest is None:
        return Verdict(path=use.path, verdict="not comparable", note="its content was not hashed when it was recorded")
    actual = content_of(now, use.digest.partition(":")[0])
    if actual == use.digest:
        return Verdict(path=use.path, verdict="identical", expected=use.digest, actual=actual)
    if actual is None:
        return Verdict(path=use.path, verdict="not comparable", expected=use.digest, note="what was made cannot be read")
    pair = Pair(use.path, before(use.digest), now)
    finding = next((found for compare in COMPARATORS if (found := compare(pair)) is not None), None)
    word, note = ("different", None) if finding is None else (finding.word, finding.note)
    return Verdict(path=use.path, verdict=word, expected=use.digest, actual=actual, note=note or _sizes(use, now))


def could_not(use: FileUse, why: str) -> Verdict:
    """The verdict on an output that no step could make."""
    return Verdict(path=use.path, verdict="could not", expected=use.digest, note=why)


def exit_code(verdicts: list[Verdict], *, exact: bool = False) -> int:
    """0: all identical (or equivalent, unless `exact`); 1: something differs; 2: something could not be made."""
    words = {one.verdict for one in verdicts}
    if "could not" in words or not words:
        return 2
    return 0 if words <= ({"identical"} if exact else {"identical", "equivalent"}) else 1


def holds(path: str, words: str) -> bool:
    """Whether a file holds some words; large files are not looked through."""
    try:
        with open(path, "rb") as file:
            return os.fsencode(words) in file.read(_READ)
    except OSError:
        return False


def text(pair: Pair) -> Finding | None:
    """The first line that differs."""
    if pair.before is None or os.path.isdir(pair.now) or os.path.isdir(pair.before):
        return None
    try:
        with open(pair.before, "rb") as one, open(pair.now, "rb") as other:
            was, now = one.read(_READ), other.read(_READ)
    except OSError:
        return None
    if b"\0" in was or b"\0" in now:
        return _bytes(was, now)
    for number, (left, right) in enumerate(zip_longest(was.splitlines(), now.splitlines()), 1):
        if left != right:
            return Finding("different", f"line {number}: {_line(left)} → {_line(right)}")
    return Finding("different", "only the ends of lines differ") if was != now else None


#: In the order in which they are asked; whoever knows more of a format stands further up.
COMPARATORS: tuple[Comparator, ...] = (text,)


def _judge_link(use: FileUse, now: str, back: Callable[[str], str]) -> Verdict:
    try:
        target = back(os.readlink(now))
    except FileNotFoundError:
        return Verdict(path=use.path, verdict="missing", note="the step ended without making this link")
    except OSError:
        return Verdict(path=use.path, verdict="different", note=f"it was a link to {use.link}")
    same = target == use.link
    note = None if same else f"a link to {use.link} → to {target}"
    return Verdict(path=use.path, verdict="identical" if same else "different", note=note)


def _bytes(was: bytes, now: bytes) -> Finding:
    first = next(_differing(was, now), min(len(was), len(now)))
    return Finding("different", f"from byte {first:,}; {len(was):,} B → {len(now):,} B")


def _differing(was: bytes, now: bytes) -> Iterator[int]:
    step = 1 << 16
    for start in range(0, min(len(was), len(now)), step):
        if was[start : start + step] != now[start : start + step]:
            for position in range(start, min(start + step, len(was), len(now))):
                if was[position] != now[position]:
                    yield position


def _line(line: bytes | None) -> str:
    if line is None:
        return "(nothing)"
    said = line.decode("utf-8", "backslashreplace").strip()
    return said if len(said) <= _SHOWN else said[: _SHOWN - 1] + "…"


def _sizes(use: FileUse, now: str) -> str:
    if use.size is None or os.path.isdir(now):
        return "the content differs"
    return f"{use.size:,} B → {os.path.getsize(now):,} B"
