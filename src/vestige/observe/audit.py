"""Where the kernel cannot be asked: Python programs tell of themselves, and folders are compared before and after."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from vestige.observe.interface import Event, Stat
from vestige.observe.roles import Rules, Setting

GAP = (
    "only Python programs were observed, from inside: files that other programs, or libraries that open files by themselves "
    "(HDF5, Arrow, OpenCV, attached SQLite databases), read or wrote may be missing, and the content of a file before it was "
    "changed may be unknown"
)

_FILES = 200_000
_SECONDS = 5.0
_PRUNED = frozenset({"library", "system", "cache", "drop"})


class Survey(NamedTuple):
    """The regular files of some folders at one moment; `complete` is False where there were too many to look at."""

    files: Mapping[str, Stat]
    complete: bool = True


def environment(environ: Mapping[str, str], folder: str, events: str) -> dict[str, str]:
    """Variables that make every Python program write what it does to the journal `events`.

    A folder for the hook is made in `folder`. Where that cannot be, nothing is returned: the command runs all the same.
    """
    site = os.path.join(folder, "audit")
    if os.pathsep in site:
        return {}
    try:
        os.makedirs(site, exist_ok=True)
        for source, name in (("audit_hook.py", "_vestige_audit.py"), ("audit_site.py", "sitecustomize.py")):
            _copy(os.path.join(os.path.dirname(__file__), source), os.path.join(site, name))
        os.close(os.open(events, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666))
    except OSError:
        return {}
    before = environ.get("PYTHONPATH")
    return {"PYTHONPATH": site + os.pathsep + before if before else site, "VESTIGE_EVENTS": events}


def survey(folders: Iterable[str], setting: Setting, *, limit: int = _FILES, seconds: float = _SECONDS) -> Survey:
    """Look at all regular files in folders (or at a file); libraries, caches and what is Vestige's are passed over.

    Stops at `limit` files, or after so many seconds, and says that it is not complete.
    """
    rules = Rules(setting)
    deadline = time.monotonic() + seconds
    files: dict[str, Stat] = {}
    waiting = [os.path.realpath(folder) for folder in folders]
    seen = set(waiting)
    while waiting:
        path = waiting.pop()
        try:
            entries = list(os.scandir(path))
        except NotADirectoryError:
            _add(files, path)
            continue
        except OSError:
            continue
        for entry in entries:
            try:
                folder = entry.is_dir(follow_symlinks=False)
                if not folder:
                    _add(files, entry.path)
                elif entry.path not in seen and not _is_pruned(rules, entry.path):
                    seen.add(entry.path)
                    waiting.append(entry.path)
            except OSError:
                continue
        if len(files) >= limit or time.monotonic() > deadline:
            return Survey(files, complete=not waiting and len(files) < limit)
    return Survey(files)


def differences(before: Survey, after: Survey, seq: int) -> list[Event]:
    """What has changed between two looks, as events of no process (pid 0) at the moment `seq`.

    Who changed a file, and whether anything of its content is left, cannot be told: it counts as written anew.
    """
    anew = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    events = []
    for path, found in sorted(after.files.items()):
        lay = before.files.get(path)
        if lay is None:
            if before.complete:
                events.append(Event("w", seq, 0, path, flags=anew))
        elif (lay.size, lay.mtime_ns, lay.inode, lay.device) != (found.size, found.mtime_ns, found.inode, found.device):
            events.append(Event("w", seq, 0, path, flags=anew, signature=lay))
    if after.complete:
        events += [
            Event("u", seq, 0, path, signature=lay) for path, lay in sorted(before.files.items()) if path not in after.files
        ]
    if not (before.complete and after.complete):
        events.append(Event("g", seq, text="there were too many files to compare: some that were written may be missing"))
    return events


def _copy(source: str, target: str) -> None:
    with open(source, "rb") as file:
        data = file.read()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def _add(files: dict[str, Stat], path: str) -> None:
    found = os.lstat(path)
    if stat.S_ISREG(found.st_mode):
        files[path] = Stat(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)


def _is_pruned(rules: Rules, folder: str) -> bool:
    inside = folder + "/x"
    return rules.dropped(inside) is not None or rules.role(inside) in _PRUNED
