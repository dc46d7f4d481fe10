"""What the journal of a run tells that its record does not: folders it made, files it inherited, and what it was refused."""

from __future__ import annotations

import gzip
import os
from collections.abc import Collection, Iterator, Mapping

from vestige.errors import VestigeError
from vestige.model.run import Run
from vestige.model.values import field, value
from vestige.observe.interface import Event, parse
from vestige.reproduce import relocation
from vestige.store.objects import Objects


@value
class Inherited:
    """A file that was open when the run began: its path as a record has it, and whether it was added to: it was opened for
    that, or was not empty (whoever opened it had written to it before)."""

    path: str
    append: bool


@value
class Raw:
    """`folders` did not exist before the run made them; `inherited` by number of the descriptor. Paths as in the record."""

    folders: frozenset[str] = frozenset()
    inherited: Mapping[int, Inherited] = field(default_factory=dict)


NOTHING = Raw()


def read(run: Run, objects: Objects) -> Raw:
    """As far as the journal was kept and can be read; it is a help, not a need."""
    root = run.project.root if run.project is not None else ""
    folders: set[str] = set()
    inherited: dict[int, Inherited] = {}
    for event in _events(run, objects, b"ki"):
        if event.path is None:
            continue
        path = _recorded(os.path.normpath(event.path), root)
        if event.op == "k" and event.signature is None:
            folders.add(path)
        elif event.op == "i" and (number := _number(event)) in (1, 2):
            begun = event.signature is not None and event.signature.size > 0
            inherited[number] = Inherited(path, begun or bool(event.flags & os.O_APPEND))
    return Raw(frozenset(folders), inherited)


def outside(run: Run, objects: Objects, folders: Collection[str]) -> tuple[str, ...]:
    """What a run tried to change that lies in none of these folders. Caches of bytecode do not count: nobody misses them."""
    found: dict[str, None] = {}
    for event in _events(run, objects, b"wtmlsuk"):
        named = (event.path, event.other if event.op in ("m", "l") else None)
        for path in (os.path.normpath(one) for one in named if one is not None):
            if path.startswith(("/dev/", "/proc/")) or "/__pycache__" in path:
                continue
            if not any(path == folder or relocation.inside(path, folder) is not None for folder in folders):
                found[path] = None
    return tuple(found)


def _events(run: Run, objects: Objects, kinds: bytes) -> Iterator[Event]:
    content = run.observation.raw if run.observation is not None else None
    if content is None:
        return iter(())
    try:
        lines = gzip.decompress(objects.read(content)).splitlines(keepends=True)
    except (VestigeError, OSError, EOFError, ValueError):
        return iter(())
    begin = tuple(b'["%c"' % kind for kind in kinds)
    return parse(line for line in lines if line.startswith(begin))


def _recorded(path: str, root: str) -> str:
    found = relocation.inside(path, root) if root else None
    return path if found is None else found


def _number(event: Event) -> int | None:
    return int(event.text) if event.text is not None and event.text.isdecimal() else None
