"""Probes of what surrounds a run, each of which may fail without harm: who runs it, with what, on which machine."""

from __future__ import annotations

import os
import sys

from vestige.capture import digest, packages, strangers, system
from vestige.capture import machine as machines
from vestige.capture import variables as variables_
from vestige.config import Config
from vestige.model import plain, wire
from vestige.model.environment import Environment
from vestige.model.files import Digest
from vestige.model.gitformat import object_id
from vestige.model.run import FileReference, Redaction, Stdin, Stream
from vestige.observe import declared
from vestige.observe.conclusion import Conclusion, Execution, Known
from vestige.observe.interface import Stat
from vestige.observe.roles import Setting
from vestige.record import secrets
from vestige.record.context import Context, absolute, relative
from vestige.record.digests import stat_of
from vestige.store import project
from vestige.store.objects import Objects
from vestige.store.project import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from vestige.observe.escapes import Contact
    from vestige.record.hooks import Attending


INSIDE_GAP = (
    "only what Python itself opened was observed, from inside the program: files that libraries opened by themselves (HDF5, "
    "Arrow, OpenCV) outside the run's own folder, that other programs used, or that were read before it began, may be missing"
)


SHARED_GAP = "the folder of results is shared by the tasks of a step: what libraries wrote into it by themselves may be missing"


def setting(place: Place) -> Setting:
    """Where the run takes place, for the rules about roles."""
    home = os.path.realpath(os.path.expanduser("~"))
    temporary = {"/tmp", "/var/tmp", "/dev/shm", os.path.realpath(os.environ.get("TMPDIR", "/tmp"))}  # noqa: S108
    return Setting(
        root=os.path.realpath(place.root),
        store=os.path.realpath(place.store),
        home=home,
        temporary=tuple(sorted(temporary)),
        prefixes=tuple({os.path.realpath(prefix) for prefix in (sys.prefix, sys.base_prefix)}),
        caches=(os.path.realpath(os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")),),
        own=tuple(os.path.realpath(path) for path in (*project.own_folders(place)[1:], *_ourselves(place))),
    )


def _ourselves(place: Place) -> tuple[str, ...]:
    """Vestige's own package, which is no part of anybody's run; unless Vestige itself is the project."""
    package = os.path.realpath(os.path.dirname(os.path.dirname(__file__)))
    return () if package.startswith(os.path.realpath(place.root) + "/") else (package,)


def script(context: Context, started: Mapping[str, Any], place: Place) -> None:
    """The script and the executable, as they stood when the run started."""
    command = [str(word) for word in started.get("command") or ()]
    cwd = absolute(started.get("cwd") or ".", place.root)
    found = declared.script(command)
    if found is not None and os.path.isfile(path := os.path.join(cwd, found)):
        _, content = digest.of_file(path)
        with open(path, "rb") as file:
            blob = object_id(b"blob", file.read())
        context.script = FileReference(path=relative(os.path.realpath(path), place.root), digest=content, git_blob=blob)
    program = started.get("program")
    if isinstance(program, str):
        context.executable = FileReference(path=program)


def variables(context: Context, config: Config, place: Place) -> None:
    """The variables of `docs/format.md`, secrets taken out. The same variables as last time are not looked at again."""
    key = secrets.key(project.state_dir())
    state = repr((sorted(os.environ.items()), config.variables, variables_.FORM)).encode("utf-8", "surrogateescape")
    name = digest.of_bytes(key + state)
    cached = os.path.join(project.cache_dir(place), "variables.json")
    try:
        with open(cached, "rb") as file:
            document = plain.loads(file.read())
    except (OSError, ValueError):
        document = {}
    if document.get("of") != name:
        found, others, redactions = variables_.variables(dict(os.environ), config.variables, key)
        document = {"of": name, "listed": found, "others": others, "redactions": [wire.encode(one) for one in redactions]}
        _write_quietly(cached, plain.dumps(document).encode("ascii"))
    context.variables, context.other_variables = document["listed"], document["others"]
    context.redactions += tuple(wire.decode(Redaction, one) for one in document["redactions"])


def _write_quietly(path: str, data: bytes) -> None:
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        temporary = f"{path}.{os.getpid()}"
        with open(temporary, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError:
        pass


_LIMITS = {
    "address_space": "RLIMIT_AS", "core": "RLIMIT_CORE", "cpu_seconds": "RLIMIT_CPU", "data": "RLIMIT_DATA",
    "file_size": "RLIMIT_FSIZE", "locked_memory": "RLIMIT_MEMLOCK", "open_files": "RLIMIT_NOFILE",
    "processes": "RLIMIT_NPROC", "stack": "RLIMIT_STACK",
}  # fmt: skip


def attending(place: Place, started: Mapping[str, Any]) -> Attending | None:
    """The hooks that installed packages declare, called for this run. As long as the folders with packages are as they were
    when there were none, nothing is looked at but their times."""
    stamp = ""
    for path in sys.path:
        if path.endswith(("site-packages", "dist-packages")):
            try:
                stamp += f"{path}\t{os.stat(path).st_mtime_ns}\n"
            except OSError:
                continue
    none = os.path.join(project.cache_dir(place), "no-hooks")
    try:
        with open(none, "rb", 0) as file:
            if file.read() == os.fsencode(stamp):
                return None
    except OSError:
        pass
    from vestige.record import hooks

    found, settled = hooks.declared(stamp)
    if not found and settled:
        _write_quietly(none, os.fsencode(stamp))
    return hooks.Attending(found, started) if found else None


def limits(context: Context) -> None:
    """What the command may use at most, as the shell's ulimit has it: we have inherited the same. Others are unlimited."""
    try:
        import resource
    except ImportError:
        return  # no such limits on Windows
    for name, constant in _LIMITS.items():
        if (number := getattr(resource, constant, None)) is not None:
            most = resource.getrlimit(number)[0]
            if most != resource.RLIM_INFINITY:
                context.limits[name] = most


def machine(context: Context, place: Place, objects: Objects) -> None:
    """The machine, as an object that runs share; and the job of a scheduler."""
    context.machine = objects.put(wire.dump(wire.encode(machines.machine(project.cache_dir(place)))))
    context.job = machines.job(dict(os.environ)) or None


def with_declared(
    conclusion: Conclusion, started: Mapping[str, Any], place: Place, config: Config, known: Known, setting: Setting
) -> Conclusion:
    """What was observed, joined with what the command and the user said."""
    options = started.get("options") or {}
    command = declared.recognise(
        [str(word) for word in started.get("command") or ()], declared.flags(config.flags.inputs, config.flags.outputs)
    )
    said = declared.declare(
        command,
        absolute(started.get("cwd") or ".", place.root),
        os.path.realpath,
        inputs=options.get("inputs") or (),
        outputs=(*(options.get("outputs") or ()), *_items(options.get("items") or (), place.root)),
    )
    if not said.inputs and not said.outputs:
        return conclusion
    began = conclusion.clock.at(started["sequence"]) if conclusion.clock else 0.0
    return declared.merge(conclusion, said, _files_at, known, setting, started=began)


def _items(patterns: Sequence[str], root: str) -> list[str]:
    """The files of items, as they are now: patterns relative to the root."""
    if not patterns:
        return []
    from glob import glob

    return [os.path.join(root, path) for pattern in patterns for path in sorted(glob(pattern, root_dir=root, recursive=True))]


def _files_at(path: str) -> dict[str, Stat]:
    """The regular files at a path, or below it."""
    if (found := stat_of(path)) is not None:
        return {path: found}
    below = (os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
    return {name: found for name in below if (found := stat_of(name)) is not None}


class Environments:
    """The interpreters that were seen to run, and their packages; stored once for each distinct set."""

    def __init__(self, place: Place, objects: Objects) -> None:
        self._cache = project.cache_dir(place)
        self._objects = objects
        self._found: dict[str, packages.Captured] = {}
        self._others: set[str] = set()

    def seen(self, execution: Execution) -> None:
        """A program was started: if it is an interpreter, look at its environment now."""
        path = execution.path
        if path in self._found or path in self._others:
            return
        if packages.is_interpreter(path):
            self._found[path] = packages.capture(path, self._cache)
        else:
            self._others.add(path)

    def versions(self, path: str) -> list[tuple[str, str]]:
        """The packages that an interpreter sees, by name."""
        if path not in self._found:
            self._found[path] = packages.capture(path, self._cache)
        found = environment_of(self._found[path].data())
        return sorted((package.name, package.version or "") for package in found.packages)

    def settle(self, context: Context, conclusion: Conclusion) -> None:
        """Store what was found: the environment of the run."""
        for execution in conclusion.executions:
            self.seen(execution)
        used = [use.path for use in conclusion.software if use.role == "system"]
        owners = system.owners(used, self._cache)
        context.problems += owners.problems
        if not self._found and not owners.versions:
            return
        captured = packages.join(list(self._found.values()), owners.versions, self._cache)
        context.problems += captured.problems
        context.environment = captured.digest
        if not self._objects.has(captured.digest):
            self._objects.put(captured.data())


def promoted(conclusion: Conclusion, place: Place, take: Callable[[str, Stat], Digest | None]) -> Conclusion:
    """A library file that no package put there, or that was edited in place, is code of the user's own."""
    libraries = {
        use.path: (use.signature.size, use.signature.mtime_ns)
        for use in conclusion.software
        if use.role == "library" and use.signature is not None
    }
    if not libraries:
        return conclusion
    strange = strangers.strangers(libraries, project.cache_dir(place))
    if not strange:
        return conclusion
    moved = tuple(
        use._replace(role="code", digest=take(use.path, use.signature))
        for use in conclusion.software
        if use.path in strange and use.signature is not None
    )
    return conclusion._replace(
        inputs=conclusion.inputs + moved, software=tuple(use for use in conclusion.software if use.path not in strange)
    )


def claimed(conclusion: Conclusion, place: Place, config: Config, take: Callable[[str, Stat], Digest | None]) -> Conclusion:
    """Files of packages and of the system that `[classify]` makes more of are recorded one by one. Their role stays what the
    rules say: the configuration is applied when somebody asks."""
    if not config.classify:
        return conclusion
    moved = {
        use.path: use._replace(digest=take(use.path, use.signature))
        for use in conclusion.software
        if use.signature is not None and config.role(relative(use.path, place.root)) not in (None, "library", "system")
    }
    rest = tuple(use for use in conclusion.software if use.path not in moved)
    return conclusion._replace(inputs=(*conclusion.inputs, *moved.values()), software=rest)


def streams(
    folder: str, document: Mapping[str, Any], objects: Objects, place: Place, hashed: Callable[[str], Digest | None]
) -> tuple[dict[str, Stream], Stdin | None, tuple[str, ...]]:
    """What the launcher kept of the standard streams, and what standard input was."""
    problems: list[str] = []
    found: dict[str, Stream] = {}
    for name in ("stdout", "stderr", "terminal"):
        try:
            with open(os.path.join(folder, name), "rb") as file:
                data = _redacted(file.read())
            sizes = document.get(name) or {}
            found[name] = Stream(
                digest=objects.put(data),
                size=sizes.get("size", len(data)),
                truncated=bool(sizes.get("truncated", False)),
                pipe=sizes.get("pipe"),
            )
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(f"{name} was not kept: {error.strerror}")
    stdin = document.get("stdin")
    if not isinstance(stdin, dict):
        return found, None, tuple(problems)
    path = stdin.get("path")
    content: Digest | None = None
    if path and os.path.isfile(path):
        content = hashed(path)
    shown = relative(os.path.realpath(path), place.root) if path else None
    return found, Stdin(kind=stdin.get("kind", "closed"), path=shown, digest=content, pipe=stdin.get("pipe")), tuple(problems)


def _redacted(data: bytes) -> bytes:
    if not data:
        return data
    from vestige.model import redaction

    return redaction.redact_stream(data, redaction.known_values(os.environ))


def gaps(method: str, folder: str, lost: int = 0, *, metadata: bool = False) -> tuple[str, ...]:
    """What this way of observing cannot see, in one line each; and that so many events could not be written down."""
    found = []
    if method == "audit":
        from vestige.observe import audit

        found.append(audit.GAP)
    if method == "inside":
        found.append(INSIDE_GAP)
    if method == "none":
        found.append("files were not observed: only what was declared is known")
    if method == "preload":
        from vestige.observe import preload

        found.append(preload.GAP)
    if method in ("notify", "ptrace", "preload", "outer") and not os.path.exists(os.path.join(folder, "closed.json")):
        found.append("the watcher was killed: what happened after that was not seen")
    if metadata and method in ("preload", "audit", "inside", "none"):
        found.append("files that programs only asked about were not seen, though the configuration wants them (metadata)")
    if lost:
        found.append(f"there was no room to write down {lost:,} of the things that happened: files may be missing")
    return tuple(found)


def escaped(conclusion: Conclusion, method: str) -> tuple[tuple[Contact, ...], tuple[str, ...]]:
    """Whom the run connected to, and one line for each to whom it handed something over."""
    from vestige.observe import escapes

    try:
        with open("/etc/hosts", encoding="utf-8", errors="replace") as file:
            names = escapes.hosts(file.read())
    except OSError:
        names = {}
    contacts = escapes.contacts(conclusion, names)
    return contacts, escapes.gaps(conclusion, contacts, connections=method not in ("audit", "inside", "none"))


def environment_of(data: bytes) -> Environment:
    """An environment that was stored."""
    return wire.decode(Environment, plain.loads(data))
