"""The runs of a project, chosen by what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ops.study import Study
from vestige.model.conditions import parse
from vestige.model.query import RunQuery
from vestige.model.run import Run
from vestige.ops.log import log


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
