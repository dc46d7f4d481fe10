"""Files that never got their final name: what writes a file under another name first leaves that behind when it dies."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from vestige.observe.conclusion import ObservedUse

_ENDS = (".tmp", ".temp", ".part", ".partial", ".incomplete", ".crdownload", ".inprogress")
_CHANCE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


def problems(outputs: Iterable[ObservedUse], *, failed: bool) -> list[str]:
    """A line for each output of a run that `failed` that looks as if it was still to be renamed."""
    if not failed:
        return []
    return [
        f"{use.path} may be left over: the run ended before the file had its final name"
        for use in outputs
        if not use.existed and use.link is None and use.kind is None and is_temporary(os.path.basename(use.path))
    ]


def is_temporary(name: str) -> bool:
    """Whether a name is one that programs give to a file until it is whole."""
    if name.endswith(_ENDS):
        return True
    front, mark, rest = name.rpartition(".tmp")
    if mark and (not front or _made_up(rest.lstrip(".-_"))):
        return True
    first = name.partition(".")[0]
    if first.startswith("tmp") and len(first) == 11 and set(first) <= _CHANCE:
        return True  # Python's tempfile
    last = name.rpartition(".")[2]
    return name.startswith(".") and len(last) == 6 and _made_up(last)  # rsync, and many that do as it does


def _made_up(text: str) -> bool:
    """Letters and digits, but no word."""
    return set(text) <= _CHANCE and not (text.islower() and text.isalpha())
