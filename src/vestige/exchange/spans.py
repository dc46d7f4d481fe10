"""How long something took, in the two spellings of Capsula's generations: `PT2.486653S` and `1 day, 0:00:00.451834`."""

from __future__ import annotations

import re

_ISO = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_CLOCK = re.compile(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_UNITS = (86400.0, 3600.0, 60.0, 1.0)


def seconds(text: object) -> float | None:
    """The span in seconds; None where the text is none."""
    if not isinstance(text, str) or len(text) > 100:
        return None
    found = _ISO.fullmatch(text) or _CLOCK.fullmatch(text)
    if found is None or not any(found.groups()):
        return None
    return sum(float(part) * unit for part, unit in zip(found.groups(), _UNITS, strict=True) if part is not None)


__all__ = ["seconds"]
