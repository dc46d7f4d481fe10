"""Our own records, from elsewhere: what `vestige show --json` or `vestige log --json` printed, a file of a store, a sidecar.

A sidecar, `.NAME.vestige`, holds under `records` the record of the run that made the file beside it, and all upstream of that.
"""

from __future__ import annotations

import os
from typing import Any

from vestige.errors import UnreadableError, VestigeError
from vestige.exchange.documents import read
from vestige.exchange.interface import Reading
from vestige.model import plain, wire
from vestige.model.run import Run

#: Under these a document holds a list of records.
_LISTS = ("records", "runs", "lineage")


def is_sidecar(path: str) -> bool:
    """Whether a file is named as our sidecars are."""
    name = os.path.basename(path)
    return name.startswith(".") and name.endswith(".vestige") and len(name) > len("..vestige")


def is_record(found: object) -> bool:
    """Whether JSON is a record of ours, or several."""
    if isinstance(found, list):
        return bool(found) and is_record(found[0])
    return isinstance(found, dict) and "vestige" in found and ("id" in found or any(key in found for key in _LISTS))


def read_records(path: str, into: Reading) -> None:
    """Read one or many. A damaged one, or one of a newer format, becomes a note. Raises UnreadableError where there is none."""
    try:
        found = plain.loads(read(path))
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"{path} is not JSON: {error}") from error
    if not is_record(found):
        raise UnreadableError(f"{path} holds no record of Vestige")
    documents = _documents(found)
    for number, document in enumerate(documents, 1):
        where = path if len(documents) == 1 else f"{path}: record {number}"
        try:
            into.records.append(_run(document, where))
        except VestigeError as error:
            into.notes.append(f"{error}; {error.hint}" if error.hint and error.exit_code else str(error))


def _documents(found: Any) -> list[Any]:
    if isinstance(found, list):
        return found
    listed = next((found[key] for key in _LISTS if isinstance(found.get(key), list)), None)
    return [found] if listed is None else listed


def _run(document: Any, where: str) -> Run:
    if not isinstance(document, dict) or not isinstance(document.get("id"), str):
        raise UnreadableError(f"{where} is not a record: it has no id")
    wire.check_version(document, where)
    return wire.decode(Run, document)


__all__ = ["is_record", "is_sidecar", "read_records"]
