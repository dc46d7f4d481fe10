"""`vestige check`."""

from __future__ import annotations

from vestige.cli.arguments import Arguments, Verb

VERB = Verb(
    "check",
    "is every record and object sound?",
    """\
Reads every record, every object and every snapshot of code once, and compares it with its name. What is damaged or
missing is named, one a line. Nothing is changed.""",
    examples=(("vestige check", "before you archive a project"),),
    exits=(("0", "all is sound"), ("1", "something is damaged"), ("64", "wrong usage")),
)


def main(arguments: Arguments) -> int:
    from vestige.cli import opening
    from vestige.cli.screen import Progress, screen
    from vestige.report import keeping as report

    checked = opening.project(arguments).check(progress=Progress("checking objects"))
    out = screen(arguments)
    out.lines(report.damage(checked, out.style))
    out.lines([report.verdict(checked, out.style)])
    return int(bool(checked.damaged))
