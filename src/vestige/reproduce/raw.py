"""What the journal of a run tells that its record does not: which folders it made, and which files it inherited."""

from __future__ import annotations

import gzip
import os
from collections.abc import Mapping

from vestige.errors import VestigeError
from vestige.model.run import Run
from vestige.model.values import field, value
from vestige.observe.interface import Event, parse
from vestige.reproduce import relocation
from vestige.store.objects import Objects


@value
class Inherited:
    """A file that was open when the run began: its path as a record has it, and whether it was added to."""

    path: str
    append: bool


@value
class Raw:
    """`folders` did not exist before the run made them; `inherited` by number of the descriptor. Paths as in the record."""

    folders: frozenset[str] = frozenset()
    inherited: Mapping[int, Inherited] = field(default_factory=dict)


def read(run: Run, objects: Objects) -> Raw:
    """As far as the journal was kept and can be read; it is a help, not a need."""
    content = run.observation.raw if run.observation is not None else None
    if content is None:
        return Raw()
    try:
        lines = gzip.decompress(objects.read(content)).splitlines(keepends=True)
    except (VestigeError, OSError, EOFError, ValueError):
        return Raw()
    root = run.project.root if run.project is not None else ""
    folders: set[str] = set()
    inherited: dict[int, Inherited] = {}
    for event in parse(line for line in lines if line.startswith((b'["k"', b'["i"'))):
        if event.path is None:
            continue
        path = _recorded(os.path.normpath(event.path), root)
        if event.op == "k" and event.signature is None:
            folders.add(path)
        elif event.op == "i" and (number := _number(event)) in (1, 2):
            inherited[number] = Inherited(path, bool(event.flags & os.O_APPEND))
    return Raw(frozenset(folders), inherited)


def _recorded(path: str, root: str) -> str:
    found = relocation.inside(path, root) if root else None
    return path if found is None else found


def _number(event: Event) -> int | None:
    return int(event.text) if event.text is not None and event.text.isdecimal() else None
