"""JSON that somebody else wrote: read in one piece, and each key asked for by what it should hold."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from typing import Any

from vestige.errors import UnreadableError
from vestige.model import plain

#: Documents above this size (in bytes) are no records.
_LARGEST = 256 << 20

Document = dict[str, Any]


def read(path: str) -> bytes:
    """A file. Raises UnreadableError, in one line."""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise UnreadableError(f"{path} is no regular file")
        if found.st_size > _LARGEST:
            raise UnreadableError(f"{path} is too large to be a record")
        with open(path, "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UnreadableError(f"{path} cannot be read: {reason}") from error


def load(data: bytes, where: str) -> Document:
    """The object that bytes hold. Raises UnreadableError, naming `where`."""
    try:
        found = plain.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"{where} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise UnreadableError(f"{where} holds no record: it is not an object")
    return found


def text(document: Document, key: str) -> str | None:
    """What a key holds, if that is a text with something in it."""
    found = document.get(key)
    return found if isinstance(found, str) and found else None


def whole(document: Document, key: str) -> int | None:
    """What a key holds, if that is a number without fraction."""
    found = document.get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def inner(document: Document, key: str) -> Document:
    """What a key holds, if that is an object; else an empty one."""
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def items(document: Document, key: str) -> list[Any]:
    """What a key holds, if that is a list; else an empty one."""
    found = document.get(key)
    return found if isinstance(found, list) else []


def texts(document: Document, key: str) -> tuple[str, ...]:
    """The texts in a list."""
    return tuple(one for one in items(document, key) if isinstance(one, str))


def instant(text: str | None) -> float | None:
    """Seconds since the epoch of an ISO 8601 time; UTC where it names no zone. None where it is none."""
    try:
        moment = datetime.fromisoformat(text or "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def canonical(*documents: object) -> bytes:
    """The same bytes for the same content, however it was laid out."""
    return plain.dumps(list(documents), sort_keys=True).encode("ascii", "backslashreplace")


def is_digest(algorithm: str, digits: object) -> bool:
    """Whether this is a digest by that algorithm, as far as its letters tell."""
    from hashlib import algorithms_available

    if not isinstance(digits, str) or not digits or len(digits) % 2 or algorithm not in {*algorithms_available, "blake3"}:
        return False
    return not set(digits) - set("0123456789abcdef")


__all__ = ["Document", "canonical", "inner", "instant", "is_digest", "items", "load", "read", "text", "texts", "whole"]
