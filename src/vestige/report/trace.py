"""A lineage as lines for programs and as a JSON document. The tree for people is in `tree`, the graph in `dot`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from vestige.model import wire
from vestige.model.files import Digest
from vestige.model.lineage import File, Step
from vestige.model.run import Summary, short
from vestige.model.staleness import STATES, FileState
from vestige.model.values import value
from vestige.ops.trace import Trace
from vestige.report.status import cause_document
from vestige.report.style import printable, quoted

#: The version of the JSON document. It counts up when a key changes its meaning or goes; new keys may come at any time.
FORMAT = 1


def lines(trace: Trace) -> Iterator[str]:
    """One line a step, in an order in which the steps could be executed: `in1, in2 -> script @ commit -> out`.

    Behind a file whose state is not fresh stands that state, in brackets; behind a step of which something may have
    escaped observation, `partial`.
    """
    asked = {(file.path, file.digest): file for file in trace.lineage.targets}
    asked |= {(origin.path, file.digest): file for file in trace.lineage.targets for origin in file.origins}
    for step in trace.lineage.steps:
        read = [_listed(trace, thing, step.run.id) for thing in things(step.inputs)]
        written = [_written(trace, thing, asked) for thing in things(step.outputs)]
        maker = _marked(f"{label(step.run)} @ {code(step.run)}", ["partial"] if step.run.gaps else [])
        sides = (", ".join(read) or "(no inputs)", maker, ", ".join(written) or "(no outputs)")
        yield " -> ".join(sides)


def document(trace: Trace) -> dict[str, Any]:
    """The lineage with all its files, code included, as `docs/lineage.md` describes it."""
    lineage = trace.lineage
    return {
        "format": FORMAT,
        "direction": "downstream" if lineage.down else "upstream",
        "root": trace.root,
        "spans_projects": trace.spans,
        "sidecar": None if trace.sidecar is None else wire.escape(trace.sidecar)[0],
        "target": _file(trace, lineage.target),
        "steps": [_step(trace, step) for step in lineage.steps],
        "raw_inputs": [] if lineage.down else [_path(file.path) | {"digest": file.digest} for file in lineage.raw],
        "not_followed": sorted(lineage.cut),
    }


# --- what all forms share --------------------------------------------------------------------------------------------


@value
class Thing:
    """What is shown as one: a file, the members of a directory that is one thing, or very many files of one folder."""

    path: str
    files: tuple[File, ...]

    @property
    def one(self) -> File:
        """The file, or one like all others."""
        return self.files[0]


def things(files: Iterable[File]) -> list[Thing]:
    """Files as they are shown, in their order: data and configuration; of code, what another run made."""
    found: dict[tuple[str, object], list[File]] = {}
    for file in files:
        if file.role != "code" or file.origins:
            runs = tuple(origin.run for origin in file.origins)
            key = (file.thing, runs) if file.thing is not None else (file.path, file.digest)
            found.setdefault(key, []).append(file)
    return [Thing(path, tuple(members)) for (path, _), members in found.items()]


def origin_of(file: File) -> str | None:
    """The path at which the only maker of a file wrote it; of a member of a directory that is one thing, that directory's."""
    if len(file.origins) != 1:
        return None
    inside = 0 if file.thing is None else len(file.path) - len(file.thing)
    return file.origins[0].path[: len(file.origins[0].path) - inside]


def worst(trace: Trace, thing: Thing, reader: str | None = None) -> FileState:
    """The state of a thing: that of its worst member."""
    return min((trace.states.of(file, reader) for file in thing.files), key=lambda state: STATES.index(state.state))


def shown(trace: Trace, path: str) -> str:
    """A path for people and programs: relative to the project's root where it lies inside."""
    prefix = trace.root.rstrip("/") + "/"
    return path[len(prefix) :] if trace.spans and path.startswith(prefix) else path


def named(trace: Trace, path: str) -> str:
    """A path for a line that programs read."""
    return quoted(shown(trace, path))


def label(run: Summary) -> str:
    """What a step is called on a line of its own: a script's name as any name, a command as it is."""
    if not run.label:
        return f"({run.kind})"
    if any(os.path.basename(word) == run.label for word in run.command):
        return quoted(run.label)
    return printable(run.label)


def code(run: Summary) -> str:
    """The commit, and `+` where uncommitted changes belonged to it; `-` without git."""
    return f"{printable(run.commit[:7])}{'+' if run.dirty else ''}" if run.commit else "-"


def _listed(trace: Trace, thing: Thing, reader: str | None = None) -> str:
    marks: list[str] = [worst(trace, thing, reader).state]
    if thing.one.ambiguous:
        marks.append("ambiguous")
    return _marked(named(trace, thing.path), marks)


def _written(trace: Trace, thing: Thing, asked: Mapping[tuple[str, Digest | None], File]) -> str:
    """An output: the state is that of what was asked for; any other says its state where it is read."""
    files = [file for one in thing.files if (file := asked.get((one.path, one.digest))) is not None]
    marks: list[str] = [worst(trace, Thing(thing.path, tuple(files))).state] if files else []
    return _marked(named(trace, thing.path), marks)


def _marked(name: str, marks: Iterable[str]) -> str:
    return " ".join([name, *(f"[{mark}]" for mark in marks if mark not in ("fresh", "unknown"))])


# --- JSON ------------------------------------------------------------------------------------------------------------


def _step(trace: Trace, step: Step) -> dict[str, Any]:
    run = step.run
    return {
        "run": run.id,
        "short": short(run.id),
        "label": run.label,
        "name": run.name,
        "kind": run.kind,
        "status": run.status,
        "started": run.started,
        "duration": run.duration,
        "command": list(run.command),
        "cwd": run.cwd,
        "commit": run.commit,
        "dirty": run.dirty,
        "snapshot": run.snapshot,
        "environment": run.environment,
        "host": run.host,
        "user": run.user,
        "parent": run.parent,
        "partial": run.gaps > 0,
        "gaps": run.gaps,
        "inputs": [_file(trace, file, run.id) for file in step.inputs],
        "outputs": [_file(trace, file) for file in step.outputs],
    }


def _file(trace: Trace, file: File, reader: str | None = None) -> dict[str, Any]:
    state = trace.states.of(file, reader)
    found = _path(file.path) | {
        "digest": file.digest,
        "size": file.size,
        "role": file.role,
        "state": state.state,
        "origins": [{"run": origin.run} | _path(origin.path) for origin in file.origins],
    }
    if state.causes:
        found["causes"] = [cause_document(one) for one in state.causes]
        found["more_causes"] = state.more
    for key, said in (("clock", file.clock), ("circular", file.knotted), ("removed", file.removed)):
        if said:
            found[key] = True
    if file.thing is not None:
        found["directory"] = _path(file.thing)["path"]
    return found


def _path(path: str) -> dict[str, Any]:
    text, escaped = wire.escape(path)
    return {"path": text, "encoding": "percent"} if escaped else {"path": text}


__all__ = ["FORMAT", "Thing", "code", "document", "label", "lines", "named", "origin_of", "shown", "things", "worst"]
