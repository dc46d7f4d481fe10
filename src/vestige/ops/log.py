"""The runs of a project, the newest first or in the order of what they logged.

The index answers for what a row of it has. A record is read where a condition, an order or a column asks for more, and only
of the runs that everything else about them fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any

from vestige.errors import NotFoundError, UsageError, VestigeError
from vestige.model import conditions, display, series, wire
from vestige.model.conditions import KEYS, Expression, value_name
from vestige.model.query import RunQuery
from vestige.model.run import Run, Summary, short
from vestige.model.spelling import nearest
from vestige.model.values import field, replace, value
from vestige.ops import find
from vestige.ops.project import Project

#: What the index knows of a run, by the name of its column in the log.
COLUMNS: Mapping[str, Callable[[Summary], Any]] = {
    "id": lambda one: one.id,
    "name": lambda one: called(one),
    "status": lambda one: one.status,
    "started": lambda one: one.started,
    "duration": lambda one: one.duration,
    "code": lambda one: one.commit,
    "command": lambda one: " ".join(one.command) or None,
    "label": lambda one: one.label,
    "kind": lambda one: one.kind,
    "user": lambda one: one.user,
    "host": lambda one: one.host,
    "exit_code": lambda one: one.exit_code,
    "inputs": lambda one: one.inputs,
    "outputs": lambda one: one.outputs,
    "parent": lambda one: one.parent,
    "tags": lambda one: ",".join(one.tags) or None,
    "note": lambda one: one.note,
    "cwd": lambda one: one.cwd,
    "gaps": lambda one: one.gaps,
}
#: Of these the index has what the record has, as the record has it.
_KNOWN: Mapping[str, Callable[[Summary], Any]] = {
    **{name: attrgetter(name) for name in ("id", "kind", "status", "started", "duration", "sequence", "host", "boot", "parent")},
    **{name: attrgetter(name) for name in ("user", "command", "cwd", "exit_code", "tags", "note", "environment")},
    "name": lambda one: called(one),
    "code.commit": lambda one: one.commit,
    "code.dirty": lambda one: one.dirty,
}
#: Keys that only a record with its long lists, and with the roles of today, has whole.
_WHOLE = ("inputs", "outputs", "processes")


@value
class Entry:
    """One row of the log: what the index says of a run, and its record where that was asked for. `found` has what the columns
    that were asked for are in its record, `values` the last of each value that it logged."""

    summary: Summary
    run: Run | None = None
    found: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        one = self.summary
        return f"<run {short(one.id)} {one.name or one.label!r}, {one.status}>"

    def _repr_html_(self) -> str | None:
        return display.html(self)


@value(kw_only=True)
class Terms:
    """How the log is to be: fields or values in order of which it comes (`-` before one: the largest first), what columns of
    the record are wanted, and whether the records themselves, and the values of each, are."""

    sort: str | None = None
    columns: tuple[str, ...] = ()
    records: bool = False
    values: bool = False


def called(one: Summary) -> str | None:
    """The name of a run; that of its function where it has none of its own."""
    return one.name or (one.label if one.kind in ("function", "notebook") else None)


def log(
    project: Project, query: RunQuery, where: Sequence[Expression] = (), terms: Terms | None = None, *, records: bool = False
) -> Iterator[Entry]:
    """The runs that fit. A record that cannot be read is passed over where it was needed, as `check` says.

    Raises UsageError where something is named that neither a record nor a run of this project has.
    """
    terms = terms or Terms(records=records)
    key = (terms.sort or "").removeprefix("-")
    asked = [name for one in where for name in one.fields()]
    _check(project, asked, [name for name in (*terms.columns, key) if name and name not in COLUMNS])
    if terms.sort is None:
        found = _fitting(project, replace(query, limit=None) if where else query, where)
        rows: Iterable[_Lazy] = islice(found, query.limit) if where else found
    else:
        fitting = list(_fitting(project, replace(query, limit=None), where))
        rows = _sorted(fitting, key, reverse=terms.sort.startswith("-"))[: query.limit]
    return _entries(rows, terms)


def _fitting(project: Project, query: RunQuery, where: Sequence[Expression]) -> Iterator[_Lazy]:
    for summary in project.index.runs(query):
        one = _Lazy(project, summary)
        try:
            if all(condition.holds(one) for condition in where):
                yield one
        except VestigeError:
            continue


def _entries(rows: Iterable[_Lazy], terms: Terms) -> Iterator[Entry]:
    wanted = [name for name in terms.columns if name not in COLUMNS]
    for one in rows:
        try:
            run = one.run() if terms.records else None
            found = {name: tuple(conditions.values(one, name)) for name in wanted}
            values = {name: series.last(points) for name, points in one.values().items()} if terms.values else {}
        except VestigeError:
            if terms.records or wanted:
                continue
            run, found, values = None, {}, {}
        yield Entry(one.summary, run, found, values)


def _sorted(rows: list[_Lazy], name: str, *, reverse: bool) -> list[_Lazy]:
    """In order: numbers, then texts; what has nothing there comes last, whichever way."""
    keyed: list[tuple[tuple[int, float, str], _Lazy]] = []
    rest: list[_Lazy] = []
    for one in rows:
        try:
            found = COLUMNS[name](one.summary) if name in COLUMNS else next(conditions.values(one, name), None)
        except VestigeError:
            found = None
        number = None if found is None else float(found) if isinstance(found, int | float) else conditions.number(str(found))
        if found is None or number != number:  # noqa: PLR0124  # not a number
            rest.append(one)
        else:
            keyed.append(((1, 0.0, str(found)) if number is None else (0, number, ""), one))
    return [one for _, one in sorted(keyed, key=lambda pair: pair[0], reverse=reverse)] + rest


class _Lazy(Mapping[str, Any]):
    """A record as a document, of which no more is read than is looked at."""

    def __init__(self, project: Project, summary: Summary) -> None:
        self.summary = summary
        self._project = project
        self._document: Mapping[str, Any] | None = None
        self._whole = False

    def run(self) -> Run:
        """The record itself, with the status, the tags and the note of today."""
        one = self.summary
        return replace(find.record(self._project, one.id), status=one.status, tags=one.tags, note=one.note)

    def values(self) -> Mapping[str, Any]:  # type: ignore[override]  # of the record, not of the mapping
        """The series of the values that the run logged."""
        if self._document is None:
            try:
                return self._project.records.values(self._path(), self.summary.id)
            except NotFoundError:
                pass  # it goes on, or lies elsewhere
        found = self._read(whole=False).get("values")
        return found if isinstance(found, Mapping) else {}

    def __getitem__(self, key: str) -> Any:
        if key in _KNOWN:
            return _KNOWN[key](self.summary)
        if key == "values":
            return self.values()
        return self._read(whole=key in _WHOLE)[key]

    def __contains__(self, key: object) -> bool:
        if key in _KNOWN or key == "values":
            return True
        return key in KEYS and key in self._read(whole=key in _WHOLE)

    def __iter__(self) -> Iterator[str]:
        return iter(self._read(whole=True))

    def __len__(self) -> int:
        return len(self._read(whole=True))

    def _read(self, *, whole: bool) -> Mapping[str, Any]:
        if self._document is None or (whole and not self._whole):
            self._document = None if whole else self._as_it_lies()
            if self._document is None:
                self._document, self._whole = wire.encode(self.run()), True
        return self._document

    def _path(self) -> str:
        return self._project.records.likely_path(self.summary.id, self.summary.started)

    def _as_it_lies(self) -> Mapping[str, Any] | None:
        try:
            found = self._project.records.document(self._path())
        except NotFoundError:
            return None
        return found if found["id"] == self.summary.id else None


# -- names --------------------------------------------------------------------------------------------------------------


def _check(project: Project, compared: Sequence[str], shown: Sequence[str]) -> None:
    """Raises UsageError where a name is neither a field's nor that of any value in the project."""
    wanted = {name: field for field in (*compared, *shown) if (name := value_name(field)) is not None}
    if not wanted:
        return
    known: set[str] = set()
    runs = 0
    for runs, names in enumerate(_names(project), 1):  # noqa: B007  # how many there were is asked below
        known.update(names)
        for name in [name for name in wanted if _has(names, name)]:
            del wanted[name]
        if not wanted:
            return
    if not runs:
        return  # nothing is recorded yet, which is another thing to say
    name = next(iter(wanted.values()))
    meant = nearest(name, [*sorted(known), *KEYS, *(COLUMNS if name in shown else ())])
    asked = f"; did you mean '{meant}'?" if meant else ""
    some = ", ".join(sorted(known)[:8])
    hint = f"values are logged here as {some}" if known else "vestige show --json last shows the fields of a record"
    raise UsageError(f"no run has a field or a value '{name}'{asked}", hint=hint)


def _has(names: Iterable[str], name: str) -> bool:
    return any(name == one or name.startswith(one + ".") for one in names)


def _names(project: Project) -> Iterator[Iterable[str]]:
    """The names of the values of each run, those of the newest first."""
    for path in reversed(list(project.records.paths())):
        try:
            yield project.records.values(path)
        except VestigeError:
            continue
    for status in ("running", "finishing", "lost"):
        for summary in project.index.runs(RunQuery(status=status)):
            try:
                yield find.record(project, summary.id).values
            except VestigeError:
                continue
