"""`vestige init`."""

from __future__ import annotations

from vestige.cli.arguments import Arguments, Verb

VERB = Verb(
    "init",
    "write a commented configuration",
    """\
Writes vestige.toml into the project's root: every key with what it does and what holds without it, all commented out.
None is needed: Vestige works without configuration. An existing file is left alone.""",
    exits=(("0", "written"), ("1", "there is one already"), ("64", "wrong usage")),
)


def main(arguments: Arguments) -> int:
    from vestige.cli import opening
    from vestige.cli.screen import screen
    from vestige.report.style import quoted

    path = opening.project(arguments).init()
    screen(arguments).lines([f"wrote {quoted(path)}; every key in it is commented out"])
    return 0
