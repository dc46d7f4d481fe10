"""Comparisons of a record's fields, as a user types them: `duration>10`, `variables.LR=0.1`, `command~train`.

A field is a key of the record, with dots between the levels, as `docs/format.md` has them. Of a list, any element may
fit; of a series of values, the last one counts. Two things that both read as numbers are compared as numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from vestige.errors import UsageError
from vestige.model.run import Run
from vestige.model.spelling import nearest
from vestige.model.values import fields_of, value

_SYNTAX = re.compile(r"\s*([A-Za-z_][\w.\-]*?)\s*(!=|<=|>=|!~|=|<|>|~)\s*(.*?)\s*", re.DOTALL)
_KEYS = tuple(name for name, _ in fields_of(Run) if name != "extra")


@value
class Condition:
    """One comparison. `=` takes `*` and `?`; `~` asks whether the text occurs, whatever its case."""

    field: str
    operator: str
    value: str

    def holds(self, document: Mapping[str, Any]) -> bool:
        """Whether a record (as a document) fits. What a record does not have fits only `!=` and `!~`."""
        found = list(values(document, self.field))
        if self.operator in ("!=", "!~"):
            return not any(_compare(one, self.operator[1:], self.value) for one in found)
        return any(_compare(one, self.operator, self.value) for one in found)


def parse(text: str) -> Condition:
    """Read a comparison. Raises UsageError, which names the nearest right field."""
    found = _SYNTAX.fullmatch(text)
    if found is None:
        raise UsageError(f"'{text}' is no comparison", hint="--where takes FIELD=VALUE, or != < <= > >= ~ in place of =")
    field, operator, value = found.groups()
    return Condition(check_field(field), operator, value)


def values(document: Mapping[str, Any], field: str) -> Iterator[Any]:
    """What a record has under a field: nothing, one thing, or those of a list."""
    return _values(document, field.split("."))


def check_field(field: str) -> str:
    """The field itself. Raises UsageError where no record can have it, and names the nearest that one can have."""
    key = field.partition(".")[0]
    if key not in _KEYS:
        meant = nearest(key, _KEYS)
        asked = f"; did you mean '{meant}'?" if meant else ""
        raise UsageError(f"a record has no field '{key}'{asked}", hint="vestige show --json last shows the fields")
    return field


def _values(item: Any, path: list[str]) -> Iterator[Any]:
    if isinstance(item, list):
        if item and all(isinstance(one, Mapping) and "value" in one for one in item):
            item = item[-1]["value"]  # a series: its last value counts
        else:
            for one in item:
                yield from _values(one, path)
            return
    if not path:
        if isinstance(item, Mapping):
            return
        yield item
    elif isinstance(item, Mapping):
        for taken in range(len(path), 0, -1):  # a key may hold dots itself
            key = ".".join(path[:taken])
            if key in item:
                yield from _values(item[key], path[taken:])
                return


def _compare(item: Any, operator: str, value: str) -> bool:
    if item is None:
        return operator == "=" and value in ("null", "")
    text = {True: "true", False: "false"}.get(item, str(item)) if isinstance(item, bool) else str(item)
    if operator == "~":
        return value.casefold() in text.casefold()
    numbers = _number(text), _number(value)
    if numbers[0] is not None and numbers[1] is not None:
        return _ordered(numbers[0], operator, numbers[1])
    if operator == "=":
        return text == value or fnmatchcase(text, value)
    return _ordered(text, operator, value)


def _ordered(one: Any, operator: str, other: Any) -> bool:
    return bool({"=": one == other, "<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other}[operator])


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
