"""`vestige diff`."""

from __future__ import annotations

from vestige.cli.arguments import Arguments, Option, Verb

VERB = Verb(
    "diff",
    "why do two runs differ?",
    """\
Compares two runs, or the runs that made two files: command, code, packages, machine, variables and inputs, which are
causes; outputs, values and result, which are effects. One line a part first, then each part at length, the code as a
patch. When a run started, and how long it took, is no difference.

In a pipe it prints a line a difference: part, name, before, after, between tabs. --patch prints what turns the first
run's code into the second's, for git apply.""",
    operands="A B",
    least=2,
    most=2,
    options=(
        Option("exit-code", "exit with 1 if they differ, with 0 only if they do not"),
        Option("patch", "only the code, as a patch"),
        Option("json", "everything, as JSON"),
    ),
    examples=(
        ("vestige diff last~1 last", "what changed since the run before"),
        ("vestige diff shallow deep", "two experiments by their names"),
        ("vestige diff old/roc.csv roc.csv", "the runs behind two files"),
    ),
    exits=(
        ("0", "compared; with --exit-code: they do not differ"),
        ("1", "a run is not known; with --exit-code: they differ, or cannot be compared wholly"),
        ("2", "with --exit-code: a run is not known"),
        ("64", "wrong usage"),
    ),
    comparing="exit-code",
)


def main(arguments: Arguments) -> int:
    from vestige.cli import opening
    from vestige.cli.screen import screen
    from vestige.report import diff as report

    difference = opening.project_holding(arguments, arguments.words[0]).diff(*arguments.words)
    out = screen(arguments)
    if arguments.switch("json"):
        out.json(report.document(difference))
    elif arguments.switch("patch"):
        out.data(difference.patch)
    elif out.terminal:
        out.lines(report.page(difference, out.style))
    else:
        out.lines(report.lines(difference))
    return int(arguments.switch("exit-code") and not difference.identical)
