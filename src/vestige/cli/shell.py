"""`vestige shell`."""

from __future__ import annotations

import os

from vestige.cli.arguments import Arguments, Option, Verb

VERB = Verb(
    "shell",
    "a shell in which every command is recorded",
    """\
Starts your shell (SHELL, or the one named: bash, zsh or sh), in which each command is a run, as if vestige run had been
typed before it: those in pipelines, loops and functions, too. The shell itself is as always, with its prompt (marked by
"(vestige)"), history, aliases, jobs and redirections. What the shell does by itself (cd, echo, test) is no run, and neither
is what the prompt or completion runs. exit leaves it, with the status that the shell exits with.""",
    operands="[SHELL]",
    most=1,
    options=(Option("quiet", "let the runs say nothing when they end", short="q"),),
    examples=(("vestige shell", "record what is typed from now on, until exit"), ("vestige shell zsh", "the same in zsh")),
    exits=(
        ("N", "the shell's own"),
        ("1", "this is one already"),
        ("2", "it cannot be had here"),
        ("64", "there is no such shell, or it is not known"),
    ),
)


def main(arguments: Arguments) -> int:
    from vestige.ops.shell import shell

    found = shell(arguments.words[0] if arguments.words else None, quiet=arguments.switch("quiet"))
    os.execve(found.program, found.words, found.environ)
