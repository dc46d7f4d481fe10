"""The lines of the user's catalogue, and how a recording adds one; on the path of every recorded run."""

from __future__ import annotations

import os

from vestige.model import wire
from vestige.model.files import LINKED_ROLES
from vestige.model.run import FORMAT, Run
from vestige.store import publish
from vestige.store.project import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: What of a record is copied; the code and the uses are cut down further.
_KEYS = (
    *("id", "vestige", "name", "tags", "note", "user", "host", "boot", "kind", "status", "started", "ended", "duration"),
    *("sequence", "parent", "command", "cwd", "exit_code", "signal", "script", "environment"),
)
_CODE = ("commit", "branch", "dirty", "snapshot")
_USE = ("path", "encoding", "size", "before", "deleted", "recovered", "kind", "link")
_ROLES = LINKED_ROLES | {"temporary"}
#: More uses than these are not copied: a line stays one write.
MANY = 2000


def append(folder: str, run: Run, place: Place, document: wire.Document | None = None) -> None:
    """Copy a record into the catalogue in a folder; `document` is the record as one, if somebody has it. Raises OSError."""
    entry = {"vestige": FORMAT, "store": place.store, "root": place.root, "id": place.id}
    _write(folder, {**entry, "record": compact(wire.encode(run) if document is None else document)}, run.host, run.started)


def forget(folder: str, run: Run) -> None:
    """Answer no more for a run. Raises OSError."""
    _write(folder, {"vestige": FORMAT, "forgotten": run.id}, run.host, run.started)


def _write(folder: str, entry: Mapping[str, object], host: str, started: str) -> None:
    publish.make_folder(folder, 0o700)
    name = f"{_plain(host) or 'host'}-{_plain(started[:7]) or '0000-00'}.jsonl"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
    fd = os.open(os.path.join(folder, name), flags, 0o600)
    try:
        publish.write_all(fd, b"\n" + wire.compact(entry) + b"\n")
    finally:
        os.close(fd)


def compact(document: wire.Document) -> wire.Document:
    """A record without what nobody asks for once its project is gone. Pure."""
    copy = {key: value for key in _KEYS if (value := document.get(key)) not in (None, [], {})}
    if isinstance(code := document.get("code"), dict):
        copy["code"] = {key: code[key] for key in _CODE if code.get(key) is not None}
    if isinstance(function := document.get("function"), dict):
        copy["function"] = {key: function[key] for key in ("module", "name") if key in function}
    if isinstance(observation := document.get("observation"), dict):
        copy["observation"] = {key: observation[key] for key in ("method", "gaps") if observation.get(key)}
    for key, moments in (("inputs", ("first", "last")), ("outputs", ("last", "first"))):
        uses = [use for use in document.get(key) or () if use.get("role", "data") in _ROLES]
        copy[key] = [_use(use, moments) for use in uses[:MANY]]
        if len(uses) > MANY:
            copy[f"{key}_left_out"] = len(uses) - MANY
    return copy


def _use(use: Mapping[str, Any], moments: tuple[str, str]) -> wire.Document:
    copy = {"digest": use.get("digest")}
    copy.update((key, value) for key in _USE if (value := use.get(key)) not in (None, False))
    copy.update((key, use[key]) for key, usual in (("role", "data"), ("access", "read")) if use.get(key, usual) != usual)
    moment = next((key for key in moments if use.get(key)), None)
    if moment is not None:
        copy[moment] = use[moment]
    return copy


def _plain(text: str) -> str:
    """Only what is safe in the name of a file."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "_" for letter in text)[:100]
