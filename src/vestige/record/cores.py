"""Memory that the kernel wrote into a file when a program crashed: no program opens it, so it is looked for afterwards."""

from __future__ import annotations

import os
import stat

from vestige.observe.interface import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PATTERN = "/proc/sys/kernel/core_pattern"
_NUMBERED = "/proc/sys/kernel/core_uses_pid"
_ELF, _CORE = b"\x7fELF", 4
_MOST = 1000  # names of a folder that are looked at


def dumps(folders: Iterable[str], since: float, seq: int) -> Iterator[Event]:
    """The dumps that lie in folders in which programs ran, written `since` then (seconds), as events of nobody."""
    begin, end = _expected()
    if not begin:
        return
    for folder in dict.fromkeys(folders):
        for name in _names(folder, begin, end):
            path = os.path.join(folder, name)
            if _is_dump(path, since):
                yield Event("w", seq, 0, path, None, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)


def _expected() -> tuple[str, str | None]:
    """How the names of dumps begin and end, as far as the kernel does not make it up; the end is None where it is all."""
    try:
        with open(_PATTERN, encoding="utf-8", errors="surrogateescape") as file:
            pattern = file.read().strip()
        with open(_NUMBERED, "rb") as file:
            numbered = file.read().strip() == b"1"
    except OSError:
        return "", None
    if pattern[:1] in ("|", "/"):
        return "", None  # a program takes them, or they lie where the administrator looks for them
    first, percent, _ = pattern.partition("%")
    if percent:
        return first, pattern.rpartition("%")[2][1:]
    return (pattern, "") if numbered else (pattern, None)


def _names(folder: str, begin: str, end: str | None) -> list[str]:
    if end is None:
        return [begin]
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry, _ in zip(entries, range(_MOST), strict=False)]
    except OSError:
        return []
    return sorted(name for name in names if name.startswith(begin) and name.endswith(end))


def _is_dump(path: str, since: float) -> bool:
    try:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_mtime < since:
            return False
        with open(path, "rb") as file:
            head = file.read(18)
    except OSError:
        return False
    return head[:4] == _ELF and int.from_bytes(head[16:18], "little" if head[5:6] == b"\1" else "big") == _CORE
