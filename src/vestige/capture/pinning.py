"""Pinning files as they lie in a work tree: each becomes a blob, or a word that says why it does not."""

from __future__ import annotations

import os
import stat
import time

from vestige.capture import sources
from vestige.capture.blobs import Blobs
from vestige.capture.remembered import Remembered
from vestige.capture.worktree import Part, Wanted, signature
from vestige.errors import VestigeError
from vestige.model.gitformat import EXECUTABLE, FILE, SYMLINK, TreeEntry, object_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Protocol

    Outputs = Callable[[list[str]], set[str]]

    class Database(Protocol):
        """Objects that are read and written: `store.gitobjects.ObjectDatabase`."""

        def put(self, kind: bytes, data: bytes, *, private: bool = False) -> str: ...
        def has(self, oid: str) -> bool: ...
        def private(self) -> set[str]: ...
        def read(self, oid: str) -> tuple[bytes, bytes]: ...
        def tree(self, oid: str) -> list[TreeEntry]: ...
        def touch(self, oid: str) -> bool: ...
        def batch(self) -> AbstractContextManager[None]: ...
        def flush(self) -> None: ...


#: What a file is that is not stored; else it is `MODE ID`, or, if the commit has it just so, `=MODE ID`. Where a filter
#: makes of it what the commit has, ` =` is added.
NOT_SOURCE, OUTPUT, UNREADABLE, LARGE, ABSENT, WITHHELD = b"-", b"o", b"x", b"big", b"gone", b"secret"
AS_COMMITTED = b" ="
#: A file changed less than this before it was read may change again without a new time stamp: a few ticks of the
#: kernel's clock, or, where a file system counts in whole seconds, two of those (FAT).
_TICK, _COARSE = 50_000_000, 2_000_000_000


def values(
    part: Part,
    known: dict[bytes, Remembered],
    over: frozenset[bytes],
    recorded: Outputs,
    blobs: Blobs,
) -> dict[bytes, Remembered]:
    """What every wanted file is; `known` is what was found earlier, by paths from the root of the project.

    Files in `over` are beyond the limits.
    """
    found: dict[bytes, Remembered] = {}
    fresh = []
    for path, wanted in part.wanted.items():
        old = known.get(part.at + path)
        if path in over:
            found[path] = Remembered(part.signatures[path], wanted.role, LARGE)
        elif old is not None and old.signature == part.signatures[path] and _answers(old, wanted, blobs.database.touch):
            found[path] = old
        else:
            fresh.append(path)
    outputs = _recorded(part, fresh, recorded)
    folder = os.fsencode(part.folder)
    for path in fresh:
        wanted, before, now = part.wanted[path], part.signatures[path], time.time_ns()
        whole = os.path.join(folder, path)
        value = OUTPUT if path in outputs else pin(whole, wanted, blobs)
        settled = before == signature(whole) and _is_settled(before, now)
        found[path] = Remembered(before if settled else b"", wanted.role, value)
    return found


def _answers(old: Remembered, wanted: Wanted, has: Callable[[str], bool]) -> bool:
    """Whether what was found earlier, of a file that has not changed, is what would be found now."""
    if old.role != wanted.role or not old.signature:
        return False
    if old.value.startswith(b"="):
        return old.value == _expected(wanted)
    if not old.value[:1].isdigit():
        return True
    mode, oid, *_ = old.value.split(b" ")
    given = _given_mode(wanted)
    return (given is None or given == int(mode, 8)) and has(oid.decode("ascii"))


def _expected(wanted: Wanted) -> bytes:
    return b"=%o %s" % (wanted.mode or 0, wanted.oid.encode("ascii"))


def _given_mode(wanted: Wanted) -> int | None:
    """The mode that git gave: in a file system without modes it knows better."""
    return wanted.mode if wanted.role in "mpcf" and wanted.mode in {FILE, EXECUTABLE} else None


def _recorded(part: Part, paths: list[bytes], recorded: Outputs) -> set[bytes]:
    """Which files a run made: data that is tracked, and whatever is not."""
    asked = {
        os.fsdecode(part.at + path): path
        for path in paths
        if (role := part.wanted[path].role) in "u?" or (role in "mpl" and sources.by_name(path) != sources.YES)
    }
    return {asked[path] for path in recorded(list(asked)) if path in asked} if asked else set()


def pin(path: bytes, wanted: Wanted, blobs: Blobs) -> bytes:
    """Keep one file; what it is now."""
    try:
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            return NOT_SOURCE if wanted.role == "?" else _value(SYMLINK, os.fsencode(os.readlink(path)), wanted, blobs)
        if not stat.S_ISREG(found.st_mode) or (wanted.role == "?" and not _may_be_script(path, found.st_mode)):
            return NOT_SOURCE
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    except OSError:
        return NOT_SOURCE if wanted.role == "?" else UNREADABLE
    try:
        if wanted.role == "?" and os.pread(fd, 2, 0) != b"#!":
            return NOT_SOURCE
        data = _content(fd, blobs.rules.file)
    except OSError:
        return UNREADABLE
    finally:
        os.close(fd)
    if data is None:
        return LARGE
    mode = _given_mode(wanted) or (EXECUTABLE if found.st_mode & 0o100 else FILE)
    value = _value(mode, data, wanted, blobs)
    stored = value[:1].isdigit()
    return value + AS_COMMITTED if wanted.role == "p" and stored and _points_to(blobs.database, wanted.oid, data) else value


def _may_be_script(path: bytes, mode: int) -> bool:
    """Whether a file of an unknown kind is worth opening: one without extension, or that can be executed."""
    return bool(mode & 0o100) or b"." not in path[path.rfind(b"/") + 2 :]


def _content(fd: int, largest: int) -> bytes | None:
    """All of a file, unless it is too large."""
    parts, left = [], largest + 1
    while left and (part := os.read(fd, left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts) if left else None


def _value(mode: int, data: bytes, wanted: Wanted, blobs: Blobs) -> bytes:
    if wanted.role in "cfsa" and _expected(wanted) == b"=%o %s" % (mode, object_id(b"blob", data).encode("ascii")):
        return _expected(wanted)
    oid = blobs.put(data)
    return WITHHELD if oid is None else b"%o %s" % (mode, oid.encode("ascii"))


def _points_to(database: Database, oid: str, data: bytes) -> bool:
    """Whether a blob is the pointer that LFS commits in place of these bytes (git-lfs, docs/spec.md)."""
    try:
        pointer = database.read(oid)[1]
    except (KeyError, VestigeError):
        return False
    if len(pointer) > 1024 or not pointer.startswith(b"version https://"):
        return False
    from hashlib import sha256

    return b"\noid sha256:" + sha256(data).hexdigest().encode("ascii") + b"\n" in pointer


def _is_settled(found: bytes, now: int) -> bool:
    """Whether a file with this signature, read after `now`, cannot have changed since without a new signature."""
    if found == b"-":
        return True
    _, modified, changed, *_ = map(int, found.split(b" ")[:3])
    margin = _COARSE if modified % 1_000_000_000 == 0 else _TICK
    return max(modified, changed) < now - margin
