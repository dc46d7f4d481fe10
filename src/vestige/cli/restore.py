"""`vestige restore`."""

from __future__ import annotations

from vestige.cli.arguments import Arguments, Option, Verb
from vestige.errors import UsageError

VERB = Verb(
    "restore",
    "the bytes of a file as a run wrote or read it",
    """\
Gives back the bytes of FILE as RUN wrote (or read) them, checked against their digest; of FILE alone, the newest that
was written. They come from the store, which keeps small inputs and outputs and what a run overwrote; from the snapshot
of the code; or from a file that still holds them. What was not kept can often be made again: vestige reproduce.

Without -o they go to standard output, unless that is a terminal. Nothing is written over an existing file without
--force.""",
    operands="FILE[@RUN]",
    least=1,
    most=1,
    options=(
        Option("output", "write them to this file", short="o", metavar="PATH"),
        Option("force", "over an existing file, too"),
    ),
    examples=(
        ("vestige restore results.csv@7f3a -o old.csv", "as it was then"),
        ("vestige restore params.json@last~3 | diff - params.json", "compare with today's"),
    ),
    exits=(
        ("0", "given back"),
        ("1", "not known, not kept, damaged, or the file exists"),
        ("64", "wrong usage"),
    ),
)


def main(arguments: Arguments) -> int:
    from vestige.cli import opening
    from vestige.cli.screen import screen
    from vestige.report.style import quoted

    (version,) = arguments.words
    path = arguments.value("output")
    out = screen(arguments)
    if path is None and out.terminal:
        raise UsageError("the bytes would go to the terminal", hint=f"vestige restore {quoted(version)} -o PATH")
    file = version.rpartition("@")[0] or version
    data = opening.project_holding(arguments, file).restore(version, path, force=arguments.switch("force"))
    if data is not None:
        out.data(data)
    return 0
