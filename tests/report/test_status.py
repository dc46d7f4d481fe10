from __future__ import annotations

import json
import re
from dataclasses import replace

from tests.model.history import History
from tests.report.test_trace import DESCRIPTION, keys
from tests.report.traced import NOW
from vestige.model.run import Summary
from vestige.model.staleness import STATES, Cause, FileState, State
from vestige.ops.status import Entry, Status
from vestige.report.status import document, lines, table
from vestige.report.style import Style, cells

RUN = "0b7f3a2c91"


def run() -> Summary:
    summary = History().run(RUN, 10).summaries[RUN]
    return replace(summary, label="plot.py")


def entry(path: str, state: State, *causes: Cause, more: bool = False, **changes: object) -> Entry:
    return replace(Entry(path, FileState(state, causes, more), run()), **changes)  # type: ignore[arg-type]


FULL = Status(
    (
        entry("models/clf.joblib", "missing"),
        entry("data/train.csv", "modified", run=None, input=True),
        entry("figures/one.png", "modified"),
        entry(
            "figures/roc.png", "stale", Cause("data/train.csv", "modified"), Cause("models/clf.joblib", "replaced", "0b7f3a2c91")
        ),
        entry("x.zarr", "stale", *(Cause(f"in{n}", "modified") for n in range(4)), more=True, members=24),
        entry("maybe.csv", "possibly stale", Cause("raw.csv", "missing", sure=False), Cause("big.bin", "unknown", sure=False)),
        entry("huge.bin", "unknown"),
        entry("fresh.csv", "fresh"),
    ),
    "/home/ada/p",
    ("results/mystery.csv",),
)


def screen(status: Status, width: int = 80, *, every: bool = False) -> str:
    return "\n" + "\n".join(table(status, Style(width=width), NOW, every=every)) + "\n"


def test_the_table_says_what_is_wrong_and_why() -> None:
    assert (
        screen(FULL)
        == """
missing         models/clf.joblib    made by 7f3a2c91 plot.py, 1 day ago
modified        data/train.csv       a raw input: no run made it
modified        figures/one.png      made by 7f3a2c91 plot.py, 1 day ago
stale           figures/roc.png      data/train.csv is modified, models/clf.job…
stale           x.zarr/  24 files    in0 is modified, in1 is modified, and more
possibly stale  maybe.csv            raw.csv is missing, big.bin cannot be comp…
unknown         huge.bin             cannot be compared; by 7f3a2c91 plot.py
unknown         results/mystery.csv  no known origin

1 missing, 2 modified, 2 stale, 1 possibly stale, 2 unknown, 1 fresh
"""
    )


def test_fresh_files_are_counted_or_listed_when_asked_for() -> None:
    fresh = Status((entry("a.csv", "fresh"), entry("b.csv", "fresh")), "/p")
    assert screen(fresh) == "\n2 files, all fresh\n"
    assert (
        screen(fresh, every=True)
        == """
fresh  a.csv  made by 7f3a2c91 plot.py, 1 day ago
fresh  b.csv  made by 7f3a2c91 plot.py, 1 day ago

2 files, all fresh
"""
    )


def test_a_project_without_outputs_says_so() -> None:
    assert screen(Status((), "/p")) == "\nno run has written a file here\n"


def test_the_table_fits_any_terminal_and_cannot_be_broken_by_names() -> None:
    wide = Status((entry("very/" * 40 + "long\n\x1b[31m.csv", "stale", Cause("数据/" * 40, "modified")),), "/p")
    for width in (40, 80, 160):
        shown = screen(wide, width)
        assert all(cells(line) <= width for line in shown.splitlines())
        assert "\x1b" not in shown
        assert len(shown.splitlines()) == 4


def test_colour_changes_no_text() -> None:
    painted = "\n".join(table(FULL, Style(colour=True), NOW))
    assert "\x1b[31mmissing" in painted
    assert "\n" + re.sub(r"\x1b\[\d*m", "", painted) + "\n" == screen(FULL)


def test_in_a_pipe_every_file_is_a_line_with_tabs() -> None:
    written = list(lines(FULL))
    assert written[3] == "stale\tfigures/roc.png\tdata/train.csv is modified, models/clf.joblib rewritten by 7f3a2c91"
    assert written[-2:] == ["fresh\tfresh.csv\t-", "unknown\tresults/mystery.csv\tno known origin"]
    assert len(written) == len(FULL.entries) + 1
    assert all(line.count("\t") == 2 for line in written)
    awkward = list(lines(Status((entry("a\tb\n", "fresh"),), "/p")))
    assert awkward == ["fresh\t$'a\\tb\\n'\t-"]


def test_the_document_has_every_file_and_a_version() -> None:
    found = json.loads(json.dumps(document(FULL)))
    assert found["format"] == 1
    assert [one["state"] for one in found["files"]] == [one.state.state for one in FULL.entries]
    assert found["files"][3]["causes"] == [
        {"path": "data/train.csv", "wrong": "modified", "by": None, "sure": True},
        {"path": "models/clf.joblib", "wrong": "replaced", "by": RUN, "sure": True},
    ]
    assert found["files"][1] | {"causes": []} == {
        "path": "data/train.csv",
        "state": "modified",
        "input": True,
        "run": None,
        "files": 1,
        "causes": [],
        "more_causes": False,
    }
    assert found["unknown"] == [{"path": "results/mystery.csv"}]


def test_every_state_has_a_colour_of_its_meaning() -> None:
    for state in STATES:
        assert Style(colour=True).word(state) != state


def test_every_key_of_the_document_is_described() -> None:
    described = DESCRIPTION.read_text(encoding="utf-8").partition("vestige status --json")[2]
    assert [key for key in keys(document(FULL)) - {"wrong", "by", "sure"} if f'"{key}"' not in described] == []
