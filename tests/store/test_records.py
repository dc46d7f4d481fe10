from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.store.samples import read, run, run_id, wrote
from vestige.errors import DamagedError, NewerFormatError, NotFoundError
from vestige.model import wire
from vestige.model.run import Process, Run
from vestige.store import project
from vestige.store.records import Note, Records, share_by_git


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(project.prepare(project.locate(str(tmp_path))).store)


def test_a_record_lies_under_the_second_in_which_its_run_started(records: Records) -> None:
    one = run(0x7F3A2C91, inputs=(read("a", "1"),), outputs=(wrote("b", "2"),))
    path = records.write(one)
    assert path == os.path.join(records.runs, "2026-11", "21", "093012-7f3a2c91.json")
    assert Path(path).read_bytes() == wire.dump_run(one)
    assert records.read(one.id) == one
    assert list(records.paths()) == [path]
    assert records.path_of(one.id) == path


def test_the_first_record_of_a_run_stands(records: Records) -> None:
    path = records.write(run(1, name="first"))
    assert records.write(run(1, name="second")) == path
    assert records.read(run_id(1)).name == "first"
    assert len(list(records.paths())) == 1


def test_two_short_ids_that_meet_in_one_second_get_longer_names(records: Records) -> None:
    one = run(0x7F3A2C91)
    other = replace(one, id="01a20000-0000-7000-8000-abcd7f3a2c91", name="other")
    third = replace(one, id="01a20000-0000-7000-9000-abcd7f3a2c91", name="third")
    paths = [records.write(each) for each in (one, other, third)]
    names = ["093012-7f3a2c91.json", "093012-abcd7f3a2c91.json", "093012-9000abcd7f3a2c91.json"]
    assert [os.path.basename(path) for path in paths] == names
    for each in (one, other, third):
        assert records.read(each.id) == each


def test_long_lists_are_objects_and_come_back(records: Records) -> None:
    one = run(
        1,
        inputs=tuple(read(f"in/{n}", str(n)) for n in range(501)),
        outputs=tuple(wrote(f"out/{n}", str(n)) for n in range(500)),
        processes=tuple(Process(pid=n) for n in range(600)),
    )
    path = records.write(one)
    document = json.loads(Path(path).read_bytes())
    assert len(document["inputs"]) == len(document["processes"]) == 100
    assert len(document["outputs"]) == 500
    assert "outputs_object" not in document
    back = records.load(path)
    assert back.inputs == one.inputs
    assert back.processes == one.processes
    assert records.missing(back) == ()
    assert replace(back, inputs_object=None, processes_object=None) == one


def test_a_long_list_whose_object_is_gone_is_said_to_be_missing(records: Records) -> None:
    one = run(1, inputs=tuple(read(f"in/{n}") for n in range(501)))
    path = records.write(one)
    for digest in records.objects.all():
        records.objects.remove(digest)
    back = records.load(path)
    assert back.inputs == one.inputs[:100]
    assert records.missing(back) == ("inputs",)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", DamagedError),
        (b'{"id": "x", "vest', DamagedError),
        (b"[]", DamagedError),
        (b'{"id": 7}', DamagedError),
        (b"\xff\xfe\x00", DamagedError),
        (b"[" * 100_000, DamagedError),
        (b'{"id": "x", "inputs": 5}', DamagedError),
        (b'{"id": "x", "inputs": [{"digest": null}]}', DamagedError),
        (b'{"id": "x", "vestige": 2}', NewerFormatError),
        (b'{"id": "x", "vestige": "one"}', NewerFormatError),
    ],
)
def test_a_record_that_cannot_be_read_says_which_file(records: Records, content: bytes, error: type[Exception]) -> None:
    path = records.write(run(1))
    os.chmod(path, 0o600)
    Path(path).write_bytes(content)
    with pytest.raises(error, match=r"093012-00000001\.json"):
        records.load(path)


def test_a_damaged_file_does_not_keep_a_run_from_being_written(records: Records) -> None:
    path = records.write(run(1))
    Path(path).write_bytes(b"")
    other = records.write(run(1))
    assert other != path
    assert records.read(run_id(1)) == run(1)
    assert records.path_of(run_id(1)) == other


def test_a_record_of_an_imported_run_is_found_though_its_day_is_not_that_of_its_id(records: Records) -> None:
    path = records.write(run(1, started="1999-12-31T23:59:59Z"))
    assert path.endswith("/1999-12/31/235959-00000001.json")
    assert records.path_of(run_id(1)) == path
    assert records.write(run(2, started="long ago")).endswith("/0000-00/00/000000-00000002.json")


def test_a_strange_id_cannot_leave_the_folder(records: Records) -> None:
    path = records.write(run(1, id="../../../../../../tmp/x/y"))
    assert os.path.commonpath([path, records.runs]) == records.runs
    assert records.read("../../../../../../tmp/x/y").id == "../../../../../../tmp/x/y"


def test_an_unknown_run_is_not_found(records: Records) -> None:
    with pytest.raises(NotFoundError, match="there is no record"):
        records.read(run_id(9))
    with pytest.raises(NotFoundError):
        records.tombstone(run_id(9))


def test_notes_are_kept_beside_the_record_in_the_order_of_time(records: Records) -> None:
    path = records.write(run(1))
    before = Path(path).read_bytes()
    records.add_note(run_id(1), Note(run=run_id(1), time="2026-11-22T10:00:00Z", note="later", extra={"verdict": {"a": 1}}))
    records.add_note(run_id(1), Note(run=run_id(1), time="2026-11-21T10:00:00Z", tags=("good",)))
    records.add_note(run_id(2), Note(run=run_id(2), note="another's"))
    notes = records.notes_of(run_id(1))
    assert [note.time[:10] for note in notes] == ["2026-11-21", "2026-11-22"]
    assert notes[0].tags == ("good",)
    assert notes[1].extra == {"verdict": {"a": 1}}
    assert Path(path).read_bytes() == before


def test_a_note_without_a_time_is_of_now(records: Records) -> None:
    path = records.add_note(run_id(1), Note(run="", note="x"))
    note = records.load_note(path)
    assert note.run == run_id(1)
    assert note.time.startswith("20")
    assert note.time.endswith("Z")


def test_of_a_forgotten_run_a_tombstone_stays(records: Records) -> None:
    records.write(run(1))
    records.tombstone(run_id(1), user="ada")
    assert records.path_of(run_id(1)) is None
    assert [(note.forgotten, note.user) for note in records.notes_of(run_id(1))] == [(True, "ada")]


def test_records_are_shared_by_git_when_asked_and_hidden_otherwise(tmp_path: Path, records: Records) -> None:
    def seen() -> list[str]:
        command = ["git", "-C", str(tmp_path), "status", "--porcelain", "-uall"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    subprocess.run(["git", "-C", str(tmp_path), "init", "-q"], check=True)
    records.write(run(1))
    note = records.add_note(run_id(1), Note(run=run_id(1)))
    records.objects.put(b"kept")
    (Path(records.runs) / "2026-11" / "21" / ".tmp-1-x").touch()
    assert seen() == []
    share_by_git(records.store, share=True)
    expected = [".gitignore", "project", "runs/2026-11/21/093012-00000001.json", os.path.relpath(note, records.store)]
    assert [name for name in seen() if name != "??"] == sorted(f".vestige/{name}" for name in expected)
    share_by_git(records.store, share=False)
    assert seen() == []


def test_a_groups_records_are_the_groups(tmp_path: Path) -> None:
    root = tmp_path / "shared"
    root.mkdir()
    root.chmod(0o2775)
    records = Records(project.prepare(project.locate(str(root))).store)
    before = os.umask(0o077)
    try:
        path = records.write(run(1))
    finally:
        os.umask(before)
    assert os.stat(path).st_mode & 0o777 == 0o664
    assert os.stat(os.path.dirname(path)).st_mode & 0o2777 == 0o2775


def test_many_writers_at_once_lose_nothing(records: Records) -> None:
    code = (
        "import sys; from tests.store.samples import run; from vestige.store.records import Records; r = Records(sys.argv[1])\n"
        "for n in range(50): r.write(run(int(sys.argv[2]) * 1000 + n)); r.write(run(n))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, records.store, str(n)]) for n in range(1, 5)]
    assert [writer.wait() for writer in writers] == [0] * 4
    assert len(list(records.paths())) == 250
    assert {records.load(path).id for path in records.paths()} == {run_id(k * 1000 + n) for k in range(5) for n in range(50)}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"loss": [{"value": 0.5, "time": "t"}]},
        {'a "}\n  }': [{"value": {"values": {}, "vestige": 1}, "time": "t"}], "b": []},
    ],
)
def test_values_are_read_without_the_rest_of_a_record(tmp_path: Path, values: dict[str, object]) -> None:
    records = Records(str(tmp_path))
    start = "2026-11-21T09:30:12.000000Z"
    run = Run(id="0193aaaa-0000-7000-8000-00007f3a2c91", started=start, values=values, job={"values": {}})
    path = records.write(run)
    assert path == records.likely_path(run.id, run.started)
    assert records.values(path, run.id) == values
    with pytest.raises(NotFoundError):
        records.values(path, "0193bbbb-0000-7000-8000-00007f3a2c91")
    Path(path).write_text(json.dumps(json.loads(Path(path).read_bytes())))  # laid out in another way
    assert records.values(path) == values
    Path(path).write_text("{")
    with pytest.raises(DamagedError):
        records.values(path)
