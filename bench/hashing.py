"""Hashing end to end, through `capture.digest`."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from blake3 import blake3

from bench.measure import Row
from vestige.capture import digest

_GIB = 1 << 30


def rows(folder: Path) -> list[Row]:
    """Each figure beside the same work in a tight loop, in turn."""
    gc.set_threshold(100_000, 20, 20)  # as the command line does
    large = folder / "large"
    block = os.urandom(1 << 20)
    with large.open("wb") as file:
        for number in range(_GIB >> 20):
            file.write(number.to_bytes(8, "little") + block[8:])
        os.fsync(file.fileno())
    reading, hashing = _in_turn(lambda: _read(large), lambda: digest.of_file(str(large)), before=lambda: _cool(large), times=3)
    small = folder / "small"
    small.mkdir()
    for number in range(10_000):
        (small / str(number)).write_bytes(block[: 1000 + number % 7000])
    names = [str(path) for path in small.iterdir()]
    loop, ours = _in_turn(lambda: _tight(names), lambda: list(digest.many(names)), before=lambda: None, times=5)
    cache = digest.DigestCache(str(folder / "digests.sqlite"))
    time.sleep(0.1)
    digest.of_file(str(large), cache)
    started = time.perf_counter()
    digest.of_file(str(large), cache)
    again = time.perf_counter() - started
    return [
        Row(
            "hash a cold GiB",
            f"{hashing:.2f} s",
            f"reading it: {reading:.2f} s",
            "at the speed of reading",
            hashing < 1.25 * reading,
        ),
        Row(
            "hash 10,000 small files",
            f"{ours * 1000:.0f} ms",
            f"tight loop: {loop * 1000:.0f} ms",
            "1.5 times",
            ours < 1.5 * loop,
        ),
        Row("the same GiB, unchanged", f"{again * 1000:.1f} ms", "", "not read again", again < 0.05),
    ]


def _in_turn(
    one: Callable[[], object], other: Callable[[], object], *, before: Callable[[], object], times: int
) -> tuple[float, float]:
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(times):
        for work, seconds in zip((one, other), taken, strict=True):
            before()
            started = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - started)
    return statistics.median(taken[0]), statistics.median(taken[1])


def _cool(path: Path) -> None:
    """Out of the page cache: posix_fadvise(2), which needs no privilege for clean pages."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _read(path: Path) -> None:
    buffer = bytearray(1 << 20)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def _tight(names: list[str]) -> None:
    for name in names:
        descriptor = os.open(name, os.O_RDONLY)
        blake3(os.read(descriptor, 1 << 16)).hexdigest()
        os.close(descriptor)
