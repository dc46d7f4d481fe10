"""What runs are asked for, as a user types it: `accuracy > 0.9 and name ~ fold`, `duration>10`, `variables.LR=0.1`.

A field is a key of the record, with dots between the levels, as `docs/format.md` has them; any other name is that of a value
that the run logged. Of a list, any element may fit; of a series of values, the last one counts. Two things that both read as
numbers are compared as numbers.

    all        = every { "or" every }            comparison = FIELD OPERATOR TEXT
    every      = one { "and" one }               FIELD      = a name, or one in quotes
    one        = "not" one | "(" all ")" | comparison

A text without quotes goes on to the next `and` or `or`, or to the parenthesis that closes; so it may hold blanks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from vestige.errors import UsageError
from vestige.model import series
from vestige.model.run import Run
from vestige.model.values import fields_of, value

#: The keys of a record.
KEYS = tuple(name for name, _ in fields_of(Run) if name != "extra")

_OPERATOR = r"!=|<=|>=|!~|==|=|<|>|~"
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_COMPARISON = re.compile(rf"\s*({_QUOTED}|[^\W\d][\w./:@%+\-]*?)\s*({_OPERATOR})\s*", re.DOTALL)
_NOT = re.compile(rf"\s*not(?![\w./:@%+\-]|\s*(?:{_OPERATOR}))", re.IGNORECASE)
_CONNECTIVE = re.compile(r"\s*\b(and|or)(?=[\s(]|$)", re.IGNORECASE)
_TEXT = re.compile(rf"{_QUOTED}")
_STOP = re.compile(r"\s+(?:and|or)(?=[\s(]|$)|[()]", re.IGNORECASE)
_DEEPEST = 100
_HINT = "--where takes FIELD=VALUE, or != < <= > >= ~ in place of =, joined by and, or, not and ( ); a text with blanks in quotes"


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

    def fields(self) -> Iterator[str]:
        """The fields that are compared."""
        yield self.field


@value
class Not:
    """What a condition leaves out."""

    part: Expression

    def holds(self, document: Mapping[str, Any]) -> bool:
        """Whether a record does not fit the part."""
        return not self.part.holds(document)

    def fields(self) -> Iterator[str]:
        """The fields that are compared."""
        return self.part.fields()


@value
class Joined:
    """Several conditions: `every` one must hold, or any."""

    parts: tuple[Expression, ...]
    every: bool

    def holds(self, document: Mapping[str, Any]) -> bool:
        """Whether a record fits. What need not be looked at is not."""
        return (all if self.every else any)(part.holds(document) for part in self.parts)

    def fields(self) -> Iterator[str]:
        """The fields that are compared."""
        for part in self.parts:
            yield from part.fields()


Expression: TypeAlias = Condition | Not | Joined


def parse(text: str) -> Expression:
    """Read what a user typed. Raises UsageError, which says what is wrong with it."""
    reader = _Reader(text)
    found = reader.joined(0)
    if reader.at < len(text):
        raise UsageError(f"'{text}' goes on after its end: '{text[reader.at :].strip()}'", hint=_HINT)
    return found


def values(document: Mapping[str, Any], field: str) -> Iterator[Any]:
    """What a record has under a field: nothing, one thing, or those of a list."""
    name = value_name(field)
    if name is None:
        return _values(document, field.split("."))
    logged = document.get("values")
    return _flat(series.named(logged if isinstance(logged, Mapping) else {}, name))


def value_name(field: str) -> str | None:
    """The name of the value that a field means; None where it is a field of the record."""
    key, dot, rest = field.partition(".")
    if key == "values" and dot:
        return rest
    return None if key in KEYS else field


class _Reader:
    """Reads an expression from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def joined(self, depth: int, *, every: bool = False) -> Expression:
        word = "and" if every else "or"
        parts = [self._one(depth) if every else self.joined(depth, every=True)]
        while (found := _CONNECTIVE.match(self.text, self.at)) and found[1].lower() == word:
            self.at = found.end()
            parts.append(self._one(depth) if every else self.joined(depth, every=True))
        return parts[0] if len(parts) == 1 else Joined(tuple(parts), every)

    def _one(self, depth: int) -> Expression:
        negated = False
        while (found := _NOT.match(self.text, self.at)) is not None:
            self.at, negated = found.end(), not negated
        one = self._group(depth) if self._takes("(") else self._comparison(depth)
        return Not(one) if negated else one

    def _group(self, depth: int) -> Expression:
        if depth >= _DEEPEST:
            raise UsageError(f"more than {_DEEPEST} parentheses are open", hint=_HINT)
        found = self.joined(depth + 1)
        if not self._takes(")"):
            raise UsageError(f"a parenthesis is not closed in '{self.text}'", hint=_HINT)
        return found

    def _comparison(self, depth: int) -> Condition:
        found = _COMPARISON.match(self.text, self.at)
        if found is None:
            rest = self.text[self.at :].strip()
            if not rest and self.text.strip():
                raise UsageError(f"a comparison is missing at the end of '{self.text}'", hint=_HINT)
            where = f", in '{self.text}'" if rest != self.text.strip() else ""
            raise UsageError(f"'{rest}' is no comparison{where}", hint=_HINT)
        self.at = found.end()
        field, operator = _unquoted(found[1]), "=" if found[2] == "==" else found[2]
        if not field:
            raise UsageError(f"a name is empty in '{self.text}'", hint=_HINT)
        return Condition(field, operator, self._value(depth))

    def _value(self, depth: int) -> str:
        if self.text[self.at : self.at + 1] in ("'", '"'):
            found = _TEXT.match(self.text, self.at)
            if found is None:
                raise UsageError(f"a quote is not closed in '{self.text}'", hint=_HINT)
            self.at = found.end()
            return _unquoted(found[0])
        begin, nested = self.at, 0
        for stop in _STOP.finditer(self.text, max(begin - 1, 0)):
            if stop[0] == "(":
                nested += 1
            elif stop[0] == ")" and nested:
                nested -= 1
            elif stop[0] != ")" or depth:
                self.at = max(stop.start(), begin)
                break
        else:
            self.at = len(self.text)
        return self.text[begin : self.at].strip()

    def _takes(self, sign: str) -> bool:
        rest = re.compile(rf"\s*{re.escape(sign)}\s*").match(self.text, self.at)
        if rest is not None:
            self.at = rest.end()
        return rest is not None


def _unquoted(text: str) -> str:
    if text[:1] not in ("'", '"'):
        return text
    return re.sub(r"\\([\\'\"])", r"\1", text[1:-1])


def _flat(found: Iterator[Any]) -> Iterator[Any]:
    for one in found:
        if isinstance(one, list):
            yield from (item for item in one if not isinstance(item, Mapping | list))
        elif not isinstance(one, Mapping):
            yield one


def _values(item: Any, path: list[str]) -> Iterator[Any]:
    if isinstance(item, list | tuple):
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
    numbers = number(text), number(value)
    if numbers[0] is not None and numbers[1] is not None:
        return _ordered(numbers[0], operator, numbers[1])
    if operator == "=":
        return text == value or fnmatchcase(text, value)
    return _ordered(text, operator, value)


def _ordered(one: Any, operator: str, other: Any) -> bool:
    return bool({"=": one == other, "<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other}[operator])


def number(text: str) -> float | None:
    """The number that a text is, if it is one."""
    try:
        return float(text)
    except ValueError:
        return None
