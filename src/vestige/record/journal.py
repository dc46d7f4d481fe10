"""The folder of an active run: what is written before the command starts, so that a crash leaves something."""

from __future__ import annotations

import errno
import os
import stat
import time
from _json import encode_basestring_ascii as quoted

from vestige.record import identity, secrets
from vestige.store import project

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vestige.record.options import Options


#: Room on the disk that is given back, so much for each, where there is none left to say how the command was observed and
#: how it has ended.
_RESERVE, _ROOM = "reserve", 8 << 10
#: Kinds of runs for which nothing is collected.
_CONTENT_WITH_LITTLE = frozenset({"reproduction", "adopted"})
_SAVED = ("started.json", "ended.json", "closed.json")


class Begun:
    """A run that has a folder and a started record."""

    __slots__ = ("folder", "id", "inside", "name", "outer", "place", "started")

    def __init__(self, run_id: str, folder: str, name: str | None, place: project.Place, started: dict[str, object]) -> None:
        self.id = run_id
        self.folder = folder
        self.name = name
        self.place = place
        self.started = started
        #: the folder of the run around this one, whose watcher sees what happens here
        self.outer: str | None = None
        #: whether it is a part of this process: nobody looks into its folder before he is told to
        self.inside = False

    def write(self, name: str, document: object) -> None:
        """A small document of the journal, replaced as a whole."""
        if self.inside:
            _write_new(os.path.join(self.folder, name), document)
            return
        try:
            write(self.folder, name, document)
        except OSError as error:
            if name not in _SAVED or error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            reserve = os.path.join(self.folder, _RESERVE)
            os.truncate(reserve, max(os.stat(reserve).st_size - _ROOM, 0))
            write(self.folder, name, document)

    def end(
        self,
        status: int,
        *,
        problem: str | None = None,
        usage: tuple[float, int] = (0.0, 0),
        function: Mapping[str, object] | None = None,
    ) -> None:
        """The command has ended, with this wait status; `usage` is CPU seconds and the largest resident set in bytes. Of a
        function's call: how it has ended."""
        document: dict[str, object] = {
            "status": status,
            "time": identity.timestamp(time.time()),
            "seq": identity.sequence(),
            "cpu_seconds": usage[0],
            "max_rss": usage[1],
        }
        if problem is not None:
            document["problem"] = problem
        if function is not None:
            document["function"] = function
        self.write("ended.json", document)

    def discard(self) -> None:
        """As if it had never begun: nothing ran."""
        discard(self.folder)


def begin(argv: Sequence[str], environ: Mapping[str, str], options: Options, inside: Mapping[str, object] | None = None) -> Begun:
    """Write the started record. Raises OSError where the store cannot be written.

    `inside`: the run is a part of this process, and this is what there is to say of it.
    """
    place = project.prepare(options.place)
    run_id = identity.new_id()
    folder = os.path.join(place.store, "active", run_id)
    now, sequence = time.time(), identity.sequence()
    cwd = os.path.normpath(os.path.join(project.here(), options.cwd or ""))
    problems = list(options.problems)
    started: dict[str, object] = {
        "vestige": 1,
        "id": run_id,
        "name": options.name,
        "tags": list(options.tags),
        "note": options.note,
        "user": identity.user(),
        "host": identity.host(),
        "boot": identity.boot(),
        "kind": options.kind,
        "started": identity.timestamp(now),
        "sequence": sequence,
        "parent": options.parent or _parent(environ),
        "project": {"id": place.id, "root": place.root},
        "cwd": _relative(cwd, place.root),
        "umask": f"{_umask() if options.umask is None else options.umask:04o}",
        "processes_of_vestige": {"launcher": identity.process(os.getpid())},
        "options": {
            "observe": options.observe,
            "inputs": list(options.inputs),
            "outputs": list(options.outputs),
            "items": [pattern for name in options.items if (item := options.config.item(name)) for pattern in item.files],
            "keep": options.keep,
            "code": options.code,
        },
        "reproduction": {"of": options.reproduction_of} if options.reproduction_of else None,
        "problems": problems,
    }
    if options.kind not in _CONTENT_WITH_LITTLE:
        _collect(started["options"], options)  # type: ignore[arg-type]
    started["command"], redactions = _without_secrets(argv, environ) if inside is None else _as_before(argv, environ)
    if redactions:
        started["redactions"] = redactions
    if inside is not None:
        started |= {"processes_of_vestige": {"program": identity.process(os.getpid())}, "method": "inside", "rung": "audit"}
        started |= inside
    begun = Begun(run_id, folder, options.name, place, started)
    begun.inside = inside is not None
    outer = environ.get("VESTIGE_JOURNAL")
    if outer and inside is None and os.path.exists(os.path.join(outer, "events.jsonl")):
        begun.outer = outer
        started["outer"] = outer
    os.makedirs(folder)
    try:
        begun.write("started.json", started)
    except BaseException:
        begun.discard()
        raise
    if inside is None:
        _reserve(folder)
    return begun


def _without_secrets(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[list[str], list[object]]:
    words: Sequence[str] = list(argv)
    if not secrets.suspicious(words, environ):
        return list(words), []
    from vestige.model import redaction, wire

    words, found = redaction.redact_argv(words, environ, secrets.key(project.state_dir()))
    return list(words), [wire.encode(one) for one in found]


_last: tuple[list[str], tuple[list[str], list[object]]] | None = None


def _as_before(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[list[str], list[object]]:
    """The same for the runs of one process: its command stays what it is, and looking through it takes half a millisecond."""
    global _last
    words = list(argv)
    if _last is None or _last[0] != words:
        _last = words, _without_secrets(words, environ)
    return _last[1]


def _collect(said: dict[str, object], options: Options) -> None:
    """What the configuration wants to be collected, when the run begins and when it has ended."""
    if options.config.collect:
        said["collect"] = [[one.pattern, one.way, one.algorithm] for one in options.config.collect]
    of_items = {
        item.name: [[one.pattern, one.way, one.algorithm] for one in item.wanted]
        for name in options.items
        if (item := options.config.item(name)) is not None and item.wanted
    }
    if of_items:
        said["collect_items"] = of_items


def _reserve(folder: str) -> None:
    try:
        descriptor = os.open(os.path.join(folder, _RESERVE), os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
    except OSError:
        return
    try:
        os.posix_fallocate(descriptor, 0, _ROOM * len(_SAVED))
    except (OSError, AttributeError):
        pass  # no room even now, or a file system that promises none
    finally:
        os.close(descriptor)


def write(folder: str, name: str, document: object) -> None:
    """A document of the journal, under its name only when it is whole."""
    path = os.path.join(folder, name)
    temporary = f"{path}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        data = (text(document) + "\n").encode("ascii")
        while data:
            data = data[os.write(descriptor, data) :]
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    finally:
        os.close(descriptor)


def _write_new(path: str, document: object) -> None:
    """A document that nobody reads yet: a second name for it, and a renaming, would take a third of a call's time."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        os.write(descriptor, (text(document) + "\n").encode("ascii"))
    finally:
        os.close(descriptor)


def text(value: object) -> str:
    """JSON without the module `json`, which costs a start more than the whole document."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{quoted(str(key))}:{text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(text(item) for item in value) + "]"
    raise TypeError(f"{type(value).__name__} is not JSON")


def discard(folder: str) -> None:
    """Remove the folder of a run that is recorded elsewhere, or never happened."""
    try:
        for entry in os.scandir(folder):
            if stat.S_ISDIR(entry.stat(follow_symlinks=False).st_mode):
                discard(entry.path)
            else:
                os.unlink(entry.path)
        os.rmdir(folder)
    except OSError:
        pass


def _parent(environ: Mapping[str, str]) -> str | None:
    return environ.get("VESTIGE_RUN_ID") or None


def _relative(path: str, root: str) -> str:
    if path == root:
        return "."
    prefix = root.rstrip("/") + "/"
    return path.removeprefix(prefix)


def _umask() -> int:
    """The file mode creation mask: read where it can be, since to set it, even for a moment, sets it for other threads."""
    try:
        descriptor = os.open("/proc/self/status", os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            return int(os.read(descriptor, 4096).partition(b"\nUmask:")[2].split(None, 1)[0], 8)
        finally:
            os.close(descriptor)
    except (OSError, ValueError, IndexError):
        pass  # not Linux, or one before 4.7
    mask = os.umask(0o22)
    os.umask(mask)
    return mask
