"""`vestige log`."""

from __future__ import annotations

from vestige.cli.arguments import Arguments, Option, Verb
from vestige.errors import NotFoundError

_FILTERS = ("name", "status", "since", "user", "tag", "kind", "where")
_PEOPLE = 25  # rows on a terminal, without --limit
_LOOKED_AT = 200  # rows whose values are looked at unasked

VERB = Verb(
    "log",
    "the runs, the newest first",
    """\
Lists the runs of the project, those that are running, failed or were lost included. On a terminal the newest 25; in a
pipe all of them, one a line, fields between tabs: id, status, start (UTC), seconds, name, commit, command.

--where compares: NAME=VALUE (with * and ?), !=, <, <=, >, >=, or ~ for "contains", joined by and, or, not and parentheses.
A name is that of a field of a record, as docs/format.md has them, or of a value that a program logged (vestige.log(loss=0.3)).
Of a series the last value counts; loss.min, .max, .mean, .first and .count are other ways to see it. Where a field has the
same name, the value is values.NAME. Numbers are compared as numbers; a text that holds and, or or a parenthesis, and a name
that holds a blank, stand in quotes. Given more than once, all must hold.

--sort orders by any of these, the smallest first, or with - before the name the largest; what a run does not have comes
last. --columns shows any of them. On a terminal the log itself shows a few values that most of the runs have, if there is
room.""",
    options=(
        Option("name", "runs of this name; * and ? stand for anything", metavar="NAME"),
        Option(
            "status",
            "runs that ended so, or have not ended",
            metavar="STATUS",
            choices=("finished", "failed", "interrupted", "running", "finishing", "lost"),
        ),
        Option("since", "runs since a date, a time, yesterday, or a span such as 2d", metavar="WHEN"),
        Option("user", "runs of this user", metavar="USER"),
        Option("tag", "runs with this tag", metavar="TAG"),
        Option("kind", "command, capture, adopted, reproduction, …", metavar="KIND"),
        Option("where", "runs for which a comparison holds; repeatable", metavar="EXPR", many=True),
        Option("sort", "in the order of a column, a field or a value; -NAME: the largest first", metavar="NAME"),
        Option("columns", "which columns, separated by commas; fields of a record and values, too", metavar="LIST"),
        Option("limit", "no more than so many; 0 for all", metavar="N", default=f"{_PEOPLE} on a terminal, else all"),
        Option("json", "print the records themselves, as an array"),
    ),
    examples=(
        ("vestige log --status failed --since 2d", "what went wrong lately"),
        ("vestige log --where 'accuracy > 0.9 and name ~ fold' --sort -accuracy", "the best first"),
        ("vestige log --where 'variables.LR=0.1' --columns id,accuracy,loss.min,command", "compare experiments"),
        ("vestige log --json | python -m json.tool", "every record, for a program"),
    ),
)


def main(arguments: Arguments) -> int:
    from itertools import chain, islice

    from vestige.cli import opening
    from vestige.cli.screen import screen
    from vestige.report import log as report

    out = screen(arguments)
    project = opening.project(arguments)
    people = out.terminal and not arguments.switch("json")
    limit = arguments.number("limit")
    limit = (_PEOPLE if people else None) if limit is None else limit or None
    listed = arguments.value("columns")
    names = (report.PEOPLE if people else report.PROGRAMS) if listed is None else report.columns(listed)
    entries = project.log(
        name=arguments.value("name"),
        status=arguments.value("status"),
        since=arguments.value("since"),
        user=arguments.value("user"),
        tag=arguments.value("tag"),
        kind=arguments.value("kind"),
        where=arguments.values("where"),
        sort=arguments.value("sort"),
        columns=names,
        limit=None if limit is None else limit + 1,  # one more tells whether there are more
        records=arguments.switch("json"),
        values=people and listed is None and limit is not None and limit <= _LOOKED_AT,
    )
    first = next(entries, None)
    if first is None:
        if arguments.switch("json"):
            out.records(())
        raise _nothing(arguments, project.root)
    found = islice(chain([first], entries), limit)
    if arguments.switch("json"):
        out.records(entry.run for entry in found if entry.run is not None)
    elif people:
        rows = list(found)
        hidden = next(entries, None) is not None
        out.lines(report.table(rows, names, out.style, out.now, hidden=hidden, offered=report.shared(rows)))
    else:
        out.lines(report.lines(found, names))
    return 0


def _nothing(arguments: Arguments, root: str) -> NotFoundError:
    if any(arguments.values(option) for option in _FILTERS):
        return NotFoundError("no run fits", hint="vestige log lists all")
    return NotFoundError(f"nothing is recorded in {root} yet", hint="vestige run CMD records a command")
