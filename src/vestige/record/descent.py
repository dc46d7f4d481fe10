"""What the watcher does when its command got no listener: it finds the next best way, and prepares it; the command waits."""

from __future__ import annotations

import errno
import os

from vestige.errors import VestigeError
from vestige.observe import ladder, notify
from vestige.store.journal import Active

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vestige.record.journal import Begun
    from vestige.record.options import Options
    from vestige.record.watch import Ground


def descend(
    socket: int, ground: Ground, begun: Begun, environ: dict[str, str], options: Options, refused: int, *, gains: bool
) -> None:
    """Settle on a way, and let the command go on. `refused` is the errno that a listener was refused with (0: not asked)."""
    if begun.outer is not None and _is_observed(begun.outer, refused) and options.observe in ("auto", "notify", "ptrace"):
        ground.method, ground.rung = "outer", _started(begun.outer).get("rung") or "notify"
        _tell(socket, {})
        return
    failed: tuple[str, ...] = ()
    while True:
        found = ladder.descend(options.observe, refused, gains=gains, failed=failed)
        ground.method = ground.rung = found.rung
        ground.refused, ground.gaps = found.refused, found.gaps
        if found.rung != "ptrace":
            break
        if _trace(socket, ground.command):
            _tell(socket, {"VESTIGE_JOURNAL": begun.folder})
            return
        failed = ("ptrace",)
    try:
        variables = _prepared(begun, environ)
    except OSError:
        variables = {}  # a full disk: the command runs all the same
    _tell(socket, {"VESTIGE_JOURNAL": "", **variables})


def is_traced(outer: str) -> bool:
    """Whether the run above us is our tracer, and alive."""
    tracer = ladder.traced_by()
    watcher = (_started(outer).get("processes_of_vestige") or {}).get("watcher")
    return tracer > 0 and isinstance(watcher, list) and watcher[:1] == [tracer]


def _is_observed(outer: str, refused: int) -> bool:
    """Whether the journal of the run above us tells what our command does."""
    return refused == errno.EBUSY or is_traced(outer)


def _started(folder: str) -> dict[str, Any]:
    try:
        return Active(folder).started()
    except VestigeError:
        return {}


def _trace(socket: int, command: int) -> bool:
    """Have the child put the other filter on, and trace it."""
    from vestige.observe import ptrace

    _tell(socket, {}, traced=True)
    if os.read(socket, 2) != b"\0\0":
        return False
    ptrace.seize(command)  # should that fail, nothing can be executed any more, and the launcher does without us
    return True


def _tell(socket: int, variables: dict[str, str], *, traced: bool = False) -> None:
    try:
        notify.tell(socket, variables, traced=traced)
    except OSError:
        pass  # it was killed


def _prepared(begun: Begun, environ: dict[str, str]) -> dict[str, str]:
    """Variables for the command, where the kernel does not help; and a look at the folders before it. Raises OSError."""
    from vestige.observe import audit
    from vestige.record import surroundings

    survey = audit.survey([begun.place.root], surroundings.setting(begun.place))
    files = {path: list(found) for path, found in survey.files.items()}
    begun.write("survey.json", {"complete": survey.complete, "files": files})
    return audit.environment(environ, begun.folder, os.path.join(begun.folder, "events.jsonl"))
