"""Screens of plans and verdicts."""

from __future__ import annotations

import json

from tests.store.samples import read, run, run_id, wrote
from vestige.model import wire
from vestige.model.run import Verdict
from vestige.ops.reproduce import Judgement, Reproduction
from vestige.report import reproduce as report
from vestige.report.style import PLAIN, Style
from vestige.reproduce.execute import Ending
from vestige.reproduce.plan import Plan, Step, Supply
from vestige.reproduce.session import Done

RAW = Supply(use=read("data/raw.csv", "raw"), source="disk", place="/home/ada/p/data/raw.csv")
MID = Supply(use=read("mid.csv", "mid"), source="step", run=run_id(1), made_as="mid.csv")
CODE = Supply(use=read("plot.py", "code", role="code"), source="snapshot")
FIRST = Step(run=run(1, command=("sort", "data/raw.csv", "-o", "mid.csv")), supplies=(RAW,), expected=(wrote("mid.csv", "mid"),))
LAST = Step(
    run=run(2, command=("python", "plot.py"), duration=12.4),
    supplies=(MID, CODE),
    expected=(wrote("fig, 1.png", "fig"), wrote("log", "log")),
    judged=frozenset({"fig, 1.png"}),
    after=frozenset({run_id(1)}),
    asked=True,
    doubts=("what was typed at its terminal was not kept",),
)
BROKEN = Step(
    run=run(3, command=("adopted",)), expected=(wrote("x", "x"),), obstacles=("it was adopted", "its code was not kept")
)
PLAN = Plan(steps=(FIRST, LAST), raw=("data/raw.csv",))


def made(*verdicts: tuple[str, str, str | None, bool], **more: object) -> Reproduction:
    judgements = tuple(
        Judgement(run_id(2), Verdict(path=path, verdict=word, note=note), asked) for path, word, note, asked in verdicts
    )
    done = Done(step=LAST, state="done", ending=Ending(exit_code=0, run=run_id(9), seconds=1.5))
    values: dict[str, object] = {
        "environment": "current",
        "mode": "chained",
        "steps": (done,),
        "judgements": judgements,
        "exit_code": 1,
        "seconds": 41.2,
    }
    return Reproduction(**values | more)  # type: ignore[arg-type]


def test_a_plan_for_programs_has_one_line_a_step() -> None:
    assert list(report.plan_lines(PLAN)) == [
        "data/raw.csv [disk] -> 'sort data/raw.csv -o mid.csv' @ 9c4b2a1 -> mid.csv",
        "mid.csv [00000001] -> 'python plot.py' @ 9c4b2a1 -> 'fig, 1.png', log",
    ]


def test_a_step_that_cannot_be_executed_is_a_line_of_its_own() -> None:
    assert list(report.plan_lines(Plan(steps=(BROKEN,)))) == [
        "could not 00000003 adopted @ 9c4b2a1: it was adopted; its code was not kept"
    ]


def test_a_plan_for_people_shows_what_each_step_is_fed_and_makes() -> None:
    assert list(report.plan(PLAN, Style(width=60))) == [
        "2 steps to execute, in the present environment, chained",
        "",
        "  1  sort data/raw.csv -o mid.csv @ 9c4b2a1  00000001",
        "     sort data/raw.csv -o mid.csv",
        "     data/raw.csv  on disk",
        "     → mid.csv",
        "",
        "  2  python plot.py @ 9c4b2a1  00000002",
        "     python plot.py",
        "     note  what was typed at its terminal was not kept",
        "     mid.csv  from step 1",
        "     → fig, 1.png  judged",
        "     → log",
    ]


def test_verdicts_for_people_judge_first_and_inform_then() -> None:
    found = made(
        ("log", "different", "line 1: a → b", False),
        ("fig, 1.png", "identical", None, True),
        ("report.json", "different", "line 2: accuracy 0.913 → accuracy 0.915", True),
    )
    assert list(report.verdicts(found, PLAIN)) == [
        "identical   fig, 1.png   in the present environment",
        "different   report.json  in the present environment; line 2: accuracy 0.913 → accuracy 0.915",
        "also written, for information:",
        "different   log          in the present environment; line 1: a → b",
        "1 step, 41.2 s, in the present environment: 1 identical, 1 different",
    ]


def test_verdicts_for_programs_are_fields_between_tabs() -> None:
    found = made(("log", "different", "line 1: a → b", False), ("a\tb", "identical", None, True))
    assert list(report.verdict_lines(found)) == [
        "identical\t$'a\\tb'\tin the present environment",
        "also different\tlog\tin the present environment\tline 1: a → b",
        "1 step, 41.2 s, in the present environment: 1 identical",
    ]


def test_what_went_wrong_says_why_and_where_to_look() -> None:
    failed = Done(
        step=LAST,
        state="failed",
        ending=Ending(exit_code=1),
        reason="it ended with 1 instead of 0: no such file",
        notes=("it tried to change /etc/x, outside its workspace, and was refused",),
        workspace="/cache/work/1",
    )
    given_up = Done(step=BROKEN, state="could not", reason="it was adopted")
    lines = list(report.verdicts(made(("x", "could not", "it was adopted", True), steps=(given_up, failed)), PLAIN))
    assert lines == [
        "could not   x  in the present environment; it was adopted",
        "00000003 adopted could not be executed: it was adopted",
        "  and its code was not kept",
        "00000002 python plot.py failed: it ended with 1 instead of 0: no such file",
        "00000002 python plot.py: it tried to change /etc/x, outside its workspace, and was refused",
        "00000002 python plot.py: its workspace was left in /cache/work/1",
        "1 step, 41.2 s, in the present environment: 1 could not",
    ]


def test_progress_fits_on_a_line() -> None:
    assert report.progress(PLAN, 1, "running", PLAIN) == "[2/2] running python plot.py 00000002; it took 12.4 s then"
    assert len(report.progress(PLAN, 1, "running", Style(width=40))) < 40


def test_no_name_can_harm_a_terminal() -> None:
    found = made(("a\x1b[2Jb\n", "different", "line 1: \x1b[0m → x", True))
    for line in (*report.verdicts(found, PLAIN), *report.verdict_lines(found)):
        assert line.replace("\t", "").isprintable()


def test_the_outcome_is_json() -> None:
    document = json.loads(wire.dump(report.document(made(("\udcff.png", "identical", None, True)))))
    assert document["exit_code"] == 1
    assert document["verdicts"] == [
        {
            "path": "%FF.png",
            "verdict": "identical",
            "expected": None,
            "actual": None,
            "note": None,
            "run": run_id(2),
            "asked": True,
        }
    ]
    assert document["steps"] == [
        {
            "run": run_id(2),
            "state": "done",
            "reproduction": run_id(9),
            "exit_code": 0,
            "seconds": 1.5,
            "reason": None,
            "notes": [],
            "workspace": None,
        }
    ]


def test_the_plan_is_json() -> None:
    document = json.loads(wire.dump(report.plan_document(PLAN)))
    assert document["possible"] is True
    assert document["raw"] == ["data/raw.csv"]
    assert [step["run"] for step in document["steps"]] == [run_id(1), run_id(2)]
    assert [(one["path"], one["source"], one["from"]) for one in document["steps"][1]["inputs"]] == [
        ("mid.csv", "step", run_id(1)),
        ("plot.py", "snapshot", None),
    ]
    assert [(one["path"], one["judged"]) for one in document["steps"][1]["outputs"]] == [("fig, 1.png", True), ("log", False)]
