"""What differs between two runs, part by part: what went in first, what came out last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from shlex import join

from vestige.errors import VestigeError
from vestige.model import display, series
from vestige.model.environment import Environment
from vestige.model.files import LINKED_ROLES, FileUse
from vestige.model.machine import Machine
from vestige.model.run import Run
from vestige.model.values import fields_of, value
from vestige.ops import find, show
from vestige.ops.project import Project


@value
class Change:
    """One thing that differs. `before` is the first run's; None where a run does not have the thing at all."""

    name: str
    before: str | None
    after: str | None


@value
class Part:
    """One part of two runs. `same` counts what is equal; `unknown` says why it cannot be compared, or not wholly."""

    name: str
    changes: tuple[Change, ...] = ()
    same: int = 0
    unknown: str | None = None


@value
class Difference:
    """What differs between two runs; `patch` turns the first one's code into the second's."""

    first: Run
    second: Run
    parts: tuple[Part, ...]
    patch: bytes = b""

    def __repr__(self) -> str:
        differ = [part.name for part in self.parts if part.changes]
        return f"<difference of {self.first!r} and {self.second!r}: {', '.join(differ) or 'none known'}>"

    def _repr_html_(self) -> str | None:
        return display.html(self)

    @property
    def identical(self) -> bool:
        """Whether all that can be compared is equal, and all can be compared."""
        return not any(part.changes or part.unknown for part in self.parts)


def diff(project: Project, first: str, second: str) -> Difference:
    """Compare two runs, or the runs that made two files. Raises NotFoundError, AmbiguousError."""
    return compare(project, find.run(project, first), find.run(project, second))


def compare(project: Project, first: Run, second: Run) -> Difference:
    """Compare two records."""
    code, patch = _code(project, first, second)
    changed = {change.name for change in code.changes}
    parts = (
        _command(first, second),
        code,
        *_environments(project, first, second),
        _machines(project, first, second),
        _mapping("variables", first.variables, second.variables),
        _uses("inputs", first.inputs, second.inputs, passing_over=changed),
        _uses("outputs", first.outputs, second.outputs),
        _mapping("values", _last_values(first), _last_values(second)),
        _result(first, second),
    )
    return Difference(first, second, tuple(part for part in parts if part.changes or part.same or part.unknown), patch)


def _command(first: Run, second: Run) -> Part:
    changes = [
        Change(_option(first.command[:a]), join(first.command[a:b]) or None, join(second.command[c:d]) or None)
        for tag, a, b, c, d in SequenceMatcher(None, first.command, second.command, autojunk=False).get_opcodes()
        if tag != "equal"
    ]
    if first.cwd != second.cwd:
        changes.append(Change("working directory", first.cwd, second.cwd))
    return Part("command", tuple(changes), same=1)


def _option(before: Sequence[str]) -> str:
    """The option whose value differs, or what arguments are called."""
    return before[-1] if before and before[-1].startswith("-") and "=" not in before[-1] else "arguments"


def _code(project: Project, first: Run, second: Run) -> tuple[Part, bytes]:
    one, other = (run.code.snapshot if run.code else None for run in (first, second))
    if one is None or other is None:
        if one is other:
            return Part("code"), b""
        return Part("code", unknown=f"the code of the {'first' if one is None else 'second'} is not known"), b""
    if one == other:
        return Part("code", same=1), b""
    try:
        found = project.code.changes(one, other)
    except (VestigeError, OSError) as error:
        return Part("code", (Change("snapshot", one, other),), unknown=str(error)), b""
    changes = tuple(Change(change.path, _blob(change.before), _blob(change.after)) for change in found)
    try:
        return Part("code", changes), project.code.diff(one, other)
    except (VestigeError, OSError) as error:
        return Part("code", changes, unknown=str(error)), b""


def _environments(project: Project, first: Run, second: Run) -> Iterable[Part]:
    if first.environment == second.environment:
        return (Part("packages", same=1 if first.environment else 0),)
    try:
        found = [show.environment(project, run.environment) for run in (first, second)]
    except VestigeError as error:
        return (Part("packages", unknown=str(error)),)
    one, other = found
    if one is None or other is None:
        return (Part("packages", unknown=f"the environment of the {'first' if one is None else 'second'} is not known"),)
    return (
        _mapping("interpreter", _interpreters(one), _interpreters(other)),
        _mapping("packages", _packages(one, other), _packages(other, one)),
        _mapping("system packages", one.system, other.system),
    )


def _interpreters(environment: Environment) -> Mapping[str, str]:
    return {
        one.language if position == 0 else f"{one.language} ({one.executable})": f"{one.version or '?'} {one.executable}"
        for position, one in enumerate(environment.interpreters)
    }


def _packages(environment: Environment, other: Environment) -> Mapping[str, str]:
    """Versions by name; where the other has the same version with another content, the digest tells."""
    contents = {(package.name, package.version): package.digest for package in other.packages}
    found: dict[str, str] = {}
    for package in environment.packages:
        theirs = contents.get((package.name, package.version))
        edited = package.digest is not None and theirs is not None and theirs != package.digest
        found[package.name] = f"{package.version} {package.digest}" if edited else package.version
    for conda in environment.conda:
        found[f"{conda.name} (conda)"] = " ".join(word for word in (conda.version, conda.build, conda.channel) if word)
    return found


def _machines(project: Project, first: Run, second: Run) -> Part:
    if first.machine == second.machine:
        return Part("machine", same=1 if first.machine else 0)
    try:
        one, other = (show.machine(project, run.machine) for run in (first, second))
    except VestigeError as error:
        return Part("machine", unknown=str(error))
    if one is None or other is None:
        return Part("machine", unknown=f"the machine of the {'first' if one is None else 'second'} is not known")
    return _mapping("machine", _plain(one), _plain(other))


def _plain(machine: Machine) -> Mapping[str, str]:
    values = {name: getattr(machine, name) for name, _ in fields_of(type(machine)) if name != "extra"}
    return {
        name: " ".join(value) if isinstance(value, tuple) else str(value)
        for name, value in values.items()
        if value is not None and value != ()
    }


def _mapping(name: str, one: Mapping[str, str], other: Mapping[str, str]) -> Part:
    names = sorted({*one, *other})
    changes = tuple(Change(key, one.get(key), other.get(key)) for key in names if one.get(key) != other.get(key))
    return Part(name, changes, same=len(names) - len(changes))


def _uses(name: str, first: Iterable[FileUse], second: Iterable[FileUse], passing_over: Iterable[str] = ()) -> Part:
    one, other = _linked(first), _linked(second)
    skipped = set(passing_over)
    paths = sorted({*one, *other} - skipped)
    changes = []
    unknown = []
    for path in paths:
        a, b = one.get(path), other.get(path)
        if a is not None and b is not None and (a.digest is None or b.digest is None):
            unknown.append(path)
        elif a is None or b is None or a.digest != b.digest:
            changes.append(Change(path, a.digest if a else None, b.digest if b else None))
    reason = f"{unknown[0]} was not hashed" if len(unknown) == 1 else f"{len(unknown)} files were not hashed" if unknown else None
    return Part(name, tuple(changes), len(paths) - len(changes) - len(unknown), reason)


def _linked(uses: Iterable[FileUse]) -> dict[str, FileUse]:
    return {use.path: use for use in uses if use.role in LINKED_ROLES and not use.deleted}


def _last_values(run: Run) -> Mapping[str, str]:
    """The last of each value; of what is described only, its digest, too."""
    found: dict[str, str] = {}
    for name, logged in run.values.items():
        last = series.last(logged)
        digest = last.get("digest") if isinstance(last, Mapping) else None
        found[name] = str(last) if isinstance(last, float) else " ".join(filter(None, [series.text(last), digest]))
    return found


def _result(first: Run, second: Run) -> Part:
    one = {"status": first.status, "exit code": _text(first.exit_code), "signal": _text(first.signal)}
    other = {"status": second.status, "exit code": _text(second.exit_code), "signal": _text(second.signal)}
    for name in ("stdout", "stderr", "terminal"):
        a, b = first.streams.get(name), second.streams.get(name)
        if (a and a.digest) and (b and b.digest):
            one[name], other[name] = a.digest, b.digest
    kept = [name for name in one if one[name] is not None or other[name] is not None]
    return _mapping("result", {name: one[name] or "none" for name in kept}, {name: other[name] or "none" for name in kept})


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _blob(blob: str | None) -> str | None:
    return None if blob is None else f"git:{blob}"
