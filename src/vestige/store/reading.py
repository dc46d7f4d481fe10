"""Reading many records: the rows of each, or why there are none; by several processes where there are very many."""

from __future__ import annotations

import marshal
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vestige.errors import VestigeError
from vestige.store import rows
from vestige.store.comparison import File
from vestige.store.records import Records

#: So many records are read at a time.
BATCH = 500
#: From so many on, other processes help.
MANY = 3000
_HELPERS = 3


class Read(NamedTuple):
    """A record that was read, or the reason why not; both where it is there in part only."""

    file: File
    row: rows.Row | None
    reason: str | None


def read(records: Records, files: Sequence[File]) -> Iterator[Read]:
    """The records in files; those that are gone are passed over."""
    for file in files:
        path = os.path.join(records.store, file.folder, file.name)
        try:
            document = records.document(path)
            problem = records.complete(document)
            yield Read(file, rows.of(document), problem)
        except VestigeError as error:
            if os.path.exists(path):
                yield Read(file, None, str(error))


def batches(records: Records, files: Sequence[File]) -> Iterator[list[Read]]:
    """The same in lists, in the order of the files."""
    parts = [files[start : start + BATCH] for start in range(0, len(files), BATCH)]
    helpers = _helpers() if len(files) >= MANY else 0
    if helpers == 0:
        return (list(read(records, part)) for part in parts)
    return _with_help(records, parts, helpers)


def _helpers() -> int:
    """How many processes may help. A process with several threads must not fork."""
    if not hasattr(os, "sched_getaffinity") or threading.active_count() > 1:
        return 0
    return min(_HELPERS, len(os.sched_getaffinity(0)) - 1)


def _with_help(records: Records, parts: Sequence[Sequence[File]], helpers: int) -> Iterator[list[Read]]:
    pipes: list[int] = []
    children: list[int] = []
    try:
        for number in range(helpers):
            begin, end = os.pipe()
            pipes.append(begin)
            _widen(begin)
            try:
                child = os.fork()
                if child == 0:
                    _help(records, parts[number::helpers], end, pipes)
                children.append(child)
            except OSError:
                pass  # no process to be had: its parts are read here, as if it had died
            finally:
                os.close(end)
        for number, part in enumerate(parts):
            taken = _receive(pipes[number % helpers], part)
            yield list(read(records, part)) if taken is None else taken
    finally:
        for pipe in pipes:
            os.close(pipe)
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _help(records: Records, parts: Sequence[Sequence[File]], end: int, pipes: Sequence[int]) -> None:
    """A helper's life: read its parts, send what it read, and leave."""
    status = 1
    try:
        for pipe in pipes:
            os.close(pipe)
        with os.fdopen(end, "wb") as out:
            for part in parts:
                places = {file: place for place, file in enumerate(part)}
                found: list[tuple[object, ...]] = [
                    (places[file], row and (tuple(row.run), [tuple(use) for use in row.uses]), reason)
                    for file, row, reason in read(records, part)
                ]
                data = marshal.dumps(found)
                out.write(len(data).to_bytes(8, "big") + data)
        status = 0
    finally:
        os._exit(status)


def _receive(pipe: int, part: Sequence[File]) -> list[Read] | None:
    """A helper's next part; None where the helper is gone."""
    size = _exactly(pipe, 8)
    data = None if size is None else _exactly(pipe, int.from_bytes(size, "big"))
    if data is None:
        return None
    found = []
    for place, row, reason in marshal.loads(data):  # noqa: S302  # written by our own child
        whole = None if row is None else rows.Row(rows.RunRow._make(row[0]), list(map(rows.UseRow._make, row[1])))
        found.append(Read(part[place], whole, reason))
    return found


def _widen(pipe: int) -> None:
    """Let a helper run ahead by a part."""
    import fcntl  # not on every system

    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)
    except (AttributeError, OSError):
        pass  # not Linux, or the user's pipes are as large as they may be


def _exactly(pipe: int, count: int) -> bytes | None:
    pieces = []
    while count:
        piece = os.read(pipe, min(count, 1 << 20))
        if not piece:
            return None
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)
