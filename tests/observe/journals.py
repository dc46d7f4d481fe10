"""Journals in miniature: signatures, events and a file system at the end, in as few characters as a table can bear."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping

from vestige.observe.classify import Follower
from vestige.observe.conclusion import Conclusion, ObservedUse
from vestige.observe.interface import Event, Stat
from vestige.observe.roles import Setting

ROOT = "/p"
SETTING = Setting(ROOT, "/p/.vestige", "/home/ada", caches=("/home/ada/.cache",), own=("/home/ada/.cache/vestige",))

NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
RDWR = os.O_RDWR
WRONLY = os.O_WRONLY
APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND
EXCL = os.O_WRONLY | os.O_CREAT | os.O_EXCL
HDF5 = os.O_RDWR | os.O_CREAT | os.O_TRUNC
_clock = itertools.count(1000, 10)


def at(path: str) -> str:
    """A path of the project."""
    return path if path.startswith("/") else f"{ROOT}/{path}"


def v(inode: int, version: int = 0, *, size: int | None = None, mtime: int | None = None, ctime: int | None = None) -> Stat:
    """The signature of a version of a file: other versions have another size and time."""
    time = 10**18 + version * 10**9
    return Stat(100 + version if size is None else size, mtime or time, ctime or time, inode, 1)


def digest(path: str, signature: Stat) -> str | None:
    """Every version has a digest, `inode.version`."""
    return f"{signature.inode}.{(signature.mtime_ns - 10**18) // 10**9}"


def unknown(path: str, signature: Stat) -> str | None:
    """Nothing has been hashed."""
    return None


def event(op: str, path: str | None = None, other: str | None = None, **rest: object) -> Event:
    return Event(op, next(_clock), **{"pid": 1, "path": path and at(path), "other": other, **rest})  # type: ignore[arg-type]


def start() -> Event:
    return Event("v", 0, text="2000000000.0", flags=1)


def r(path: str, signature: Stat | None, pid: int = 1) -> Event:
    return event("r", path, signature=signature, flags=os.O_RDONLY, pid=pid)


def w(path: str, signature: Stat | None = None, flags: int = NEW, pid: int = 1) -> Event:
    return event("w", path, signature=signature, flags=flags, pid=pid)


def m(old: str, new: str, signature: Stat | None, was: Stat | None = None, flags: int = 0) -> Event:
    return event("m", old, at(new), signature=signature, flags=flags, text=None if was is None else str(list(was)))


def u(path: str, signature: Stat | None, flags: int = 0) -> Event:
    return event("u", path, signature=signature, flags=flags)


def h(path: str, signature: Stat, text: str | None, kept: int = 0) -> Event:
    return event("h", path, signature=signature, text=text, flags=kept, pid=0)


def k(path: str) -> Event:
    return event("k", path)


def t(path: str, signature: Stat) -> Event:
    return event("t", path, signature=signature)


def ln(old: str, new: str, signature: Stat | None) -> Event:
    return event("l", old, at(new), signature=signature)


def s(link: str, target: str) -> Event:
    return event("s", link, target)


def x(path: str, signature: Stat | None, *argv: str, pid: int = 1) -> Event:
    import json

    return event("x", path, ROOT, signature=signature, text=json.dumps(argv), pid=pid)


def i(path: str, signature: Stat, flags: int, descriptor: int) -> Event:
    return event("i", path, signature=signature, flags=flags, text=str(descriptor))


def follow(events: list[Event], links: Mapping[str, str] | None = None) -> Follower:
    follower = Follower(SETTING, {at(name): text for name, text in (links or {}).items()}.get)
    follower.feed(start())
    for one in events:
        follower.feed(one)
    return follower


def conclude(
    events: list[Event],
    end: Mapping[str, Stat],
    links: Mapping[str, str] | None = None,
    known: Callable[[str, Stat], str | None] = digest,
) -> Conclusion:
    """Feed a journal; `end` is the file system when the run has ended, `links` the symbolic links from before it."""
    final = {at(name): signature for name, signature in end.items()}
    return follow(events, links).conclude(final.get, known, of_directory=lambda members: f"tree:{len(members)}")


def shown(conclusion: Conclusion) -> list[str]:
    """Inputs, then outputs, one line each."""
    return [f"in {line(use)}" for use in conclusion.inputs] + [f"out {line(use)}" for use in conclusion.outputs]


def line(use: ObservedUse) -> str:
    parts = [use.access, use.path.removeprefix(ROOT + "/")]
    if use.link is not None:
        parts.append(f"-> {use.link}")
    else:
        parts.append(use.digest or "?")
    if use.replaced is not None or use.before is not None:
        parts.append(f"over {use.before or '?'}")
    if use.deleted:
        parts.append("deleted")
    if use.kept:
        parts.append("kept")
    if use.kind:
        parts.append(use.kind)
    if use.role != "data":
        parts.append(f"({use.role})")
    return " ".join(parts)
