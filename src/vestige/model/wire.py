"""Values to JSON documents and back.

A document says its version; a reader accepts absent keys; whoever writes a document that it
read keeps the keys it does not know (they ride in `extra`). A path that is not UTF-8 has its
bytes percent-encoded, and its use says `"encoding": "percent"`.
"""

from __future__ import annotations

from types import MappingProxyType

from vestige.errors import DamagedError, NewerFormatError
from vestige.model import plain, shape
from vestige.model.code import Code, Repository
from vestige.model.environment import CondaPackage, Environment, Interpreter, Package
from vestige.model.files import FileUse, Moment, Signature
from vestige.model.machine import Machine
from vestige.model.run import (
    FORMAT,
    Collected,
    FileReference,
    Observation,
    Process,
    ProjectReference,
    Redaction,
    Reproduction,
    Run,
    Stdin,
    Stream,
    Verdict,
)
from vestige.model.values import fields_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    T = TypeVar("T")
    Document = dict[str, Any]
else:
    Document = dict


#: Which keys hold a value of ours (one), a list of them (many), or a mapping of them (named).
_ONE: dict[type, dict[str, type]] = {
    Run: {
        "project": ProjectReference,
        "executable": FileReference,
        "script": FileReference,
        "code": Code,
        "stdin": Stdin,
        "observation": Observation,
        "reproduction": Reproduction,
    },
    FileUse: {"first": Moment, "last": Moment, "signature": Signature},
}
_MANY: dict[type, dict[str, type]] = {
    Run: {"inputs": FileUse, "outputs": FileUse, "processes": Process, "redactions": Redaction, "collected": Collected},
    Code: {"repositories": Repository},
    Environment: {"interpreters": Interpreter, "packages": Package, "conda": CondaPackage},
    Reproduction: {"verdicts": Verdict},
}
_NAMED: dict[type, dict[str, type]] = {Run: {"streams": Stream}}

#: The paths of a use: if one is not UTF-8, both are percent-encoded.
_PATHS = ("path", "link")

#: What never gets another key; one that is there all the same is passed over.
_CLOSED = frozenset({Moment, Signature})

#: Keys that are left out where they say nothing. All other keys are always written.
_QUIET: dict[type, frozenset[str]] = {
    Run: frozenset({"inputs_object", "outputs_object", "processes_object", "collected", "context"}),
    Collected: frozenset({"other", "item"}),
    Repository: frozenset({"name", "snapshot", "base"}),
    FileUse: frozenset({"before", "first", "last", "by", "deleted", "recovered", "link", "kind", "signature"}),
    FileReference: frozenset({"git_blob"}),
    Process: frozenset({"parent", "exit_code"}),
    Stdin: frozenset({"path", "digest", "pipe"}),
    Stream: frozenset({"pipe"}),
    Verdict: frozenset({"note"}),
    Redaction: frozenset({"variable", "hmac"}),
    Package: frozenset({"installer", "origin", "tags"}),
    CondaPackage: frozenset({"md5", "sha256"}),
    Code: frozenset({"base", "private"}),
    Observation: frozenset({"asked"}),
}


def encode(value: Any) -> Document:
    """A value of the model as a document that `json` can write."""
    cls = type(value)
    extra = getattr(value, "extra", None)
    document: Document = dict(extra) if extra else {}
    for name, default in _fields(cls):
        item = getattr(value, name)
        if item is default or (default is not _ALWAYS and item == default):
            continue
        document[name] = item if type(item) in _SCALARS else _plain(item)
    if cls is FileUse:
        _escape(document)
    return document


def decode(cls: type[T], document: Mapping[str, Any]) -> T:
    """The value that a document describes; unknown keys are kept in `extra`.

    Raises DamagedError where a key holds what it cannot hold.
    """
    known, converters = _decoders(cls)
    arguments: Document = {}
    extra: Document = {}
    try:
        for key, item in document.items():
            if key not in known:
                extra[key] = item
            elif item is not None and key in converters:
                arguments[key] = converters[key](item)
            else:
                arguments[key] = tuple(item) if isinstance(item, list) else item
        if cls is FileUse and extra.get("encoding") == "percent":
            del extra["encoding"]
            arguments.update((key, unescape(arguments[key])) for key in _PATHS if isinstance(arguments.get(key), str))
        if extra and cls not in _CLOSED:
            arguments["extra"] = MappingProxyType(extra)
        shape.check(cls, arguments)
        return cls(**arguments)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise DamagedError(f"a {cls.__name__} in a record cannot be read: {error}") from error


def dump_run(run: Run) -> bytes:
    """The record as it lies on disk: sorted keys, two-space indent, a newline at the end."""
    return dump(encode(run))


def dump(document: object) -> bytes:
    """Any document of ours as bytes, always the same for the same content."""
    return (plain.pages(document) + "\n").encode("utf-8", "backslashreplace")


def compact(document: object) -> bytes:
    """One line, for catalogues and journals."""
    return plain.dumps(document, sort_keys=True).encode("ascii")


def load_run(data: bytes, where: str = "a record") -> Run:
    """Read a record. Raises NewerFormatError or DamagedError, naming `where`."""
    return decode(Run, load_document(data, where))


def load_document(data: bytes, where: str = "a record") -> Document:
    """The record as a plain document, its version checked."""
    try:
        document = plain.loads(data)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{where} is not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("id"), str):
        raise DamagedError(f"{where} is not a record: it has no id")
    check_version(document, where)
    return document


def check_version(document: Mapping[str, Any], where: str) -> None:
    """Raises NewerFormatError where a document was written in a format that is not known here."""
    version = document.get("vestige", FORMAT)
    if not isinstance(version, int) or version > FORMAT:
        raise NewerFormatError(f"{where} has format {version}; this Vestige reads up to {FORMAT}")


def escape(path: str) -> tuple[str, bool]:
    """A path as it is written, and whether it had to be percent-encoded."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        from urllib.parse import quote_from_bytes

        try:
            return quote_from_bytes(path.encode("utf-8", "surrogateescape")), True
        except UnicodeEncodeError as error:
            raise DamagedError(f"{path!r} cannot be a path") from error
    return path, False


def unescape(path: str) -> str:
    """The surrogate-escaped path that a percent-encoded one stands for."""
    from urllib.parse import unquote_to_bytes

    return unquote_to_bytes(path).decode("utf-8", "surrogateescape")


def _escape(document: Document) -> None:
    """Percent-encode a use's paths, all of them if one has to be, since its mark speaks of all."""
    paths = {key: text for key in _PATHS if (text := document.get(key))}
    if all(map(str.isascii, paths.values())):
        return
    if any(escape(text)[1] for text in paths.values()):
        from urllib.parse import quote_from_bytes

        document.update((key, quote_from_bytes(text.encode("utf-8", "surrogateescape"))) for key, text in paths.items())
        document["encoding"] = "percent"


def _plain(item: Any) -> Any:
    if isinstance(item, _SCALARS):
        return item
    if isinstance(item, (tuple, list)):
        return [one if type(one) in _SCALARS else _plain(one) for one in item]
    if isinstance(item, (dict, MappingProxyType)):
        return {str(key): _plain(one) for key, one in item.items()}
    return encode(item)


_SCALARS = (str, int, float, bool, type(None))
#: In place of a default: the key is written whatever it holds.
_ALWAYS = object()

_FIELDS: dict[type, tuple[tuple[str, object], ...]] = {}
_DECODERS: dict[type, tuple[frozenset[str], dict[str, Callable[[Any], Any]]]] = {}


def _fields(cls: type) -> tuple[tuple[str, object], ...]:
    """The keys of a value, each with what it holds where it is left out."""
    found = _FIELDS.get(cls)
    if found is None:
        quiet = _QUIET.get(cls, frozenset())
        every = [(name, default) for name, default in fields_of(cls) if name != "extra"]
        found = _FIELDS[cls] = tuple([(name, default if name in quiet else _ALWAYS) for name, default in every])
    return found


def _decoders(cls: type) -> tuple[frozenset[str], dict[str, Callable[[Any], Any]]]:
    found = _DECODERS.get(cls)
    if found is None:
        converters = {key: _one(kind) for key, kind in _ONE.get(cls, {}).items()}
        converters |= {key: _many(kind) for key, kind in _MANY.get(cls, {}).items()}
        converters |= {key: _named(kind) for key, kind in _NAMED.get(cls, {}).items()}
        found = _DECODERS[cls] = frozenset(name for name, _ in _fields(cls)), converters
    return found


def _one(cls: type) -> Callable[[Any], Any]:
    return lambda item: decode(cls, item)


def _many(cls: type) -> Callable[[Any], Any]:
    return lambda items: tuple(decode(cls, item) for item in items)


def _named(cls: type) -> Callable[[Any], Any]:
    return lambda items: {name: decode(cls, item) for name, item in items.items()}


__all__ = [
    "Document",
    "Machine",
    "check_version",
    "compact",
    "decode",
    "dump",
    "dump_run",
    "encode",
    "escape",
    "load_document",
    "load_run",
    "unescape",
]
