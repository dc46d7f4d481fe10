"""Words of a command or a variable that name places of the recording, said anew for the workspace."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from vestige.model.values import value

#: Before a path there is nothing, or what is no part of one, or a short option (`-I/home/ada/p`), or `file://`.
_BEFORE = r"(?P<before>^|^-{1,2}[A-Za-z]+|[^\w./~+%@-]|file://)"
_AFTER = r"(?=/|$|[^\w.+%@-])"


@value
class Move:
    """What lay at `old`, and below, now lies at `new`; both absolute, without a slash at the end."""

    old: str
    new: str


def moved(text: str, moves: Sequence[Move]) -> str:
    """A word with every path below an old place led to the new one; the deepest place that fits counts."""
    present = [move for move in moves if move.old in text and move.old not in ("", "/")]
    if not present:
        return text
    present.sort(key=lambda move: len(move.old), reverse=True)
    places = {move.old: move.new for move in present}
    pattern = re.compile(f"{_BEFORE}(?P<old>{'|'.join(re.escape(move.old) for move in present)}){_AFTER}")
    return pattern.sub(lambda found: found["before"] + places[found["old"]], text)


def names(text: str, place: str) -> bool:
    """Whether a text names a place or something below it."""
    return moved(text, [Move(place, "\0")]) != text


def inside(path: str, folder: str) -> str | None:
    """A path relative to a folder, where it lies below; both absolute and normal."""
    prefix = folder.rstrip("/") + "/"
    return path[len(prefix) :] if path.startswith(prefix) and path != prefix else None


def resolved(path: str, root: str) -> str:
    """The absolute path that a record means by a path."""
    return os.path.normpath(os.path.join(root, path))
