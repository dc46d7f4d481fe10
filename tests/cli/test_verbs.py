"""The table of verbs: whole, consistent, and what help and manual are made from."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from docs import generate

from vestige.cli import help as helping
from vestige.cli import verbs
from vestige.cli.arguments import GLOBAL, Verb
from vestige.errors import UsageError

ROOT = Path(__file__).parent.parent.parent
ROWS = verbs.every()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_can_be_done_and_is_worth_reading(row: Verb) -> None:
    assert callable(verbs.action(row.name))
    assert len(row.description) > 80
    assert row.summary[-1] not in "."
    assert len(row.summary) < 60
    assert row.exits
    assert any(code == "64" for code, _ in row.exits)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_no_option_has_two_meanings(row: Verb) -> None:
    options = (*row.options, *GLOBAL)
    longs = [option.long for option in options]
    shorts = [option.short for option in options if option.short]
    assert len(set(longs)) == len(longs)
    assert len(set(shorts)) == len(shorts)
    for option in options:
        assert re.fullmatch(r"[a-z][a-z-]+", option.long)
        assert option.help[-1] != "."
        assert option.metavar or not (option.many or option.choices)


def test_every_file_of_a_verb_is_in_the_table() -> None:
    folder = ROOT / "src" / "vestige" / "cli"
    files = {path.stem for path in folder.glob("*.py") if "VERB = Verb(" in path.read_text()}
    assert files == {verbs.module(row.name) for row in ROWS}


def test_no_name_is_given_twice() -> None:
    names = [name for row in ROWS for name in (row.name, *verbs.aliases(row.name))]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("word", "verb"), [("track", "run"), ("monitor", "run"), ("log", "log")])
def test_other_names(word: str, verb: str) -> None:
    assert verbs.resolve(word) == verb


def test_an_unknown_verb_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no verb 'shwo'; did you mean 'vestige show'"):
        verbs.resolve("shwo")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_pages_of_the_manual_are_current(row: Verb) -> None:
    path = ROOT / "docs" / "verbs" / f"{row.name}.md"
    assert path.read_text(encoding="utf-8") == helping.markdown(row), "make docs"


def test_the_page_about_the_configuration_is_current() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == generate.configuration(), "make docs"


def test_the_manual_has_a_page_for_each_verb_and_no_more() -> None:
    folder = ROOT / "docs" / "verbs"
    assert sorted(os.listdir(folder)) == sorted(["README.md", *(f"{row.name}.md" for row in ROWS)])
    assert (folder / "README.md").read_text(encoding="utf-8") == helping.contents(), "make docs"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_page_for_man_holds_every_option(row: Verb) -> None:
    page = helping.manual(row)
    for option in row.options:
        assert f"--{option.long}".replace("-", "\\-") in page
    assert page.startswith(".TH VESTIGE-")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_examples_are_command_lines_that_parse(row: Verb) -> None:
    import shlex

    from vestige.cli.arguments import parse

    for command, purpose in row.examples:
        assert purpose[0].islower() or purpose[0].isdigit()
        for part in re.split(r" \| ", command):
            words = shlex.split(part)
            if words[0] == "vestige":
                parse(verbs.row(verbs.resolve(words[1])), words[2:])
