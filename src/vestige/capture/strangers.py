"""Library files that no package put there, or that are not as their package put them: they are somebody's code.

A RECORD says size and SHA-256 of each file of a distribution. A file that has the recorded size and is no younger than the
RECORD is as it was installed; only one that is younger is read. Files of the operating system's own packages
have no RECORD, and are judged by their package manager alone.
"""

from __future__ import annotations

import os

from vestige.capture import digest
from vestige.capture.interpreters import remember
from vestige.model import plain, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FOLDERS = ("/site-packages/", "/dist-packages/")
#: Where the operating system installs, without RECORDs.
_OF_THE_SYSTEM = ("/usr/lib/", "/lib/")
#: What makers of virtual environments write beside the packages.
_FURNITURE = frozenset(["_virtualenv.py", "_virtualenv.pth", "distutils-precedence.pth"])
_CODE = (".py", ".pyx", ".pth", ".so", ".pyd", ".jl", ".R", ".js")
#: How much younger than its RECORD a file may be: installers write that last, but not always: nanoseconds.
_INSTALLING = 60 * 10**9
_REMEMBERED = 64


def strangers(files: Mapping[str, tuple[int, int]], cache_dir: str | None = None) -> frozenset[str]:
    """Those of some library files that are code of the user's own. `files` maps paths to size and `mtime_ns`."""
    found: set[str] = set()
    by_folder: dict[str, list[str]] = {}
    for path in files:
        for mark in _FOLDERS:
            folder, there, rest = path.rpartition(mark)
            if there and rest not in _FURNITURE and path.endswith(_CODE) and not path.startswith(_OF_THE_SYSTEM):
                by_folder.setdefault(folder + mark[:-1], []).append(path)
                break
    for folder, paths in by_folder.items():
        found.update(_strangers_in(folder, {path: files[path] for path in sorted(paths)}, cache_dir))
    return frozenset(found)


def _strangers_in(folder: str, files: Mapping[str, tuple[int, int]], cache_dir: str | None) -> Iterable[str]:
    name = os.path.join(cache_dir, f"strangers-{digest.of_bytes(os.fsencode(folder))[7:31]}.json") if cache_dir else None
    try:
        state = os.stat(folder).st_mtime_ns
    except OSError:
        return ()
    key = digest.of_bytes(wire.compact(files))[7:39]
    known = _remembered(name, state)
    answers = known["answers"]
    if key not in answers:
        tops = known["tops"] or _tops(folder)
        answers[key] = _judge(folder, files, tops)
        if name is not None:
            recent = dict(list(answers.items())[-_REMEMBERED:])
            remember(name, wire.compact({"state": state, "tops": tops, "answers": recent}))
    return tuple(answers[key])


def _judge(folder: str, files: Mapping[str, tuple[int, int]], tops: Mapping[str, list[str]]) -> list[str]:
    records: dict[str, tuple[int, dict[str, tuple[str, str]]]] = {}
    found = []
    for path, (size, mtime_ns) in files.items():
        inside = path[len(folder) + 1 :]
        owners = tops.get(inside.partition("/")[0], [])
        for owner in owners:
            if owner not in records:
                records[owner] = _record(folder, owner)
            when, rows = records[owner]
            if inside in rows:
                if not _as_installed(path, size, mtime_ns, when, *rows[inside]):
                    found.append(path)
                break
        else:
            found.append(path)
    return found


def _as_installed(path: str, size: int, mtime_ns: int, when: int, recorded: str, length: str) -> bool:
    if length.isdigit() and int(length) != size:
        return False
    algorithm, _, encoded = recorded.partition("=")
    if mtime_ns <= when + _INSTALLING or not encoded:
        return True
    from base64 import urlsafe_b64decode

    try:
        expected = f"{algorithm}:{urlsafe_b64decode(encoded + '=' * (-len(encoded) % 4)).hex()}"
        return digest.of_file(path, algorithm=algorithm)[1] == expected
    except (OSError, ValueError):
        return True


def _record(folder: str, owner: str) -> tuple[int, dict[str, tuple[str, str]]]:
    from vestige.capture.distributions import rows_of

    path = os.path.join(folder, owner, "RECORD")
    try:
        with open(path, "rb") as file:
            when, data = os.fstat(file.fileno()).st_mtime_ns, file.read()
    except OSError:
        return 0, {}
    rows = rows_of(data) or []
    return when, {os.path.normpath(row[0]): (row[1], row[2] if len(row) > 2 else "") for row in rows if len(row) > 1}


def _tops(folder: str) -> dict[str, list[str]]:
    """Which distributions have files below each name in a folder of packages."""
    tops: dict[str, list[str]] = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".dist-info"):
            for top in {path.partition("/")[0] for path in _record(folder, name)[1]}:
                tops.setdefault(top, []).append(name)
    return tops


def _remembered(name: str | None, state: int) -> dict[str, dict[str, list[str]]]:
    try:
        with open(name or "", "rb") as file:
            document = plain.loads(file.read())
        if document["state"] == state and isinstance(document["tops"], dict) and isinstance(document["answers"], dict):
            return {"tops": document["tops"], "answers": document["answers"]}
    except Exception:
        pass  # absent or damaged: looked at anew
    return {"tops": {}, "answers": {}}
