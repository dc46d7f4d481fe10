"""`vestige adopt`."""

from __future__ import annotations

from vestige.cli.arguments import Arguments, Option, Verb
from vestige.errors import UsageError

VERB = Verb(
    "adopt",
    "record what you know of a file made without Vestige",
    """\
Writes a record of the kind adopted: the files as outputs, by your word; the command that you name after --, the inputs
that you name; today's code and environment, which may not be those of then. The record says all that as a gap.
Once Vestige has seen a file being made, what it saw counts for more.""",
    operands="FILE… [-- CMD…]",
    least=1,
    most=None,
    options=(
        Option("input", "a file from which they were made; repeatable", metavar="PATH", many=True),
        Option("name", "call the record so", metavar="NAME"),
        Option("tag", "a tag; repeatable", metavar="TAG", many=True),
        Option("note", "what else you know", metavar="TEXT"),
        Option("json", "print the record"),
    ),
    examples=(
        ("vestige adopt data/raw.csv --note 'downloaded from the portal'", "say where a raw file is from"),
        ("vestige adopt --input data/raw.csv clean.csv -- python clean.py", "say how a file was made"),
    ),
    exits=(("0", "recorded"), ("1", "a file is not there"), ("64", "wrong usage"), ("125", "nothing can be recorded here")),
)


def main(arguments: Arguments) -> int:
    from vestige.cli import opening
    from vestige.cli.screen import screen
    from vestige.model.run import short
    from vestige.report.style import quoted

    files, command = arguments.before, arguments.after
    if not files:
        raise UsageError("no file is named: vestige adopt FILE… [-- CMD…]")
    run = opening.project_holding(arguments, files[0]).adopt(
        files,
        command=command,
        inputs=arguments.values("input"),
        name=arguments.value("name"),
        tags=arguments.values("tag"),
        note=arguments.value("note"),
    )
    out = screen(arguments)
    if arguments.switch("json"):
        out.record(run)
    else:
        out.lines([f"adopted {', '.join(quoted(file) for file in files)} as {short(run.id)}"])
    return 0
