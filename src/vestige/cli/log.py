"""`vestige log`."""

from __future__ import annotations

import time
from itertools import chain, islice

from vestige.cli import opening
from vestige.cli.arguments import Arguments, Option, Verb
from vestige.cli.screen import screen
from vestige.errors import NotFoundError, UsageError
from vestige.model import spelling
from vestige.model.query import RunQuery
from vestige.report import log as report

_PEOPLE = 25  # rows on a terminal, without --limit

VERB = Verb(
    "log",
    "the runs, the newest first",
    """\
Lists the runs of the project, those that are running, failed or were lost included. On a terminal the newest 25; in a
pipe all of them, one a line, fields between tabs: id, status, start (UTC), seconds, name, commit, command.

--where compares any field of a record, as docs/format.md names them: FIELD=VALUE (with * and ?), !=, <, <=, >, >=, or ~
for "contains". Given more than once, all must hold.""",
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
        Option("columns", "which columns, separated by commas; fields of a record, too", metavar="LIST"),
        Option("limit", "no more than so many; 0 for all", metavar="N", default=f"{_PEOPLE} on a terminal, else all"),
        Option("json", "print the records themselves, as an array"),
    ),
    examples=(
        ("vestige log --status failed --since 2d", "what went wrong lately"),
        ("vestige log --where 'variables.LR=0.1' --columns id,values.accuracy,command", "compare experiments"),
        ("vestige log --json | python -m json.tool", "every record, for a program"),
    ),
)


def main(arguments: Arguments) -> int:
    out = screen(arguments)
    project = opening.project(arguments)
    people = out.terminal and not arguments.switch("json")
    limit = arguments.number("limit")
    limit = (_PEOPLE if people else None) if limit is None else limit or None
    listed = arguments.value("columns")
    names = (report.PEOPLE if people else report.PROGRAMS) if listed is None else report.columns(listed)
    records = arguments.switch("json") or report.needs_records(names)
    query = _query(arguments, None if limit is None else limit + 1)
    entries = iter(project.log(query, arguments.values("where"), records=records))
    first = list(islice(entries, 1))
    if not first:
        if arguments.switch("json"):
            out.records(())
        raise _nothing(query, arguments, project.root)
    if arguments.switch("json"):
        found = (entry.run for entry in islice(chain(first, entries), limit))
        out.records(run for run in found if run is not None)
    elif people:
        rows = [*first, *entries]
        out.lines(report.table(rows[:limit], names, out.style, out.now, hidden=limit is not None and len(rows) > limit))
    else:
        out.lines(report.lines(islice(chain(first, entries), limit), names))
    return 0


def _query(arguments: Arguments, limit: int | None) -> RunQuery:
    since = arguments.value("since")
    try:
        moment = None if since is None else spelling.moment(since, time.time())
    except ValueError as error:
        raise UsageError(str(error), hint="--since takes a date (2026-11-21), a time, yesterday, or a span such as 2d") from error
    return RunQuery(
        name=arguments.value("name"),
        status=arguments.value("status"),
        since=moment,
        user=arguments.value("user"),
        tag=arguments.value("tag"),
        kind=arguments.value("kind"),
        limit=limit,
    )


def _nothing(query: RunQuery, arguments: Arguments, root: str) -> NotFoundError:
    if RunQuery(limit=query.limit) != query or arguments.values("where"):
        return NotFoundError("no run fits", hint="vestige log lists all")
    return NotFoundError(f"nothing is recorded in {root} yet", hint="vestige run CMD records a command")
