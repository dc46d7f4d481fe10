"""What a path holds, by its name and, where that is a common one, by what is in it; and where below a folder records lie."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from vestige.errors import NotFoundError, UnreadableError
from vestige.exchange import asimov, capsula, footsteps, ntrk, records
from vestige.exchange.contents import PASSED
from vestige.exchange.documents import Document, read
from vestige.exchange.interface import Format
from vestige.model import plain
from vestige.model.values import value
from vestige.store.publish import TEMPORARY


@value
class Source:
    """A file or folder to be read, and by whom."""

    format: Format
    path: str


def sources(path: str, forced: Format | None = None, seen: Callable[[str], None] = lambda _: None) -> list[Source]:
    """What there is to read at a path; `forced`: of that system alone. `seen` is told each folder that is walked.

    Raises NotFoundError where there is nothing, or nothing that is known.
    """
    if not os.path.lexists(path):
        raise NotFoundError(f"{path} is not there")
    found = list(_below(path, forced, seen)) if os.path.isdir(path) else list(_file(path, forced))
    if not found:
        what = f"of {forced}" if forced else "that is known here: of ntrk, Capsula, footsteps, asimov or Vestige"
        raise NotFoundError(f"{path} holds no record {what}", hint="--format says whose it is")
    return found


def _file(path: str, forced: Format | None) -> Iterator[Source]:
    if forced == "capsula" or (forced is None and os.path.basename(path) in (*capsula.FIRST, *capsula.LATER)):
        yield Source("capsula", os.path.dirname(path) or ".")
    elif forced is not None:
        yield Source(forced, path)
    elif (kind := _kind(path)) is not None:
        yield Source(kind, path)
    else:
        yield from _beside(path)


def _kind(path: str) -> Format | None:
    """Whose file it is."""
    name = os.path.basename(path)
    if name.endswith(".jsonl") or ntrk.is_sidecar(path):
        return "ntrk"
    if records.is_sidecar(path):
        return "vestige"
    if footsteps.is_info(path):
        return "footsteps"
    return _kind_of_json(path) if name.endswith(".json") else None


def _kind_of_json(path: str) -> Format | None:
    try:
        found = plain.loads(read(path))
    except (UnreadableError, ValueError, RecursionError):
        return None
    if isinstance(found, dict) and asimov.is_environment(found):
        return "asimov"
    return "vestige" if records.is_record(found) else None


def _beside(path: str) -> Iterator[Source]:
    """The sidecars of a file."""
    folder, name = os.path.split(path)
    for ending, kind in ((".vestige", "vestige"), (".ntrk", "ntrk")):
        sidecar = os.path.join(folder, f".{name}{ending}")
        if os.path.isfile(sidecar):
            yield Source("ntrk" if kind == "ntrk" else "vestige", sidecar)


def _below(top: str, forced: Format | None, seen: Callable[[str], None]) -> Iterator[Source]:
    """All that lies in a folder and below it; logs come before the sidecars that repeat them."""
    logs: list[Source] = []
    rest: list[Source] = []
    for folder, folders, names in os.walk(top):
        seen(folder)
        folders[:] = sorted(name for name in folders if name not in PASSED and not name.startswith(TEMPORARY))
        for source in _inside(folder, frozenset(names)):
            if forced is None or source.format == forced:
                (logs if source.path.endswith(ntrk.LOG) else rest).append(source)
                if source.format == "capsula":
                    folders.clear()
    yield from logs
    yield from rest


def _inside(folder: str, names: frozenset[str]) -> Iterator[Source]:
    if ntrk.LOG in names:
        yield Source("ntrk", os.path.join(folder, ntrk.LOG))
    if _is_capsule(folder, names):
        yield Source("capsula", folder)
        return
    if footsteps.INFO in names and footsteps.is_info(os.path.join(folder, footsteps.INFO)):
        yield Source("footsteps", os.path.join(folder, footsteps.INFO))
    for name in sorted(names):
        path = os.path.join(folder, name)
        if ntrk.is_sidecar(path):
            yield Source("ntrk", path)
        elif records.is_sidecar(path):
            yield Source("vestige", path)
        elif _may_be_environment(name, names) and _kind_of_json(path) == "asimov":
            yield Source("asimov", path)


def _may_be_environment(name: str, names: frozenset[str]) -> bool:
    """Whether a file is worth a look: one of the usual name, or with a list of packages beside it."""
    return name == "environment.json" or (name.endswith(".json") and f"{name.removesuffix('.json')}-pip.txt" in names)


def _is_capsule(folder: str, names: frozenset[str]) -> bool:
    if not capsula.is_capsule(names):
        return False
    if names.intersection((*capsula.FIRST[1:], *capsula.LATER)):
        return True
    found: Document | None
    try:
        loaded = plain.loads(read(os.path.join(folder, capsula.FIRST[0])))
        found = loaded if isinstance(loaded, dict) else None
    except (UnreadableError, ValueError, RecursionError):
        return True  # a damaged one is named, not passed over
    return found is not None and ("root_directory" in found or "platform" in found)


__all__ = ["Source", "sources"]
