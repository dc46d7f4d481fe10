"""What can be observed here, why not more, and what the store holds. Everything is tried, not guessed."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from typing import Literal

from vestige import __version__
from vestige.config import KEYS
from vestige.errors import ConfigError
from vestige.model.run import short
from vestige.model.values import value
from vestige.observe import ladder
from vestige.ops import gaps
from vestige.ops.project import Project
from vestige.reproduce import landlock
from vestige.store import journal, project
from vestige.store.kept import Tally

State = Literal["good", "limited", "missing"]

_SEES = {
    "notify": "the kernel reports every file that a program opens, static binaries included",
    "ptrace": "a tracer sees the same, a little slower; debuggers do not work inside",
    "preload": "a library sees what programs open that are linked dynamically",
    "audit": "files that Python programs open, from inside, and folders compared before and after",
}


@value
class Finding:
    """One thing that was looked at: how it stands, what was found, what could be done about it, its size in bytes."""

    name: str
    state: State
    found: str
    advice: str | None = None
    size: int | None = None


@value
class Diagnosis:
    """What was found, in groups."""

    groups: tuple[tuple[str, tuple[Finding, ...]], ...]


def doctor(opened: Project) -> Diagnosis:
    """Look at everything that bears on recording and on making again."""
    return Diagnosis(
        (
            ("Observing", tuple(_observing())),
            ("What escaped", tuple(_escaped(opened))),
            ("Making again", tuple(_making())),
            ("Versions", tuple(_versions())),
            ("Project", tuple(_project(opened))),
            ("Store", tuple(_store(opened))),
        )
    )


def _observing() -> Iterator[Finding]:
    best = None
    for rung, refusal in ladder.look():
        if refusal is None:
            best = best or rung
            used = ": how runs are observed here" if best == rung else ""
            yield Finding(rung, "good", _SEES[rung] + used)
        else:
            yield Finding(rung, "limited" if best else "missing", f"not available: {refusal.reason}", refusal.advice)
    if hasattr(os, "geteuid") and os.geteuid() != 0 and best in ("notify", "ptrace"):
        yield Finding("setuid programs", "limited", "cannot gain privileges while they are observed (as root they can)")


def _escaped(opened: Project) -> Iterator[Finding]:
    """What the latest runs could not see, and what would help."""
    try:
        found = gaps.met(opened)
    except ConfigError:
        return  # said below
    if not found:
        yield Finding("gaps", "good", "none in the latest runs")
    for one in found:
        runs = "1 run" if one.runs == 1 else f"{one.runs} runs"
        yield Finding(one.kind, "limited", f"{one.gap} ({runs}, the last {short(one.last)})", one.advice)


def _making() -> Iterator[Finding]:
    version = landlock.version()
    if version >= landlock.SUFFICIENT:
        yield Finding("walls", "good", f"Landlock version {version} keeps every step inside its workspace")
    elif _namespaces():
        yield Finding("walls", "good", "a mount namespace keeps every step inside its workspace")
    else:
        found = "neither Landlock 3 (Linux 6.2) nor user namespaces: steps that name absolute paths in the project are not run"
        yield Finding("walls", "limited", found)
    git = shutil.which("git")
    if git is None:
        yield Finding("git", "limited", "no git program: code is kept and restored, but patches cannot be drawn", "install git")
    else:
        yield Finding("git", "good", _said([git, "--version"]).removeprefix("git version "))


def _namespaces() -> bool:
    try:
        with open("/proc/sys/user/max_user_namespaces", encoding="ascii") as file:
            return int(file.read()) > 0 and shutil.which("unshare") is not None
    except (OSError, ValueError):
        return False


def _versions() -> Iterator[Finding]:
    import blake3

    yield Finding("vestige", "good", __version__)
    yield Finding("python", "good", f"{platform.python_version()} ({sys.executable})")
    yield Finding("blake3", "good", str(getattr(blake3, "__version__", "unknown")))
    yield Finding("sqlite", "good", sqlite3.sqlite_version)
    yield Finding("system", "good", f"{platform.system()} {platform.release()}, {platform.machine()}")


def _project(opened: Project) -> Iterator[Finding]:
    yield Finding("root", "good", opened.root)
    place = opened.place
    if place.detached:
        found = "a home folder, / or a temporary root: its store lies in your state folder, and only code in use is kept"
        yield Finding("detached", "limited", found, "work in a folder of its own")
    if place.git_top is None:
        yield Finding("repository", "limited", "none: every source file is kept, but there is no commit to name", "git init")
    else:
        yield Finding("repository", "good", place.git_top)
    try:
        config = opened.config
    except ConfigError as error:
        yield Finding("configuration", "missing", f"passed over: {error}")
        return
    set_keys = [key.name for key in KEYS if config.origin(key.name) != "default"]
    said = ", ".join(f"{name} ({config.origin(name)})" for name in set_keys)
    yield Finding("configuration", "good", said or "none, and none is needed")


def _store(opened: Project) -> Iterator[Finding]:
    if not opened.exists:
        yield Finding("store", "good", f"{opened.store}: nothing is recorded yet", "vestige run CMD")
        return
    writable = os.access(opened.store, os.W_OK)
    yield Finding("store", "good" if writable else "missing", opened.store + ("" if writable else ": cannot be written"))
    records = sum(1 for _ in opened.records.paths())
    yield Finding("records", "good", f"{records:,} {'run' if records == 1 else 'runs'}", size=_size(opened.records.runs))
    yield Finding("objects", "good", "environments, streams, kept files", size=_size(opened.objects.folder))
    yield from _kept(opened)
    trees = len(opened.code.trees())
    yield Finding("code", "good", f"{trees:,} {'snapshot' if trees == 1 else 'different snapshots'}", size=opened.code.size())
    active = journal.list_active(opened.store)
    lost = sum(journal.state(one) == "lost" for one in active)
    if active:
        state: State = "limited" if lost else "good"
        yield Finding("active", state, f"{len(active):,} not recorded yet" + (f", {lost:,} of them lost" if lost else ""))
    cache = project.cache_dir(opened.place)
    yield Finding("index", "good", f"{cache}: may be deleted at any time", size=_size(cache))
    yield Finding("catalogue", "good", opened.catalogue.folder, size=_size(opened.catalogue.folder))


def _kept(opened: Project) -> Iterator[Finding]:
    tally = Tally(opened.store)
    try:
        budget = opened.config.budget
    except ConfigError:
        return
    if tally.total > budget:
        found = "inputs and outputs: more than the budget allows, and not all of it can be made again"
        yield Finding("kept", "limited", found, "vestige gc, or a larger budget", size=tally.total)
    else:
        yield Finding("kept", "good", "inputs and outputs, within the budget", size=tally.total)


def _size(folder: str) -> int:
    total = 0
    for above, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(above, name)).st_size
            except OSError:
                continue
    return total


def _said(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run: {error}"
