"""`vestige export`."""

from __future__ import annotations

from vestige.cli.arguments import Arguments, Option, Verb

VERB = Verb(
    "export",
    "a run in the form of another system",
    """\
Renders the record of RUN in the form of another system.

capsule: a folder as Capsula made them, with context.json, pre-run-info.json, post-run-info.json, the changes of each repository
as NAME.diff, and the files that were collected by copy or by move. Without -o it goes into the vault of the configuration,
under the name that its template gives. With write = true in [capsule], each run becomes one by itself.

info: info.txt and package_versions.txt, as footsteps wrote them; without -o the text of the first.

What holds a secret is left out. vestige import reads either back.""",
    operands="RUN",
    least=1,
    most=1,
    options=(
        Option("format", "what it is to become", metavar="FORMAT", choices=("capsule", "info"), default="capsule"),
        Option("output", "the folder to write; of a capsule, one that is not there, or empty", short="o", metavar="DIR"),
    ),
    examples=(
        ("vestige export last -o capsule", "the last run as a capsule"),
        ("vestige export 7f3a --format info", "command, commit and changes on one page"),
    ),
    exits=(("0", "exported"), ("1", "the run is not known, or the folder is taken"), ("64", "wrong usage")),
)


def main(arguments: Arguments) -> int:
    from vestige.cli import opening
    from vestige.cli.screen import screen

    (word,) = arguments.words
    found = opening.project_holding(arguments, word).export(
        word, arguments.value("format") or "capsule", arguments.value("output")
    )
    out = screen(arguments)
    if found.data is not None:
        out.data(found.data)
    else:
        out.lines([found.path or ""])
    return 0
