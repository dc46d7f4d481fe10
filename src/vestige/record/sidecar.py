"""Sidecars: `.NAME.vestige` beside a file NAME, with the records of all the runs that led to it, back to the raw inputs.

A sidecar tells by the digest in it which content it speaks of: it is believed of no other. It can be imported like any other
file with records, and travels where no store does.
"""

from __future__ import annotations

import os

from vestige.capture import digest as digests
from vestige.errors import VestigeError
from vestige.model import plain, wire
from vestige.model.files import LINKED_ROLES, Digest
from vestige.model.lineage import Version, upstream
from vestige.model.links import Linker
from vestige.model.run import FORMAT, Run
from vestige.store import project, publish
from vestige.store.project import Place
from vestige.store.records import Records
from vestige.store.sqlite import open_index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vestige.model.links import Lookup

    Load = Callable[[str], Run | None]


def path_for(path: str) -> str:
    """Where the sidecar of a file lies."""
    folder, name = os.path.split(path.rstrip("/"))
    return os.path.join(folder, f".{name}.vestige")


def write(path: str, version: Version, runs: Sequence[Run]) -> str:
    """Write the sidecar of the file at `path`, over one that is there, and return its own path. `runs` are those that led to this
    version of it, the last is the one that made it. Raises OSError."""
    document = {
        "vestige": FORMAT,
        "sidecar_for": os.path.basename(path.rstrip("/")),
        "digest": version.digest,
        "size": version.size,
        "run": runs[-1].id,
        "records": [wire.encode(run) for run in runs],
    }
    target = path_for(path)
    publish.replace(target, wire.dump(document), mode=os.stat(path).st_mode & 0o666 | 0o200, durable=False)
    return target


def upstream_of(lookup: Lookup, version: Version, maker: str, root: str, load: Load) -> list[Run]:
    """The records of all runs that led to a file version, in an order in which they could be executed, that of its maker last.

    `load` gives a record, `root` is that of the project. A raw input that came with a sidecar brings what that tells.
    """
    lineage = upstream(lookup, version)
    ids = [step.run.id for step in lineage.steps]
    found = [load(run_id) for run_id in dict.fromkeys((*(one for one in ids if one != maker), maker))]
    brought = (run for file in lineage.raw for run in _brought(os.path.join(root, file.path), file.digest))
    runs = {run.id: run for run in (*brought, *(run for run in found if run is not None))}
    return list(runs.values())


def beside_outputs(run: Run, place: Place) -> None:
    """Write a sidecar beside each file that a run has just made, where that is still as it was recorded. Raises OSError."""
    failed: OSError | None = None
    with open_index(place.store, project.cache_dir(place)) as lookup:
        linker = Linker(lookup)
        for written in lookup.uses_by(run.id, written=True):
            path = os.path.join(place.root, written.path)
            if written.role not in LINKED_ROLES or written.deleted or not linker.wrote_itself(written):
                continue
            if written.kind is not None or written.digest is None or _digest(path) != written.digest:
                continue
            version = Version(written.path, written.digest, written.size, written=written)
            runs = upstream_of(lookup, version, run.id, place.root, lambda run_id: _load(place, run_id))
            try:
                write(path, version, runs)
            except OSError as error:
                failed = error
    if failed is not None:
        raise failed


def _brought(path: str, content: Digest | None) -> list[Run]:
    """What the sidecar of a file tells, if it is of this content."""
    try:
        with open(path_for(path), "rb") as file:
            found = plain.loads(file.read())
        if content is None or found["digest"] != content:
            return []
        return [wire.decode(Run, one) for one in found["records"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError, VestigeError):
        return []  # none, or a damaged one


def _load(place: Place, run_id: str) -> Run | None:
    try:
        return Records(place.store).read(run_id)
    except VestigeError:
        return None


def _digest(path: str) -> Digest | None:
    try:
        return digests.of_file(path)[1]
    except (OSError, ValueError):
        return None


__all__ = ["beside_outputs", "path_for", "upstream_of", "write"]
