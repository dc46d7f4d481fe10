"""What a run used and its record does not list one by one, and the rule that hid it: from the events that were kept.

The rules of today are applied, as the events are kept for: a file may be hidden by a rule that is newer than its record.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from vestige.errors import VestigeError
from vestige.model.run import Run
from vestige.model.values import value
from vestige.observe.interface import Event, parse
from vestige.observe.roles import Rules
from vestige.ops.project import Project
from vestige.record import surroundings
from vestige.record.context import relative

_MOST = 256 << 20  # bytes of events that are looked at
_FILES = frozenset("rwtmulxi")


@value
class Hidden:
    """A path as a record would have it, the role that the rules give it (`drop`: no file of the run at all), and the rule."""

    path: str
    role: str
    rule: str


def hidden(project: Project, run: Run) -> tuple[Hidden, ...]:
    """Everything that is hidden, by role, rule and path, links not followed. Raises NotKeptError, DamagedError where the
    run's events are not there."""
    digest = run.observation.raw if run.observation is not None else None
    if digest is None:
        return ()
    root = run.project.root if run.project is not None else project.root
    setting = surroundings.setting(project.place)._replace(root=root)
    rules = Rules(setting)
    listed = {use.path for use in (*run.inputs, *run.outputs) if use.role not in ("library", "system")}
    found: dict[str, Hidden] = {}
    for event in parse(_lines(project.objects.read(digest))):
        for path in _paths(event):
            name = relative(path, root)
            if name not in listed and name not in found:
                found[name] = _hidden(rules, path, name, event)
    return tuple(sorted(found.values(), key=lambda one: (one.role, one.rule, one.path)))


def _hidden(rules: Rules, path: str, name: str, event: Event) -> Hidden:
    role, rule = rules.why(path, written=event.op in "wm")
    if role in ("data", "config", "code", "temporary"):
        rule = "removed, or not changed, or used by another name"
    return Hidden(name, role, rule)


def _paths(event: Event) -> Iterator[str]:
    if event.op in _FILES and event.path is not None:
        yield event.path
        if event.op in "ml" and event.other is not None:
            yield event.other


def _lines(data: bytes) -> list[bytes]:
    try:
        text = zlib.decompressobj(31).decompress(data, _MOST)
    except zlib.error:
        return []
    return text.splitlines(keepends=True)


def read(project: Project, run: Run, problems: list[str]) -> tuple[Hidden, ...]:
    """As `hidden`; what stands in the way is a line in `problems`."""
    try:
        return hidden(project, run)
    except VestigeError as error:
        problems.append(f"what was hidden is not known: {error}")
        return ()
