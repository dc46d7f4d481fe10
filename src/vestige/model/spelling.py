"""What people type, read generously: the word that was meant, sizes, spans of time, moments."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SPANS = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800, "mo": 2_629_800, "y": 31_557_600}
_LONG = {"second": "s", "sec": "s", "minute": "min", "m": "min", "hour": "h", "day": "d", "week": "w", "month": "mo", "year": "y"}


def nearest(word: str, candidates: Sequence[str]) -> str | None:
    """The candidate that was most likely meant, or None."""
    import difflib

    return next(iter(difflib.get_close_matches(word, candidates, n=1, cutoff=0.6)), None)


def size(text: str) -> int:
    """A size in bytes: `1 MiB`, `500 kB`, `2G`, `0`. Units are powers of 1024, but kB, MB, GB and TB of 1000.

    Raises ValueError.
    """
    number, unit = _split(text)
    if unit in ("", "b"):
        factor = 1
    elif unit in ("kb", "mb", "gb", "tb"):
        factor = 1000 ** ("kmgt".index(unit[0]) + 1)
    elif unit[0] in "kmgt" and unit[1:] in ("", "i", "ib"):
        factor = 1024 ** ("kmgt".index(unit[0]) + 1)
    else:
        raise ValueError(f"'{text}' is not a size")
    return int(number * factor)


def span(text: str) -> float:
    """A span of time in seconds: `90d`, `12 h`, `2 weeks`, `30min`. Raises ValueError."""
    number, unit = _split(text)
    unit = _LONG.get(unit.removesuffix("s") or unit, unit)
    if unit not in _SPANS:
        raise ValueError(f"'{text}' is not a span of time")
    return number * _SPANS[unit]


def moment(text: str, now: float) -> str:
    """A moment in ISO 8601, UTC: a span before `now` (seconds since the epoch), `today`, `yesterday`, or a date or time,
    in local time where it names no zone. Raises ValueError."""
    from datetime import UTC, datetime, timedelta

    here = datetime.fromtimestamp(now, UTC).astimezone()
    day = {"today": 0, "yesterday": 1}.get(text.lower())
    if day is not None:
        found = datetime.combine(here.date() - timedelta(days=day), datetime.min.time())
    else:
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            past = span(text.lower().removesuffix("ago"))
            if past > now:  # before 1970 there was nothing to record
                raise ValueError(f"'{text}' is too long ago") from None
            found = here - timedelta(seconds=past)
    return found.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _split(text: str) -> tuple[float, str]:
    """The number and the unit behind it."""
    plain = text.strip().lower().replace("_", "")
    unit = plain.lstrip("0123456789.")
    digits = plain[: len(plain) - len(unit)]
    if len(digits) > 18:
        raise ValueError(f"'{text}' is too large a number")
    try:
        return float(digits), unit.strip()
    except ValueError:
        raise ValueError(f"'{text}' does not begin with a number") from None
