"""A lineage as the tree that people look at.

A step that was shown already is named once more, with an ellipsis in place of what is above it. Where the tree grows
deeper than the terminal is wide, it goes on below, from its left edge, so that a history of ten thousand steps can be read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from vestige.model.lineage import File, Origin, Step
from vestige.model.run import Summary, short
from vestige.model.values import value
from vestige.ops.trace import Trace
from vestige.report import style as styles
from vestige.report.style import Style, printable
from vestige.report.trace import Thing, code, origin_of, shown, things, worst

#: More files than these of one folder, alike in where they come from, are one row.
_MANY = 8
#: The room that states get, at the right: `modified since by 7f3a2c91`.
_STATES = 27
_INDENT = 3


def tree(trace: Trace, style: Style, now: float) -> Iterator[str]:
    """The lines. `now` in seconds since the epoch."""
    return _Tree(trace, style, now).lines()


@value(frozen=False)
class _Row:
    """A line in the making: what is drawn before it, a file with its state or a step with its facts."""

    prefix: str
    name: str
    after: str = ""
    facts: tuple[tuple[str, styles.Meaning], ...] = ()
    state: str | None = None
    meaning: styles.Meaning = "plain"


@value
class _Node:
    """A file or a step that is still to be drawn. `level` counts the lines that lead to it from the left edge."""

    item: Thing | Step
    prefix: str
    below: str
    level: int
    reader: str | None = None
    file: File | None = None


class _Tree:
    def __init__(self, trace: Trace, style: Style, now: float) -> None:
        self._trace = trace
        self._style = style
        self._now = now
        self._steps = trace.lineage.by_run()
        self._order = {run: number for number, run in enumerate(self._steps)}
        self._drawn: set[str] = set()
        self._deepest = max((style.width - _STATES) // _INDENT - 6, 4)
        self._later: deque[Thing] = deque()
        self._deferred: set[tuple[object, ...]] = set()
        self._readers = _readers(trace) if trace.lineage.down else {}

    def lines(self) -> Iterator[str]:
        rows = list(self._rows())
        longest = max((styles.cells(row.prefix + row.name + row.after) for row in rows if row and row.state), default=0)
        column = max(self._style.width - _STATES, min(longest + 2, self._style.width - 16))
        for row in rows:
            yield self._line(row, column) if row is not None else ""

    def _rows(self) -> Iterator[_Row | None]:
        self._later.extend(Thing(file.path, (file,)) for file in self._trace.lineage.targets)
        first = True
        while self._later:
            thing = self._later.popleft()
            if not first:
                yield None
            yield from self._section(_Node(thing, "", "", 0))
            first = False

    def _section(self, root: _Node) -> Iterator[_Row]:
        stack = [root]
        while stack:
            node = stack.pop()
            if isinstance(node.item, Step):
                yield self._step_row(node, node.item)
            else:
                yield self._file_row(node, node.item)
            stack.extend(reversed(self._children(node)))

    # -- what hangs below what --------------------------------------------------------------------------------------------

    def _children(self, node: _Node) -> list[_Node]:
        if isinstance(node.item, Step):
            if node.item.run.id in self._drawn:
                return []
            self._drawn.add(node.item.run.id)
            files = node.item.outputs if self._trace.lineage.down else node.item.inputs
            found = self._together(files, node.item.run.id)
            reader = None if self._trace.lineage.down else node.item.run.id
            return [self._below(node, thing, last=thing is found[-1], reader=reader) for thing in found]
        steps = self._steps_of(node.item)
        if steps and node.level >= self._deepest:
            self._put_off(node.item)
            return []
        return [self._below(node, step, last=step is steps[-1], file=node.item.one) for step in steps]

    def _below(
        self, node: _Node, item: Thing | Step, *, last: bool, reader: str | None = None, file: File | None = None
    ) -> _Node:
        mark, rest = (self._style.elbow, " " * _INDENT) if last else (self._style.tee, self._style.bar)
        return _Node(item, node.below + mark, node.below + rest, node.level + 1, reader, file)

    def _steps_of(self, thing: Thing) -> list[Step]:
        """The steps that made a file; downstream, those that read it."""
        if not self._trace.lineage.down:
            return [self._steps[origin.run] for origin in thing.one.origins if origin.run in self._steps]
        keys: set[object] = {(file.path, file.digest, origin) for file in thing.files for origin in file.origins}
        if thing.one in self._trace.lineage.targets:
            keys.add(None)
        runs = {run for key in keys for run in self._readers.get(key, ())}
        return sorted((self._steps[run] for run in runs), key=lambda step: self._order[step.run.id])

    def _put_off(self, thing: Thing) -> None:
        key = (thing.path, *thing.one.origins)
        if key not in self._deferred:
            self._deferred.add(key)
            self._later.append(thing)

    def _together(self, files: Sequence[File], run: str) -> list[Thing]:
        """The files of a step as rows: data and configuration, code if it was made by a run or is not as it was."""
        own = [
            file
            for file in files
            if file.role != "code" or file.origins or self._trace.states.of(file, run).state in ("modified", "missing")
        ]
        code_too = [file for file in own if file.role == "code" and not file.origins]
        found = [*things(own), *(Thing(file.path, (file,)) for file in code_too)]
        folders: dict[tuple[str, tuple[Origin, ...]], list[Thing]] = {}
        for thing in found:
            if len(thing.files) == 1 and not (self._trace.lineage.down and self._steps_of(thing)):
                made = () if self._trace.lineage.down else thing.one.origins
                folder = thing.path.rpartition("/")[0]
                folders.setdefault((folder, tuple(Origin(origin.run, "") for origin in made)), []).append(thing)
        rows: list[Thing] = []
        swallowed: set[int] = set()
        crowds = {id(members[0]): (folder, members) for (folder, _), members in folders.items() if len(members) > _MANY}
        for folder, members in crowds.values():
            swallowed.update(id(member) for member in members)
            crowd = Thing(f"{folder}/" if folder else "./", tuple(file for member in members for file in member.files))
            crowds[id(members[0])] = (folder, [crowd])
        for thing in found:
            if id(thing) in crowds:
                rows.extend(crowds[id(thing)][1])
            elif id(thing) not in swallowed:
                rows.append(thing)
        return rows

    # -- rows -------------------------------------------------------------------------------------------------------------

    def _file_row(self, node: _Node, thing: Thing) -> _Row:
        file, style = thing.one, self._style
        after = f"  {styles.count(len(thing.files), 'file')}" if thing.path.endswith("/") else ""
        if file.knotted:
            after += "  (made by a run that read from this one)"
        if file.ambiguous:
            after += f"  from one of {len(file.origins)} runs"
        if node.level >= self._deepest and self._steps_of(thing):
            after += style.below
        elif any(origin.run in self._trace.lineage.cut for origin in file.origins):
            after += f"  {style.more}"
        name = printable(shown(self._trace, thing.path)) + ("/" if thing.path == file.thing else "")
        return _Row(node.prefix, name, after, (), *self._state(thing, node.reader))

    def _state(self, thing: Thing, reader: str | None) -> tuple[str, styles.Meaning]:
        """In words: the state of a file; of several, how many are in the worst."""
        found = worst(self._trace, thing, reader)
        words: str = found.state
        if words == "fresh" and reader is not None and all(self._trace.states.is_rewritten(file, reader) for file in thing.files):
            return "rewritten by this step", "faint"
        if words == "modified":
            by = found.causes[0].by if found.causes else None
            words = "modified since" if by is None else f"modified by {short(by)}"
        same = sum(self._trace.states.of(file, reader).state == found.state for file in thing.files)
        if same < len(thing.files):
            words = f"{same:,} {words}"
        return words, styles.meaning_of(found.state)

    def _step_row(self, node: _Node, step: Step) -> _Row:
        run = step.run
        known = step.inputs if not self._trace.lineage.down else step.outputs
        again = run.id in self._drawn and any(file.role != "code" or file.origins for file in known)
        mark = f"  {self._style.more}" if again else ""
        facts: list[tuple[str, styles.Meaning]] = [(f" @ {code(run)}", "commit"), (f"  {short(run.id)}{mark}", "id")]
        if not again:
            facts.append((f"  {self._style.dot.join(self._times(run))}", "faint"))
            if run.status != "finished":
                facts.append((f"{self._style.dot}{run.status}", styles.meaning_of(run.status)))
            if run.gaps:
                facts.append((f"{self._style.dot}partial", "warning"))
        if node.file is not None and node.file.clock:
            facts.append((f"{self._style.dot}clocks differ", "notice"))
        if node.file is not None and (wrote := origin_of(node.file)) not in (None, node.file.thing or node.file.path):
            facts.append((f"{self._style.dot}as {printable(shown(self._trace, wrote or ''))}", "notice"))
        name = ("? " if node.file is not None and node.file.ambiguous else "") + (printable(run.label) or f"({run.kind})")
        return _Row(node.prefix, name, facts=tuple(facts))

    def _times(self, run: Summary) -> list[str]:
        spent = styles.duration(run.duration)
        return [one for one in ("adopted" if run.kind == "adopted" else "", styles.ago(run.started, self._now), spent) if one]

    def _line(self, row: _Row, column: int) -> str:
        style = self._style
        drawn = style.paint(row.prefix, "faint")
        if row.state is not None:
            room = column - 2 - styles.cells(row.prefix) - styles.cells(row.after)
            name = styles.fit(row.name, max(room, 8), style)
            gap = " " * max(column - styles.cells(row.prefix + name + row.after), 2)
            return (
                f"{drawn}{style.paint(name, 'strong')}{style.paint(row.after, 'faint')}{gap}{style.paint(row.state, row.meaning)}"
            )
        room = style.width - styles.cells(row.prefix + "".join(text for text, _ in row.facts))
        facts = list(row.facts)
        while len(facts) > 2 and room < min(styles.cells(row.name), 16):
            room += styles.cells(facts.pop()[0])
        name = styles.cut(row.name, max(room, 8), style)
        return drawn + name + "".join(style.paint(text, meaning) for text, meaning in facts)


def _readers(trace: Trace) -> dict[object, list[str]]:
    """Downstream: which steps read what; under None, those that read what was asked for."""
    found: dict[object, list[str]] = {}
    runs = {step.run.id for step in trace.lineage.steps}
    digests = {file.digest for file in trace.lineage.targets}
    for step in trace.lineage.steps:
        for file in step.inputs:
            inside = [origin for origin in file.origins if origin.run in runs]
            for origin in inside:
                found.setdefault((origin.path, file.digest, origin), []).append(step.run.id)
            if not inside and file.digest in digests:
                found.setdefault(None, []).append(step.run.id)
    return found


__all__ = ["tree"]
