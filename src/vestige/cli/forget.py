"""`vestige forget`."""

from __future__ import annotations

from vestige.cli.arguments import Arguments, Verb

VERB = Verb(
    "forget",
    "remove a record, or stop asking for a removed file",
    """\
Of a RUN, removes the record for good; a tombstone stays, which keeps it away even where a merge brings the record back.
What the run kept goes with the next vestige gc, unless another run needs it.

Of the PATH of a recorded output that is gone, says that it was removed on purpose: vestige status no longer calls it
missing. The record stays as it is.""",
    operands="RUN|PATH",
    least=1,
    most=None,
    examples=(("vestige forget 7f3a", "remove one record"), ("vestige forget ./scratch.csv", "a file that need not be there")),
    exits=(("0", "forgotten"), ("1", "not known, ambiguous, or still running"), ("64", "wrong usage")),
)


def main(arguments: Arguments) -> int:
    from vestige.cli import opening
    from vestige.cli.screen import screen
    from vestige.model.run import short
    from vestige.report.style import quoted

    out = screen(arguments)
    for word in arguments.words:
        forgotten = opening.project_holding(arguments, word).forget(word)
        if forgotten.path is None:
            out.lines([f"forgot run {short(forgotten.run)}; a tombstone stays"])
        else:
            out.lines([f"{quoted(forgotten.path)} need not be there any more (run {short(forgotten.run)})"])
    return 0
