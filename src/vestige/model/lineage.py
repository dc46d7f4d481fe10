"""How a file was made, and what was made from it: runs and file versions, in an order in which they could be executed.

The graph joins runs by the links of `links.py`. Everything is walked breadth first with a list of what is still to be
done, so that a chain of ten thousand steps costs ten thousand times one step. Where links would run in a circle (two
programs that ran at once and read from each other, or clocks that disagree), those go that hold only if a clock is wrong;
if that is not enough, those that lead from a run to one that started later. A file whose link went says so.

What a run only appended to is upstream of that file alone: the log that a thousand runs share does not make each of
them depend on all others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from vestige.model import pipes
from vestige.model.files import LINKED_ROLES, Digest, Role, Use
from vestige.model.links import RAW, TELLING_SIZE, Link, Linker, Lookup, asked_for
from vestige.model.run import Summary
from vestige.model.topology import Rank, executable, knots
from vestige.model.values import NamedTuple, field, value


@value
class Version:
    """A file version that is asked for. `written`: the write it is known to come from, where content cannot tell."""

    path: str
    digest: Digest | None
    size: int | None = None
    written: Use | None = None


class Origin(NamedTuple):
    """The run that made a file version, and the path at which it did."""

    run: str
    path: str


@value(kw_only=True)
class File:
    """A file version as a run read or wrote it.

    `origins`: none for a raw input, one, or several where it is ambiguous. `clock`: the origin holds only if the clocks of
    two hosts differ. `knotted`: made by a run that itself needs what the reader made; not followed. `thing`: the directory
    that is one thing and holds it. `removed`: the reader removed it. `access`, `role`, `size` (bytes) as in the use.
    """

    path: str
    digest: Digest | None
    size: int | None = None
    role: Role = "data"
    access: str = "read"
    origins: tuple[Origin, ...] = ()
    clock: bool = False
    knotted: bool = False
    thing: str | None = None
    removed: bool = False

    @property
    def ambiguous(self) -> bool:
        return len(self.origins) > 1


@value
class Step:
    """A run, and those of its uses that belong to the lineage: upstream all inputs and the outputs that led to what
    was asked for, downstream the inputs that led here and all outputs."""

    run: Summary
    inputs: tuple[File, ...]
    outputs: tuple[File, ...]


@value
class Lineage:
    """Upstream (or, with `down`, downstream) of `targets`: steps in an order in which they could be executed.

    `cut` are runs that are linked and were not followed, since they lie deeper than was asked for.
    """

    targets: tuple[File, ...]
    steps: tuple[Step, ...]
    down: bool = False
    cut: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        way = "from" if self.down else "to"
        return f"<lineage {way} {', '.join(file.path for file in self.targets[:3])!r}: {len(self.steps):,} steps>"

    def _repr_html_(self) -> str | None:
        from vestige.model import display

        return display.html(self)

    @property
    def target(self) -> File:
        """The file that was asked for, where there is one."""
        return self.targets[0]

    @property
    def raw(self) -> tuple[File, ...]:
        """The inputs that no run made, each once, in the order in which steps use them."""
        found = {(f.path, f.digest): f for step in reversed(self.steps) for f in reversed(step.inputs) if not f.origins}
        return tuple(reversed(found.values()))

    def by_run(self) -> dict[str, Step]:
        """The steps by the ids of their runs."""
        return {step.run.id: step for step in self.steps}


def upstream(lookup: Lookup, target: Version, depth: int | None = None) -> Lineage:
    """How a file version was made, back to the raw inputs, or `depth` steps back."""
    return upstream_of(lookup, [target], depth)


def upstream_of(lookup: Lookup, targets: Sequence[Version], depth: int | None = None) -> Lineage:
    """The same for several at once: what they share is walked once."""
    linker = Linker(lookup)
    circles = _Circles(linker)
    while True:
        walk = _Up(lookup, circles, depth)
        files = [walk.ask(target) for target in targets]
        walk.go()
        if not circles.broken(walk.nodes):
            return walk.lineage(files)


def downstream(lookup: Lookup, target: Version, depth: int | None = None) -> Lineage:
    """What was made from a file version, by whichever of its origins, to the last outputs or `depth` steps on."""
    linker = Linker(lookup)
    circles = _Circles(linker)
    while True:
        walk = _Down(lookup, circles, depth)
        file = walk.ask(target)
        walk.go()
        if not circles.broken(walk.nodes):
            return walk.lineage([file])


_Key = tuple[str, str, Digest | None]


@value(frozen=False)
class _Node:
    """A run that was reached, `level` steps from what was asked for."""

    level: int
    inputs: dict[_Key, tuple[Use, Link]] = field(default_factory=dict)
    outputs: dict[_Key, Use] = field(default_factory=dict)
    whole: bool = False


class _Circles:
    """Links that cannot be, since with them steps would need each other: found, and taken out, until there are none."""

    def __init__(self, linker: Linker) -> None:
        self.linker = linker
        self._refused: dict[_Key, set[str]] = {}
        self._knotted: set[_Key] = set()

    def link(self, read: Use) -> Link:
        key = _key(read)
        return RAW if key in self._knotted else self.linker.link(read, self._refused.get(key, ()))

    def knotted(self, read: Use) -> bool:
        return _key(read) in self._knotted

    def rank(self, run: str) -> Rank:
        """Steps that could come in any order come as they were started."""
        summary = self.linker.summary(run)
        return (summary.started, summary.sequence, run) if summary is not None else ("", 0, run)

    def broken(self, nodes: dict[str, _Node]) -> bool:
        """Whether there were circles; if so, some link of each is taken out."""
        needs = _needs(nodes)
        if len(executable(needs, self.rank)) == len(needs):
            return False
        for knot in knots(needs):
            inside = [
                (key, write.run, link.clock or self._declared(write.run))
                for run in knot
                for key, (_, link) in nodes[run].inputs.items()
                for write in link.writes
                if write.run in knot
            ]
            doubtful = [(key, run) for key, run, doubt in inside if doubt]
            for key, run in doubtful:
                self._refused.setdefault(key, set()).add(run)
            if not doubtful:
                self._knotted.update(key for key, run, _ in inside if self.rank(run) >= self.rank(key[0]))
        return True

    def _declared(self, run: str) -> bool:
        summary = self.linker.summary(run)
        return summary is not None and summary.kind == "adopted"


class _Walk:
    """What both directions share: runs reached so far, and the turning of them into a lineage."""

    down = False

    def __init__(self, lookup: Lookup, circles: _Circles, depth: int | None) -> None:
        self._lookup = lookup
        self._circles = circles
        self._depth = depth
        self._things: dict[str, frozenset[str]] = {}
        self.nodes: dict[str, _Node] = {}

    def lineage(self, files: Iterable[File]) -> Lineage:
        """The runs in order, with their files."""
        order = executable(_needs(self.nodes), self._circles.rank)
        steps = tuple(step for run in order if (step := self._step(run)) is not None)
        linked = {origin.run for step in steps for file in step.inputs for origin in file.origins}
        linked.update(origin.run for file in files for origin in file.origins)
        return Lineage(tuple(files), steps, self.down, frozenset(linked - self.nodes.keys()) if not self.down else self._beyond())

    def _beyond(self) -> frozenset[str]:
        return frozenset()

    def _step(self, run: str) -> Step | None:
        summary = self._circles.linker.summary(run)
        if summary is None:
            return None
        node = self.nodes[run]
        inputs = sorted(node.inputs.values(), key=lambda one: (one[0].seq, one[0].path, one[0].digest or ""))
        outputs = sorted(node.outputs.values(), key=lambda use: (use.path, use.digest or ""))
        return Step(
            summary,
            tuple(self._file(read, link, knotted=self._circles.knotted(read)) for read, link in inputs),
            tuple(self._file(write, Link((write,))) for write in outputs),
        )

    def _file(self, use: Use, link: Link, *, knotted: bool = False) -> File:
        return File(
            path=use.path,
            digest=use.digest,
            size=use.size,
            role=use.role,
            access=use.access,
            origins=tuple(Origin(write.run, write.path) for write in link.writes),
            clock=link.clock,
            knotted=knotted,
            thing=self._thing(use.path, link.writes[0]) if link.writes else None,
            removed=use.deleted,
        )

    def _thing(self, path: str, write: Use) -> str | None:
        """The directory that is one thing, which holds what was written: as it is called where it was read."""
        found = None
        folder = write.path
        while (end := folder.rfind("/")) > 0:
            folder = folder[:end]
            if folder not in self._things:
                rows = self._lookup.uses_at(folder, written=True)
                self._things[folder] = frozenset(use.run for use in rows if use.kind == "directory")
            if write.run in self._things[folder]:
                found = folder
        if found is None:
            return None
        inside = write.path[len(found) :]
        return path[: -len(inside)] if path.endswith(inside) and path != inside else None


class _Up(_Walk):
    """From files to the runs that made them."""

    def __init__(self, lookup: Lookup, circles: _Circles, depth: int | None) -> None:
        super().__init__(lookup, circles, depth)
        self._queue: deque[tuple[Use, int]] = deque()

    def ask(self, target: Version) -> File:
        """Begin at a file."""
        read = asked_for(target.path, target.digest, target.size)
        link = Link((target.written,)) if target.written is not None else self._circles.link(read)
        self._follow(link, 0)
        return self._file(read, link)

    def go(self) -> None:
        """Follow every link to its run, and each of that run's reads."""
        while self._queue:
            write, level = self._queue.popleft()
            node = self.nodes.get(write.run)
            if node is None:
                node = self.nodes[write.run] = _Node(level)
                for read in _read_throughout(self._lookup, write.run):
                    self._read(node, read)
            if _key(write) not in node.outputs:
                node.outputs[_key(write)] = write
                if write.access == "append" and write.before is not None:
                    self._read(node, _what_was_appended_to(write))

    def _read(self, node: _Node, read: Use) -> None:
        if _key(read) in node.inputs:
            return
        link = self._circles.link(read)
        if pipes.is_pipe(read.digest) and not link.writes:
            return  # nobody who was recorded wrote into it
        node.inputs[_key(read)] = (read, link)
        self._follow(link, node.level)

    def _follow(self, link: Link, level: int) -> None:
        if self._depth is None or level < self._depth:
            self._queue.extend((write, level + 1) for write in link.writes)


class _Down(_Walk):
    """From a file to the runs that read it, and on to what those wrote."""

    down = True

    def __init__(self, lookup: Lookup, circles: _Circles, depth: int | None) -> None:
        super().__init__(lookup, circles, depth)
        self._queue: deque[tuple[Use, int]] = deque()
        self._reads: dict[Digest, list[Use]] = {}
        self._deeper: set[str] = set()

    def ask(self, target: Version) -> File:
        """Begin at a file: at everybody who read this version of it, or what its makers wrote under another name."""
        asked = asked_for(target.path, target.digest, target.size)
        link = Link((target.written,)) if target.written is not None else self._circles.link(asked)
        for read in self._reads_of(target.digest):
            found = self._circles.link(read)
            if read.path == target.path or _is_version(found, target.path, link) or _moved_raw(read, found, link):
                self._reach(read, found, 0)
        return self._file(asked, link)

    def go(self) -> None:
        """Follow what each run wrote to whoever read it from there."""
        while self._queue:
            write, level = self._queue.popleft()
            for read in self._reads_of(write.digest):
                link = self._circles.link(read)
                if any(other.run == write.run and other.path == write.path for other in link.writes):
                    self._reach(read, link, level)

    def lineage(self, files: Iterable[File]) -> Lineage:
        holding = {ancestor for run in self.nodes for ancestor in self._circles.linker.ancestors(run)}
        for run in holding & self.nodes.keys():
            if not self.nodes[run].outputs:  # all that it did was done by runs inside it
                del self.nodes[run]
        return super().lineage(files)

    def _beyond(self) -> frozenset[str]:
        return frozenset(self._deeper - self.nodes.keys())

    def _reach(self, read: Use, link: Link, level: int) -> None:
        if self._depth is not None and level >= self._depth:
            self._deeper.add(read.run)
            return
        node = self.nodes.setdefault(read.run, _Node(level + 1))
        node.inputs.setdefault(_key(read), (read, link))
        if node.whole:
            return
        node.whole = read.access != "append"
        for write in self._written(read.run):
            if (node.whole or (write.access == "append" and write.path == read.path)) and _key(write) not in node.outputs:
                node.outputs[_key(write)] = write
                self._queue.append((write, node.level))

    def _reads_of(self, digest: Digest | None) -> list[Use]:
        if digest is None:
            return []
        if digest not in self._reads:
            uses = self._lookup.uses_of(digest, written=False)
            known = [use for use in uses if (summary := self._circles.linker.summary(use.run)) and summary.kind != "reproduction"]
            self._reads[digest] = sorted(known, key=lambda use: (use.run, use.path, use.seq))
        return self._reads[digest]

    def _written(self, run: str) -> Iterator[Use]:
        """What a run wrote itself: what a run inside it wrote is that run's."""
        holds = bool(self._lookup.children(run))
        for write in sorted(self._lookup.uses_by(run, written=True), key=lambda use: (use.path, use.seq, use.digest or "")):
            if write.kind == "directory" or write.deleted:
                continue
            if pipes.is_pipe(write.digest) and not self._reads_of(write.digest):
                continue
            if write.before == write.digest if write.digest is not None else write.access == "link":
                continue
            if not holds or self._circles.linker.wrote_itself(write):
                yield write


def _key(use: Use) -> _Key:
    return (use.run, use.path, use.digest)


def _needs(nodes: dict[str, _Node]) -> dict[str, set[str]]:
    return {run: {w.run for _, link in node.inputs.values() for w in link.writes} - {run} for run, node in nodes.items()}


def _read_throughout(lookup: Lookup, run: str) -> list[Use]:
    """The reads that are upstream of all that a run wrote: not the files to which it only appended, nor symbolic links
    beside what they lead to."""
    reads = [use for use in lookup.uses_by(run, written=False) if use.digest is not None or use.access != "link"]
    if any(read.access == "append" for read in reads):
        logs = {write.path for write in lookup.uses_by(run, written=True) if write.access == "append"}
        reads = [read for read in reads if read.access != "append" or read.path not in logs]
    return sorted(reads, key=lambda use: (use.seq, use.path, use.digest or ""))


def _what_was_appended_to(write: Use) -> Use:
    role = write.role if write.role in LINKED_ROLES else "data"
    return Use(write.run, write.path, write.before, None, False, "append", role, None, write.seq, write.time)


def _is_version(link: Link, path: str, root: Link) -> bool:
    """Whether a read came from what was asked for: written at its path, or by one of its makers."""
    made = {(write.run, write.path) for write in root.writes}
    return any(write.path == path or (write.run, write.path) in made for write in link.writes)


def _moved_raw(read: Use, link: Link, root: Link) -> bool:
    """Whether a raw input of the same content is the one that was asked for, under another name."""
    return not link.writes and not root.writes and (read.size if read.size is not None else TELLING_SIZE) >= TELLING_SIZE


__all__ = ["File", "Lineage", "Lookup", "Origin", "Step", "Version", "downstream", "upstream", "upstream_of"]
