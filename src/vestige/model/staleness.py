"""Whether files are as they were recorded, and whether something upstream of them has changed since.

A file version is compared with what lies at its path now, and what is found is carried along the steps: an output is
stale if an input of its step is not what the step read, or is itself stale. Three things are no reason:

- an input that the step itself rewrote, extended or removed: that it differs is the step's own doing;
- an intermediate file that is gone: it can be made again from what it was made from;
- a change upstream of a file that was changed by hand: what was read is gone, and that alone is said.

Where it cannot be told (a raw input is gone or was never hashed, or a file may come from several runs), what was made is
possibly stale. So it is where a step would find something else around it: a folder that it listed has other names now, or a
file is there that it looked for in vain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from vestige.model import pipes
from vestige.model.files import Digest, Use
from vestige.model.lineage import File, Lineage, Origin
from vestige.model.summary import Summary
from vestige.model.values import replace, value

State = Literal["fresh", "modified", "missing", "stale", "possibly stale", "unknown"]
#: What is wrong with the file that a cause names. `replaced`: a later run wrote it anew; `unknown`: it cannot be compared;
#: `added`, `removed`: a folder that was listed has other names now; `appeared`: it was looked for, and was not there.
Wrong = Literal["modified", "replaced", "missing", "unknown", "added", "removed", "appeared"]

#: All states, the worst first: the order of tables.
STATES: tuple[State, ...] = ("missing", "modified", "stale", "possibly stale", "unknown", "fresh")

#: So many causes are kept for a file; a change deep down would else be listed as often as there are ways to it.
_KEPT = 4


@value
class Current:
    """What lies at a path now; no digest where it cannot be read. `others`: its digests by algorithms that other systems use."""

    exists: bool
    digest: Digest | None = None
    others: tuple[Digest, ...] = ()

    def holds(self, digest: Digest) -> bool:
        """Whether it is that content."""
        return digest == self.digest or digest in self.others


@value
class Cause:
    """Why something is stale: the file, what is wrong with it, the run that wrote it since, and whether that is sure. Of a
    folder that was listed, `names` are those that came or went, a few of them; `count` is how many did."""

    path: str
    wrong: Wrong
    by: str | None = None
    sure: bool = True
    names: tuple[str, ...] = ()
    count: int = 0


@value
class FileState:
    """The state of a file version, and for what is stale the files that are the cause; `more` than these if so marked.
    What is modified has a cause where a run did it."""

    state: State
    causes: tuple[Cause, ...] = ()
    more: bool = False


Key = tuple[str, Digest | None, tuple[Origin, ...]]


@value
class States:
    """The states of the files of a lineage. `rewritten`: of inputs that differ since the step itself changed them, what
    comes down to them."""

    of_files: Mapping[Key, FileState]
    rewritten: Mapping[tuple[str, Key], FileState]

    def of(self, file: File, reader: str | None = None) -> FileState:
        """The state of a file of that lineage, as an input of a run where one is named; unknown for any other file."""
        key = _key(file)
        if reader is not None and (found := self.rewritten.get((reader, key))) is not None:
            return found
        return self.of_files.get(key, _UNKNOWN)

    def is_rewritten(self, file: File, reader: str) -> bool:
        """Whether an input is not what it was since its reader itself changed or removed it."""
        return (reader, _key(file)) in self.rewritten


def judge(
    lineage: Lineage,
    current: Callable[[str], Current],
    writes_at: Callable[[str], Sequence[Use]],
    around: Callable[[Summary], Iterable[Cause]] = lambda _: (),
) -> States:
    """The states of all files of an upstream lineage. `writes_at` gives all writes at a path, the newest first; `around`
    what a run would find otherwise now, beside the files that it read."""
    judgement = _Judgement(current, writes_at)
    for step in lineage.steps:
        judgement.step(step.run.id, step.inputs, around(step.run))
        for file in step.outputs:
            judgement.file(file)
    for file in lineage.targets:
        judgement.file(file, asked=True)
    return States(judgement.states, judgement.rewritten)


_UNKNOWN = FileState("unknown")


class _Judgement:
    def __init__(self, current: Callable[[str], Current], writes_at: Callable[[str], Sequence[Use]]) -> None:
        self._current = current
        self._writes_at = writes_at
        self._found: dict[str, Current] = {}
        self._writers: dict[str, tuple[Use | None, frozenset[str]]] = {}
        self._steps: dict[str, FileState] = {}
        self.states: dict[Key, FileState] = {}
        self.rewritten: dict[tuple[str, Key], FileState] = {}

    def step(self, run: str, inputs: Iterable[File], around: Iterable[Cause]) -> None:
        """What the outputs of a step inherit."""
        causes: dict[tuple[str, Wrong], Cause] = {(cause.path, cause.wrong): replace(cause, sure=False) for cause in around}
        more = False
        for file in inputs:
            state = self.file(file).state
            own = state in ("modified", "missing") and (file.removed or run in self._written_at(file.path)[1])
            if not own and (cause := self._cause(file, state)) is not None:
                causes.setdefault((cause.path, cause.wrong), cause)
            if state != "modified" or own:
                inherited = self._inherited(file)
                if own:
                    self.rewritten[run, _key(file)] = inherited
                more |= inherited.more
                for cause in inherited.causes:
                    causes.setdefault((cause.path, cause.wrong), cause)
        self._steps[run] = _concluded(causes.values(), more=more)

    def file(self, file: File, *, asked: bool = False) -> FileState:
        """The state of one file."""
        key = _key(file)
        if not asked and key in self.states:
            return self.states[key]
        state = self._compared(file)
        found = self._inherited(file) if state == "fresh" else FileState(state)
        if state == "modified" and (cause := self._cause(file, state)) is not None and cause.by is not None:
            found = FileState(state, (cause,))
        if asked and state == "fresh" and found.state != "stale" and (cause := self._overtaken(file)) is not None:
            found = FileState("stale", (cause,))
        self.states[key] = found
        return found

    def _compared(self, file: File) -> State:
        if file.digest is None:
            return "unknown"
        if pipes.is_pipe(file.digest):
            return "fresh"  # as are the steps at its other end
        if file.path not in self._found:
            self._found[file.path] = self._current(file.path)
        found = self._found[file.path]
        if not found.exists:
            return "missing"
        if found.digest is None:
            return "unknown"
        return "fresh" if found.holds(file.digest) else "modified"

    def _inherited(self, file: File) -> FileState:
        """What comes down from the steps that a file may come from."""
        steps = [self._steps[origin.run] for origin in file.origins if origin.run in self._steps]
        if len(file.origins) == 1 and steps:
            return steps[0]
        causes = {(cause.path, cause.wrong): replace(cause, sure=False) for step in steps for cause in step.causes}
        return _concluded(causes.values(), more=any(step.more for step in steps))

    def _cause(self, file: File, state: State) -> Cause | None:
        name = file.thing or file.path
        if state == "modified":
            newest = self._written_at(file.path)[0]
            anew = newest is not None and newest.digest == self._found[file.path].digest
            return Cause(name, "replaced" if anew else "modified", newest.run if anew and newest else None)
        if state == "missing":
            if (overtaken := self._overtaken(file)) is not None:
                return overtaken
            return None if file.origins else Cause(name, "missing", sure=False)
        return Cause(name, "unknown", sure=False) if state == "unknown" else None

    def _overtaken(self, file: File) -> Cause | None:
        """The newest write at the path, where that is of other content."""
        newest = self._written_at(file.path)[0]
        if newest is None or newest.digest in (None, file.digest):
            return None
        return Cause(file.thing or file.path, "replaced", newest.run)

    def _written_at(self, path: str) -> tuple[Use | None, frozenset[str]]:
        if path not in self._writers:
            writes = [use for use in self._writes_at(path) if not use.deleted]
            self._writers[path] = (writes[0] if writes else None, frozenset(use.run for use in writes))
        return self._writers[path]


def _concluded(causes: Iterable[Cause], *, more: bool) -> FileState:
    ordered = sorted(causes, key=lambda cause: not cause.sure)
    if not ordered:
        return FileState("fresh")
    state: State = "stale" if ordered[0].sure else "possibly stale"
    return FileState(state, tuple(ordered[:_KEPT]), more or len(ordered) > _KEPT)


def _key(file: File) -> Key:
    return (file.path, file.digest, file.origins)
