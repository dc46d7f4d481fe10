"""A command under the watcher alone, without a recorder: what the journal says of it."""

from __future__ import annotations

import _socket
import ctypes
import mmap
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vestige.observe import notify, watcher
from vestige.observe.interface import Event, parse


@dataclass
class Watched:
    events: list[Event]
    status: int

    def of(self, op: str, name: str | Path) -> list[Event]:
        return [event for event in self.events if event.op == op and event.path == str(name)]


def watch(
    argv: Sequence[str],
    folder: Path,
    *,
    preimage: Callable[[str, os.stat_result], tuple[str | None, bool]] = lambda _path, _found: (None, False),
    environ: Mapping[str, str] | None = None,
    snapshot: int | None = None,
) -> Watched:
    """Run a command in `folder`, which is the project's root. `snapshot`: changes wait until this descriptor is readable."""
    ours, theirs = _socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            os.chdir(folder)
            listener = notify.install()
            notify.send_listener(theirs.fileno(), listener)
            os.close(listener)
            os.execvpe(argv[0], list(argv), dict(os.environ if environ is None else environ))
        finally:
            os._exit(127)
    theirs.close()
    listener_here, refused = notify.receive_listener(ours.fileno())
    assert listener_here is not None, os.strerror(refused)
    path = folder.parent / f"{folder.name}.journal"
    journal = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    os.write(journal, watcher.first_line().encode())
    watching = watcher.Watch(
        listener_here,
        journal,
        (ctypes.c_char * 4096).from_buffer(mmap.mmap(-1, 4096)),
        root=str(folder),
        own=(),
        preimage=preimage,
        redact=lambda words: words,
        snapshot_due=snapshot is not None,
    )

    def taken() -> None:
        assert snapshot is not None
        watching.snapshot_taken(late=not os.read(snapshot, 1))

    watching.loop({} if snapshot is None else {snapshot: taken})
    os.close(listener_here)
    os.close(journal)
    _, status = os.waitpid(pid, 0)
    return Watched(list(parse(path.read_bytes().splitlines(keepends=True))), status)
