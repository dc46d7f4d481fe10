"""The words of a command line, read by the row of their verb.

A row says what a verb takes; the parser, the help, the manual pages and the completion all follow it.
Written here since `argparse` would cost every recorded command 11 ms.
"""

from __future__ import annotations

from vestige.errors import UsageError
from vestige.model.spelling import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Option:
    """One option of a verb. Without a `metavar` it is a switch; `many` may be given again and again; `default` is
    what the help says happens without it; `choices` are all that it takes."""

    __slots__ = ("choices", "default", "help", "long", "many", "metavar", "short")

    def __init__(
        self,
        long: str,
        help: str,  # noqa: A002  # as it is called everywhere
        *,
        short: str = "",
        metavar: str = "",
        many: bool = False,
        default: str = "",
        choices: tuple[str, ...] = (),
    ) -> None:
        self.long = long
        self.help = help
        self.short = short
        self.metavar = metavar
        self.many = many
        self.default = default
        self.choices = choices


class Verb:
    """The row of a verb in the table.

    `operands` is what follows the options, as the help shows it; `least` and `most` (None: any number) how many words
    that may be. `greedy`: the first operand ends the options. `examples` are pairs of a command line and what it is
    for, `exits` pairs of an exit code and its meaning. `comparing`: exit code 1 says "different", so that failures
    are 2; it is "always", or the switch that makes it so.
    """

    __slots__ = (
        "comparing",
        "description",
        "examples",
        "exits",
        "greedy",
        "least",
        "most",
        "name",
        "operands",
        "options",
        "summary",
    )

    def __init__(
        self,
        name: str,
        summary: str,
        description: str,
        *,
        operands: str = "",
        least: int = 0,
        most: int | None = 0,
        options: tuple[Option, ...] = (),
        examples: tuple[tuple[str, str], ...] = (),
        exits: tuple[tuple[str, str], ...] = (("0", "found"), ("1", "nothing known, or ambiguous"), ("64", "wrong usage")),
        greedy: bool = False,
        comparing: str = "",
    ) -> None:
        self.name = name
        self.summary = summary
        self.description = description
        self.operands = operands
        self.least = least
        self.most = most
        self.options = options
        self.examples = examples
        self.exits = exits
        self.greedy = greedy
        self.comparing = comparing


#: What every verb takes, before or after its name.
GLOBAL = (
    Option("project", "the project's root, where it is not the one around the working directory", metavar="DIR"),
    Option("color", "colour, even where the output is no terminal"),
    Option("no-color", "no colour (so does the variable NO_COLOR)"),
    Option("help", "show this, and do nothing", short="h"),
)


class Arguments:
    """What was typed after a verb: switches, values, and the words that are no options; of these those `before` a `--`
    and those `after` it."""

    __slots__ = ("_given", "after", "before", "verb", "words")

    def __init__(
        self, verb: Verb, given: Sequence[tuple[str, str]], before: Sequence[str] = (), after: Sequence[str] = ()
    ) -> None:
        self.verb = verb
        self.before = tuple(before)
        self.after = tuple(after)
        self.words = self.before + self.after
        self._given = tuple(given)

    def switch(self, name: str) -> bool:
        """Whether a switch was given."""
        return any(option == name for option, _ in self._given)

    def value(self, name: str) -> str | None:
        """The value of an option, the last one where it was given twice."""
        return next((value for option, value in reversed(self._given) if option == name), None)

    def values(self, name: str) -> tuple[str, ...]:
        """All values of an option, in order."""
        return tuple(value for option, value in self._given if option == name)

    def number(self, name: str) -> int | None:
        """The value of an option as a number that is not negative. Raises UsageError."""
        text = self.value(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdecimal()):
            raise UsageError(f"--{name} takes a number, not '{text}'")
        return int(text)


def parse(verb: Verb, words: Sequence[str]) -> Arguments:
    """Read the words after a verb. Raises UsageError, which names the nearest right word."""
    given: list[tuple[str, str]] = []
    position = 0
    rest: list[str] = []
    after: Sequence[str] = ()
    while position < len(words):
        word = words[position]
        position += 1
        if word == "--":
            after = words[position:]
            break
        if word.startswith("--"):
            position = _long(verb, words, position, given)
        elif word.startswith("-") and word != "-":
            position = _cluster(verb, words, position, given)
        else:
            rest.append(word)
            if verb.greedy:
                rest += words[position:]
                break
    arguments = Arguments(verb, given, rest, after)
    if not arguments.switch("help"):
        _count(verb, arguments.words)
    return arguments


def _long(verb: Verb, words: Sequence[str], position: int, given: list[tuple[str, str]]) -> int:
    name, equals, value = words[position - 1][2:].partition("=")
    option = next((one for one in (*verb.options, *GLOBAL) if one.long == name), None)
    if option is None:
        raise _unknown(verb, f"--{name}", [f"--{one.long}" for one in (*verb.options, *GLOBAL)])
    if not option.metavar:
        if equals:
            raise UsageError(f"--{name} takes no value")
        given.append((name, ""))
        return position
    if not equals:
        value = _next(verb, f"--{name}", option, words, position)
        position += 1
    _take(option, value, given)
    return position


def _cluster(verb: Verb, words: Sequence[str], position: int, given: list[tuple[str, str]]) -> int:
    """`-v`, `-qv`, `-o out` and `-oout`."""
    letters = words[position - 1][1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        option = next((one for one in (*verb.options, *GLOBAL) if one.short == letter), None)
        if option is None:
            raise _unknown(verb, f"-{letter}", [])
        if not option.metavar:
            given.append((option.long, ""))
            continue
        if not letters:
            letters = _next(verb, f"-{letter}", option, words, position)
            position += 1
        _take(option, letters, given)
        break
    return position


def _next(verb: Verb, name: str, option: Option, words: Sequence[str], position: int) -> str:
    if position >= len(words):
        raise UsageError(f"{name} needs a value: vestige {verb.name} {name} {option.metavar}")
    return words[position]


def _take(option: Option, value: str, given: list[tuple[str, str]]) -> None:
    if option.choices and value not in option.choices:
        meant = nearest(value, option.choices)
        asked = f"; did you mean '{meant}'?" if meant else ""
        raise UsageError(f"--{option.long} takes {', '.join(option.choices)}, not '{value}'{asked}")
    given.append((option.long, value))


def _unknown(verb: Verb, word: str, candidates: Sequence[str]) -> UsageError:
    meant = nearest(word, candidates)
    said = f"vestige {verb.name} has no option {word}"
    return UsageError(f"{said}; did you mean {meant}?" if meant else said, hint=f"vestige help {verb.name} lists them")


def _count(verb: Verb, words: Sequence[str]) -> None:
    if "" in words and not verb.greedy:
        raise UsageError(f"a word is empty: vestige {verb.name} {verb.operands}", hint="a variable of the shell that is not set?")
    if len(words) < verb.least:
        raise UsageError(f"something is missing: vestige {verb.name} {verb.operands}", hint=f"vestige help {verb.name} says more")
    if verb.most is not None and len(words) > verb.most:
        taken = f"vestige {verb.name} takes {verb.operands}" if verb.operands else f"vestige {verb.name} takes options only"
        raise UsageError(f"{taken}; '{words[verb.most]}' is too much", hint=f"vestige help {verb.name} says more")
