"""The count of what is kept: cheap, never in the way, and right after every clean-up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vestige.store.kept import Tally


def test_a_new_store_keeps_nothing(tmp_path: Path) -> None:
    tally = Tally(str(tmp_path))
    assert (tally.total, tally.base) == (0, 0)
    assert not tally.is_due(0)


def test_every_run_adds_to_it_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda size: Tally(str(tmp_path)).add(size), range(200)))
    assert Tally(str(tmp_path)).total == sum(range(200))


@pytest.mark.parametrize(
    ("left", "since", "due"),
    [
        (0, 1000, False),
        (0, 1001, True),
        (900, 100, False),
        (900, 101, True),
        (5000, 0, False),  # nothing more could go
        (5000, 100, False),
        (5000, 101, True),
    ],
)
def test_it_is_time_when_there_is_too_much_and_more_than_was_left(tmp_path: Path, left: int, since: int, *, due: bool) -> None:
    Tally(str(tmp_path)).settle(left)
    Tally(str(tmp_path)).add(since)
    assert Tally(str(tmp_path)).is_due(1000) == due


def test_somebody_is_told_once_after_each_clean_up_that_left_too_much(tmp_path: Path) -> None:
    Tally(str(tmp_path)).add(2000)
    assert not Tally(str(tmp_path)).is_stuck(1000)
    for left in (2000, 3000):
        tally = Tally(str(tmp_path))
        tally.settle(left)
        assert Tally(str(tmp_path)).is_stuck(1000)
        Tally(str(tmp_path)).tell()
        assert not Tally(str(tmp_path)).is_stuck(1000)
    assert not Tally(str(tmp_path)).is_stuck(1 << 30)


def test_it_stays_small(tmp_path: Path) -> None:
    Tally(str(tmp_path)).settle(7)
    Tally(str(tmp_path)).tell()
    path = tmp_path / "objects" / "kept"
    with path.open("ab") as file:
        file.write(b"+1000\n" * 20_000)
    Tally(str(tmp_path)).add(5)
    assert path.read_bytes() == b"=7\n+20000005\n!\n"


@pytest.mark.parametrize("damage", [b"\0\xff\n", b"+\n=\n", b"+12x\n", b"+" + b"9" * 5000 + b"\n", b"no line"])
def test_what_is_no_count_does_not_count(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "kept").write_bytes(damage + b"\n+3\n")
    assert Tally(str(tmp_path)).total == 3
