"""`vestige show`."""

from __future__ import annotations

from vestige.cli.arguments import Arguments, Option, Verb
from vestige.errors import NotKeptError

VERB = Verb(
    "show",
    "one run, and everything about it",
    """\
Shows what was run, when, where and by whom; the code, the environment and the machine; what it read and wrote; what may
have escaped observation. RUN is an id or its beginning, a name, last, last~2; of a FILE it is the run that made it, as
the file is now.

In a pipe it prints lines for programs: a name, a tab, a value. --json prints the record itself (docs/format.md).""",
    operands="RUN|FILE",
    least=1,
    most=1,
    options=(
        Option("all", "what is hidden otherwise, too, and which rule hides it: libraries, caches, devices; all variables"),
        Option("log", "what the run wrote to its standard streams, byte for byte, as far as it was kept"),
        Option("json", "print the record itself"),
    ),
    examples=(
        ("vestige show last", "the latest run"),
        ("vestige show figures/roc.png", "the run that made a file"),
        ("vestige show 7f3a --log | less", "what it printed"),
    ),
)


def main(arguments: Arguments) -> int:
    from vestige.cli import opening
    from vestige.cli.screen import screen
    from vestige.report import show as report

    (word,) = arguments.words
    project = opening.project_holding(arguments, word)
    out = screen(arguments)
    if arguments.switch("log"):
        kept = list(project.streams(word))
        if not kept:
            raise NotKeptError(f"nothing that {word} wrote to its standard streams was kept")
        for _, data in kept:
            out.data(data)
        return 0
    shown = project.show(word, hidden=arguments.switch("all") and not arguments.switch("json"))
    if arguments.switch("json"):
        out.record(shown.run)
    elif out.terminal or arguments.switch("all"):
        out.lines(report.page(shown, out.style, out.now, everything=arguments.switch("all")))
    else:
        out.lines(report.lines(shown))
    return 0
