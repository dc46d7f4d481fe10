"""What each key of a document may hold: read off the model's own annotations, and checked when a document is read.

A record is written by whoever can write a file: another program, a merge, a failing disk. What is decoded holds what its
annotations say, or is damaged, so that no verb need look twice.
"""

from __future__ import annotations

from types import MappingProxyType, NoneType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Check = Callable[[Any], bool]

_DEEPEST = 100  # what a user's values may be nested; the interpreter gives up at a thousand
_TEXTS = ("str", "Digest", "Kind", "Status", "Role", "Access", "Evidence")
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_TEXTS, (str,)),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "None": (NoneType,),
}
#: Keys that hold what is handed to the system, which knows no NUL and no half of a character.
_FOR_THE_SYSTEM = {
    "FileUse": ("path", "link"),
    "FileReference": ("path",),
    "Stdin": ("path",),
    "ProjectReference": ("root",),
    "Run": ("command", "cwd", "variables"),
}
_CHECKS: dict[type, dict[str, Check]] = {}


def check(cls: type, document: dict[str, Any]) -> None:
    """See that each key of a value holds what it can hold; a null that means nothing is taken out, as good as absent.

    Raises ValueError.
    """
    checks = _checks(cls)
    for key, item in list(document.items()):
        if checks[key](item):
            continue
        if item is not None:
            raise ValueError(f"'{key}' holds what it cannot hold")
        del document[key]


def _checks(cls: type) -> dict[str, Check]:
    found = _CHECKS.get(cls)
    if found is None:
        found = _CHECKS[cls] = {name: _check(str(kind)) for name, kind in cls.__annotations__.items()}
        for name in _FOR_THE_SYSTEM.get(cls.__name__, ()):
            found[name] = _both(found[name], _is_for_the_system)
    return found


def _is_shallow(item: object, deepest: int = _DEEPEST) -> bool:
    if isinstance(item, dict | MappingProxyType):
        return deepest > 0 and all(_is_shallow(one, deepest - 1) for one in item.values())
    if isinstance(item, list | tuple):
        return deepest > 0 and all(_is_shallow(one, deepest - 1) for one in item)
    return True


def _check(annotation: str) -> Check:
    ways = annotation.split(" | ")
    types = frozenset(kind for way in ways for kind in _KINDS.get(way, ()))
    compound = [_compound(way) for way in ways if way not in _KINDS]
    if compound:
        return lambda item: type(item) in types or any(fits(item) for fits in compound)
    return lambda item: type(item) in types


def _compound(way: str) -> Check:
    if way.startswith("tuple["):
        each = _check(way[len("tuple[") : -len(", ...]")])
        return lambda item: type(item) is tuple and all(map(each, item))
    if way == "Mapping[str, object]":
        return lambda item: isinstance(item, dict | MappingProxyType) and _is_shallow(item)
    if way.startswith("Mapping[str, "):
        value = _check(way[len("Mapping[str, ") : -1])
        return lambda item: isinstance(item, dict | MappingProxyType) and all(map(value, item.values()))
    return lambda item: type(item).__name__ == way  # a value of ours, checked when it was decoded itself


def _both(first: Check, second: Check) -> Check:
    return lambda item: first(item) and second(item)


def _is_for_the_system(item: Any) -> bool:
    if item is None:
        return True
    text = item if isinstance(item, str) else "".join((*item, *(item.values() if hasattr(item, "values") else ())))
    if "\0" in text:
        return False
    if not text.isascii():
        text.encode("utf-8", "surrogateescape")  # a ValueError, if there is half a character
    return True
