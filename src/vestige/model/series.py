"""Values that a run logged: each name has a series of them, of which the last one counts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

#: What can be asked of a series, behind its name and a dot.
STATISTICS = ("last", "first", "min", "max", "mean", "count")


def points(series: Any) -> list[Any]:
    """What was logged under a name, one after the other, without the times."""
    if not isinstance(series, list | tuple):
        return [series]
    return [one["value"] if isinstance(one, Mapping) and "value" in one else one for one in series]


def last(series: Any) -> Any:
    """The value that counts, as plain as it can be had."""
    found = points(series)
    return plain(found[-1]) if found else None


def plain(value: Any) -> Any:
    """A number that JSON has no word for as the number that it is; everything else as it was described."""
    if isinstance(value, Mapping) and value.get("type") in ("float", "int") and isinstance(value.get("value"), str):
        try:
            return float(value["value"]) if value["type"] == "float" else int(value["value"], 0)
        except ValueError:
            return value["value"]
    return value


def numbers(series: Any) -> list[float]:
    """The numbers of a series, those left out that are none."""
    found = (plain(one) for one in points(series))
    return [one for one in found if isinstance(one, int | float) and not isinstance(one, bool) and one == one]  # noqa: PLR0124


def statistic(series: Any, name: str) -> Any:
    """One of `STATISTICS` of a series; None where it has no such thing."""
    found = points(series)
    if name == "count":
        return len(found)
    if name in ("first", "last"):
        return plain(found[0 if name == "first" else -1]) if found else None
    counted = numbers(series)
    if not counted:
        return None
    try:
        return math.fsum(counted) / len(counted) if name == "mean" else min(counted) if name == "min" else max(counted)
    except OverflowError:
        return None


def named(values: Mapping[str, Any], name: str) -> Iterator[Any]:
    """What `loss`, `loss.max` or `metrics.f1` means among the values of a run: nothing, or one thing."""
    if name in values:
        yield last(values[name])
        return
    parts = name.split(".")
    for taken in range(len(parts) - 1, 0, -1):  # a name may hold dots itself
        key = ".".join(parts[:taken])
        if key not in values:
            continue
        found: Any = last(values[key])
        for part in parts[taken:]:
            if not isinstance(found, Mapping) or part not in found:
                break
            found = plain(found[part])
        else:
            yield found
            return
        if taken == len(parts) - 1 and parts[-1] in STATISTICS:
            yield statistic(values[key], parts[-1])
        return


def text(value: Any) -> str:
    """A described value in a few words."""
    value = plain(value)
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return _described(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(text, value)) + "]"
    return str(value)


def _described(value: Mapping[str, Any]) -> str:
    kind = value.get("type")
    if not isinstance(kind, str):
        return "{" + ", ".join(f"{key}: {text(item)}" for key, item in value.items()) + "}"
    if value.get("ignored"):
        return f"({kind}, left out)"
    for key in ("repr", "name", "begins"):
        if isinstance(value.get(key), str):
            return f"{value[key]}{'…' if key == 'begins' else ''}"
    shape = value.get("shape")
    if isinstance(shape, Sequence) and not isinstance(shape, str):
        return " ".join([kind, "×".join(map(str, shape)), str(value.get("dtype", ""))]).strip()
    for key, word in (("length", "items"), ("size", "bytes")):
        if key in value:
            return f"{kind} of {value[key]} {word}"
    fields = value.get("fields")
    return f"{kind} {text(fields)}" if isinstance(fields, Mapping) else kind
