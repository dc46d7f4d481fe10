"""Digests of files: what is read, when it is not read again, and what happens when files change meanwhile."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from vestige.capture import digest
from vestige.model.files import Signature

EMPTY = "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def blake(data: bytes) -> str:
    return "blake3:" + blake3(data).hexdigest()


def age(path: Path, seconds: float = 5) -> os.stat_result:
    """Wait until the file's times lie more than a tick of the clock in the past."""
    os.utime(path, ns=(1, time.time_ns() - int(seconds * 1e9) - 1))
    time.sleep(0.05)
    return path.stat()


def test_the_digest_of_nothing_is_the_published_one(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert digest.of_bytes(b"") == EMPTY
    assert digest.of_file(str(tmp_path / "empty"))[1] == EMPTY


@pytest.mark.parametrize("size", [1, (1 << 18) - 1, 1 << 18, (1 << 20) + 7, (8 << 20) - 1, 8 << 20, (17 << 20) + 3])
def test_every_way_of_reading_gives_the_same_digest(tmp_path: Path, size: int) -> None:
    data = os.urandom(1000) * (size // 1000 + 1)
    (tmp_path / "f").write_bytes(data[:size])
    signature, found = digest.of_file(str(tmp_path / "f"))
    stat = (tmp_path / "f").stat()
    assert found == blake(data[:size])
    assert signature == Signature(size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev)


@pytest.mark.parametrize("algorithm", ["sha256", "md5", "sha1"])
def test_other_algorithms_are_called_by_name(tmp_path: Path, algorithm: str) -> None:
    data = b"x" * (9 << 20)
    (tmp_path / "f").write_bytes(data)
    expected = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
    assert digest.of_file(str(tmp_path / "f"), algorithm=algorithm)[1] == expected
    assert digest.of_bytes(data, algorithm) == expected


@pytest.mark.parametrize("size", [100, 20 << 20])
def test_a_descriptor_is_read_from_its_beginning_and_its_offset_stays(tmp_path: Path, size: int) -> None:
    (tmp_path / "f").write_bytes(b"a" * size)
    fd = os.open(tmp_path / "f", os.O_RDONLY)
    try:
        os.lseek(fd, 42, os.SEEK_SET)
        assert digest.of_fd(fd)[1] == blake(b"a" * size)
        assert os.lseek(fd, 0, os.SEEK_CUR) == 42
    finally:
        os.close(fd)


def test_the_access_time_of_an_own_file_stays(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"seen")
    os.utime(tmp_path / "f", ns=(1_000_000_000, time.time_ns()))
    digest.of_file(str(tmp_path / "f"))
    assert (tmp_path / "f").stat().st_atime_ns == 1_000_000_000


def test_what_is_no_regular_file_is_never_opened(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    opened = threading.Event()

    def write() -> None:
        with open(fifo, "wb"):
            opened.set()

    threading.Thread(target=write, daemon=True).start()
    with pytest.raises(OSError, match="not a regular file") as caught:
        digest.of_file(str(fifo))
    assert caught.value.errno == errno.EINVAL
    assert not opened.wait(0.2), "the writer was let go on"
    os.close(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK))
    with pytest.raises(IsADirectoryError):
        digest.of_file(str(tmp_path))
    with pytest.raises(OSError, match="not a regular file"):
        digest.of_file("/dev/zero")
    with pytest.raises(FileNotFoundError):
        digest.of_file(str(tmp_path / "gone"))


def test_a_name_of_any_bytes_can_be_read(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/a\nb\xff")
    with open(path, "wb") as file:
        file.write(b"hostile")
    assert digest.of_file(path)[1] == blake(b"hostile")
    assert next(iter(digest.many([path]))).digest == blake(b"hostile")


class Endless:
    """A writer that never stops changing a file."""

    def __init__(self, path: Path) -> None:
        self.path, self.stop = path, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        with open(self.path, "r+b", buffering=0) as file:
            while not self.stop.is_set():
                os.pwrite(file.fileno(), os.urandom(8), 0)
                time.sleep(0.0005)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()


def test_a_file_that_changes_while_it_is_read_has_no_digest(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(70 << 20))
    with Endless(path):
        time.sleep(0.01)
        signature, found = digest.of_file(str(path))
    assert found is None
    assert signature.size == 70 << 20
    assert digest.of_file(str(path))[1] == blake(path.read_bytes())


@pytest.mark.parametrize("size", [300 << 10, 40 << 20])
def test_a_file_that_shrinks_while_it_is_read_kills_nobody(tmp_path: Path, size: int) -> None:
    path = tmp_path / "f"
    stop = threading.Event()

    def shrink_and_grow() -> None:
        while not stop.is_set():
            os.truncate(path, 5)
            os.truncate(path, size)

    path.write_bytes(bytes(size))
    thread = threading.Thread(target=shrink_and_grow)
    thread.start()
    try:
        known = {None, blake(bytes(size)), blake(bytes(5))}
        for _ in range(20):
            assert digest.of_file(str(path))[1] in known
    finally:
        stop.set()
        thread.join()


def test_a_file_replaced_between_stat_and_open_gets_the_digest_of_what_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = tmp_path / "f", tmp_path / "other"
    path.write_bytes(b"old")
    other.write_bytes(b"new content")
    real = os.open

    def replace_first(name: str, flags: int) -> int:
        if other.exists():
            other.rename(path)
        return real(name, flags)

    monkeypatch.setattr(os, "open", replace_first)
    signature, found = digest.of_file(str(path))
    assert (signature.size, found) == (11, blake(b"new content"))


def test_a_deadline_leaves_the_digest_open(tmp_path: Path) -> None:
    with open(tmp_path / "f", "wb") as file:
        file.truncate(4 << 30)
    began = time.monotonic()
    signature, found = digest.of_file(str(tmp_path / "f"), deadline=began + 0.05)
    assert (signature.size, found) == (4 << 30, None)
    assert time.monotonic() - began < 1
    (late,) = digest.many([str(tmp_path / "f")], deadline=began)
    assert (late.signature, late.problem) == (None, "out of time")


def test_a_file_cut_off_by_the_size_of_a_pseudo_file_has_no_digest() -> None:
    assert digest.of_file("/proc/self/status")[1] is None


def test_many_files_are_each_answered_once(tmp_path: Path) -> None:
    expected: dict[str, str | None] = {}
    for number in range(300):
        path = tmp_path / f"{number}"
        path.write_bytes(b"%d" % number * number)
        expected[str(path)] = blake(b"%d" % number * number)
    os.mkfifo(tmp_path / "fifo")
    for odd in ("fifo", "gone", "nul\0byte"):
        expected[str(tmp_path / odd)] = None
    found = list(digest.many(expected))
    assert {one.path: one.digest for one in found} == expected
    assert len(found) == len(expected)
    problems = {one.path.rpartition("/")[2]: one.problem for one in found if one.problem}
    assert "embedded null" in (problems.pop("nul\0byte") or "")
    assert problems == {"fifo": "not a regular file", "gone": "No such file or directory"}


def test_slow_files_are_read_by_several_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = []
    for number in range(200):
        (tmp_path / f"{number}").write_bytes(b"%d" % number)
        paths.append(str(tmp_path / f"{number}"))
    real, threads = os.open, set()

    def slow(name: str, flags: int) -> int:
        threads.add(threading.get_ident())
        time.sleep(0.002)
        return real(name, flags)

    monkeypatch.setattr(os, "open", slow)
    assert {one.digest for one in digest.many(paths)} == {blake(b"%d" % number) for number in range(200)}
    assert len(threads) > 4


def test_many_can_be_abandoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_bytes(b"x")
    real, opened = os.open, []

    def slow(name: str, flags: int) -> int:
        opened.append(name)
        time.sleep(0.002)
        return real(name, flags)

    monkeypatch.setattr(os, "open", slow)
    each = digest.many([str(tmp_path / "f")] * 1000)
    for _ in range(70):
        next(each)
    each.close()  # type: ignore[attr-defined]  # a generator
    time.sleep(0.05)
    assert len(opened) < 500


def test_hashing_works_after_a_fork_of_a_process_that_hashed(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(12 << 20))
    digest.of_file(str(tmp_path / "f"))
    child = os.fork()
    if child == 0:
        os._exit(0 if digest.of_file(str(tmp_path / "f"))[1] == blake(bytes(12 << 20)) else 1)
    assert os.waitpid(child, 0)[1] == 0


def refuse_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise AssertionError("read again")

    monkeypatch.setattr(digest, "_open", refuse)


def test_an_unchanged_file_is_not_read_a_second_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"y" * (2 << 20))
    age(path)
    expected = digest.of_file(str(path), digest.DigestCache(str(tmp_path / "cache/digests")))
    refuse_to_read(monkeypatch)
    assert digest.of_file(str(path), digest.DigestCache(str(tmp_path / "cache/digests"))) == expected
    assert [one.digest for one in digest.many([str(path)], digest.DigestCache(str(tmp_path / "cache/digests")))] == [expected[1]]


def test_a_changed_file_is_read_again_though_its_size_and_time_stay(tmp_path: Path) -> None:
    path, cache = tmp_path / "f", digest.DigestCache(str(tmp_path / "digests"))
    path.write_bytes(b"y" * (2 << 20))
    before = age(path)
    digest.of_file(str(path), cache)
    path.write_bytes(b"z" * (2 << 20))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digest.of_file(str(path), cache)[1] == blake(b"z" * (2 << 20))


def test_a_signature_as_young_as_its_reading_is_not_believed(tmp_path: Path) -> None:
    cache = digest.DigestCache(str(tmp_path / "digests"))
    now = 1_700_000_000_123_456_789
    young = Signature(1 << 21, now - 3_000_000, now - 3_000_000, 7, 8)
    old = Signature(1 << 21, now - 30_000_000, now - 30_000_000, 9, 8)
    whole = now // 10**9 * 10**9
    coarse = Signature(1 << 21, whole - 10**9, whole - 10**9, 10, 8)
    for signature in (young, old, coarse):
        cache.put(signature, EMPTY, now)
    assert [cache.get(s) for s in (young, old, coarse)] == [None, EMPTY, None]


def test_small_files_never_open_the_cache(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"small")
    age(tmp_path / "f")
    digest.of_file(str(tmp_path / "f"), digest.DigestCache(str(tmp_path / "digests")))
    assert not (tmp_path / "digests").exists()
    code = (
        "import sys; import vestige.capture.digest; sys.exit(any(m in sys.modules for m in ('sqlite3', 'threading', 'hashlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


OLD = Signature(1 << 21, 10**18 + 1, 10**18 + 1, 1, 1)
NOW = 2 * 10**18 + 1


def test_a_damaged_cache_is_a_miss_and_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "digests"
    path.write_bytes(b"this is no database" * 100)
    cache = digest.DigestCache(str(path))
    assert cache.get(OLD) is None
    cache.put(OLD, EMPTY, NOW)
    assert cache.get(OLD) == EMPTY


def test_a_row_that_does_not_prove_itself_is_a_miss(tmp_path: Path) -> None:
    import sqlite3

    cache = digest.DigestCache(str(tmp_path / "digests"))
    cache.put(OLD, EMPTY, NOW)
    cache.close()
    with sqlite3.connect(tmp_path / "digests") as connection:
        connection.execute("UPDATE digest SET digest = ?", (blake(b"another"),))
    connection.close()
    assert cache.get(OLD) is None


def test_a_busy_cache_delays_nobody_for_long(tmp_path: Path) -> None:
    import sqlite3

    cache = digest.DigestCache(str(tmp_path / "digests"))
    cache.put(OLD, EMPTY, NOW)
    other = sqlite3.connect(tmp_path / "digests", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    for _ in range(100):
        assert cache.get(OLD) is None
    assert time.monotonic() - began < 2
    other.execute("ROLLBACK")
    other.close()
    time.sleep(1.05)
    assert cache.get(OLD) == EMPTY


def test_a_cache_that_cannot_be_made_is_a_miss(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = digest.DigestCache(str(tmp_path / "file/digests"))
    cache.put(OLD, EMPTY, NOW)
    assert cache.get(OLD) is None


def test_numbers_of_any_size_can_be_remembered(tmp_path: Path) -> None:
    huge = Signature((1 << 63) + 5, 10**18, -(10**9), (1 << 64) - 1, 1 << 63)
    cache = digest.DigestCache(str(tmp_path / "digests"))
    cache.put(huge, EMPTY, NOW)
    assert cache.get(huge) == EMPTY


NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=3)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
TREES = st.dictionaries(PATHS, st.sampled_from([blake(b"1"), blake(b"2"), EMPTY]), max_size=6).filter(
    lambda tree: not any(other.startswith(path + "/") for path in tree for other in tree)
)


@given(TREES, st.randoms())
def test_a_directorys_digest_does_not_depend_on_order(tree: dict[str, str], random: object) -> None:
    items = list(tree.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    assert digest.of_directory(dict(items)) == digest.of_directory(tree)


@given(TREES, TREES)
def test_directories_have_one_digest_only_if_they_are_the_same(one: dict[str, str], other: dict[str, str]) -> None:
    assert (digest.of_directory(one) == digest.of_directory(other)) == (one == other)


def test_a_directorys_digest_is_that_of_its_members_digests() -> None:
    inside = digest.of_directory({"b": EMPTY})
    by_hand = blake(f"directory\0directory {inside} a\0".encode())
    assert digest.of_directory({"a/b": EMPTY}) == by_hand
    assert digest.of_directory({"a/b": EMPTY}) != digest.of_directory({"a": inside})


def test_a_directory_of_any_depth_and_any_name_has_a_digest() -> None:
    assert digest.of_directory({"a/" * 2000 + "f": EMPTY}) != digest.of_directory({"a/" * 1999 + "f": EMPTY})
    assert digest.of_directory({"\udcff/x": EMPTY}) != digest.of_directory({"\udcfe/x": EMPTY})
