"""The runs of a project, chosen by what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ops.study import Study
from vestige.errors import UsageError
from vestige.model.conditions import parse
from vestige.model.query import RunQuery
from vestige.model.run import Run
from vestige.ops.log import Terms, log


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path / "p")


def ids(study: Study, *where: str, query: RunQuery | None = None) -> list[str]:
    return [entry.summary.id for entry in log(study.project, query or RunQuery(), [parse(one) for one in where])]


def test_the_newest_comes_first(study: Study) -> None:
    runs = [study.record() for _ in range(3)]
    assert ids(study) == [run.id for run in reversed(runs)]


def test_conditions_look_into_the_record(study: Study) -> None:
    low = study.record(change={"variables": {"LR": "0.1"}, "values": {"accuracy": [{"value": 0.5}, {"value": 0.9}]}})
    high = study.record(change={"variables": {"LR": "0.5"}, "values": {"accuracy": [{"value": 0.95}, {"value": 0.7}]}})
    assert ids(study, "variables.LR=0.1") == [low.id]
    assert ids(study, "values.accuracy>0.8") == [low.id]
    assert ids(study, "values.accuracy>0.8", "variables.LR=0.5") == []
    assert ids(study, "variables.LR!=0.1") == [high.id]


def test_a_limit_counts_what_fits(study: Study) -> None:
    fitting = [study.record(("fit",)) for _ in range(3)]
    study.record(("other",))
    assert ids(study, "command~fit", query=RunQuery(limit=2)) == [fitting[2].id, fitting[1].id]


def test_a_damaged_record_does_not_hide_the_others(study: Study) -> None:
    run = study.record()
    path = study.opened.records.write(study.record())
    entries = log(study.project, RunQuery(), records=True)
    Path(path).write_text("{")
    assert [entry.run for entry in entries if entry.run] == [run]


def test_tags_and_notes_that_were_said_later_count(study: Study) -> None:
    from vestige.store.records import Note

    run = study.record()
    study.opened.records.add_note(run.id, Note(run=run.id, tags=("paper",), note="used in figure 3"))
    found = [entry.run for entry in log(study.project, RunQuery(tag="paper"), records=True)]
    assert [(each.tags, each.note) for each in found if isinstance(each, Run)] == [(("paper",), "used in figure 3")]


def values(**series: object) -> dict[str, object]:
    return {"values": {name: [{"value": one} for one in points] for name, points in series.items() if isinstance(points, list)}}


def test_values_and_fields_are_asked_for_together(study: Study) -> None:
    study.record(change={"name": "fold-1", **values(accuracy=[0.1, 0.95])})
    study.record(change={"name": "fold-2", **values(accuracy=[0.95, 0.5])})
    study.record(change={"name": "other", **values(accuracy=[0.99])})
    study.record(change={"name": "fold-3"})
    named = {run.id: run.name for run in study.runs}
    assert [named[one] for one in ids(study, "accuracy > 0.9 and name ~ fold")] == ["fold-1"]
    assert [named[one] for one in ids(study, "accuracy.max > 0.9 and not name = other")] == ["fold-2", "fold-1"]
    assert [named[one] for one in ids(study, "(accuracy <= 0.5 or accuracy >= 0.99) and status=finished")] == ["other", "fold-2"]


def test_only_records_that_can_decide_are_read(study: Study) -> None:
    wanted = study.record(change={"name": "fold", **values(accuracy=[0.9])})
    path = study.opened.records.path_of(study.record(change={"name": "other", **values(accuracy=[0.9])}).id)
    assert path is not None
    entries = log(study.project, RunQuery(), [parse("name = fold and accuracy > 0.1")])
    Path(path).unlink()
    assert [entry.summary.id for entry in entries] == [wanted.id]
    assert [entry.summary.id for entry in log(study.project, RunQuery(), [parse("accuracy > 0.1")])] == [wanted.id]


@pytest.mark.parametrize(
    ("sort", "wanted"),
    [
        ("accuracy", "bcad"),
        ("-accuracy", "acbd"),
        ("name", "abcd"),
        ("-name", "dcba"),
        ("duration", "abcd"),
        ("loss.min", "bacd"),
    ],
)
def test_runs_come_in_the_order_of_what_they_have(study: Study, sort: str, wanted: str) -> None:
    for name, logged in (("d", {}), ("c", {"accuracy": [0.7]}), ("b", {"accuracy": [0.2], "loss": [9, 1]})):
        study.record(change={"name": name, "duration": 1.0, **values(**logged)})
    study.record(change={"name": "a", "duration": 1.0, **values(accuracy=[10], loss=[2, 5])})
    ordered = [entry.summary.name for entry in log(study.project, RunQuery(), terms=Terms(sort=sort))]
    assert ordered == list(wanted)  # equal ones, and those that have nothing: the newest first
    assert [entry.summary.name for entry in log(study.project, RunQuery(limit=1), terms=Terms(sort=sort))] == ordered[:1]


def test_columns_come_from_the_record(study: Study) -> None:
    study.record(change={"variables": {"LR": "0.1"}, **values(loss=[3, 2.5])})
    (entry,) = log(study.project, RunQuery(), terms=Terms(columns=("id", "loss", "loss.max", "variables.LR"), values=True))
    assert entry.found == {"loss": (2.5,), "loss.max": (3,), "variables.LR": ("0.1",)}
    assert entry.values == {"loss": 2.5}
    assert entry.run is None


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("acuracy > 0.9", "no run has a field or a value 'acuracy'; did you mean 'accuracy'"),
        ("durration>3", "no run has a field or a value 'durration'; did you mean 'duration'"),
        ("values.acuracy>3", "no run has a field or a value 'values.acuracy'; did you mean"),
        ("name=x or (not zzzzzz=1)", "no run has a field or a value 'zzzzzz'$"),
    ],
)
def test_an_unknown_name_is_named_with_the_nearest(study: Study, where: str, said: str) -> None:
    study.record(change=values(accuracy=[0.9]))
    with pytest.raises(UsageError, match=said):
        log(study.project, RunQuery(), [parse(where)])
    with pytest.raises(UsageError, match="no run has a field or a value 'stat'; did you mean 'status'"):
        log(study.project, RunQuery(), terms=Terms(columns=("stat",)))
    with pytest.raises(UsageError, match="did you mean 'accuracy'"):
        log(study.project, RunQuery(), terms=Terms(sort="-acuracy"))


def test_where_nothing_is_recorded_no_name_is_wrong(study: Study) -> None:
    assert ids(study, "acuracy > 0.9") == []


def test_a_value_called_as_a_field_is_asked_for_by_its_full_name(study: Study) -> None:
    run = study.record(change={"duration": 1.0, **values(duration=[50])})
    assert ids(study, "duration > 10") == []
    assert ids(study, "values.duration > 10") == [run.id]


def test_more_records_than_are_found_one_by_one(study: Study) -> None:
    for n in range(60):
        study.record(change={"name": f"n{n}", **values(n=[n])})
    found = log(study.project, RunQuery(), [parse("n >= 3 and n < 58")], Terms(sort="n"))
    assert [entry.summary.name for entry in found] == [f"n{n}" for n in range(3, 58)]
