"""Values as notebooks show them: whole, escaped, without scripts."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vestige
from tests.ops.study import Study
from vestige.model.files import FileUse
from vestige.model.run import Run, Verdict, summarise
from vestige.model.values import replace
from vestige.ops.log import Entry
from vestige.ops.reproduce import Judgement, Reproduction
from vestige.ops.show import Shown
from vestige.report import html

NOW = 1_795_262_400.0
EVIL = "<script>alert('x')</script>&amp;\"\x1b[31m\n\udcff"
KNOWN = {"div", "style", "span", "b", "code", "pre", "table", "thead", "tbody", "tr", "th", "td", "details", "summary"}


class Reader(HTMLParser):
    """Reads a page, and sees that it is sound."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def read(page: str | None) -> Reader:
    assert page is not None
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    assert reader.seen <= KNOWN
    assert reader.attributes <= {"class"}
    page.encode("utf-8")
    return reader


def run(text: str) -> Run:
    use = FileUse(path=text, digest="blake3:" + "a" * 64, size=3, access="write")
    return Run(
        id="0193aaaa-0000-7000-8000-00007f3a2c91",
        name=text,
        command=("python", text),
        user=text,
        started="2026-11-18T12:00:00.000000Z",
        function={
            "name": text,
            "module": text,
            "source": text,
            "arguments": {text: text},
            "exception": {"type": text, "message": text},
        },
        inputs=(use,),
        outputs=(use,),
        values={text: [{"value": text, "time": text}], "loss": [{"value": 1.5}, {"value": 0.5}]},
        problems=(text,),
    )


@pytest.mark.parametrize("text", [EVIL, "", "ordinary"])
def test_nothing_from_outside_is_anything_but_text(text: str) -> None:
    one = run(text)
    judgement = Judgement(one.id, Verdict(path=text, verdict="different", note=text), asked=True)
    made = Reproduction(environment="current", mode="chained", steps=(), judgements=(judgement,), exit_code=1, seconds=2.0)
    entry = Entry(summarise(one), values={text: text, "loss": 0.5})
    for found in (one, Shown(run=one, summary=summarise(one)), one.outputs[0], judgement.verdict, made, entry):
        reader = read(html.of(found, NOW))
        assert ("<script>" in reader.text) == (text == EVIL)
        assert len(repr(found)) < 400
    read(html.runs([entry], text, NOW, hidden=True))


@given(st.text())
def test_any_text_makes_a_sound_page(text: str) -> None:
    read(html.of(run(text), NOW))


def test_what_is_known_of_a_run_is_shown() -> None:
    text = read(html.of(replace(run("fit"), kind="notebook"), NOW)).text
    for word in (
        "7f3a2c91",
        "fit",
        "finished",
        "3 days ago",
        "values (2)",
        "█▁",
        "0.5",
        "aaaaaaaaaaaa",
        "outputs (1)",
        "problems",
    ):
        assert word in text
    assert "$" not in text


def test_very_many_rows_are_cut() -> None:
    uses = tuple(FileUse(path=f"{n}.csv", digest=None, access="write") for n in range(5000))
    text = read(html.of(replace(run("x"), outputs=uses), NOW)).text
    assert "… 4,900 more" in text


def test_what_is_asked_for_shows_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Study(tmp_path / "p", git=True)
    monkeypatch.chdir(study.root)
    study.write("in.csv", "some content, long enough")
    study.write("out<b>.csv", "other content, long enough")
    study.record(reads=["in.csv"], writes=["out<b>.csv"], change={"name": "first"})
    study.record(reads=["in.csv"], writes=["out<b>.csv"], change={"name": "second", "variables": {"LR": "1"}})
    study.write("in.csv", "changed content, long enough")
    project = vestige.open()
    traced = project.trace("out<b>.csv")
    shown = {
        "second": project.show("last"),
        "first": project.runs(),
        "modified since": traced,
        "step.py": traced.lineage,
        "stale": project.status(unknown="."),
        "LR: nothing → 1": project.diff("first", "second"),
    }
    for word, found in shown.items():
        assert word in read(found._repr_html_()).text
        assert len(repr(found)) < 250
        assert "\n" not in repr(found)
    runs = project.runs()
    runs._repr_html_()
    assert [one.name for one in runs] == ["second", "first"]  # to be shown takes nothing away


def test_what_nobody_draws_is_shown_as_text() -> None:
    assert html.of(3) is None
