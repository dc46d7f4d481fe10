"""`vestige gc`."""

from __future__ import annotations

from vestige.cli.arguments import Arguments, Option, Verb

VERB = Verb(
    "gc",
    "drop what nothing needs",
    """\
Removes leftovers, objects to which no record refers, and code that no record needs. Of the kept inputs and outputs it
drops, the least recently used first, what a recorded run can make again: what was not used within --keep, and as much
as the budget demands. Only where that is not enough for the budget, the rest goes as well. (A run that keeps more than the
budget allows drops by itself what can be made again, and never the rest.)

A record is never dropped, nor anything without which it would not be whole.""",
    options=(
        Option("keep", "also drop what was not used for so long and can be made again: 90d, 6 months", metavar="SPAN"),
        Option("budget", "how much kept data may stay", metavar="SIZE", default="as configured, 2 GiB"),
        Option("dry-run", "say what would be dropped, and drop nothing"),
    ),
    examples=(("vestige gc --keep 90d --dry-run", "see what would go"), ("vestige gc --budget 500M", "make room")),
    exits=(("0", "done"), ("1", "the store cannot be written"), ("64", "wrong usage")),
)


def main(arguments: Arguments) -> int:
    from vestige.cli import opening
    from vestige.cli.screen import screen
    from vestige.report import keeping as report

    dry_run = arguments.switch("dry-run")
    collected = opening.project(arguments).gc(keep=arguments.value("keep"), budget=arguments.value("budget"), dry_run=dry_run)
    out = screen(arguments)
    out.lines(report.dropped(collected, out.style, dry_run=dry_run))
    out.lines([report.sum_of(collected, dry_run=dry_run)])
    return 0
