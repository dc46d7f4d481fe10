"""The configurations of Capsula (both generations) and ntrk, as a `vestige.toml` that says the same.

What Vestige does by itself becomes a comment; what it cannot do, a remark for whoever converts.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Callable, Mapping

from vestige.config import FILE
from vestige.errors import ConfigError, NotFoundError, UnreadableError
from vestige.exchange import toml
from vestige.exchange.documents import Document, inner, items, read, text, texts
from vestige.model.values import field, value

_FIRST = frozenset({"vault-directory", "capsule-template", "capture", "monitor"})
#: The digests that can be taken beside BLAKE3.
_ALGORITHMS = frozenset(one for one in hashlib.algorithms_guaranteed if not one.startswith("shake")) | {"blake3"}
_LATER = frozenset({"vault-dir", "pre-run", "in-run", "post-run"})


@value
class Converted:
    """The text of a `vestige.toml`, and a line for each thing that it cannot say."""

    text: str
    remarks: tuple[str, ...]


@value(frozen=False)
class Draft:
    """A configuration that is being written: keys, tables, and what is said about them."""

    keys: dict[str, object] = field(default_factory=dict)
    tables: dict[str, dict[str, object]] = field(default_factory=dict)
    itself: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def put(self, table: str, name: str, value: object) -> None:
        """Set one key of a table."""
        self.tables.setdefault(table, {})[name] = value

    def extend(self, key: str, words: tuple[str, ...]) -> None:
        """Add words to a list, each once."""
        known = self.keys.get(key, ())
        if words and isinstance(known, tuple):
            self.keys[key] = tuple(dict.fromkeys((*known, *words)))

    def render(self, source: str) -> str:
        """The file."""
        lines = [toml.comment(f"Converted from {source}: vestige import-config {source}")]
        if self.itself:
            lines += ["#", "# What else stood there, Vestige does by itself:"]
            lines += [toml.comment("- " + one) for one in dict.fromkeys(self.itself)]
        if self.remarks:
            lines += ["#", "# What cannot be said here:"]
            lines += [toml.comment("- " + one) for one in self.remarks]
        lines += [""] + [f"{toml.key(name)} = {toml.literal(one)}" for name, one in self.keys.items()]
        for name, table in self.tables.items():
            lines += ["", f"[{name}]", *(f"{toml.key(one)} = {toml.literal(item)}" for one, item in table.items())]
        return "\n".join(lines).rstrip("\n") + "\n"


def convert(path: str) -> Converted:
    """The same as a file of Capsula's or ntrk's says. Raises NotFoundError, ConfigError."""
    name = os.path.basename(path)
    document = _document(path)
    if name == "pyproject.toml":
        tools = inner(document, "tool")
        document = inner(tools, "capsula")
        if not document:
            hint = "name a capsula.toml or an ntrk.toml"
            raise NotFoundError(f"{path} has no table [tool.capsula]", hint=hint)
    elif name == FILE:
        raise ConfigError(f"{path} is a configuration of Vestige already")
    draft = Draft()
    _writer(path, name, document)(draft, document)
    return Converted(draft.render(name), tuple(draft.remarks))


def _document(path: str) -> Document:
    if not os.path.lexists(path):
        raise NotFoundError(f"{path} is not there")
    try:
        return tomllib.loads(read(path).decode("utf-8"))
    except UnreadableError as error:
        raise ConfigError(str(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {str(error).splitlines()[0]}") from error


def _writer(path: str, name: str, document: Document) -> Callable[[Draft, Document], None]:
    keys = {key.replace("_", "-") for key in document}
    if keys & _LATER:
        return _later
    if keys & _FIRST or (name == "capsula.toml" and not document):
        return _first
    if set(document) == {"flags"} or name == "ntrk.toml":
        return _ntrk
    raise ConfigError(
        f"{path} is neither a configuration of Capsula nor of ntrk", hint="vestige init writes one of Vestige's own"
    )


# --- ntrk ------------------------------------------------------------------------------------------------------------


def _ntrk(draft: Draft, document: Document) -> None:
    draft.keys["dirty"] = "refuse"
    draft.itself.append("ntrk refused to run with uncommitted changes, and so does dirty = 'refuse'; without it, they are kept")
    draft.keys["sidecars"] = True
    draft.itself.append("without sidecars, too, a copied file is traced: by the catalogue of all your projects on this machine")
    flags = inner(document, "flags")
    for name in flags:
        words = texts(flags, name)
        options = tuple(word for word in words if word.startswith("-"))
        if name not in ("inputs", "outputs"):
            draft.remarks.append(f"flags.{name}: ntrk knew only inputs and outputs")
            continue
        draft.put("flags", name, options)
        for word in items(flags, name):
            if word not in options:
                draft.remarks.append(f"flags.{name}: {word!r} is no option: those begin with -")
        if not isinstance(flags[name], list):
            draft.remarks.append(f"flags.{name}: takes a list of options, not {flags[name]!r}")
    _rest(draft, document, {"flags"})


# --- Capsula, first generation ---------------------------------------------------------------------------------------


def _first(draft: Draft, found: Document) -> None:
    document = {key.replace("_", "-"): one for key, one in found.items()}
    capture = {key.replace("_", "-"): one for key, one in inner(document, "capture").items()}
    monitor = inner(document, "monitor")
    _list(draft, capture, "environment-variables", "variables")
    _list(draft, capture, "pre-capture-commands", "pre_capture")
    _capsules(draft, document, "vault-directory")
    template = text(document, "capsule-template")
    if template and (template.startswith("/") or ".." in template.split("/") or "\0" in template):
        draft.remarks.append(f"capsule-template: {template!r} would lead out of the vault")
    elif template:
        draft.put("capsule", "template", template)
    if isinstance(capture.get("include-cpu"), bool):
        draft.put("capsule", "cpu", capture["include-cpu"])
    if "capture" in monitor:
        draft.itself.append("monitor.capture: each run records its context")
    for path, options in inner(capture, "files").items():
        if (wanted := _collected(draft, path, options)) is not None:
            draft.put("collect", path, wanted)
    for name, path in inner(inner(capture, "git"), "repositories").items():
        _repository(draft, name, path)
    for name, item in inner(monitor, "item").items():
        _item(draft, name, inner(item, "files") if isinstance(item, dict) else {})
    _rest(draft, document, _FIRST)
    _rest(draft, capture, {"include-cpu", "pre-capture-commands", "environment-variables", "files", "git"}, "capture.")
    _rest(draft, inner(capture, "git"), {"repositories"}, "capture.git.")
    _rest(draft, monitor, {"capture", "item"}, "monitor.")


def _capsules(draft: Draft, document: Document, key: str) -> None:
    """Capsula made a capsule of every run."""
    draft.put("capsule", "write", True)
    vault = text(document, key)
    if vault and "\0" not in vault:
        draft.put("capsule", "vault", vault)
    elif key in document:
        draft.remarks.append(f"{key}: takes the path of a folder, not {document[key]!r}")


def _list(draft: Draft, document: Document, theirs: str, ours: str) -> None:
    words = texts(document, theirs)
    draft.extend(ours, words)
    if theirs in document and (not isinstance(document[theirs], list) or len(words) != len(document[theirs])):
        draft.remarks.append(f"capture.{theirs}: takes a list of words, not {document[theirs]!r}")


def _collected(draft: Draft, path: str, options: object) -> dict[str, object] | None:
    """How a file is collected, in our words; None where it cannot be said."""
    if not isinstance(options, dict):
        draft.remarks.append(f"the file {path!r}: takes a table such as {{ hash = 'sha256' }}, not {options!r}")
        return None
    if not path or "\0" in path:
        draft.remarks.append(f"the file {path!r}: no file is called so")
        return None
    if set("*?[") & set(path):
        draft.remarks.append(f"the file {path!r}: it is a pattern here")
    wanted: dict[str, object] = {}
    algorithm = text(options, "hash")
    if algorithm in _ALGORITHMS:
        wanted["digest"] = algorithm
    elif algorithm is not None:
        draft.remarks.append(f"the file {path!r}: there is no digest by {algorithm!r} here; BLAKE3 is always taken")
    for way in ("copy", "move"):
        if options.get(way) is True:
            wanted[way] = True
    if wanted.get("copy") and wanted.get("move"):
        del wanted["copy"]
        draft.remarks.append(f"the file {path!r}: it can be copied or moved, not both; it is moved")
    _rest(draft, options, {"hash", "copy", "move"}, f"the file {path!r}: ")
    return wanted


def _repository(draft: Draft, name: str, path: object) -> None:
    if not isinstance(path, str) or not path or "\0" in path:
        draft.remarks.append(f"the repository {name!r}: {path!r} is no path")
        return
    draft.put("repositories", name, path)


def _item(draft: Draft, name: str, files: Document) -> None:
    """A named set of files that a run yields."""
    for path, options in files.items():
        if (wanted := _collected(draft, path, options)) is not None:
            draft.put(f"items.{toml.key(name)}.files", path, wanted)


# --- Capsula, later generation ---------------------------------------------------------------------------------------


def _later(draft: Draft, found: Document) -> None:
    document = {key.replace("_", "-"): one for key, one in found.items()}
    _capsules(draft, document, "vault-dir")
    draft.remarks.append("a capsule is called by the time of its run, without the name of the command before it")
    for phase in ("pre-run", "in-run", "post-run"):
        part = inner(document, phase)
        for kind in ("contexts", "watchers", "reporters"):
            for one in items(part, kind):
                _component(draft, phase, one)
        _rest(draft, part, {"contexts", "watchers", "reporters"}, f"{phase}.")
    _rest(draft, document, _LATER)


def _component(draft: Draft, phase: str, one: object) -> None:
    kind = text(one, "type") if isinstance(one, dict) else None
    if not isinstance(one, dict) or kind is None:
        draft.remarks.append(f"{phase}: takes tables with a 'type', not {one!r}")
    elif kind in _ITSELF:
        draft.itself.append(f"{kind}: {_ITSELF[kind]}")
        if kind == "FunctionContext" and one.get("ignore"):
            ignored = ", ".join(repr(name) for name in texts(one, "ignore"))
            draft.remarks.append(f"FunctionContext: say it where the function is: @vestige.monitor(ignore=({ignored},))")
    elif kind in _CONVERTED:
        _CONVERTED[kind](draft, phase, one)
    elif kind == "SlackReporter":
        draft.remarks.append(
            "SlackReporter: a reporter of your own tells of runs; it is registered as a hook, not configured here"
        )
    else:
        draft.remarks.append(
            f"{phase}: there is no counterpart to {kind}; a probe, a watcher or a reporter of your own may do it"
        )


def _variable(draft: Draft, _: str, one: Document) -> None:
    if name := text(one, "name"):
        draft.extend("variables", (name,))
    else:
        draft.remarks.append("EnvVarContext: it names no variable")


def _command(draft: Draft, phase: str, one: Document) -> None:
    command = text(one, "command")
    if command is None:
        draft.remarks.append("CommandContext: it names no command")
    elif phase != "pre-run":
        draft.remarks.append(f"CommandContext: {command!r} is not run after a run; put it into the command that you record")
    else:
        draft.extend("pre_capture", (command,))
        if text(one, "cwd"):
            draft.remarks.append(f"CommandContext: {command!r} runs in the project's root, not in {one['cwd']!r}")
        if one.get("check") is False or one.get("abort_on_error") is False:
            draft.remarks.append(f"CommandContext: {command!r} stops what follows if it fails; write '{command} || true'")


def _file(draft: Draft, phase: str, one: Document) -> None:
    path = text(one, "path")
    if path is None:
        draft.remarks.append("FileContext: it names no file")
        return
    if one.get("path_relative_to_project_root") is not True and not os.path.isabs(path):
        draft.remarks.append(f"FileContext: {path!r} is looked for in the project's root, wherever a run is started")
    wanted: dict[str, object] = {} if one.get("compute_hash") is False else {"hash": text(one, "hash_algorithm") or "sha256"}
    wanted |= {way: True for way in ("copy", "move") if one.get(way) is True}
    collected = _collected(draft, path, wanted)
    if collected is not None and phase == "pre-run":
        draft.put("collect", path, collected)
    elif collected is not None:
        draft.itself.append(f"FileContext: {path}, after a run: what a run writes is recorded with its digest, wherever it lies")
        draft.put("items.post-run.files", path, collected)
        way = "copied" if collected.get("copy") else "moved" if collected.get("move") else None
        if way is not None:
            draft.remarks.append(f"FileContext: {path!r} is {way} after a run that is started with vestige run --item post-run")


def _git(draft: Draft, _: str, one: Document) -> None:
    path = text(one, "path")
    if path is None:
        draft.itself.append("GitRepositoryContext: the repository of the project is always recorded, with all changes")
    else:
        name = text(one, "name") or os.path.basename(os.path.normpath(path))
        _repository(draft, "project" if name in (".", "") else name, path)
    if one.get("allow_dirty") is False:
        draft.keys["dirty"] = "refuse"


_ITSELF: Mapping[str, str] = {
    "CwdContext": "the working directory is always recorded",
    "CpuContext": "the CPU is always recorded",
    "PlatformContext": "system, kernel and interpreter are always recorded",
    "FunctionContext": "@vestige.monitor records the arguments of a function, with defaults",
    "TimeWatcher": "start, end and duration are always recorded",
    "UncaughtExceptionWatcher": "an exception is recorded with its type, its message and its traceback",
    "JsonDumpReporter": "records and capsules are JSON; vestige show RUN --json prints one",
}
_CONVERTED: Mapping[str, Callable[[Draft, str, Document], None]] = {
    "EnvVarContext": _variable,
    "CommandContext": _command,
    "FileContext": _file,
    "GitRepositoryContext": _git,
}


def _rest(draft: Draft, document: Document, known: frozenset[str] | set[str], where: str = "") -> None:
    """Name what means nothing to us."""
    draft.remarks += [f"{where}{name} has no counterpart" for name in document if name not in known]


__all__ = ["Converted", "convert"]
