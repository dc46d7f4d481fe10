"""`vestige import`."""

from __future__ import annotations

import os
import sys

from vestige.cli.arguments import Arguments, Option, Verb

VERB = Verb(
    "import",
    "take in what other systems recorded",
    """\
Reads records of ntrk (.ntrk/runs.jsonl and sidecars), Capsula (capsules and vaults of both generations), footsteps
(results/*/info.txt), asimov (environment.json and the lists beside it) and Vestige itself (records, sidecars, capsules), and
writes a record of each, so that trace, log and show answer for them. What a path holds is found out; a folder is searched.

What a record does not know stands in its problems and gaps; its files count as declared. Digests by MD5, SHA-1 or SHA-256 stay
what they are; of a content that is still there, the BLAKE3 is taken, too, so that it links to what Vestige records. What was
imported before is left as it is, and a damaged record keeps none of the others out. Nothing is changed where it is read.""",
    operands="PATH…",
    least=1,
    most=None,
    options=(
        Option(
            "format",
            "read the paths as records of that system",
            metavar="SYSTEM",
            choices=("ntrk", "capsula", "footsteps", "asimov", "vestige"),
            default="found out",
        ),
        Option("json", "print which runs were written, and what could not be read"),
    ),
    examples=(
        ("vestige import .ntrk", "everything that ntrk recorded here"),
        ("vestige import vault results", "all capsules, and all results of footsteps"),
        ("vestige import --format footsteps old/info.txt", "one file, as what it is"),
    ),
    exits=(("0", "imported, or there already"), ("1", "nothing there that can be read"), ("64", "wrong usage")),
)


def main(arguments: Arguments) -> int:
    from vestige.cli import opening
    from vestige.cli.screen import Progress, screen
    from vestige.report import exchange as report

    paths = arguments.words
    project = opening.project_holding(arguments, paths[0])
    imported = project.import_records(paths, arguments.value("format"), progress=Progress("importing"))
    out = screen(arguments)
    if arguments.switch("json"):
        out.json(report.document(imported))
        return 0
    if sys.stderr is not None:
        for line in report.notes(imported):
            print(line, file=sys.stderr)
    inside = os.path.realpath(os.curdir).startswith(os.path.join(os.path.realpath(project.root), ""))
    here = inside or os.path.samefile(project.root, os.curdir)
    out.lines(report.lines(imported, None if here else project.root))
    return 0
