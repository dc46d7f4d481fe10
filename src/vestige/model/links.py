"""Which run made the file version that another run read.

A link joins two uses: a read and a write of the same content. The rules, in the order in which they are applied:

1. Candidates are writes of that content, in the roles data, config, code and temporary, which changed what lay there before,
   by runs that are neither the reader nor among its ancestors or descendants. Reproductions are never candidates.
2. A write must come before the read: by sequence on one host and boot, by clock otherwise. Clocks of two hosts may differ:
   a write that seems to come up to ten minutes too late is taken, and marked, where no write comes in time.
3. At the same path the latest write wins; of a run and the runs inside it, the innermost.
4. At other paths (the file was moved, or copied) every write is a candidate, unless some run read this content at the
   reader's path before, or the writer itself did: then it was the writer who copied. Writes by equal commands on equal code
   count as one. Several that remain are all shown. Content of less than 16 bytes is never linked across names.

What a user declared (`vestige adopt`) answers where nothing that was seen does, and is believed whenever it was said.
The answer does not depend on the order in which an index gives its rows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal, Protocol

from vestige.model import pipes
from vestige.model.files import LINKED_ROLES, Digest, Use
from vestige.model.run import Summary
from vestige.model.values import NamedTuple, value

#: Content below this size (in bytes) says too little of where it came from.
TELLING_SIZE = 16
#: How far the clocks of two hosts may lie apart, in seconds.
CLOCK_TOLERANCE = 600.0

_NEVER = float("inf")

#: A host, and its boot where the sequence within that orders; None where only the wall clock does.
Clock = tuple[str, str | None]


class Lookup(Protocol):
    """What lineage asks of an index."""

    def summary(self, run_id: str) -> Summary | None: ...

    def uses_of(self, digest: Digest, *, written: bool) -> Sequence[Use]: ...

    def uses_at(self, path: str, *, written: bool) -> Sequence[Use]: ...

    def uses_by(self, run_id: str, *, written: bool) -> Sequence[Use]: ...

    def children(self, run_id: str) -> Sequence[Summary]: ...


class Link(NamedTuple):
    """The writes that a read may have come from: none (a raw input), one, or several, which is ambiguous.

    `clock`: the link holds only if the clocks of two hosts differ.
    """

    writes: tuple[Use, ...] = ()
    clock: bool = False


RAW = Link()


def asked_for(path: str, digest: Digest | None, size: int | None = None) -> Use:
    """The read of whoever asks: by no run, after everything."""
    return Use("", path, digest, None, False, "read", "data", size, 0, "")


class Linker:
    """Answers for one question, and remembers what it has asked the index."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._summaries: dict[str, Summary | None] = {}
        self._writes: dict[Digest, dict[str, list[Use]]] = {}
        self._histories: dict[tuple[Digest, str], _Histories] = {}
        self._copies: dict[tuple[Digest, str], list[tuple[Use, str | None]]] = {}

    def summary(self, run: str) -> Summary | None:
        """One run, asked for once."""
        if run not in self._summaries:
            self._summaries[run] = self._lookup.summary(run) if run else None
        return self._summaries[run]

    def ancestors(self, run: str) -> Iterator[str]:
        """The runs inside which a run happened, the nearest first."""
        seen = {run}
        summary = self.summary(run)
        while summary is not None and summary.parent is not None and summary.parent not in seen:
            yield summary.parent
            seen.add(summary.parent)
            summary = self.summary(summary.parent)

    def related(self, one: str, other: str) -> bool:
        """Whether two runs are one, or one happened inside the other."""
        return one == other or other in self.ancestors(one) or one in self.ancestors(other)

    def wrote_itself(self, write: Use) -> bool:
        """Whether a write is not that of a run inside the writer."""
        others = self._writes_of(write.digest).get(write.path, ()) if write.digest is not None else ()
        return not any(write.run in self.ancestors(other.run) for other in others)

    def link(self, read: Use, refused: Collection[str] = ()) -> Link:
        """Where what was read came from. `refused` are runs that cannot be it, since the link would close a cycle."""
        if read.digest is None:
            return RAW
        writes = self._writes_of(read.digest)
        if not writes:
            return RAW
        if pipes.is_pipe(read.digest):
            return self._through(read, refused)
        return self._link_here(read, refused) or self._link_elsewhere(read, refused) or RAW

    def _through(self, read: Use, refused: Collection[str]) -> Link:
        """Everybody who wrote into a pipe: what they wrote lies in it one after the other, and all of it was read."""
        assert read.digest is not None
        writes = [write for at in self._writes_of(read.digest).values() for write in at if write.run not in refused]
        return Link(tuple(write for write in writes if not self.related(read.run, write.run) and self.order(write, read)))

    # -- the same path -------------------------------------------------------------------------------------------------

    def _link_here(self, read: Use, refused: Collection[str]) -> Link | None:
        assert read.digest is not None
        writes = self._writes_of(read.digest).get(read.path)
        if not writes:
            return None
        if len(writes) == 1:
            return self._only(writes[0], read, refused)
        histories = self._histories_at(read, writes)
        for clock in (False, True):
            write = histories.observed.latest(read, refused, clock=clock)
            if write is not None:
                return Link((histories.observed.innermost(write, read, refused, clock=clock),), clock)
        declared = histories.declared.latest(asked_for(read.path, read.digest), {*refused, *self._family(read.run)}, clock=False)
        return Link((declared,)) if declared is not None else None

    def _only(self, write: Use, read: Use, refused: Collection[str]) -> Link | None:
        """The same where there is no choice, which is nearly always."""
        kind = self._kind(write)
        if kind in (None, "reproduction") or write.run in refused or (read.run and self.related(read.run, write.run)):
            return None
        order = "before" if kind == "adopted" else self.order(write, read)
        return None if order is None else Link((write,), order == "clock")

    def _histories_at(self, read: Use, writes: list[Use]) -> _Histories:
        assert read.digest is not None
        key = (read.digest, read.path)
        if key not in self._histories:
            adopted = [write for write in writes if self._kind(write) == "adopted"]
            observed = [write for write in writes if self._was_seen(write)]
            self._histories[key] = _Histories(_History(self, observed), _History(self, adopted))
        return self._histories[key]

    # -- other paths ---------------------------------------------------------------------------------------------------

    def _link_elsewhere(self, read: Use, refused: Collection[str]) -> Link | None:
        candidates: dict[str, list[Use]] = {"before": [], "clock": [], "declared": []}
        for write, reader in self._sources(read):
            if write.run in refused or self.related(read.run, write.run) or (reader is not None and reader != read.run):
                continue
            if self._kind(write) == "adopted":
                candidates["declared"].append(write)
            elif self._was_seen(write) and (order := self.order(write, read)):
                candidates[order].append(write)
        for name, writes in candidates.items():
            if writes:
                return Link(tuple(self._told_apart(writes)), name == "clock")
        return None

    def _sources(self, read: Use) -> list[tuple[Use, str | None]]:
        """Writes of the content at other paths. With each: the only run that read it at this path before, if there is one."""
        assert read.digest is not None
        key = (read.digest, read.path)
        if key in self._copies:
            return self._copies[key]
        elsewhere = [
            write
            for path, writes in self._writes_of(read.digest).items()
            if path != read.path
            for write in writes
            if (read.size if read.size is not None else write.size if write.size is not None else TELLING_SIZE) >= TELLING_SIZE
        ]
        found: list[tuple[Use, str | None]] = []
        if elsewhere:
            readers = _Readers(self, [use for use in self._lookup.uses_of(read.digest, written=False) if use.path == read.path])
            for write in elsewhere:
                before = readers.before(write)
                if len(before) < 2 and write.run not in readers.runs:
                    found.append((write, next(iter(before), None)))
        self._copies[key] = found
        return found

    def _told_apart(self, writes: list[Use]) -> list[Use]:
        """One write for each way of making: no run that holds another of them, equal commands on equal code only once."""
        holding = {ancestor for write in writes for ancestor in self.ancestors(write.run)}
        ways: dict[object, list[Use]] = {}
        for write in [write for write in writes if write.run not in holding] or writes:
            if summary := self.summary(write.run):
                ways.setdefault((summary.command, summary.snapshot), []).append(write)
        kept = [self.latest(same) for same in ways.values()]
        return sorted(kept, key=lambda write: (self.instant(write), *_tie(write)), reverse=True)

    # -- order ---------------------------------------------------------------------------------------------------------

    def order(self, write: Use, read: Use) -> Literal["before", "clock"] | None:
        """Whether a write came before a read, or seems to by a clock that may be wrong, or did not."""
        if not read.run:
            return "before"
        if (clock := self.clock(write)) == self.clock(read) and clock[1] is not None:
            return "before" if write.seq <= read.seq else None
        written, used = self.instant(write), self.instant(read)
        if written <= used:
            return "before"
        return "clock" if clock[0] != self.clock(read)[0] and written - used <= CLOCK_TOLERANCE else None

    def clock(self, use: Use) -> Clock:
        """The host and boot by whose sequence a use is ordered; no boot where only the wall clock is known."""
        summary = self.summary(use.run)
        if summary is None:
            return ("", None)
        return (summary.host, summary.boot if use.seq > 0 else None)

    def instant(self, use: Use) -> float:
        """When a use was, in seconds since the epoch: where that is not known, when its run started, else before all."""
        if not use.run:
            return _NEVER
        moment = instant(use.time)
        if moment is None and (summary := self.summary(use.run)):
            moment = instant(summary.started)
        return moment if moment is not None else -_NEVER

    def latest(self, writes: Iterable[Use]) -> Use:
        """The last of some writes: by sequence among those of one host and boot, by clock among the last ones of each."""
        lasts: dict[Clock, Use] = {}
        for write in writes:
            clock = self.clock(write)
            last = lasts.get(clock)
            if last is None or self.position(write, clock) > self.position(last, clock):
                lasts[clock] = write
        return max(lasts.values(), key=lambda write: (self.instant(write), *_tie(write)))

    def position(self, use: Use, clock: Clock) -> tuple[float, float, str, str]:
        """What orders the uses of one host and boot."""
        moment = self.instant(use)
        return (use.seq if clock[1] is not None else moment, moment, *_tie(use))

    # -- asked once ----------------------------------------------------------------------------------------------------

    def _writes_of(self, digest: Digest) -> dict[str, list[Use]]:
        if digest in self._writes:
            return self._writes[digest]
        by_path: dict[str, list[Use]] = {}
        for use in self._lookup.uses_of(digest, written=True):
            if use.before != digest and not use.deleted and (use.role in LINKED_ROLES or use.role == "temporary"):
                by_path.setdefault(use.path, []).append(use)
        self._writes[digest] = by_path
        return by_path

    def _kind(self, use: Use) -> str | None:
        summary = self.summary(use.run)
        return summary.kind if summary is not None else None

    def _was_seen(self, use: Use) -> bool:
        return self._kind(use) not in (None, "adopted", "reproduction")

    def _family(self, run: str) -> Iterator[str]:
        if run:
            yield run
            yield from self.ancestors(run)


def instant(time: str) -> float | None:
    """Seconds since the epoch of an ISO 8601 time; None where it is none."""
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _tie(use: Use) -> tuple[str, str]:
    return (use.run, use.path)


class _Timeline:
    """The writes of one host and boot: by sequence for reads of the same, by the wall clock for all others."""

    def __init__(self, linker: Linker, clock: Clock, writes: list[Use]) -> None:
        self.by_sequence = sorted(writes, key=lambda write: linker.position(write, clock))
        self.sequence = [write.seq for write in self.by_sequence]
        self.by_time = sorted(writes, key=lambda write: (linker.instant(write), *_tie(write)))
        self.times = [linker.instant(write) for write in self.by_time]


class _History:
    """The writes of one content at one path. The last one before a read is found by bisection: there may be thousands."""

    def __init__(self, linker: Linker, writes: Iterable[Use]) -> None:
        self._linker = linker
        self._inside: dict[str, list[Use]] = {}
        by_clock: dict[Clock, list[Use]] = {}
        for write in writes:
            by_clock.setdefault(linker.clock(write), []).append(write)
            for ancestor in linker.ancestors(write.run):
                self._inside.setdefault(ancestor, []).append(write)
        self._timelines = {clock: _Timeline(linker, clock, same) for clock, same in by_clock.items()}

    def latest(self, read: Use, refused: Collection[str], *, clock: bool) -> Use | None:
        """The last write before a read; with `clock`, the last that would be in time if clocks differed."""
        found = [write for host in self._timelines if (write := self._latest_on(host, read, refused, clock=clock)) is not None]
        return self._linker.latest(found) if found else None

    def innermost(self, write: Use, read: Use, refused: Collection[str], *, clock: bool) -> Use:
        """The same write as the run saw it that made it, where the writer only held that run."""
        wanted = "clock" if clock else "before"
        held: set[str] = set()
        while write.run not in held and (
            inside := [
                other
                for other in self._inside.get(write.run, ())
                if self._fits(other, read, refused) and self._linker.order(other, read) == wanted
            ]
        ):
            held.add(write.run)
            write = self._linker.latest(inside)
        return write

    def _latest_on(self, host: Clock, read: Use, refused: Collection[str], *, clock: bool) -> Use | None:
        timeline = self._timelines[host]
        own = self._linker.clock(read)
        if not read.run or (host == own and host[1] is not None):
            end = 0 if clock else bisect_right(timeline.sequence, read.seq) if read.run else len(timeline.sequence)
            return self._last_that_fits(timeline.by_sequence, 0, end, read, refused)
        used = self._linker.instant(read)
        end = bisect_right(timeline.times, used)
        if not clock:
            return self._last_that_fits(timeline.by_time, 0, end, read, refused)
        late = end if host[0] == own[0] else bisect_right(timeline.times, used + CLOCK_TOLERANCE)
        return self._last_that_fits(timeline.by_time, end, late, read, refused)

    def _last_that_fits(self, writes: list[Use], start: int, end: int, read: Use, refused: Collection[str]) -> Use | None:
        return next((writes[i] for i in range(end - 1, start - 1, -1) if self._fits(writes[i], read, refused)), None)

    def _fits(self, write: Use, read: Use, refused: Collection[str]) -> bool:
        return write.run not in refused and not (read.run and self._linker.related(read.run, write.run))


@value
class _Histories:
    observed: _History
    declared: _History


class _Readers:
    """Who read a content at a path, and the two first of them on each host and boot: enough to say who read before a write."""

    def __init__(self, linker: Linker, reads: Iterable[Use]) -> None:
        self._linker = linker
        self.runs: set[str] = set()
        by_clock: dict[Clock, list[Use]] = {}
        for use in reads:
            self.runs.add(use.run)
            by_clock.setdefault(linker.clock(use), []).append(use)
        self._firsts = {clock: _two_runs(_Timeline(linker, clock, uses).by_sequence) for clock, uses in by_clock.items()}

    def before(self, write: Use) -> set[str]:
        """Runs that read before a write: at most two for each host and boot."""
        return {use.run for uses in self._firsts.values() for use in uses if self._is_before(use, write)}

    def _is_before(self, read: Use, write: Use) -> bool:
        clock = self._linker.clock(write)
        if clock == self._linker.clock(read) and clock[1] is not None:
            return read.seq < write.seq
        return self._linker.instant(read) < self._linker.instant(write)


def _two_runs(uses: list[Use]) -> list[Use]:
    other = next((use for use in uses if use.run != uses[0].run), None)
    return uses[:1] if other is None else [uses[0], other]
