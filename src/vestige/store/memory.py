"""An index in plain dictionaries: for tests, dry runs, and whatever holds a few runs in hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from re import Pattern, escape
from re import compile as pattern

from vestige.model import pipes
from vestige.model.files import Digest, FileUse, Moment, Use
from vestige.model.query import RunQuery
from vestige.model.run import Run, Summary, short, summarise

_LISTED = frozenset({"data", "config", "code", "temporary"})


class MemoryIndex:
    """Answers as every index does."""

    __slots__ = ("_at", "_by", "_of", "_summaries")

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self._summaries: dict[str, Summary] = {}
        self._by: dict[str, list[Use]] = {}
        self._of: defaultdict[Digest | None, list[Use]] = defaultdict(list)
        self._at: defaultdict[str, list[Use]] = defaultdict(list)
        for run in runs:
            self.add(run)

    def summary(self, run_id: str) -> Summary | None:
        return self._summaries.get(run_id)

    def matching(self, prefix: str) -> Sequence[Summary]:
        digits = prefix.lower().replace("-", "")
        found = [
            one
            for one in self._summaries.values()
            if prefix in (one.id, one.name)
            or (0 < len(digits) <= 8 and short(one.id).startswith(digits))
            or (len(digits) > 8 and one.id.replace("-", "").endswith(digits))
        ]
        return sorted(found, key=_age, reverse=True) if prefix else []

    def runs(self, query: RunQuery) -> Iterator[Summary]:
        name = None if query.name is None else _pattern(query.name)
        found = [one for one in self._summaries.values() if _fits(one, query, name)]
        yield from sorted(found, key=_age, reverse=True)[: query.limit]

    def uses_of(self, digest: Digest, *, written: bool) -> Sequence[Use]:
        return _newest_first(self._of.get(digest, ()), written=written)

    def uses_at(self, path: str, *, written: bool) -> Sequence[Use]:
        return _newest_first(self._at.get(path, ()), written=written)

    def uses_by(self, run_id: str, *, written: bool, every: bool = False) -> Sequence[Use]:
        return [use for use in self._by.get(run_id, ()) if use.written == written and (every or use.role in _LISTED)]

    def children(self, run_id: str) -> Sequence[Summary]:
        return sorted((one for one in self._summaries.values() if one.parent == run_id), key=_age)

    def outputs(self) -> Iterator[Use]:
        for path in list(self._at):
            made = (use for use in self.uses_at(path, written=True) if self._summaries[use.run].kind != "reproduction")
            if (newest := next(made, None)) is not None:
                yield newest

    def add(self, run: Run) -> None:
        self.remove(run.id)
        self._summaries[run.id] = summarise(run)
        self._by[run.id] = list(_uses(run))
        for use in self._by[run.id]:
            self._of[use.digest].append(use)
            self._at[use.path].append(use)

    def remove(self, run_id: str) -> None:
        self._summaries.pop(run_id, None)
        for use in self._by.pop(run_id, ()):
            self._of[use.digest].remove(use)
            self._at[use.path].remove(use)


def _uses(run: Run) -> Iterator[Use]:
    start = Moment(run.sequence, run.started)
    end = Moment(run.sequence + round((run.duration or 0.0) * 1_000_000), run.ended or run.started)
    for use in run.inputs:
        yield _row(run, use, use.first or use.last or start, written=False)
    for use in run.outputs:
        yield _row(run, use, use.last or use.first or end, written=True)
    for path, digest in pipes.ends(run.boot, [run.stdin.pipe if run.stdin else None]):
        yield _row(run, FileUse(path=path, digest=digest, kind=pipes.KIND), end, written=False)
    for path, digest in pipes.ends(run.boot, [stream.pipe for stream in run.streams.values()]):
        yield _row(run, FileUse(path=path, digest=digest, access="write", kind=pipes.KIND), start, written=True)


def _row(run: Run, use: FileUse, moment: Moment, *, written: bool) -> Use:
    return Use(
        run.id,
        use.path,
        use.digest,
        use.before,
        written,
        use.access,
        use.role,
        use.size,
        moment.seq,
        moment.time,
        use.deleted,
        use.kept,
        use.recovered,
        use.kind,
    )


def _newest_first(uses: Iterable[Use], *, written: bool) -> Sequence[Use]:
    return sorted((use for use in uses if use.written == written), key=lambda use: (use.time, use.seq), reverse=True)


def _fits(one: Summary, query: RunQuery, name: Pattern[str] | None) -> bool:
    return (
        (name is None or (one.name is not None and name.fullmatch(one.name) is not None))
        and query.status in (None, one.status)
        and query.kind in (None, one.kind)
        and query.user in (None, one.user)
        and query.parent in (None, one.parent)
        and (query.tag is None or query.tag in one.tags)
        and (query.since is None or one.started >= query.since)
    )


def _pattern(name: str) -> Pattern[str]:
    parts = {"*": "(?s:.*)", "?": "(?s:.)"}
    return pattern("".join(parts.get(character) or escape(character) for character in name))


def _age(one: Summary) -> tuple[str, int, str]:
    return one.started, one.sequence, one.id
