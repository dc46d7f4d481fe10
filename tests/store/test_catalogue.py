from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.store.permissions import read_only
from tests.store.samples import digest, read, run, run_id, wrote
from vestige.model import wire
from vestige.model.files import Moment
from vestige.model.query import RunQuery
from vestige.model.run import FileReference, Process, Run, summarise
from vestige.store import database, project
from vestige.store.catalogue import MANY, Catalogue, compact, open_catalogue
from vestige.store.project import Place

PLACE = Place("/home/ada/p", "/home/ada/p/.vestige", id="p1")
OTHER = Place("/data/q", "/data/q/.vestige")


def lines() -> Path:
    (path,) = Path(project.state_dir(), "catalogue").glob("*.jsonl")
    return path


def test_a_file_is_answered_for_by_its_content_whatever_became_of_its_project() -> None:
    one = run(1, inputs=(read("raw.csv", "raw"),), outputs=(wrote("out/a.csv", "a"),), script=FileReference(path="s.py"))
    Catalogue().append(one, PLACE)
    Catalogue().append(run(2, inputs=(read("/home/ada/p/out/a.csv", "a"),)), OTHER)
    with open_catalogue() as index:
        (use,) = index.uses_of(digest("a"), written=True)
        assert (use.run, use.path, use.digest) == (one.id, "/home/ada/p/out/a.csv", digest("a"))
        assert [use.run for use in index.uses_at("/home/ada/p/out/a.csv", written=False)] == [run_id(2)]
        assert index.summary(one.id) == summarise(one)
        place, other = index.place_of(run_id(1)), index.place_of(run_id(2))
        assert index.place_of(run_id(3)) is None
    assert place is not None
    assert (place.root, place.store, place.id) == ("/home/ada/p", "/home/ada/p/.vestige", "p1")
    assert other is not None
    assert (other.root, other.id) == ("/data/q", None)


def test_the_stores_are_those_in_which_anything_was_recorded_the_latest_first() -> None:
    catalogue = Catalogue()
    assert catalogue.stores() == []
    catalogue.append(run(1, second=5), PLACE)
    catalogue.append(run(2, second=1), OTHER)
    catalogue.append(run(3, second=2), OTHER)
    assert [place.store for place in catalogue.stores()] == [PLACE.store, OTHER.store]


def test_it_lies_in_one_file_a_host_and_month_for_its_owner_alone() -> None:
    catalogue = Catalogue()
    catalogue.append(run(1), PLACE)
    catalogue.append(run(2, started="2026-12-01T00:00:00.000000Z"), PLACE)
    catalogue.append(run(3, host="../../x"), PLACE)
    names = sorted(os.listdir(catalogue.folder))
    assert names == [".._.._x-2026-11.jsonl", "node17-2026-11.jsonl", "node17-2026-12.jsonl"]
    for name in names:
        assert stat.S_IMODE(os.stat(os.path.join(catalogue.folder, name)).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(catalogue.folder).st_mode) == 0o700


def test_a_line_is_a_record_without_what_nobody_asks_for_later() -> None:
    one = run(
        1,
        inputs=(read("a", "1", by=(0, 1), kept=True), read("lib", "2", role="library")),
        outputs=(wrote("b", None, before=digest("0"), deleted=True, role="config"),),
        processes=(Process(pid=1),),
        variables={"A": "b"},
        function={"module": "m", "name": "f", "arguments": {"x": 1}},
    )
    document = compact(wire.encode(one))
    assert not {"processes", "variables", "streams", "problems", "parent"} & set(document)
    assert document["function"] == {"module": "m", "name": "f"}
    assert document["inputs"] == [
        {"path": "a", "digest": digest("1"), "size": 100, "first": {"seq": 12_000_000, "time": "2026-11-21T09:30:12.000000Z"}}
    ]
    assert set(document["outputs"][0]) == {"path", "digest", "size", "before", "deleted", "role", "access", "last"}
    back = wire.decode(Run, document)
    assert replace(summarise(back), inputs=0) == replace(summarise(one), inputs=0)
    assert len(wire.compact(document)) < 1500


def test_of_very_many_uses_some_are_left_out_and_the_copy_says_how_many() -> None:
    document = compact(wire.encode(run(1, outputs=tuple(wrote(str(n)) for n in range(MANY + 5)))))
    assert len(document["outputs"]) == MANY
    assert document["outputs_left_out"] == 5


def test_a_torn_line_takes_no_neighbour_with_it() -> None:
    catalogue = Catalogue()
    catalogue.append(run(1), PLACE)
    whole = lines().read_bytes()
    lines().write_bytes(whole + whole[: len(whole) // 2])
    with open_catalogue() as index:
        assert [one.id for one in index.runs(RunQuery())] == [run_id(1)]
    catalogue.append(run(2), PLACE)
    with lines().open("ab") as file:
        file.write(b'[]\nnull\n{"vestige": 2, "record": {}}\n\xff\xfe\n{"store": 1}\n{"forgotten": 5}\n' + b"[" * 100_000 + b"\n")
    catalogue.append(run(3), PLACE)
    for _ in range(2):
        with open_catalogue() as index:
            assert [one.id for one in index.runs(RunQuery())] == [run_id(3), run_id(2), run_id(1)]
            assert index.notes == []
        shutil.rmtree(project.cache_home())


def test_only_what_is_new_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = Catalogue()
    catalogue.append(run(1), PLACE)
    with open_catalogue() as index:
        catalogue.append(run(2), PLACE)
        seen: list[bytes] = []
        loads = json.loads
        monkeypatch.setattr(json, "loads", lambda text: (seen.append(text), loads(text))[1])  # type: ignore[func-returns-value]
        index.sync()
        assert [run_id(2).encode() in text for text in seen if text.strip()] == [True]
        seen.clear()
        index.sync()
        assert seen == []
        assert len(list(index.runs(RunQuery()))) == 2


def test_what_is_said_last_of_a_run_counts() -> None:
    catalogue = Catalogue()
    catalogue.append(run(1, name="first"), PLACE)
    catalogue.append(run(1, name="second"), PLACE)
    catalogue.append(run(2), PLACE)
    catalogue.forget(run(2))
    with open_catalogue() as index:
        assert [one.name for one in index.runs(RunQuery())] == ["second"]
        catalogue.forget(run(1))
        index.sync()
        assert list(index.runs(RunQuery())) == []


def test_a_file_that_was_removed_or_rewritten_no_longer_counts() -> None:
    catalogue = Catalogue()
    catalogue.append(run(1, name="secret"), PLACE)
    catalogue.append(run(2, host="other"), PLACE)
    with open_catalogue() as index:
        assert len(list(index.runs(RunQuery()))) == 2
    path = Path(catalogue.folder, "node17-2026-11.jsonl")
    new = path.with_suffix(".new")
    new.write_bytes(path.read_bytes().replace(b"secret", b"hidden"))
    new.replace(path)
    with open_catalogue() as index:
        assert [one.name for one in index.runs(RunQuery())] == [None, "hidden"]
    path.unlink()
    with open_catalogue() as index:
        assert [one.id for one in index.runs(RunQuery())] == [run_id(2)]
    shutil.rmtree(catalogue.folder)
    with open_catalogue() as index:
        assert list(index.runs(RunQuery())) == []
        assert index.stores() == []


def test_paths_of_any_bytes_come_back() -> None:
    root = os.fsdecode(b"/home/\xff\n")
    place = Place(root, root + "/.vestige", id="p")
    Catalogue().append(run(1, outputs=(wrote(os.fsdecode(b"caf\xe9"), "x"),)), place)
    with open_catalogue() as index:
        (use,) = index.uses_of(digest("x"), written=True)
        assert use.path == root + os.fsdecode(b"/caf\xe9")
        found = index.place_of(run_id(1))
        assert found is not None
        assert found.root == root


def test_many_processes_append_at_once_and_nothing_is_lost() -> None:
    code = (
        "import sys; from tests.store.samples import run, wrote; from tests.store.test_catalogue import PLACE\n"
        "from vestige.store.catalogue import Catalogue\n"
        "for n in range(50): Catalogue().append(run(int(sys.argv[1]) * 100 + n, outputs=(wrote('x' * 3000),)), PLACE)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(n)]) for n in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    with open_catalogue() as index:
        assert len(list(index.runs(RunQuery()))) == 200


def test_where_the_catalogue_cannot_be_written_that_is_an_os_error() -> None:
    Path(project.state_dir()).parent.mkdir()
    Path(project.state_dir()).touch()
    with pytest.raises(OSError, match="state"):
        Catalogue().append(run(1), PLACE)
    with open_catalogue() as index:
        assert list(index.runs(RunQuery())) == []


def test_a_damaged_index_of_the_catalogue_is_made_anew() -> None:
    Catalogue().append(run(1), PLACE)
    with open_catalogue() as index:
        path = Path(index.file.path)
    path.write_bytes(b"rubbish" * 1000)
    with open_catalogue() as index:
        assert [one.id for one in index.runs(RunQuery())] == [run_id(1)]
        assert len(index.notes) == 1


def test_an_index_that_cannot_be_written_is_completed_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.1)
    catalogue = Catalogue()
    catalogue.append(run(1), PLACE)
    with open_catalogue() as index:
        folder = index.file.folder
    catalogue.append(run(2), OTHER)
    with read_only(folder), open_catalogue() as index:
        assert [one.id for one in index.runs(RunQuery())] == [run_id(2), run_id(1)]
        place = index.place_of(run_id(2))
        assert place is not None
        assert place.root == OTHER.root
    catalogue.forget(run(1))
    with read_only(folder), open_catalogue() as index:
        assert [one.id for one in index.runs(RunQuery())] == [run_id(2)]


def test_a_catalogue_can_lie_elsewhere(tmp_path: Path) -> None:
    catalogue = Catalogue(str(tmp_path / "c"))
    catalogue.append(run(1, outputs=(replace(wrote("a", "x"), last=Moment(1, "2026-11-21T09:30:12.000000Z")),)), PLACE)
    with catalogue.open() as index:
        assert len(index.uses_of(digest("x"), written=True)) == 1
    with open_catalogue() as index:
        assert index.uses_of(digest("x"), written=True) == []
