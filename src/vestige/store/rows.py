"""What an index takes from a record, taken from the JSON itself; pure, and quick since a store has many records."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from vestige.errors import DamagedError
from vestige.model import pipes, wire
from vestige.model.files import LINKED_ROLES
from vestige.model.run import label_of
from vestige.store.columns import ACCESS, ROLE, instant, joined
from vestige.store.words import storable

_ACCESS = {name: code for code, name in enumerate(ACCESS)}
_ROLE = {name: code for code, name in enumerate(ROLE)}
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1

Text: TypeAlias = str | None
Number: TypeAlias = int | None


class UseRow(NamedTuple):
    """A use as the index stores it, with texts not yet as keys. `time` in µs since the epoch."""

    path: str
    digest: Text
    before: Text
    written: int
    access: int | str
    role: int | str
    size: Number
    seq: int
    time: Number
    deleted: int
    kept: int
    recovered: int
    kind: Text


class RunRow(NamedTuple):
    """A run as the index stores it; the last eight are texts that come again and again."""

    id: str
    name: Text
    label: str
    kind: str
    status: str
    started: Number
    duration: float | None
    sequence: int
    parent: Text
    command: Text
    cwd: str
    exit_code: Number
    dirty: Number
    inputs: int
    outputs: int
    tags: Text
    note: Text
    gaps: int
    host: Text
    boot: Text
    user: Text
    commit: Text
    snapshot: Text
    environment: Text
    listings: Text
    absent: Text


class Row(NamedTuple):
    """A run and its uses."""

    run: RunRow
    uses: list[UseRow]


def of(document: wire.Document, *, root: str | None = None) -> Row:
    """The rows of a record. With `root`, paths are made absolute. Raises DamagedError where a key holds what it cannot hold."""
    try:
        uses = _uses(document, root)
        return Row(_run(document, uses), uses)
    except (TypeError, KeyError, AttributeError, ValueError, IndexError, OverflowError) as error:
        raise DamagedError(f"a key of the record holds what it cannot hold: {error}") from error


def _run(document: wire.Document, uses: list[UseRow]) -> RunRow:
    code = document.get("code") or {}
    function = document.get("function") or {}
    script = document.get("script") or {}
    observation = document.get("observation") or {}
    command = document.get("command") or []
    linked = [use.written for use in uses if use.role in _LINKED and use.kind != pipes.KIND]
    outputs = sum(linked)
    tags = document.get("tags")
    dirty = code.get("dirty")
    row = RunRow(
        id=document["id"],
        name=_stored(document.get("name")),
        label=storable(label_of(script.get("path"), function.get("name"), command)),
        kind=storable(document.get("kind") or "command"),
        status=storable(document.get("status") or "finished"),
        started=instant(document.get("started")),
        duration=None if document.get("duration") is None else float(document["duration"]),
        sequence=document.get("sequence") or 0,
        parent=_stored(document.get("parent")),
        command=joined(command),
        cwd=storable(document.get("cwd") or "."),
        exit_code=document.get("exit_code"),
        dirty=None if dirty is None else int(dirty),
        inputs=len(linked) - outputs,
        outputs=outputs,
        tags=joined(tags or ()),
        note=_stored(document.get("note")),
        gaps=len(observation.get("gaps") or ()),
        host=document.get("host"),
        boot=document.get("boot"),
        user=document.get("user"),
        commit=code.get("commit"),
        snapshot=code.get("snapshot"),
        environment=document.get("environment"),
        listings=document.get("listings"),
        absent=document.get("absent"),
    )
    if not _fits(tuple(map(type, row)), _RUN) or not (
        _LEAST <= row.sequence <= _MOST and _LEAST <= (row.exit_code or 0) <= _MOST
    ):
        raise TypeError(f"{row!r:.100}")
    if not isinstance(command, list | tuple) or not isinstance(tags, list | tuple | None):
        raise TypeError("command and tags are lists")
    return row


def _uses(document: wire.Document, root: str | None) -> list[UseRow]:
    found: list[tuple[Any, ...]] = []
    add, access_code, role_code = found.append, _ACCESS.get, _ROLE.get
    at: tuple[Any, Any] = (document.get("sequence") or 0, document.get("started"))
    duration = document.get("duration") or 0.0
    end: tuple[Any, Any] = (at[0] + round(duration * 1_000_000), document.get("ended") or at[1])
    for written, key, early, late in ((0, "inputs", "first", "last"), (1, "outputs", "last", "first")):
        for use in document.get(key) or ():
            get = use.get
            path = use["path"]
            if get("encoding") == "percent":
                path = wire.unescape(path)
            if root is not None:
                path = os.path.normpath(os.path.join(root, path))
            moment = get(early) or get(late)
            seq, when = (moment["seq"], moment["time"]) if moment else end if written else at
            access, role = get("access") or "read", get("role") or "data"
            row = (
                path,
                get("digest"),
                get("before"),
                written,
                access_code(access, access),
                role_code(role, role),
                get("size"),
                seq,
                instant(when),
                1 if get("deleted") else 0,
                1 if get("kept") else 0,
                1 if get("recovered") else 0,
                get("kind"),
            )
            if not _fits(tuple(map(type, row)), _USE) or not (_LEAST <= seq <= _MOST and _LEAST <= (row[6] or 0) <= _MOST):
                raise TypeError(f"{row!r:.100}")
            add(row)
    stdin, streams = document.get("stdin") or {}, document.get("streams") or {}
    for written, moment, known in ((0, end, [stdin]), (1, at, streams.values())):
        access = _ACCESS["write" if written else "read"]
        for path, digest in pipes.ends(document.get("boot"), [one.get("pipe") for one in known]):
            when = instant(moment[1])
            add((path, digest, None, written, access, _ROLE["data"], None, moment[0], when, 0, 0, 0, pipes.KIND))
    return [UseRow._make(one) for one in found]


#: What a database can hold, by the letters of the two lines below: Some text, text or None, an Integer, a number or None …
_TYPES: dict[str, frozenset[type]] = {
    "S": frozenset({str}),
    "s": frozenset({str, type(None)}),
    "I": frozenset({int}),
    "i": frozenset({int, type(None)}),
    "f": frozenset({float, type(None)}),
    "N": frozenset({int, str}),
}
_USE = "SssINNiIiIIIs"
_RUN = "SsSSSifIssSiiIIssIssssssss"
_LINKED = frozenset(code for name, code in _ROLE.items() if name in LINKED_ROLES)


@lru_cache(maxsize=256)
def _fits(kinds: tuple[type, ...], letters: str) -> bool:
    """Whether values of these types can go into a database's columns."""
    return all(kind in _TYPES[letter] for kind, letter in zip(kinds, letters, strict=True))


def _stored(text: str | None) -> str | None:
    return None if text is None else storable(text)
