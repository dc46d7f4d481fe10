"""A command under the watcher alone, without a recorder: what the journal says of it."""

from __future__ import annotations

import _socket
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vestige.observe import compiled, notify
from vestige.observe.interface import Event, parse
from vestige.observe.lines import first_line
from vestige.observe.notes import Notes
from vestige.observe.shared import Shared
from vestige.observe.terms import Terms
from vestige.observe.watcher import Watch

Preimage = Callable[[str, os.stat_result], tuple[str | None, bool]]


@dataclass
class Watched:
    events: list[Event]
    status: int

    def of(self, op: str, name: str | Path) -> list[Event]:
        return [event for event in self.events if event.op == op and event.path == str(name)]


def watcher(listener: int, journal: int, root: str, preimage: Preimage, *, due: bool) -> Watch:
    """The compiled one, unless VESTIGE_WATCHER says python."""
    library = compiled.library()
    terms = Terms(root, preimage=preimage, snapshot_due=due)
    if os.environ.get("VESTIGE_WATCHER") == "python":
        return Watch(listener, Notes(journal), Shared(), terms)
    assert library is not None, "the compiled watcher has not been built: install the package again, with a compiler at hand"
    return compiled.CompiledWatch(library, listener, journal, Shared(), terms)


def watch(
    argv: Sequence[str],
    folder: Path,
    *,
    preimage: Preimage = lambda _path, _found: (None, False),
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
    os.write(journal, first_line().encode())
    watching = watcher(listener_here, journal, str(folder), preimage, due=snapshot is not None)

    def taken() -> None:
        assert snapshot is not None
        watching.snapshot_taken(late=not os.read(snapshot, 1))

    watching.loop({} if snapshot is None else {snapshot: taken})
    os.close(listener_here)
    os.close(journal)
    _, status = os.waitpid(pid, 0)
    return Watched(list(parse(path.read_bytes().splitlines(keepends=True))), status)
