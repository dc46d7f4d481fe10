"""`vestige sidecar`."""

from __future__ import annotations

from vestige.cli.arguments import Arguments, Verb

VERB = Verb(
    "sidecar",
    "let a file carry its lineage with it",
    """\
Writes .NAME.vestige beside FILE: the records of all the runs that led to it, back to the raw inputs. Copied along with the
file, it lets vestige trace answer anywhere, on a machine that knows neither the project nor its store, and vestige import
takes the records in. It is believed only of the content that it was written for. Secrets are in no record, and so in no
sidecar.

With sidecars = true in the configuration, each run writes one beside each of its outputs.""",
    operands="FILE…",
    least=1,
    most=None,
    examples=(("vestige sidecar figures/roc.png", "write figures/.roc.png.vestige"),),
    exits=(("0", "written"), ("1", "no run is known that made the file as it is now"), ("64", "wrong usage")),
)


def main(arguments: Arguments) -> int:
    from vestige.cli import opening
    from vestige.cli.screen import screen

    screen(arguments).lines(opening.project_holding(arguments, path).sidecar(path) for path in arguments.words)
    return 0
