"""JSON by the interpreter's own accelerator: what a recorded run reads and writes, without the module `json`.

That module loads `re` and compiles expressions, and lays out a document in Python, piece by piece. Here as there: the
same text from the same value, a ValueError for what is no JSON. Keys of documents are texts.
"""

from __future__ import annotations

from _json import encode_basestring, encode_basestring_ascii, make_encoder, make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CONSTANTS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_SPACE = " \t\n\r"


class _Rules:
    """What the scanner is to make of a text: what the standard decoder makes of it."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = _CONSTANTS.__getitem__
    memo: dict[str, str] = {}  # noqa: RUF012  # the scanner's own


def loads(text: str | bytes) -> Any:
    """The value that a text, or its UTF-8, stands for. Raises ValueError."""
    if not isinstance(text, str):
        text = text.decode("utf-8", "surrogatepass")
    text = text.strip(_SPACE)
    try:
        found, end = _scan(text, 0)
    except StopIteration as error:
        raise ValueError(f"no JSON at character {error.value}") from None
    except SystemError:  # the scanner's own error is in a module that nobody has loaded
        raise ValueError("no JSON: it is cut off, or not written as JSON is") from None
    if end != len(text):
        raise ValueError(f"more than one value: character {end}")
    return found


def dumps(value: object, *, sort_keys: bool = False) -> str:
    """A value as one line of ASCII, without blanks."""
    encode = make_encoder(None, _refuse, encode_basestring_ascii, None, ":", ",", sort_keys, False, True)
    return "".join(encode(value, 0))


def pages(value: object, indent: str = "\n") -> str:
    """A value as people like to read it: sorted keys, two-space indent, every letter as it is."""
    if isinstance(value, str):
        return str(encode_basestring(value))
    if not value or not isinstance(value, dict | list | tuple):
        return dumps(value)
    inner = indent + "  "
    if isinstance(value, dict):
        lines = [f"{encode_basestring(key)}: {pages(value[key], inner)}" for key in sorted(value)]
        return "{" + inner + f",{inner}".join(lines) + indent + "}"
    return "[" + inner + f",{inner}".join([pages(item, inner) for item in value]) + indent + "]"


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is not JSON")


_scan = make_scanner(_Rules)  # type: ignore[arg-type]  # typeshed has no protocol for it
