"""Writing TOML: the few shapes of which a configuration consists."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from vestige.model import plain

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def literal(value: object) -> str:
    """A value on one line: a text, a switch, a number, a list, a table."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key(name)} = {literal(one)}" for name, one in value.items()) + " }" if value else "{}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(literal(one) for one in value) + "]"
    return str(value)


def key(name: str) -> str:
    """A key, with quotes where it needs them."""
    return name if _BARE.fullmatch(name) else _text(name)


def comment(text: str) -> str:
    """A line that says something, whatever is in it."""
    return "# " + " ".join(part for part in "".join(one if one.isprintable() else " " for one in text).split(" ") if part)


def _text(text: str) -> str:
    return plain.pages(text).replace("\x7f", "\\u007f")


__all__ = ["comment", "key", "literal"]
