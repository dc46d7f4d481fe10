"""The runs, one a line."""

from __future__ import annotations

import pytest

from vestige.errors import UsageError
from vestige.model.run import FileReference, Run, Summary, summarise
from vestige.model.values import replace
from vestige.ops.log import Entry
from vestige.report.log import PEOPLE, PROGRAMS, columns, lines, needs_records, shared, table
from vestige.report.style import PLAIN, Style

NOW = 1_795_262_400.0  # 2026-11-21 12:00 UTC


def entry(**changes: object) -> Entry:
    fields: dict[str, object] = {
        "id": "0193aaaa-0000-7000-8000-00007f3a2c91",
        "command": ("python", "train.py", "--lr", "0.1"),
        "started": "2026-11-18T12:00:00.000000Z",
        "duration": 12.4,
        "exit_code": 0,
        "variables": {"LR": "0.1"},
    }
    run = Run(**{**fields, **changes})  # type: ignore[arg-type]
    return Entry(summarise(run), run)


def test_programs_get_fields_between_tabs() -> None:
    assert list(lines([entry(name="train")], PROGRAMS)) == [
        "7f3a2c91\tfinished\t2026-11-18T12:00:00.000000Z\t12.4\ttrain\t-\tpython train.py --lr 0.1"
    ]


def test_a_field_never_breaks_a_line() -> None:
    (line,) = lines([entry(name="a\tb\nc")], ("name",))
    assert line == "a\\tb\\nc"


def test_people_get_a_table_that_fits() -> None:
    rows = list(table([entry(name="train"), entry(command=("x" * 300,))], PEOPLE, Style(width=80), NOW))
    assert rows[0].split() == ["id", "name", "status", "started", "took", "code", "command"]
    assert "3 days ago" in rows[1]
    assert all(len(row) <= 80 for row in rows)


def test_a_column_without_a_word_is_left_out() -> None:
    (titles, _) = table([entry()], PEOPLE, PLAIN, NOW)
    assert "name" not in titles


def test_what_is_not_shown_is_said() -> None:
    *_, last = table([entry()], PEOPLE, PLAIN, NOW, hidden=True)
    assert last == "… more: vestige log --limit 0 shows all"


def test_any_field_of_a_record_can_be_a_column() -> None:
    names = columns("id, variables.LR,exit_code")
    assert names == ("id", "variables.LR", "exit_code")
    assert needs_records(names)
    assert not needs_records(("id", "exit_code"))
    assert list(lines([entry()], names)) == ["7f3a2c91\t0.1\t0"]


def test_no_column_is_refused() -> None:
    with pytest.raises(UsageError, match="names no column"):
        columns(",")


def test_values_that_most_runs_have_are_offered_the_most_common_first() -> None:
    some = [replace(entry(), values={"loss": 0.5, "n": 3, "text": "x" * 40}), replace(entry(), values={"n": 4, "once": 1})]
    assert shared(some) == ("n", "loss", "once")
    assert shared([*some, entry(), entry()]) == ("n",)
    assert shared([]) == ()


def test_a_value_is_a_column_only_where_there_is_room() -> None:
    rows = [replace(entry(), values={"accuracy": 0.987654321, "loss": 0.25})]
    wide = list(table(rows, PEOPLE, Style(width=120), NOW, offered=("accuracy", "loss")))
    assert wide[0].split() == ["id", "status", "started", "took", "code", "accuracy", "loss", "command"]
    assert "0.987654" in wide[1]
    middle = list(table(rows, PEOPLE, Style(width=75), NOW, offered=("accuracy", "loss")))
    assert middle[0].split() == ["id", "status", "started", "took", "code", "accuracy", "command"]
    narrow = list(table(rows, PEOPLE, Style(width=64), NOW, offered=("accuracy", "loss")))
    assert "accuracy" not in narrow[0]


def test_a_call_goes_by_the_name_of_its_function() -> None:
    call = entry(kind="function", function={"module": "m", "name": "Model.fit"}, script=FileReference(path="train.py"))
    assert list(lines([call], ("name", "label"))) == ["Model.fit\tModel.fit"]
    assert list(lines([entry(kind="function", function={"name": "fit"}, name="own")], ("name",))) == ["own"]


def test_every_column_can_be_shown_of_every_run() -> None:
    bare = Entry(summarise(Run(id="0193aaaa-0000-7000-8000-00007f3a2c91")))
    names = columns(
        "id,name,status,started,duration,code,command,label,kind,user,host,exit_code,inputs,outputs,parent,tags,note,cwd,gaps"
    )
    assert isinstance(bare.summary, Summary)
    (line,) = lines([bare], names)
    assert line.count("\t") == len(names) - 1
    assert len(list(table([bare], names, PLAIN, NOW))) == 2
