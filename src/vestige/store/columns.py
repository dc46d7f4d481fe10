"""How moments, roles and lists stand in the columns of an index; pure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

from vestige.store import words

#: Codes of accesses and roles; what is not among them is stored as its own name.
ACCESS = ("read", "write", "update", "append", "link", "execute")
ROLE = ("data", "config", "code", "temporary", "cache", "library", "system")
#: The first so many roles are those that `uses_by` lists.
LISTED = 4

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).toordinal()


def instant(text: object) -> int | None:
    """Microseconds since the epoch of an ISO 8601 time; None where it is none."""
    if not isinstance(text, str):
        return None
    if len(text) == 27 and text[26] == "Z" and text[19] == "." and text[10] == "T":
        try:
            seconds = int(text[11:13]) * 3600 + int(text[14:16]) * 60 + int(text[17:19])
            return (_midnight(text[:10]) + seconds) * 1_000_000 + int(text[20:26])
        except ValueError:
            return None
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        return None


def iso(microseconds: int | None) -> str:
    """The time as it is written in records."""
    if microseconds is None:
        return ""
    seconds, fraction = divmod(microseconds, 1_000_000)
    day, second = divmod(seconds, 86400)
    return f"{_date(day)}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{fraction:06}Z"


@lru_cache(maxsize=1024)
def _date(day: int) -> str:
    t = time.gmtime(day * 86400)
    return f"{t[0]:04}-{t[1]:02}-{t[2]:02}"


@lru_cache(maxsize=64)
def _midnight(date: str) -> int:
    return (datetime.fromisoformat(date).toordinal() - _EPOCH) * 86400


def joined(texts: Sequence[str]) -> str | None:
    """A list of texts in one column; None where it is empty. A zero byte, which no argument can hold, becomes U+FFFD."""
    return words.storable("\0".join(text.replace("\0", "\ufffd") for text in texts)) if texts else None


def parted(column: str | None) -> tuple[str, ...]:
    """The list again."""
    return () if column is None else tuple(words.restored(column).split("\0"))
