"""The words after a verb, read by its row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.cli import verbs
from vestige.cli.arguments import Option, Verb, parse
from vestige.errors import UsageError

VERB = Verb(
    "try",
    "try it",
    "Tries it.",
    operands="CMD…",
    least=1,
    most=None,
    greedy=True,
    options=(
        Option("name", "a name", short="n", metavar="NAME"),
        Option("tag", "a tag", metavar="TAG", many=True),
        Option("verbose", "say more", short="v"),
        Option("quiet", "say less", short="q"),
        Option("mode", "a mode", metavar="MODE", choices=("auto", "none")),
    ),
)
PLAIN = Verb("plain", "plain", "Plain.", operands="FILE… [-- CMD]", most=None, options=(Option("json", "as JSON"),))


@pytest.mark.parametrize(
    ("words", "name", "rest"),
    [
        (["--name", "x", "cmd"], "x", ("cmd",)),
        (["--name=x", "cmd", "--name", "y"], "x", ("cmd", "--name", "y")),
        (["--name=a=b", "cmd"], "a=b", ("cmd",)),
        (["--name=", "cmd"], "", ("cmd",)),
        (["-n", "x", "cmd", "-v"], "x", ("cmd", "-v")),
        (["-nx", "cmd"], "x", ("cmd",)),
        (["-vqnx", "cmd"], "x", ("cmd",)),
        (["--name", "--", "--", "-cmd", "--", "a"], "--", ("-cmd", "--", "a")),
        (["--name", "a", "--name", "b", "-"], "b", ("-",)),
        (["cmd", "--", "-v"], None, ("cmd", "--", "-v")),
    ],
)
def test_options_stand_before_the_command(words: list[str], name: str | None, rest: tuple[str, ...]) -> None:
    arguments = parse(VERB, words)
    assert arguments.value("name") == name
    assert arguments.words == rest


def test_switches_and_repeated_options() -> None:
    arguments = parse(VERB, ["-vq", "--tag", "a", "--tag=b", "cmd"])
    assert arguments.switch("verbose")
    assert arguments.switch("quiet")
    assert not arguments.switch("json")
    assert arguments.values("tag") == ("a", "b")


def test_where_nothing_is_greedy_options_may_stand_anywhere_before_the_dashes() -> None:
    arguments = parse(PLAIN, ["a", "--json", "b", "--", "--json"])
    assert (arguments.before, arguments.after) == (("a", "b"), ("--json",))
    assert arguments.switch("json")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nam", "x"], "has no option --nam; did you mean --name?"),
        (["--xyzzy"], "has no option --xyzzy"),
        (["-z"], "has no option -z"),
        (["--name"], "--name needs a value: vestige try --name NAME"),
        (["-n"], "-n needs a value"),
        (["--verbose=1"], "--verbose takes no value"),
        (["--mode", "atuo"], "--mode takes auto, none, not 'atuo'; did you mean 'auto'?"),
        ([], "something is missing: vestige try CMD…"),
    ],
)
def test_what_cannot_be_understood_is_named_with_the_nearest_right_word(words: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(VERB, words)
    assert said in str(caught.value)
    assert caught.value.exit_code == 64


def test_too_many_words_are_refused() -> None:
    with pytest.raises(UsageError, match=r"takes RUN\|FILE; 'b' is too much"):
        parse(verbs.row("show"), ["a", "b"])


def test_help_is_given_whatever_else_is_missing() -> None:
    assert parse(VERB, ["--help"]).switch("help")


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("12", 12)])
def test_numbers(text: str, number: int) -> None:
    assert parse(verbs.row("log"), ["--limit", text]).number("limit") == number


@pytest.mark.parametrize("text", ["", "-1", "x", "1.5", "٣"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(UsageError, match="takes a number"):
        parse(verbs.row("log"), [f"--limit={text}"]).number("limit")


@given(st.lists(st.sampled_from(["--name", "-n", "x", "--", "-v", "-vq", "--tag=a", "--mode=auto", "-", "", "--no", "cmd"])))
def test_after_the_dashes_every_word_is_the_commands(words: list[str]) -> None:
    assert parse(VERB, ["--", "cmd", *words]).words == ("cmd", *words)


@given(st.lists(st.text(max_size=8), max_size=6))
def test_any_words_are_understood_or_refused(words: list[str]) -> None:
    for verb in (VERB, PLAIN, verbs.row("run")):
        try:
            arguments = parse(verb, words)
        except UsageError:
            continue
        assert set(arguments.words) <= set(words)
