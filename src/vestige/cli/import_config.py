"""`vestige import-config`."""

from __future__ import annotations

import sys

from vestige.cli.arguments import Arguments, Option, Verb

VERB = Verb(
    "import-config",
    "convert a configuration of Capsula or ntrk",
    """\
Reads capsula.toml (of both generations, or [tool.capsula] in pyproject.toml) or ntrk.toml, and writes a vestige.toml that
says the same beside it. Where there is a configuration of Vestige already, it is printed instead. What Vestige does by
itself becomes a comment; what it cannot do is named on standard error, one line each.""",
    operands="FILE",
    least=1,
    most=1,
    options=(Option("output", "write it there; - prints it", short="o", metavar="PATH", default="vestige.toml beside FILE"),),
    examples=(
        ("vestige import-config capsula.toml", "go on with what you have configured"),
        ("vestige import-config ntrk.toml -o -", "look at it first"),
    ),
    exits=(("0", "converted"), ("1", "FILE is not there, or PATH is"), ("64", "FILE is no configuration, or wrong usage")),
)


def main(arguments: Arguments) -> int:
    from vestige.cli import opening
    from vestige.cli.screen import screen
    from vestige.ops.import_config import place_for
    from vestige.report.style import printable, quoted

    (path,) = arguments.words
    into = arguments.value("output") or place_for(path) or "-"
    found = opening.project_holding(arguments, path).import_config(path, None if into == "-" else into)
    if sys.stderr is not None:
        for remark in found.remarks:
            print(f"vestige: {printable(remark)}", file=sys.stderr)
    out = screen(arguments)
    if into == "-":
        out.data(found.text.encode("utf-8"))
    else:
        out.lines([f"wrote {quoted(into)}"])
    return 0
