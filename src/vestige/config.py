"""The configuration: defaults, then a file, then the environment, then flags; it knows where each value came from.

Nothing must be configured. A file is `vestige.toml` in the project's root, or the table `[tool.vestige]` of its
`pyproject.toml`; a variable is `VESTIGE_` and the key in capitals. The table `KEYS` is all there is to say: the
commented file of `vestige init` and the manual come from it.
"""

from __future__ import annotations

import os

from vestige.errors import ConfigError
from vestige.model.spelling import nearest, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from vestige.model.collecting import Wanted
    from vestige.model.files import Role

FILE = "vestige.toml"
_TABLE = "tool.vestige"


class Key:
    """One key: what kind of value it takes, its default as one would write it, and what it is for."""

    __slots__ = ("choices", "default", "help", "kind", "name")

    def __init__(self, name: str, kind: str, default: str, help: str, choices: tuple[str, ...] = ()) -> None:  # noqa: A002
        self.name = name
        self.kind = kind
        self.default = default
        self.help = help
        self.choices = choices


KEYS = (
    Key("keep", "size", '"1 MiB"', "inputs and outputs up to this size are kept in the store"),
    Key("keep_exclude", "words", "[]", 'never kept, whatever their size: patterns such as "*.ckpt" or "scratch/*"'),
    Key(
        "budget",
        "size",
        '"2 GiB"',
        "how much kept data may stay: beyond it what can be made again goes by itself, the rest by vestige gc",
    ),
    Key("hash_limit", "size", '"100 GiB"', "a file above this size is not hashed: it is known by its size and its times"),
    Key("streams", "size", '"1 MiB"', "how much of what a run writes to a standard stream is kept"),
    Key("source_limit", "size", '"10 MiB"', "a source file above this size is not taken into the snapshot of the code"),
    Key("snapshot_limit", "size", '"200 MiB"', "the size of a snapshot: beyond it, data that is tracked is left out first"),
    Key(
        "secrets",
        "choice",
        '"private"',
        "changed or new source that holds a secret: kept exactly, in the part of the store that is only yours, or left out",
        ("private", "withhold"),
    ),
    Key("dirty", "choice", '"keep"', "with uncommitted changes: keep them in the snapshot, or refuse to run", ("keep", "refuse")),
    Key("records", "choice", '"local"', "commit: git sees records and notes, so that they can be shared", ("local", "commit")),
    Key("catalogue", "switch", "true", "keep a compact copy of each record in your state folder, for files that were moved"),
    Key("observe", "choice", '"auto"', "how file accesses are seen", ("auto", "notify", "ptrace", "preload", "audit", "none")),
    Key(
        "metadata",
        "switch",
        "false",
        "note files that a program only asks about (stat, access), too; each such call then costs as much as an open",
    ),
    Key("variables", "words", "[]", 'further environment variables to record, by name: ["LR", "DATASET"]'),
    Key(
        "pre_capture",
        "commands",
        "[]",
        "commands that the shell runs in this folder before anything is captured, in order and up to the first that fails",
    ),
    Key("sidecars", "switch", "false", "put a file .NAME.vestige with its whole lineage beside each output NAME"),
)
#: What `[capsule]` takes, as `KEYS` has the others.
CAPSULE = (
    Key("vault", "text", '"vault"', "the folder that capsules are put into"),
    Key(
        "template",
        "text",
        '"%Y%m%d_%H%M%S"',
        "its name: the start of the run in local time, as strftime writes it",
    ),
    Key(
        "write",
        "switch",
        "false",
        "write one of every run; vestige export RUN --format capsule does whenever you ask",
    ),
    Key("cpu", "switch", "true", "describe the CPU in a capsule"),
)
#: The tables; a key of such a name holds one.
TABLES = ("flags", "items", "classify", "collect", "repositories", "capsule")
_FLAGS = ("inputs", "outputs")
_ITEM = ("files",)
#: What `[classify]` can make of a file.
ROLES: tuple[Role, ...] = ("data", "config", "code", "cache", "temporary", "library", "system")


class Flags:
    """Options of the user's own programs that name inputs and outputs, beyond the usual ones: `("-t", "--table")`."""

    __slots__ = ("inputs", "outputs")

    def __init__(self, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)


class Item:
    """A named set of files that a run with `--item NAME` yields: patterns relative to the root. `wanted` says how those are
    collected for which more than the name was given."""

    __slots__ = ("files", "name", "wanted")

    def __init__(self, name: str, files: Sequence[str], wanted: Sequence[Wanted] = ()) -> None:
        self.name = name
        self.files = tuple(files)
        self.wanted = tuple(wanted)


class Capsule:
    """Where capsules go (a folder, from the root), what they are called, whether every run writes one, and whether it
    describes the CPU."""

    __slots__ = ("cpu", "template", "vault", "write")

    def __init__(self, vault: str = "vault", template: str = "%Y%m%d_%H%M%S", *, write: bool = False, cpu: bool = True) -> None:
        self.vault = vault
        self.template = template
        self.write = write
        self.cpu = cpu


class Config:
    """What is in force. Sizes in bytes. Frozen: `replaced` gives another."""

    __slots__ = (
        "_origins", "budget", "capsule", "catalogue", "classify", "collect", "dirty", "flags", "hash_limit", "items", "keep",
        "keep_exclude", "metadata", "observe", "pre_capture", "records", "repositories", "secrets", "sidecars", "snapshot_limit",
        "source_limit", "streams", "variables",
    )  # fmt: skip

    keep: int
    keep_exclude: tuple[str, ...]
    budget: int
    hash_limit: int
    streams: int
    source_limit: int
    snapshot_limit: int
    secrets: Literal["private", "withhold"]
    dirty: Literal["keep", "refuse"]
    records: Literal["local", "commit"]
    catalogue: bool
    observe: str
    metadata: bool
    variables: tuple[str, ...]
    pre_capture: tuple[str, ...]
    sidecars: bool
    flags: Flags
    items: tuple[Item, ...]
    classify: tuple[tuple[str, Role], ...]
    collect: tuple[Wanted, ...]
    repositories: tuple[tuple[str, str], ...]
    capsule: Capsule
    _origins: dict[str, str]

    def __init__(self, values: Mapping[str, object] | None = None, origins: Mapping[str, str] | None = None) -> None:
        """`values` are checked already, and stand in for defaults."""
        put = object.__setattr__
        for name, value in _DEFAULTS:
            put(self, name, value)
        if values:
            for name, value in values.items():
                put(self, name, value)
        put(self, "_origins", dict(origins or {}))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a configuration is not changed; take replaced({name}=…)")

    def __reduce__(self) -> tuple[object, ...]:
        """To be handed to another process."""
        return Config, ({name: getattr(self, name) for name, _ in _DEFAULTS}, self._origins)

    def origin(self, key: str) -> str:
        """Where the value of a key came from: a file, a variable, a flag, or "default"."""
        return self._origins.get(key, "default")

    def replaced(self, key: str, value: object, origin: str) -> Config:
        """The same with one other value; `origin` is the flag that says so. Raises ConfigError."""
        checked = _check(key, value, origin)
        values = {name: getattr(self, name) for name, _ in _DEFAULTS}
        return Config({**values, key: checked}, {**self._origins, key: origin})

    def item(self, name: str) -> Item | None:
        """The item of that name."""
        return next((item for item in self.items if item.name == name), None)

    def role(self, path: str) -> Role | None:
        """The role that `[classify]` gives to a file, by its path as a record has it; the first pattern that fits counts."""
        if not self.classify:
            return None
        from vestige.model.patterns import fits

        return next((role for pattern, role in self.classify if fits(path, pattern)), None)

    def keeps(self, path: str) -> bool:
        """Whether the bytes at a path may be kept, by its name alone: no secret, and not excluded."""
        from vestige.model.secret_names import is_secret_file

        if not self.keep_exclude:
            return not is_secret_file(path)
        from fnmatch import fnmatch

        name = os.path.basename(path)
        excluded = any(fnmatch(path, one) or fnmatch(name, one) or fnmatch(path, f"*/{one}") for one in self.keep_exclude)
        return not excluded and not is_secret_file(path)


_DEFAULTS: tuple[tuple[str, object], ...] = (
    ("keep", 1 << 20),
    ("keep_exclude", ()),
    ("budget", 2 << 30),
    ("hash_limit", 100 << 30),
    ("streams", 1 << 20),
    ("source_limit", 10 << 20),
    ("snapshot_limit", 200 << 20),
    ("secrets", "private"),
    ("dirty", "keep"),
    ("records", "local"),
    ("catalogue", True),
    ("observe", "auto"),
    ("metadata", False),
    ("variables", ()),
    ("pre_capture", ()),
    ("sidecars", False),
    ("flags", Flags()),
    ("items", ()),
    ("classify", ()),
    ("collect", ()),
    ("repositories", ()),
    ("capsule", Capsule()),
)


def load(root: str, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration of a project. Raises ConfigError, one line with the file, the key and the nearest right one."""
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    where, document = _read(root)
    readers = {
        "flags": _flags, "items": _items, "classify": _classify,
        "collect": _collect, "repositories": _repositories, "capsule": _capsule,
    }  # fmt: skip
    for name, value in document.items():
        values[name] = readers[name](value, where) if name in readers else _check(name, value, where)
        origins[name] = where
    environ = os.environ if environ is None else environ
    for key in KEYS:
        text = environ.get(variable := f"VESTIGE_{key.name.upper()}")
        if text is not None:
            values[key.name] = _check(key.name, _spelled(key, text), variable)
            origins[key.name] = variable
    return Config(values, origins)


def classification(root: str) -> Config:
    """Only what `[classify]` says: a question is answered whatever else is wrong. Raises ConfigError where that table is."""
    try:
        where, document = _read(root)
    except ConfigError:
        return Config()
    table = document.get("classify")
    return Config() if table is None else Config({"classify": _classify(table, where)}, {"classify": where})


def _read(root: str) -> tuple[str, dict[str, object]]:
    """Where the configuration stands, and what it says; tomllib is loaded only where there is something to read."""
    path = os.path.join(root, FILE)
    if (data := _bytes(path)) is not None:
        return path, _toml(data, path)
    path = os.path.join(root, "pyproject.toml")
    data = _bytes(path)
    if data is None or b"tool.vestige" not in data:
        return path, {}
    tool = _toml(data, path).get("tool")
    table = tool.get("vestige", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: [{_TABLE}] is not a table")
    return f"{path} [{_TABLE}]", table


def _bytes(path: str) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


def _toml(data: bytes, path: str) -> dict[str, object]:
    import tomllib

    try:
        return tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {str(error).splitlines()[0]}") from error


def _check(name: str, value: object, where: str) -> object:
    key = next((one for one in KEYS if one.name == name), None)
    if key is None:
        raise _unknown(name, [*(one.name for one in KEYS), *TABLES], where)
    if key.kind == "size":
        return _size(key, value, where)
    if key.kind == "switch":
        return _switch(name, value, where)
    if key.kind == "choice":
        if value in key.choices:
            return value
        raise _wrong(key, value, where, f"takes {' or '.join(key.choices)}", nearest(str(value), key.choices))
    return _words(name, value, where)


def _size(key: Key, value: object, where: str) -> int:
    try:
        if isinstance(value, str):
            return size(value)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    except (ValueError, OverflowError):
        pass
    raise _wrong(key, value, where, f"takes a size such as {key.default}")


def _switch(name: str, value: object, where: str) -> bool:
    if isinstance(value, bool):
        return value
    raise ConfigError(f"{where}: {name} takes true or false, not {value!r}")


def _words(name: str, value: object, where: str) -> tuple[str, ...]:
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return tuple(value)
    raise ConfigError(f"{where}: {name} takes a list of words, not {value!r}")


def _flags(value: object, where: str) -> Flags:
    if not isinstance(value, dict):
        raise ConfigError(f'{where}: flags is a table: [flags] inputs = ["-t"]')
    for name in value:
        if name not in _FLAGS:
            raise _unknown(f"flags.{name}", [f"flags.{one}" for one in _FLAGS], where)
    taken = {name: _words(f"flags.{name}", words, where) for name, words in value.items()}
    for name, words in taken.items():
        for word in words:
            if not word.startswith("-"):
                raise ConfigError(f"{where}: flags.{name} takes options, which begin with -; not '{word}'")
    return Flags(taken.get("inputs", ()), taken.get("outputs", ()))


def _items(value: object, where: str) -> tuple[Item, ...]:
    if not isinstance(value, dict):
        raise ConfigError(f'{where}: items is a table: [items] figures = ["figures/*.png"]')
    found = []
    for name, item in value.items():
        files = item
        if isinstance(item, dict):
            for key in item:
                if key not in _ITEM:
                    raise _unknown(f"items.{name}.{key}", [f"items.{name}.{one}" for one in _ITEM], where)
            files = item.get("files", [])
        if isinstance(files, dict):
            wanted = _wanted(f"items.{name}.files", files, where)
            found.append(Item(name, [one.pattern for one in wanted], wanted))
        else:
            found.append(Item(name, _words(f"items.{name}", files, where)))
    return tuple(found)


def _collect(value: object, where: str) -> tuple[Wanted, ...]:
    if not isinstance(value, dict):
        raise ConfigError(f'{where}: collect is a table: [collect] "poetry.lock" = {{ digest = "sha256" }}')
    return _wanted("collect", value, where)


def _wanted(name: str, table: Mapping[str, object], where: str) -> tuple[Wanted, ...]:
    from vestige.model.collecting import read

    return read(name, table, where)


def _repositories(value: object, where: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        raise ConfigError(f'{where}: repositories is a table: [repositories] library = "../library"')
    for name, path in value.items():
        if not isinstance(path, str) or not path or "\0" in path:
            raise ConfigError(f"{where}: repositories.{name} takes a path, not {path!r}")
    return tuple(value.items())


def _capsule(value: object, where: str) -> Capsule:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: capsule is a table: [capsule] write = true")
    for name in value:
        if name not in Capsule.__slots__:
            raise _unknown(f"capsule.{name}", [f"capsule.{one.name}" for one in CAPSULE], where)
    for name in ("vault", "template"):
        text = value.get(name, name)
        if not isinstance(text, str) or not text or "\0" in text:
            raise ConfigError(f"{where}: capsule.{name} takes a text, not {text!r}")
    template = value.get("template", "")
    if template.startswith("/") or ".." in template.split("/"):
        raise ConfigError(f"{where}: capsule.template names a folder in the vault, which {template!r} does not")
    for name in ("write", "cpu"):
        _switch(f"capsule.{name}", value.get(name, False), where)
    return Capsule(**value)


def _classify(value: object, where: str) -> tuple[tuple[str, Role], ...]:
    if not isinstance(value, dict):
        raise ConfigError(f'{where}: classify is a table: [classify] "cache/*" = "data"')
    for pattern, role in value.items():
        if role not in ROLES:
            meant = nearest(str(role), ROLES)
            asked = f"; did you mean {meant!r}?" if meant else ""
            raise ConfigError(f"{where}: classify.{pattern!r} takes {', '.join(ROLES[:-1])} or {ROLES[-1]}, not {role!r}{asked}")
    return tuple(value.items())


def _spelled(key: Key, text: str) -> object:
    """What a variable says, as the file would."""
    if key.kind == "switch":
        return {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}.get(
            text.lower(), text
        )
    if key.kind == "words":
        return [word.strip() for word in text.split(",") if word.strip()]
    if key.kind == "commands":
        return [line for line in text.split("\n") if line.strip()]
    return text


def _unknown(name: str, known: Sequence[str], where: str) -> ConfigError:
    meant = nearest(name, known)
    return ConfigError(f"{where}: there is no key '{name}'{f'; did you mean {meant!r}?' if meant else ''}")


def _wrong(key: Key, value: object, where: str, takes: str, meant: str | None = None) -> ConfigError:
    return ConfigError(f"{where}: {key.name} {takes}, not {value!r}{f'; did you mean {meant!r}?' if meant else ''}")
