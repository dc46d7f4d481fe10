"""The index of a store with a long history: 100,000 runs, a million uses. `make test-scale`."""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.store import generate
from vestige.model import wire
from vestige.model.query import RunQuery
from vestige.store import catalogue, sqlite
from vestige.store.project import Place
from vestige.store.records import Records
from vestige.store.sqlite import StoreIndex

RUNS = 100_000

pytestmark = [pytest.mark.scale, pytest.mark.timeout(900)]


class Store:
    def __init__(self, folder: Path) -> None:
        self.store = str(folder / ".vestige")
        self.cache = str(folder / "cache")
        generate.generate(self.store, RUNS)
        before, begun = cpu(), time.perf_counter()
        sqlite.open_index(self.store, self.cache).close()
        self.first_wall, self.first_cpu = time.perf_counter() - begun, cpu() - before

    def open(self) -> StoreIndex:
        return sqlite.open_index(self.store, self.cache)


def cpu() -> float:
    """Seconds that this process and its children have worked."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def median(act: Callable[[], object], times: int = 50) -> float:
    """Seconds."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        act()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("scale")
    yield Store(folder)
    shutil.rmtree(folder)


def test_the_first_indexing_takes_less_than_a_minute(store: Store) -> None:
    assert min(store.first_wall, store.first_cpu) < 60, (store.first_wall, store.first_cpu)
    with store.open() as index:
        assert sum(1 for _ in index.runs(RunQuery())) == RUNS
        assert index.notes == []
        assert index.damaged == []


def test_the_index_is_a_fraction_of_the_records(store: Store) -> None:
    with store.open() as index:
        size = os.path.getsize(index.file.path)
    records = sum(os.path.getsize(path) for path in Records(store.store).paths())
    assert size < 200_000_000
    assert size < records / 4


def test_finding_that_nothing_has_changed_takes_some_milliseconds(store: Store) -> None:
    assert median(lambda: store.open().close()) < 0.020


def test_one_more_run_comes_in_within_thirty_milliseconds(store: Store) -> None:
    with store.open() as index:
        taken = []
        for number in range(RUNS, RUNS + 9):
            generate.generate_one(store.store, number, RUNS)
            begun = time.perf_counter()
            index.sync()
            taken.append(time.perf_counter() - begun)
            assert index.summary(generate.run_id(number, RUNS)) is not None
        assert statistics.median(taken) < 0.030, taken


def test_every_question_of_lineage_takes_less_than_a_millisecond(store: Store) -> None:
    path, digest = generate.figure(RUNS // 8)
    with store.open() as index:
        (made,) = [use for use in index.uses_of(digest, written=True) if use.path == path]
        questions: dict[str, Callable[[], object]] = {
            "uses_of, written": lambda: index.uses_of(digest, written=True),
            "uses_of, read": lambda: index.uses_of(digest, written=False),
            "uses_of, unknown": lambda: index.uses_of(generate.digest_of("unknown"), written=True),
            "uses_at": lambda: index.uses_at(path, written=True),
            "uses_by, written": lambda: index.uses_by(made.run, written=True),
            "uses_by, read": lambda: index.uses_by(made.run, written=False),
            "summary": lambda: index.summary(made.run),
            "children": lambda: index.children(made.run),
            "matching": lambda: index.matching(made.run[-8:]),
            "who made what all have read": lambda: index.uses_of(generate.digest_of("labels"), written=True),
        }
        assert {name: taken for name, ask in questions.items() if (taken := median(ask)) > 0.001} == {}


def test_outputs_stream(store: Store) -> None:
    with store.open() as index:
        begun = time.perf_counter()
        first = next(index.outputs())
        assert time.perf_counter() - begun < 0.1
        assert first.written


def test_a_question_as_a_whole_process_is_quick(store: Store) -> None:
    code = (
        "import sys; from vestige.store.sqlite import open_index; index = open_index(*sys.argv[1:3]); "
        "print(*{use.run for use in index.uses_at(sys.argv[3], written=True)})"
    )
    path, _ = generate.figure(7)
    command = [sys.executable, "-c", code, store.store, store.cache, path]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == generate.run_id(31, RUNS)
    before = cpu()
    for _ in range(10):
        subprocess.run(command, capture_output=True, check=True)
    assert (cpu() - before) / 10 < 0.120


def test_a_catalogue_of_many_runs_is_read_in_seconds_and_asked_in_an_instant(tmp_path: Path) -> None:
    store = str(tmp_path / ".vestige")
    generate.generate(store, 5000)
    place, kept = Place(str(tmp_path), store, id="p"), catalogue.Catalogue()
    for path in Records(store).paths():
        kept.append(wire.load_run(Path(path).read_bytes()), place)
    sizes = [os.path.getsize(os.path.join(kept.folder, name)) for name in os.listdir(kept.folder)]
    assert sum(sizes) / 5000 < 4000
    before = cpu()
    kept.open().close()
    assert cpu() - before < 5000 * 60 / RUNS
    figure, digest = generate.figure(100)
    with kept.open() as index:
        assert f"{place.root}/{figure}" in {use.path for use in index.uses_of(digest, written=True)}
        assert median(lambda: index.uses_of(digest, written=True)) < 0.001
    assert median(lambda: kept.open().close()) < 0.020
