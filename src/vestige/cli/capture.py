"""`vestige capture`."""

from __future__ import annotations

from vestige.cli.arguments import Arguments, Option, Verb

VERB = Verb(
    "capture",
    "record the context alone",
    """\
Records the code as it stands, the packages of the Python that would be run here, the machine and the variables, and
executes nothing. The record is a run of the kind capture: vestige show, diff and log know it as any other.""",
    options=(
        Option("name", "call it so", metavar="NAME"),
        Option("tag", "a tag; repeatable", metavar="TAG", many=True),
        Option("note", "a note for whoever looks at the record later", metavar="TEXT"),
        Option("parent", "the run to which this belongs", metavar="RUN"),
        Option("json", "print the record"),
    ),
    examples=(("vestige capture --name before-upgrade", "remember how things stand today"),),
    exits=(("0", "recorded"), ("1", "the parent is not known"), ("64", "wrong usage"), ("125", "nothing can be recorded here")),
)


def main(arguments: Arguments) -> int:
    from vestige.cli import opening
    from vestige.cli.screen import screen
    from vestige.model.run import short

    run = opening.project(arguments).capture(
        name=arguments.value("name"),
        tags=arguments.values("tag"),
        note=arguments.value("note"),
        parent=arguments.value("parent"),
    )
    out = screen(arguments)
    if arguments.switch("json"):
        out.record(run)
    else:
        out.lines([f"captured {short(run.id)}{f' {run.name}' if run.name else ''}"])
    return 0
