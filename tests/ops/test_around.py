"""What a run would find otherwise if it looked now: of lists as records have them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.ops.study import Study
from vestige.model.run import summarise
from vestige.model.staleness import Cause
from vestige.ops.around import Around, Listing, read
from vestige.ops.status import status
from vestige.report.status import document, lines


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A folder with `a.csv` and `b.csv`."""
    made = Study(tmp_path / "p")
    monkeypatch.chdir(made.root)
    for name in ("a.csv", "b.csv"):
        made.write(f"data/{name}", name)
    made.write("out", "what came of it")
    return made


def causes(study: Study, listings: object = None, absent: object = None) -> list[Cause]:
    """What is otherwise around a run with these lists."""
    put = study.opened.objects.put
    change = {key: put(json.dumps(one).encode()) for key, one in (("listings", listings), ("absent", absent)) if one is not None}
    run = study.record(writes=["out"], change=change)
    return list(Around(study.project)(summarise(run)))


def data(**rest: object) -> dict[str, object]:
    return {"path": "data", "names": ["a.csv", "b.csv"], **rest}


def test_a_folder_with_the_same_names_is_no_cause(study: Study) -> None:
    assert causes(study, [data()]) == []


def test_names_that_came_and_went_are_named(study: Study) -> None:
    study.write("data/c.csv", "c")
    (study.root / "data/a.csv").unlink()
    assert causes(study, [data()]) == [
        Cause("data", "added", sure=False, names=("c.csv",), count=1),
        Cause("data", "removed", sure=False, names=("a.csv",), count=1),
    ]


def test_of_many_names_some_are_told_and_all_counted(study: Study) -> None:
    for number in range(5):
        study.write(f"data/new{number}", "x")
    (cause,) = causes(study, [data()])
    assert (cause.names, cause.count) == (("new0", "new1", "new2"), 5)


def test_what_the_run_itself_put_there_is_no_cause_whether_it_is_there_or_not(study: Study) -> None:
    study.write("data/made", "x")
    assert causes(study, [data(made=["made", "gone"])]) == []


@pytest.mark.parametrize("name", [".swp", ".git", ".vestige", "a.csv~", "#a#", "__pycache__", "a.pyc", "download.part"])
def test_what_comes_and_goes_beside_the_work_is_no_cause(study: Study, name: str) -> None:
    study.write(f"data/{name}", "x")
    assert causes(study, [data()]) == []


def test_only_names_of_the_kinds_that_count_are_causes(study: Study) -> None:
    study.write("data/notes.txt", "x")
    assert causes(study, [data(like=[".csv"])]) == []
    study.write("data/c.csv", "x")
    assert [cause.names for cause in causes(study, [data(like=[".csv"])])] == [("c.csv",)]


def test_a_folder_that_is_gone_or_had_too_many_names_says_nothing(study: Study) -> None:
    assert causes(study, [{"path": "nowhere", "names": ["a"]}, {"path": "data"}, "data"]) == []


def test_names_that_are_not_utf_8_are_compared_as_bytes(study: Study) -> None:
    os.mkdir(os.path.join(os.fsencode(study.root), b"caf\xe9"))
    entry = {"path": "caf%E9", "names": ["%FF"], "encoding": "percent"}
    (cause,) = causes(study, [entry])
    assert (cause.path, cause.wrong, cause.names) == ("caf\udce9", "removed", ("\udcff",))


def test_a_file_that_was_looked_for_in_vain_and_is_there_is_a_cause(study: Study) -> None:
    study.write("conf.yaml", "x")
    assert causes(study, absent=["conf.yaml", "other.yaml", ".hidden"]) == [Cause("conf.yaml", "appeared", sure=False)]


@pytest.mark.parametrize("broken", [7, {"a": 1}, [7], [{"names": []}], [{"path": 7}], ["\0"]])
def test_a_list_of_any_wrong_shape_says_nothing(study: Study, broken: object) -> None:
    assert causes(study, broken) == []
    assert causes(study, absent=broken) == []


def test_a_list_that_is_not_in_the_store_says_nothing(study: Study) -> None:
    run = study.record(writes=["out"], change={"listings": "blake3:" + "0" * 64})
    assert Around(study.project)(summarise(run)) == ()


def test_the_status_names_the_folder_and_what_came(study: Study) -> None:
    listings = study.opened.objects.put(json.dumps([data()]).encode())
    study.record(writes=["out"], change={"listings": listings})
    assert list(lines(status(study.project))) == ["fresh\tout\t-"]
    study.write("data/c.csv", "c")
    result = status(study.project)
    assert list(lines(result)) == ["possibly stale\tout\tdata/ was listed without c.csv"]
    (found,) = document(result)["files"]
    assert found["causes"] == [{"path": "data", "wrong": "added", "by": None, "sure": False, "names": ["c.csv"], "count": 1}]


def test_a_listing_may_be_a_mere_path() -> None:
    assert read("data") == Listing("data")
