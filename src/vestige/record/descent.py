"""What the watcher does when its command got no listener: it finds the next best way, and prepares it; the command waits."""

from __future__ import annotations

import errno
import os

from vestige.errors import VestigeError
from vestige.model import plain
from vestige.observe import ladder, notify, preload
from vestige.observe.lines import journal_line
from vestige.record import secrets
from vestige.store import project
from vestige.store.journal import Active

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from vestige.record.journal import Begun
    from vestige.record.options import Options
    from vestige.record.watch import Ground


def descend(
    socket: int,
    ground: Ground,
    begun: Begun,
    program: str,
    environ: dict[str, str],
    options: Options,
    refused: int,
    *,
    gains: bool,
) -> None:
    """Settle on a way, and let the command go on. `refused` is the errno that a listener was refused with (0: not asked)."""
    if begun.outer is not None and _is_observed(begun.outer, refused, environ) and options.observe not in ("audit", "none"):
        ground.method, ground.rung = "outer", _started(begun.outer).get("rung") or "notify"
        _tell(socket, {})
        return
    failed: tuple[str, ...] = ()
    while True:
        found = ladder.descend(options.observe, refused, gains=gains, failed=failed)
        ground.method = ground.rung = found.rung
        ground.refused, ground.gaps = found.refused, found.gaps
        if found.rung == "ptrace" and _trace(socket, ground.command):
            _tell(socket, {"VESTIGE_JOURNAL": begun.folder})
            return
        if found.rung == "preload" and _put_before(ground, begun, program, environ, options):
            _say_if_deprived(ground, begun)
            _tell(socket, {"VESTIGE_JOURNAL": begun.folder, **preload.environment(environ, begun.folder, program)})
            return
        if found.rung == "audit":
            break
        failed += (found.rung,)
    _say_if_deprived(ground, begun)
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


def _is_observed(outer: str, refused: int, environ: Mapping[str, str]) -> bool:
    """Whether the journal of the run above us tells what our command does."""
    return refused == errno.EBUSY or is_traced(outer) or preload.observes(environ, outer)


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


def _put_before(ground: Ground, begun: Begun, program: str, environ: Mapping[str, str], options: Options) -> bool:
    """Have the library put before the command, and be there for it. Nobody asked for it where it would not see the command."""
    unseen = preload.unseen(program)
    if unseen and options.observe != "preload":
        return False
    try:
        ground.post = preload.Post(
            begun.folder,
            begun.place.root,
            project.own_folders(begun.place),
            (secrets.MARKS, secrets.TELLING),
            mindful=bool(secrets.values(environ)),
            due=options.code,
            waits=bool(ground.appended),
        )
        if unseen:  # else the library says so itself
            descriptor = os.open(os.path.join(begun.folder, "events.jsonl"), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            words = plain.dumps(begun.started["command"])
            cwd = os.path.abspath(options.cwd or "")
            line = journal_line("x", ground.command, os.path.abspath(program), cwd, 0, os.stat(program), words)
            os.write(descriptor, line.encode("ascii"))
            os.close(descriptor)
    except OSError:
        return False
    ground.gaps = tuple(one for one in (preload.examined(program)[1],) if one is not None)
    return True


def _say_if_deprived(ground: Ground, begun: Begun) -> None:
    """What was tried before may have set no_new_privs, without which an ordinary user gets no filter; it stays set."""
    if ladder.deprived(ground.command) and not ladder.deprived(os.getpid()):
        _note(begun, journal_line("g", text=ladder.DEPRIVED))


def _note(begun: Begun, line: str) -> None:
    """A line of the journal, before anybody watches; a full disk loses it."""
    try:
        descriptor = os.open(os.path.join(begun.folder, "events.jsonl"), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        os.write(descriptor, line.encode("ascii"))
        os.close(descriptor)
    except OSError:
        pass


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
