"""`vestige skill`."""

from __future__ import annotations

from vestige.cli.arguments import Arguments, Verb

VERB = Verb(
    "skill",
    "a text that teaches a coding agent to use Vestige",
    """\
Prints a skill file: when to put vestige run before a command, how to ask where a file comes from, how to make it again. Put
it where your coding agent reads such files.""",
    examples=(("vestige skill", "print it; a shell puts it into a file with >"),),
    exits=(("0", "printed"), ("64", "wrong usage")),
)


def main(arguments: Arguments) -> int:
    from vestige.cli.screen import screen
    from vestige.report.skill import TEXT

    screen(arguments).lines(TEXT.splitlines())
    return 0
