"""`vestige doctor`."""

from __future__ import annotations

from vestige.cli.arguments import Arguments, Verb

VERB = Verb(
    "doctor",
    "what can be observed here, and why not more",
    """\
Tries what Vestige needs: whether the kernel lets it see file accesses, and if not, why and what to do; what keeps a step
inside its workspace when something is made again; versions; the project, its configuration and where each value comes
from; the store, its parts and their sizes.""",
    examples=(("vestige doctor", "what to add to a report of a defect"),),
    exits=(("0", "shown"), ("64", "wrong usage")),
)


def main(arguments: Arguments) -> int:
    from vestige.cli import opening
    from vestige.cli.screen import screen
    from vestige.report import doctor as report

    diagnosis = opening.project(arguments).doctor()
    out = screen(arguments)
    out.lines(report.page(diagnosis, out.style) if out.terminal else report.lines(diagnosis))
    return 0
