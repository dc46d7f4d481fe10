"""Which folders a run depends on by their names alone, and which it listed for another reason.

A folder that a program lists is a dependency: with one file more in it, the result might be another. Not so where the
listing says nothing about the result:

- an interpreter looks into the folders of its import system; it names them by their whole paths, and once unless they change;
- version control looks for changes, and what removes or copies rights lists what it is told to;
- the folder is the run's own, a temporary root, or the home folder.

A build tool looks into the folders of what it builds to find sources: there only a file of a kind that it used counts.
"""

from __future__ import annotations

import os

from vestige.model.values import NamedTuple
from vestige.observe import declared, lifecycle
from vestige.observe.lifecycle import Names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vestige.observe.conclusion import Process
    from vestige.observe.roles import Setting


class Look(NamedTuple):
    """That a process listed a folder: whether it named it relative to where it stood, whether it did so once more, and when."""

    process: int
    relative: bool
    again: bool
    seq: int = 0


class Folder(NamedTuple):
    """A folder on whose names the run depends: only files with one of these suffixes count, if there are any. `search`: an
    interpreter may have looked for a module there in vain."""

    path: str
    like: tuple[str, ...] = ()
    search: bool = False


class Content(NamedTuple):
    """The names in a folder as the run found it, and those that the run put there itself. None: there were too many."""

    names: tuple[str, ...] | None
    made: tuple[str, ...] = ()


def depended_on(
    looks: Mapping[str, Iterable[Look]], processes: Sequence[Process], names: Names, setting: Setting
) -> dict[str, Folder]:
    """The folders that were listed for their names, by path."""
    used = _Used(names)
    found: dict[str, Folder] = {}
    for path, by in looks.items():
        if path in ("/", setting.home, *setting.temporary) or path in names.folders:
            continue
        kinds = {_kind(look, path, processes, used) for look in by}
        if "names" in kinds or "search" in kinds:
            found[path] = Folder(path, search="names" not in kinds)
        elif "build" in kinds and (like := used.suffixes(path)):
            found[path] = Folder(path, like)
    return found


def content(path: str, listed: Iterable[str] | None, names: Names) -> Content:
    """What was in a folder before the run changed it. `listed`: what is there now, or was at some moment of the run."""
    if listed is None:
        return Content(None)
    below = path.rstrip("/") + "/"
    now = set(listed)
    made = {name for name in now if _made(below + name, names)}
    gone = {
        name[len(below) :] for name in names.first if name.startswith(below) and name not in names.at and name not in names.links
    }
    before = (now - made) | {name for name in gone if "/" not in name}
    return Content(tuple(sorted(before)), tuple(sorted(made)))


def _made(name: str, names: Names) -> bool:
    if name in names.first:
        return False
    link = names.links.get(name)
    return name in names.folders or name in names.at or (link is not None and link.born)


class _Used:
    """What was read in which folder."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._imported: dict[int, set[str]] | None = None
        self._suffixes: dict[str, set[str]] | None = None

    def imported(self, process: int, folder: str) -> bool:
        """Whether a process has read modules in a folder, or in a package that lies in it."""
        if self._imported is None:
            self._imported = {}
            for file in self._names.files:
                if file.origin is not None and file.origin.endswith(_MODULES) and file.readers:
                    folders = _folders_of_module(file.origin)
                    for reader in file.readers:
                        self._imported.setdefault(reader, set()).update(folders)
        return folder in self._imported.get(process, ())

    def imports_after(self, process: int, seq: int) -> bool:
        """Whether a process has read modules after a moment; of those that are libraries, some rungs tell only in the end."""
        return any(
            file.last_read > seq and file.readers and process in file.readers and file.origin and file.origin.endswith(_SCRIPTS)
            for file in self._names.files
        )

    def changed(self, folder: str) -> bool:
        """Whether the run has put something into a folder, so that an import system looks again."""
        below = folder + "/"
        return any(
            name.startswith(below) and "/" not in name[len(below) :] and name not in self._names.first
            for name in (*self._names.at, *self._names.folders)
        )

    def suffixes(self, folder: str) -> tuple[str, ...]:
        """The suffixes of what was read in a folder."""
        if self._suffixes is None:
            self._suffixes = {}
            for file in self._names.files:
                if file.origin is not None and file.state & (lifecycle.READ | lifecycle.EXECUTED):
                    where, _, name = file.origin.rpartition("/")
                    if suffix := os.path.splitext(name)[1]:
                        self._suffixes.setdefault(where, set()).add(suffix)
        return tuple(sorted(self._suffixes.get(folder, ())))


def _folders_of_module(path: str) -> tuple[str, ...]:
    folder, _, name = path.rpartition("/")
    folder = folder.removesuffix("/__pycache__")
    return (folder, folder.rpartition("/")[0]) if name.startswith("__init__.") else (folder,)


def _kind(look: Look, path: str, processes: Sequence[Process], used: _Used) -> str:
    """Why a process lists a folder: for its `names`, to `build` something, perhaps to `search` a module, or for its own ends."""
    process = processes[look.process] if look.process >= 0 else None
    program = os.path.basename((process.executable or process.name) if process is not None else "")
    if program in _BUILDERS:
        return "build"
    if program in _ASIDE or program.startswith("git-"):
        return "aside"
    if process is None or not program.startswith(_INTERPRETERS) or look.relative:
        return "names"
    if look.again and not (used.changed(path) and used.imports_after(look.process, look.seq)):
        return "names"
    return "aside" if path == _first_on_path(process) or used.imported(look.process, path) else "search"


def _first_on_path(process: Process) -> str | None:
    """The folder that Python puts before all others: the script's, else where it was started."""
    command = declared.recognise(process.argv)
    if command.script is None:
        return process.cwd
    return os.path.dirname(os.path.normpath(os.path.join(process.cwd or "/", command.script)))


def holds_modules(names: Iterable[str]) -> bool:
    """Whether a folder with these names is one to search for modules."""
    return any(name.endswith((".py", ".egg-info", ".dist-info", ".pth")) for name in names)


_MODULES = (".py", ".pyc", ".so", ".pyd")
_SCRIPTS = (".py", ".pyc")
_INTERPRETERS = ("python", "pypy", "ipython", "jupyter")
_BUILDERS = frozenset({"make", "gmake", "ninja", "samu", "bmake", "cmake", "meson"})
_ASIDE = frozenset({"git", "hg", "svn", "jj", "rm", "rmdir", "chmod", "chown", "chgrp"})
