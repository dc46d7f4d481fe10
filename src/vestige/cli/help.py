"""`vestige help`: every text about the verbs, drawn from their rows: for the screen, for man(1), for the manual."""

from __future__ import annotations

from collections.abc import Iterator

from vestige import __version__
from vestige.cli import verbs
from vestige.cli.arguments import GLOBAL, Arguments, Option, Verb
from vestige.cli.screen import Screen, screen
from vestige.report.style import wrap

VERB = Verb(
    "help",
    "what a verb does, and how",
    "Shows all verbs, or everything about one. --man gives the page as man(1) reads it:\n\n    vestige help --man run | man -l -",
    operands="[VERB]",
    most=1,
    options=(Option("man", "as source of a manual page"),),
    examples=(("vestige help run", "everything about recording"),),
    exits=(("0", "shown"), ("64", "there is no such verb")),
)
_CLAIM = "Vestige records how every file was made, without being asked, and can make it again."
_FIRST = (
    ("vestige run CMD…", "record a command; nothing has to be declared"),
    ("vestige trace FILE", "how was this made?"),
    ("vestige reproduce FILE", "make it again, and compare"),
)


def main(arguments: Arguments) -> int:
    if not arguments.words:
        return overview(arguments)
    row = verbs.row(verbs.resolve(arguments.words[0]))
    if arguments.switch("man"):
        print(manual(row), end="")
        return 0
    return page(row, arguments)


def overview(arguments: Arguments | None = None) -> int:
    """All verbs."""
    out = screen(arguments or Arguments(VERB, ()))
    out.lines(_overview(out))
    return 0


def page(row: Verb, arguments: Arguments | None = None) -> int:
    """Everything about one verb."""
    out = screen(arguments or Arguments(VERB, ()))
    out.lines(_page(row, out))
    return 0


def usage(row: Verb) -> str:
    """How a verb is written."""
    options = " [OPTION…]" if row.options else ""
    return f"vestige {row.name}{options}" + (f" {row.operands}" if row.operands else "")


def spelled(option: Option) -> str:
    """An option as the help writes it: `-i, --item NAME`."""
    short = f"-{option.short}, " if option.short else ""
    return f"{short}--{option.long}" + (f" {option.metavar}" if option.metavar else "")


def said(option: Option) -> str:
    """What an option does, with its choices and what happens without it."""
    text = option.help
    if option.choices:
        text += f"; one of {', '.join(option.choices)}"
    return f"{text} (default: {option.default})" if option.default else text


def manual(row: Verb) -> str:
    """The page of a verb as source for man(1)."""
    lines = [
        f'.TH VESTIGE-{row.name.upper()} 1 "" "Vestige {__version__}" "User Commands"',
        ".SH NAME",
        f"vestige-{row.name} \\- {_roff(row.summary)}",
        ".SH SYNOPSIS",
        f".B {_roff(usage(row))}",
        ".SH DESCRIPTION",
        *_roff_paragraphs(row.description),
    ]
    for title, options in (("OPTIONS", row.options), ("COMMON OPTIONS", GLOBAL)):
        if options:
            lines.append(f".SH {title}")
            for option in options:
                lines += [".TP", f".B {_roff(spelled(option))}", _roff(said(option))]
    lines.append(".SH EXIT STATUS")
    for code, meaning in row.exits:
        lines += [".TP", f".B {_roff(code)}", _roff(meaning)]
    if row.examples:
        lines.append(".SH EXAMPLES")
        for command, purpose in row.examples:
            lines += [".TP", f".B {_roff(command)}", _roff(purpose)]
    return "\n".join(lines) + "\n"


def markdown(row: Verb) -> str:
    """The page of a verb in the manual."""
    others = verbs.aliases(row.name)
    lines = [f"# vestige {row.name}", "", _sentence(row.summary), "", f"    {usage(row)}", ""]
    if others:
        lines += [f"Other names: {', '.join(f'`{name}`' for name in others)}.", ""]
    lines += [row.description, ""]
    for title, options in (("Options", row.options), ("Options of every verb", GLOBAL)):
        if options:
            lines += [f"## {title}", "", "| option | |", "|---|---|"]
            lines += [f"| `{spelled(option)}` | {_cell(said(option))} |" for option in options] + [""]
    lines += ["## Exit codes", "", "| code | |", "|---|---|"]
    lines += [f"| {code} | {_cell(meaning)} |" for code, meaning in row.exits] + [""]
    if row.examples:
        lines += ["## Examples", ""]
        for command, purpose in row.examples:
            lines += [f"{purpose[0].upper()}{purpose[1:]}:", "", f"    {command}", ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def contents() -> str:
    """The list of all verbs in the manual."""
    lines = ["# Verbs", "", "One page each, made from the table that the help, the parser and the completion follow.", ""]
    for group, members in verbs.GROUPS:
        lines += [f"## {group}", ""]
        lines += [f"- [`{names[0]}`]({names[0]}.md): {verbs.row(names[0]).summary}" for names in members] + [""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _overview(out: Screen) -> Iterator[str]:
    style = out.style
    yield from wrap(_CLAIM, style.width)
    yield ""
    for command, purpose in _FIRST:
        yield f"    {style.paint(f'{command:<24}', 'strong')}{purpose}"
    for group, members in verbs.GROUPS:
        yield ""
        yield style.paint(group, "strong")
        for names in members:
            yield f"  {style.paint(f'{names[0]:<12}', 'notice')}{verbs.row(names[0]).summary}"
    yield ""
    yield "vestige help VERB says everything about one; RUN may be an id, a name, last, last~2 or a file."


def _page(row: Verb, out: Screen) -> Iterator[str]:
    style = out.style
    yield f"{style.paint('vestige ' + row.name, 'strong')}: {row.summary}"
    yield ""
    yield f"    {usage(row)}"
    if others := verbs.aliases(row.name):
        yield f"    (also: {', '.join('vestige ' + name for name in others)})"
    yield ""
    width = min(style.width or 80, 100)
    for paragraph in row.description.split("\n\n"):
        yield from (paragraph.split("\n") if paragraph.startswith("    ") else wrap(" ".join(paragraph.split()), width))
        yield ""
    if row.options:
        yield style.paint("Options", "strong")
        yield from _described([(spelled(option), said(option)) for option in row.options], out, width)
        yield ""
    yield style.paint("Options of every verb", "strong")
    yield from _described([(spelled(option), said(option)) for option in GLOBAL], out, width)
    yield ""
    yield style.paint("Exit codes", "strong")
    yield from _described(list(row.exits), out, width)
    if row.examples:
        yield ""
        yield style.paint("Examples", "strong")
        for command, purpose in row.examples:
            yield f"  {style.paint(command, 'notice')}"
            yield f"      {purpose}"


def _described(pairs: list[tuple[str, str]], out: Screen, width: int) -> Iterator[str]:
    column = min(max(len(name) for name, _ in pairs), 22) + 4
    for name, text in pairs:
        parts = list(wrap(text, width - column))
        lead = "  " + out.style.paint(name, "notice")
        if len(name) + 4 > column:
            yield lead
            lead = " " * column
        else:
            lead += " " * (column - 2 - len(name))
        yield lead + parts[0]
        yield from (" " * column + part for part in parts[1:])


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _roff_paragraphs(text: str) -> Iterator[str]:
    for position, paragraph in enumerate(text.split("\n\n")):
        if paragraph.startswith("    "):
            yield from (".PP", ".nf", ".RS", *(_roff(line[4:]) for line in paragraph.split("\n")), ".RE", ".fi")
            continue
        if position:
            yield ".PP"
        yield from (_roff(line) for line in paragraph.split("\n"))


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + ("" if text.endswith("?") else ".")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
