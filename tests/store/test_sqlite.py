"""Keeping the index true to the records, whatever happens to its file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.store.permissions import read_only
from tests.store.samples import digest, moment, read, run, run_id, wrote
from vestige.model.query import RunQuery
from vestige.model.run import Run
from vestige.store import database, project, sqlite, tables
from vestige.store.journal import Active
from vestige.store.records import Note, Records
from vestige.store.sqlite import StoreIndex


class Store:
    """A store and its index, opened as often as one likes."""

    def __init__(self, root: Path) -> None:
        root.mkdir(exist_ok=True)
        self.place = project.prepare(project.locate(str(root)))
        self.records = Records(self.place.store)
        self.cache = project.cache_dir(self.place)

    def open(self, **more: Any) -> StoreIndex:
        return sqlite.open_index(self.place.store, self.cache, **more)

    def ids(self, **more: Any) -> list[str]:
        with self.open(**more) as index:
            return [one.id for one in index.runs(RunQuery())]

    @property
    def file(self) -> Path:
        return Path(sqlite.File(self.cache, self.place.store).path)

    def age(self, seconds: float = 200_000.0) -> None:
        """Make every folder of records look as if nothing had changed for so long."""
        for top in (self.records.runs, self.records.notes):
            for folder, _, _ in os.walk(top, topdown=False):
                when = os.stat(folder).st_mtime - seconds
                os.utime(folder, (when, when))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "p")


def listings(index: StoreIndex) -> list[str]:
    """Which folders a sync lists."""
    seen: list[str] = []
    real = os.scandir

    def scandir(path: str) -> Any:
        seen.append(os.path.basename(path))
        return real(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        index.sync()
    return seen


def test_records_come_in_and_go_with_their_files(store: Store) -> None:
    paths = [store.records.write(run(n, second=n)) for n in range(3)]
    assert store.ids() == [run_id(2), run_id(1), run_id(0)]
    store.records.write(run(3, second=3))
    os.unlink(paths[1])
    assert store.ids() == [run_id(3), run_id(2), run_id(0)]
    shutil.rmtree(os.path.dirname(paths[0]))
    assert store.ids() == []


def test_an_empty_project_has_no_runs(tmp_path: Path) -> None:
    with sqlite.open_index(str(tmp_path / "none"), str(tmp_path / "cache")) as index:
        assert list(index.runs(RunQuery())) == []
        assert list(index.outputs()) == []
        assert index.notes == []


def test_an_open_index_is_brought_up_to_date_by_sync(store: Store) -> None:
    with store.open() as index:
        store.records.write(run(1))
        assert index.summary(run_id(1)) is None
        index.sync()
        assert index.summary(run_id(1)) is not None


def test_a_folder_that_has_not_changed_is_not_listed(store: Store) -> None:
    store.records.write(run(1))
    store.age()
    with store.open() as index:
        assert listings(index) == []
        store.records.write(run(2))
        assert listings(index) == ["21"]


def test_a_folder_is_listed_again_while_a_change_could_hide_behind_its_time(store: Store) -> None:
    path = store.records.write(run(1))
    day = os.path.dirname(path)
    before = os.stat(day)
    with store.open() as index:
        store.records.write(run(2))
        os.utime(day, ns=(before.st_atime_ns, before.st_mtime_ns))
        index.sync()
        assert index.summary(run_id(2)) is not None


def test_a_folder_that_was_seen_unchanged_for_longer_than_a_tick_is_settled(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.records.write(run(1))
    with store.open() as index:
        assert "21" in listings(index)
        now = time.time_ns()
        monkeypatch.setattr(time, "time_ns", lambda: now + 3_000_000_000)
        assert "21" in listings(index)
        assert listings(index) == []


def test_a_record_that_was_replaced_is_read_again(store: Store) -> None:
    path = store.records.write(run(1, name="secret"))
    assert store.ids() == [run_id(1)]
    other = Path(path + ".new")
    other.write_bytes(Path(path).read_bytes().replace(b"secret", b"hidden"))
    os.replace(other, path)
    with store.open() as index:
        found = index.summary(run_id(1))
    assert found is not None
    assert found.name == "hidden"


def test_a_record_that_is_replaced_by_rubbish_is_no_longer_believed(store: Store) -> None:
    path = Path(store.records.write(run(1)))
    assert store.ids() == [run_id(1)]
    path.unlink()
    path.write_bytes(b"{")
    with store.open() as index:
        assert index.summary(run_id(1)) is None
        assert [one.path for one in index.damaged] == [str(path)]


def test_damaged_and_newer_records_are_reported_and_the_others_found(store: Store) -> None:
    path = store.records.write(run(1))
    day = os.path.dirname(path)
    bad = {
        "093012-a.json": b"",
        "093012-b.json": b'{"id": "x", "vestige": 2}',
        "093012-c.json": b'{"id": "x", "inputs": [5]}',
        "093012-d.json": b'{"id": "x", "sequence": 99999999999999999999999}',
        "093012-e.json": b'{"id": "x", "outputs": [{"path": "p", "digest": {"a": 1}}]}',
        "093012-f.json": b'{"id": "x", "command": "rm -rf"}',
        "093012-g.json": b'{"id": "x", "code": 7}',
    }
    for name, content in bad.items():
        Path(day, name).write_bytes(content)
    Path(day, "093012-h.json").mkdir()
    Path(day, "not a record.txt").touch()
    for _ in range(2):
        with store.open() as index:
            assert [one.id for one in index.runs(RunQuery())] == [run_id(1)]
            assert [os.path.basename(one.path) for one in index.damaged] == [*bad, "093012-h.json"]
            assert "format 2" in index.damaged[1].reason
            assert index.notes == []


def test_a_record_that_becomes_whole_is_taken_in(store: Store) -> None:
    path = Path(store.records.write(run(1)))
    content = path.read_bytes()
    path.write_bytes(content[:100])
    assert store.ids() == []
    path.write_bytes(content)
    with store.open() as index:
        assert index.summary(run_id(1)) is not None
        assert index.damaged == []


def test_a_damaged_record_that_is_removed_is_no_longer_reported(store: Store) -> None:
    path = Path(store.records.write(run(1)))
    path.write_bytes(b"")
    assert store.ids() == []
    path.unlink()
    with store.open() as index:
        assert index.damaged == []


def test_long_lists_are_indexed_whole_and_their_loss_is_reported(store: Store) -> None:
    store.records.write(run(1, inputs=tuple(read(f"in/{n}", str(n)) for n in range(600))))
    with store.open() as index:
        assert len(index.uses_by(run_id(1), written=False)) == 600
        assert index.damaged == []
    kept = [(name, store.records.objects.read(name)) for name in store.records.objects.all()]
    for name, _ in kept:
        store.records.objects.remove(name)
    store.file.unlink()
    with store.open() as index:
        assert len(index.uses_by(run_id(1), written=False)) == 100
        assert ["only the first 100 of its inputs" in one.reason for one in index.damaged] == [True]
        for _, data in kept:
            store.records.objects.put(data)
        index.sync()
        assert len(index.uses_by(run_id(1), written=False)) == 600
        assert index.damaged == []


def test_two_files_with_the_same_run_are_one_run_until_both_are_gone(store: Store) -> None:
    path = store.records.write(run(1))
    copy = os.path.join(os.path.dirname(path), "093012-copy.json")
    shutil.copy(path, copy)
    assert store.ids() == [run_id(1)]
    os.unlink(path)
    assert store.ids() == [run_id(1)]
    os.unlink(copy)
    assert store.ids() == []


def test_what_was_said_later_belongs_to_the_run(store: Store) -> None:
    store.records.write(run(1, tags=("a", "b"), note="first"))
    assert store.ids() == [run_id(1)]
    store.records.add_note(run_id(1), Note(run=run_id(1), time="2026-11-22T00:00:00Z", tags=("c",), untags=("a",)))
    second = store.records.add_note(run_id(1), Note(run=run_id(1), time="2026-11-23T00:00:00Z", note="second"))

    def said() -> tuple[tuple[str, ...], str | None]:
        with store.open() as index:
            found = index.summary(run_id(1))
            assert found is not None
            assert [one.id for one in index.runs(RunQuery(tag="c"))] == [run_id(1)]
            return found.tags, found.note

    assert said() == (("b", "c"), "second")
    store.file.unlink()
    assert said() == (("b", "c"), "second")
    os.unlink(second)
    assert said() == (("b", "c"), "first")


def test_a_forgotten_run_stays_away_even_if_a_merge_brings_it_back(store: Store) -> None:
    path = store.records.write(run(1))
    content = Path(path).read_bytes()
    store.records.write(run(2))
    store.records.tombstone(run_id(1))
    assert store.ids() == [run_id(2)]
    Path(path).write_bytes(content)
    assert store.ids() == [run_id(2)]
    store.file.unlink()
    assert store.ids() == [run_id(2)]
    shutil.rmtree(store.records.notes)
    assert store.ids() == [run_id(2), run_id(1)]


def test_a_damaged_note_is_reported(store: Store) -> None:
    store.records.write(run(1))
    path = Path(store.records.add_note(run_id(1), Note(run=run_id(1))))
    path.write_bytes(b"{}")
    with store.open() as index:
        assert [one.path for one in index.damaged] == [str(path)]
        assert index.summary(run_id(1)) is not None


def test_a_deleted_index_is_made_anew(store: Store) -> None:
    store.records.write(run(1))
    assert store.ids() == [run_id(1)]
    shutil.rmtree(store.cache)
    assert store.ids() == [run_id(1)]


@pytest.mark.parametrize("content", [b"rubbish" * 1000, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_file_of_rubbish_is_made_anew(store: Store, content: bytes) -> None:
    store.records.write(run(1))
    assert store.ids() == [run_id(1)]
    store.file.write_bytes(content)
    with store.open() as index:
        assert index.summary(run_id(1)) is not None
        assert len(index.notes) == 1
        assert "made anew" in index.notes[0]
    with store.open() as index:
        assert index.summary(run_id(1)) is not None
        assert index.notes == []


def test_an_index_that_is_damaged_inside_is_made_anew(store: Store) -> None:
    for n in range(50):
        store.records.write(run(n, second=n, outputs=tuple(wrote(f"{n}/{k}", f"{n} {k}") for k in range(20))))
    with store.open() as index:
        expected = set(index.outputs())
    content = bytearray(store.file.read_bytes())
    for start in range(8192, len(content), 4096):
        content[start : start + 200] = os.urandom(200)
    store.file.write_bytes(content)
    with store.open() as index:
        assert len(list(index.runs(RunQuery()))) == 50
        assert set(index.outputs()) == expected
        assert any("made anew" in note for note in index.notes)


@pytest.mark.parametrize(
    "change", ["DROP TABLE use", "DELETE FROM about", "ALTER TABLE run DROP COLUMN gaps", "PRAGMA user_version = 7"]
)
def test_other_tables_than_ours_are_made_anew(store: Store, change: str) -> None:
    store.records.write(run(1, outputs=(wrote("a", "1"),)))
    assert store.ids() == [run_id(1)]
    db = sqlite3.connect(store.file)
    db.execute(change)
    db.commit()
    db.close()
    with store.open() as index:
        assert [use.path for use in index.outputs()] == ["a"]
        assert [one.id for one in index.runs(RunQuery())] == [run_id(1)]


def test_an_index_of_another_store_is_not_taken_for_ours(store: Store, tmp_path: Path) -> None:
    store.records.write(run(1))
    assert store.ids() == [run_id(1)]
    other = Store(tmp_path / "q")
    other.records.write(run(2))
    os.makedirs(other.cache)
    shutil.copy(store.file, other.file)
    assert other.ids() == [run_id(2)]


def test_a_copied_project_has_an_index_of_its_own(store: Store, tmp_path: Path) -> None:
    store.records.write(run(1))
    shutil.copytree(store.place.root, tmp_path / "copy")
    other = Store(tmp_path / "copy")
    assert other.cache == store.cache
    other.records.write(run(2))
    assert store.ids() == [run_id(1)]
    assert other.ids() == [run_id(2), run_id(1)]


def test_where_no_index_can_be_kept_it_is_made_in_memory(store: Store) -> None:
    store.records.write(run(1))
    os.makedirs(os.path.dirname(store.cache), exist_ok=True)
    Path(store.cache).touch()
    with store.open() as index:
        assert index.summary(run_id(1)) is not None
        assert ["it is made in memory" in note for note in index.notes] == [True]


def test_from_a_folder_that_cannot_be_written_it_is_read(store: Store) -> None:
    store.records.write(run(1))
    assert store.ids() == [run_id(1)]
    path = store.records.write(run(2))
    with read_only(store.cache), store.open() as index:
        assert [one.id for one in index.runs(RunQuery())] == [run_id(2), run_id(1)]
        assert ["cannot be written" in note for note in index.notes] == [True]
    os.unlink(path)
    with read_only(store.cache), store.open() as index:
        assert [one.id for one in index.runs(RunQuery())] == [run_id(1)]


@contextmanager
def held(store: Store, *, reading: bool = False) -> Iterator[None]:
    """The index, held by another process."""
    mode = "EXCLUSIVE" if reading else "NORMAL"
    code = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None); "
        f"db.execute('PRAGMA locking_mode = {mode}'); db.execute('BEGIN EXCLUSIVE'); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, store.file], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    try:
        yield
    finally:
        holder.kill()
        holder.communicate()


def test_while_another_process_holds_the_index_new_runs_are_kept_in_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.1)
    store.records.write(run(1, outputs=(wrote("a", "1", 1),)))
    assert store.ids() == [run_id(1)]
    store.records.write(run(2, second=13, outputs=(wrote("a", "2", 2),)))
    with held(store), store.open() as index:
        assert [one.id for one in index.runs(RunQuery())] == [run_id(2), run_id(1)]
        assert [use.digest for use in index.outputs()] == [digest("2")]
        assert ["could not be brought up to date" in note for note in index.notes] == [True]
    assert store.ids() == [run_id(2), run_id(1)]


def test_while_another_process_holds_the_index_removed_runs_are_gone_all_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.1)
    store.records.write(run(1))
    store.records.write(run(2))
    assert store.ids() == [run_id(2), run_id(1)]
    store.records.tombstone(run_id(1))
    with held(store):
        assert store.ids() == [run_id(2)]
    assert store.ids() == [run_id(2)]


def test_where_not_even_reading_is_possible_the_index_is_made_in_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.1)
    store.records.write(run(1))
    assert store.ids() == [run_id(1)]
    with held(store, reading=True), store.open() as index:
        assert index.summary(run_id(1)) is not None
        assert any("in memory" in note for note in index.notes)


def test_many_processes_that_make_the_index_at_once_all_get_the_whole(store: Store) -> None:
    for n in range(1200):
        store.records.write(run(n, second=n % 60, outputs=(wrote(f"o{n}", str(n)),)))
    code = (
        "import sys; from vestige.store.sqlite import open_index; from vestige.model.query import RunQuery\n"
        "with open_index(*sys.argv[1:]) as index:\n"
        "    print(len(list(index.runs(RunQuery()))), len(list(index.outputs())), index.notes)"
    )
    command = [sys.executable, "-c", code, store.place.store, store.cache]
    askers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [asker.communicate()[0] for asker in askers] == ["1200 1200 []\n"] * 4


def test_an_indexing_that_was_killed_is_carried_on(store: Store) -> None:
    for n in range(1500):
        store.records.write(run(n, second=n % 60))
    code = (
        "import os, signal, sys; from vestige.store.sqlite import open_index\n"
        "open_index(*sys.argv[1:], progress=lambda done, of: os.kill(os.getpid(), signal.SIGKILL))"
    )
    killed = subprocess.run([sys.executable, "-c", code, store.place.store, store.cache], check=False)
    assert killed.returncode == -signal.SIGKILL
    seen: list[tuple[int, int]] = []
    assert len(store.ids(progress=lambda done, of: seen.append((done, of)))) == 1500
    assert seen[-1] == (1000, 1000)


class Journals:
    """Stands in for whoever reads journals."""

    def __init__(self, *runs: Run) -> None:
        self.runs = runs
        self.asked: list[list[str]] = []

    def __call__(self, active: Sequence[Active]) -> list[Run]:
        self.asked.append([one.id for one in active])
        return list(self.runs)


def begin(store: Store, number: int, **more: Any) -> None:
    folder = Path(store.place.store, "active", run_id(number))
    folder.mkdir(parents=True)
    document: dict[str, Any] = {"id": run_id(number), "host": os.uname().nodename, "boot": None, "processes_of_vestige": {}}
    (folder / "started.json").write_text(json.dumps(document | more))


def test_an_active_run_answers_with_a_derived_status_and_leaves_no_trace(store: Store) -> None:
    store.records.write(run(1, outputs=(wrote("a", "old", 1),)))
    begin(store, 2, host="elsewhere")
    provisional = run(2, second=50, inputs=(read("a", "old", 2),), outputs=(wrote("a", "new", 3),))
    journals = Journals(provisional)
    with store.open(active=journals) as index:
        found = index.summary(run_id(2))
        assert found is not None
        assert found.status == "running"
        assert [one.id for one in index.runs(RunQuery(status="running"))] == [run_id(2)]
        assert [one.id for one in index.runs(RunQuery())] == [run_id(2), run_id(1)]
        assert [use.run for use in index.uses_at("a", written=True)] == [run_id(2), run_id(1)]
        assert [use.digest for use in index.outputs()] == [digest("new")]
        assert [one.id for one in index.matching("00000002")] == [run_id(2)]
        assert [use.path for use in index.uses_by(run_id(2), written=True)] == ["a"]
    assert journals.asked == [[run_id(2)]]
    assert store.ids() == [run_id(1)]


def test_a_lost_run_and_one_that_is_finishing_say_so(store: Store) -> None:
    for number in (1, 2):
        begin(store, number, boot="an earlier one")
        folder = Path(store.place.store, "active", run_id(number))
        for name in ("started.json", ""):
            os.utime(folder / name, (1, 1))
    ended = Path(store.place.store, "active", run_id(2), "ended.json")
    ended.write_text('{"status": 0, "time": "", "seq": 1}')
    with store.open(active=Journals(run(1), run(2))) as index:
        assert [(one.id, one.status) for one in index.runs(RunQuery())] == [(run_id(2), "finishing"), (run_id(1), "lost")]


def test_a_run_that_is_recorded_is_no_longer_active(store: Store) -> None:
    begin(store, 1)
    store.records.write(run(1))
    journals = Journals(replace(run(1), name="provisional"))
    with store.open(active=journals) as index:
        found = index.summary(run_id(1))
        assert found is not None
        assert (found.status, found.name) == ("finished", None)
        assert len(list(index.runs(RunQuery()))) == 1
    assert journals.asked == []


def test_an_active_run_that_ends_is_taken_from_its_record_by_the_next_sync(store: Store) -> None:
    begin(store, 1)
    with store.open(active=Journals(run(1))) as index:
        store.records.write(run(1, name="done"))
        shutil.rmtree(Path(store.place.store, "active", run_id(1)))
        index.sync()
        found = index.summary(run_id(1))
        assert found is not None
        assert found.name == "done"
        assert len(list(index.runs(RunQuery()))) == 1


def test_every_question_of_lineage_is_answered_by_an_index() -> None:
    layer = sqlite.in_memory()
    asked: list[str] = []
    layer.db.set_trace_callback(asked.append)
    layer.add(run(1, outputs=(wrote("a", "1"),)))
    asked.clear()
    layer.summary(run_id(1))
    layer.matching("00000001")
    for written in (False, True):
        layer.uses_of(digest("1"), written=written)
        layer.uses_at("a", written=written)
        layer.uses_by(run_id(1), written=written)
    layer.children(run_id(1))
    assert len(asked) > 10
    for sql in asked:
        plan = [row[3] for row in layer.db.execute(f"EXPLAIN QUERY PLAN {sql}")]
        assert not [step for step in plan if step.startswith("SCAN") or step.endswith("(written=?)")], (sql, plan)


def test_the_schema_says_its_version() -> None:
    layer = sqlite.in_memory()
    assert layer.db.execute("PRAGMA user_version").fetchone() == (tables.VERSION,)
    text = Path(tables.__file__).with_name("schema.sql").read_text()
    assert f"--   {tables.VERSION}  2" in text


def test_a_folder_of_records_that_cannot_be_listed_is_reported_and_its_runs_stay(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.records.write(run(1))
    assert store.ids() == [run_id(1)]
    scandir = os.scandir

    def broken(path: str) -> Any:
        if str(path).endswith("21"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", broken)
    with store.open() as index:
        assert [one.id for one in index.runs(RunQuery())] == [run_id(1)]
        assert [(os.path.basename(one.path), one.reason) for one in index.damaged] == [
            ("21", "cannot be listed: Permission denied")
        ]


def test_moments_in_other_forms_are_told_apart(store: Store) -> None:
    store.records.write(run(1, started="2026-11-21T10:30:12+01:00"))
    store.records.write(run(2, started="2026-11-21T09:30:13Z"))
    store.records.write(run(3, started="yesterday"))
    with store.open() as index:
        found = [(one.id[-1], one.started) for one in index.runs(RunQuery())]
    assert found == [("2", moment(13).time), ("1", moment(12).time), ("3", "")]
