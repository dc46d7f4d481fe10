"""`vestige trace`."""

from __future__ import annotations

import sys

from vestige.cli.arguments import Arguments, Option, Verb

VERB = Verb(
    "trace",
    "how was this file made?",
    """\
Shows how FILE was made, step by step, back to the raw inputs: which script or command, at which commit, from which files,
and whether each is still as it was. A file is known by its content, so one that was renamed, moved or copied is traced as
well, even out of the project or from a project that is gone; one that no store here knows, by the sidecar beside it, if that
is of this very content. A + after a commit: with uncommitted changes, which are kept.

In a pipe it prints a line a step, raw inputs first, in an order in which the steps could be executed.""",
    operands="FILE",
    least=1,
    most=1,
    options=(
        Option("down", "what was made from it, instead"),
        Option("depth", "no more than so many steps away", metavar="N"),
        Option("json", "the whole lineage, code included, as JSON"),
        Option("dot", "a graph for Graphviz: vestige trace --dot FILE | dot -Tsvg > lineage.svg"),
    ),
    examples=(
        ("vestige trace figures/roc.png", "how was this made?"),
        ("vestige trace --down data/raw.csv", "what depends on this?"),
        ("vestige trace --depth 1 models/clf.joblib", "only the last step"),
    ),
    exits=(("0", "found"), ("1", "nothing is known of the file, or it may come from several runs"), ("64", "wrong usage")),
)


def main(arguments: Arguments) -> int:
    from vestige.cli import opening
    from vestige.cli.screen import screen
    from vestige.report.style import printable

    (path,) = arguments.words
    depth = arguments.number("depth")
    found = opening.project_holding(arguments, path).trace(path, down=arguments.switch("down"), depth=depth)
    out = screen(arguments)
    if found.sidecar is not None and sys.stderr is not None:
        print(f"vestige: from its sidecar, {printable(found.sidecar)}", file=sys.stderr)
    if arguments.switch("json"):
        from vestige.report.trace import document

        out.json(document(found))
    elif arguments.switch("dot"):
        from vestige.report.dot import dot

        out.lines(dot(found))
    elif out.terminal:
        from vestige.report.tree import tree

        out.lines(tree(found, out.style, out.now))
    else:
        from vestige.report.trace import lines

        out.lines(lines(found))
    return int(found.lineage.target.ambiguous)
