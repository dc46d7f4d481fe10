"""Reading very many records with the help of other processes."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from tests.store import generate
from vestige.model.query import RunQuery
from vestige.store import reading, sqlite, tables
from vestige.store.comparison import File, compare
from vestige.store.reading import Read
from vestige.store.records import Records

RUNS = 2300


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Records:
    store = tmp_path_factory.mktemp("many") / ".vestige"
    generate.generate(str(store), RUNS)
    return Records(str(store))


@pytest.fixture(autouse=True)
def helped(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were three processors, and every store large."""
    monkeypatch.setattr(reading, "MANY", 1000)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})


def files(records: Records) -> list[File]:
    return compare(sqlite.in_memory(), records.store).new


def flat(batches: object) -> list[Read]:
    return [one for batch in batches for one in batch]  # type: ignore[attr-defined]


def test_helpers_read_what_one_process_reads_and_in_the_same_order(records: Records) -> None:
    wanted = files(records)
    alone = list(reading.read(records, wanted))
    assert flat(reading.batches(records, wanted)) == alone
    assert [one.file for one in alone] == wanted
    assert len(alone) == RUNS


def test_what_a_helper_cannot_read_is_told_as_well(records: Records, tmp_path: Path) -> None:
    store = Records(str(tmp_path / ".vestige"))
    generate.generate(store.store, 1500)
    paths = list(store.paths())
    Path(paths[3]).write_bytes(b"{")
    wanted = files(store)
    Path(paths[700]).unlink()
    found = flat(reading.batches(store, wanted))
    assert len(found) == 1499
    assert [one.reason is not None and "not JSON" in one.reason for one in found if one.row is None] == [True]


def test_what_a_killed_helper_left_is_read_without_it(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[int] = []
    fork = os.fork

    def counted() -> int:
        child = fork()
        if child:
            children.append(child)
            if len(children) == 1:
                os.kill(child, signal.SIGKILL)
        return child

    monkeypatch.setattr(os, "fork", counted)
    assert len(flat(reading.batches(records, files(records)))) == RUNS
    assert len(children) == 2


def test_where_no_process_can_be_had_everything_is_read_here(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refused)
    assert len(flat(reading.batches(records, files(records)))) == RUNS


def test_a_process_with_threads_does_not_fork(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked"))
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()
    try:
        assert len(flat(reading.batches(records, files(records)))) == RUNS
    finally:
        stop.set()
        other.join()


def test_an_index_whose_making_was_broken_off_is_finished_by_the_next(records: Records, tmp_path: Path) -> None:
    class BrokenOffError(Exception):
        pass

    def broken_off(done: int, of: int) -> None:
        raise BrokenOffError

    with pytest.raises(BrokenOffError):
        sqlite.open_index(records.store, str(tmp_path), progress=broken_off)
    unfinished = sqlite.StoreIndex(records.store, str(tmp_path))
    assert not tables.is_finished(unfinished.tables.db)
    unfinished.close()
    with sqlite.open_index(records.store, str(tmp_path)) as index:
        assert tables.is_finished(index.tables.db)
        assert sum(1 for _ in index.runs(RunQuery())) == RUNS
        path, digest = generate.figure(5)
        assert {use.path for use in index.uses_of(digest, written=True)} == {path, "figures/latest.png"}
        assert index.notes == []


@pytest.mark.skipif(sys.platform != "linux", reason="the list of children is Linux's")
def test_no_helper_is_left_when_reading_is_broken_off(records: Records) -> None:
    children = Path("/proc/thread-self/children")
    before = set(children.read_text().split())
    batches = reading.batches(records, files(records))
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert set(children.read_text().split()) <= before


def test_a_generated_record_is_like_one_that_was_written(records: Records, tmp_path: Path) -> None:
    other = Records(str(tmp_path))
    path = next(records.paths())
    written = other.write(records.load(path))
    assert Path(written).read_bytes() == Path(path).read_bytes()
    assert os.path.relpath(written, other.store) == os.path.relpath(path, records.store)
