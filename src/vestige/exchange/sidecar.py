"""Reading a sidecar: it is believed only of the content that it names, and only if the run that it names wrote that."""

from __future__ import annotations

import os

from vestige.errors import UnreadableError
from vestige.exchange.documents import load, read, text
from vestige.exchange.interface import Reading
from vestige.exchange.records import read_records
from vestige.model.files import Digest, FileUse, Use
from vestige.model.run import Run
from vestige.model.values import replace, value
from vestige.record.context import absolute
from vestige.record.sidecar import path_for
from vestige.store.memory import MemoryIndex


@value
class Sidecar:
    """What a sidecar tells of a file: the runs that led to it, as an index with absolute paths, and the write that made it."""

    path: str
    index: MemoryIndex
    written: Use


def of(path: str, digest: Digest) -> Sidecar | None:
    """The sidecar beside a file whose content has this digest; None where there is none.

    Raises UnreadableError where there is one that cannot be believed.
    """
    beside = path_for(path)
    if not os.path.isfile(beside):
        return None
    document = load(read(beside), beside)
    if text(document, "digest") != digest:
        raise UnreadableError(f"{beside} tells of another content than {os.path.basename(path)} has now")
    found = Reading()
    read_records(beside, found)
    index = MemoryIndex(_placed(run) for run in found.records)
    maker = text(document, "run")
    written = next((use for use in index.uses_of(digest, written=True) if use.run == maker), None)
    if written is None:
        raise UnreadableError(f"{beside} names no run that wrote {os.path.basename(path)}")
    return Sidecar(beside, index, written)


def _placed(run: Run) -> Run:
    """The record with absolute paths: runs of several projects meet in a sidecar."""
    root = run.project.root if run.project is not None else "/"

    def placed(use: FileUse) -> FileUse:
        return replace(use, path=absolute(use.path, root))

    return replace(run, inputs=tuple(map(placed, run.inputs)), outputs=tuple(map(placed, run.outputs)))


__all__ = ["Sidecar", "of"]
