"""`vestige status`."""

from __future__ import annotations

from vestige.cli.arguments import Arguments, Option, Verb

VERB = Verb(
    "status",
    "what is modified, missing or stale, and why",
    """\
Compares the newest version of every file that a run wrote, and the raw inputs behind it, with what lies on the disk:

    fresh           as recorded
    modified        differs from its record
    missing         gone (vestige forget PATH, if on purpose)
    stale           as recorded, but something upstream has changed since
    possibly stale  something upstream cannot be compared, or would be found otherwise (a folder that was listed has
                    other names now, a file is there that was looked for in vain)

On a terminal fresh files are only counted. In a pipe every file is a line: state, path, reason, between tabs.""",
    operands="[PATH…]",
    most=None,
    options=(
        Option("all", "fresh files, too"),
        Option("unknown", "also name the files below DIR whose origin is not known", metavar="DIR"),
        Option("json", "everything, as JSON"),
    ),
    examples=(
        ("vestige status", "what must be made again?"),
        ("vestige status figures models", "of these folders only"),
        ("vestige status --unknown results", "which results has no run made?"),
    ),
    exits=(("0", "shown, whatever the states are"), ("1", "nothing is recorded here"), ("64", "wrong usage")),
)


def main(arguments: Arguments) -> int:
    from vestige.cli import opening
    from vestige.cli.screen import screen
    from vestige.errors import NotFoundError
    from vestige.report import status as report

    project = opening.project_holding(arguments, arguments.words[0] if arguments.words else "")
    found = project.status(*arguments.words, unknown=arguments.value("unknown"))
    out = screen(arguments)
    if not found.entries and not found.unknown and not project.exists:
        raise NotFoundError(f"nothing is recorded in {project.root} yet", hint="vestige run CMD records a command")
    if arguments.switch("json"):
        out.json(report.document(found))
    elif out.terminal:
        out.lines(report.table(found, out.style, out.now, every=arguments.switch("all")))
    else:
        out.lines(report.lines(found))
    return 0
