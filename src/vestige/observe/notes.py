"""What the watcher remembers between two messages, and the journal into which it writes."""

from __future__ import annotations

import _thread
import os

from vestige.observe.callers import Identity
from vestige.observe.lines import journal_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    #: device and inode
    File = tuple[int, int]

    class Paths(Protocol):
        """A set of paths."""

        def __contains__(self, path: str, /) -> bool: ...
        def add(self, path: str, /) -> None: ...

    class Files(Protocol):
        """A set of files."""

        def __contains__(self, file: File, /) -> bool: ...
        def add(self, file: File, /) -> None: ...


_CHANGES = "wtmuls"
_LOADED = ("/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/")
_MANY = 512  # lines


class Notes:
    """Names looked for in vain, names that the run has made, files that it has read, files that it has begun to change."""

    def __init__(self, journal: int) -> None:
        """`journal` is a descriptor opened for appending."""
        self.absent: Paths = set()
        self.asked: set[str] = set()
        self.created: Paths = set()
        self.read: Files = set()
        self.touched: Files = set()
        self._journal = journal
        self._lines: list[str] = []
        self._lock = _thread.allocate_lock()
        self._threads: dict[int, Identity] = {}
        self._seen: dict[tuple[Identity | None, str], tuple[int, File | None]] = {}
        self._listed: set[tuple[Identity, str]] = set()
        self._changed: dict[str | File, int] = {}
        self._generation = self._everything = 0
        self._lost = 0
        self._torn = False  # the journal ends within a line, since there was no room

    @property
    def lost(self) -> int:
        """Lines that could not be written."""
        return self._lost

    @property
    def unreadable(self) -> int:
        """Calls that whoever notes for us could not read; what Python looks at is counted where it looks."""
        return 0

    @property
    def pending(self) -> bool:
        """Whether lines are to be written out."""
        return bool(self._lines)

    # -- who --------------------------------------------------------------------------------------------------------------

    def process(self, thread: int, *, executes: bool = False) -> int:
        """The process that a thread belongs to, noted when it is seen first. `executes`: it becomes another program now."""
        return self._identity(thread, executes=executes).process

    def _identity(self, thread: int, *, executes: bool = False) -> Identity:
        known = self._threads.get(thread)
        again = known is not None and known.given_out_again(thread)
        if known is not None and not again and not executes:
            return known
        found = Identity(thread)
        if found.process != thread:
            leader = self._threads.get(found.process)
            if leader is not None:
                self._threads[thread] = leader
                return leader
            self._threads[found.process] = found
        elif known is not None and not again:
            known.name, found = found.name, known
        self._threads[thread] = found
        if found.parent > 1 and found.parent not in self._threads and found.parent != os.getpid():
            self._identity(found.parent)  # seen first, so that every process stands below those that are known
        self.note("p", found.process, other="again" if again else None, flags=found.parent, text=found.name)
        return found

    # -- what was seen already --------------------------------------------------------------------------------------------

    def repeated(self, thread: int, path: str) -> bool:
        """Whether a process has opened this path for reading before, and nobody has changed it since."""
        seen = self._seen.get(self._reading(thread, path))
        if seen is None:
            return False
        at, file = seen
        return at >= self._everything and at >= self._changed.get(path, 0) and (file is None or at >= self._changed.get(file, 0))

    def opened(self, thread: int, path: str, file: File | None) -> None:
        """A process has opened this path for reading; `file` is None for a folder."""
        self._seen[self._reading(thread, path)] = self._generation, file

    def _reading(self, thread: int, path: str) -> tuple[Identity | None, str]:
        identity = self._identity(thread)
        return None if of_the_loader(path) else identity, path

    def listed(self, thread: int, path: str) -> bool:
        """A process opens this folder: whether it has done so before."""
        key = (self._identity(thread), path)
        before = key in self._listed
        self._listed.add(key)
        return before

    def changed(self, path: str, found: os.stat_result | None, *, everything: bool = False) -> None:
        """What was seen of a path before may be otherwise from now on; of every path, if a folder was moved."""
        self._generation += 1
        self._changed[path] = self._generation
        if found is not None:
            self._changed[found.st_dev, found.st_ino] = self._generation
        if everything:
            self._everything = self._generation

    # -- the journal ------------------------------------------------------------------------------------------------------

    def note(
        self,
        op: str,
        process: int = 0,
        path: str | None = None,
        other: str | None = None,
        flags: int = 0,
        signature: os.stat_result | None = None,
        text: str | None = None,
    ) -> None:
        """One line of the journal, written out when nobody waits for an answer."""
        if path is not None and op in _CHANGES:
            self.changed(path, signature, everything=op == "m" and bool(flags & 3))
            if other is not None:
                self.changed(other, None)
        self.append(journal_line(op, process, path, other, flags, signature, text))

    def append(self, line: str) -> None:
        """A line as it stands."""
        self._lines.append(line)
        if len(self._lines) > _MANY:
            self.flush()

    def flush(self) -> None:
        """Bring the journal to the file. A disk that is full loses lines, never the program."""
        with self._lock:
            lines = self._lines[:]
            del self._lines[: len(lines)]  # the list stays the same: another thread may be about to append to it
            if lines:
                whole = data = ("\n" if self._torn else "").encode() + "".join(lines).encode("ascii")
                try:
                    while data:
                        data = data[os.write(self._journal, data) :]
                    self._torn = False
                except OSError:
                    self._lost += min(data.count(b"\n"), len(lines))
                    written = whole[: len(whole) - len(data)]
                    self._torn = not written.endswith(b"\n") if written else self._torn


def of_the_loader(path: str) -> bool:
    """Whether the loader opens this for nearly every program: that the run uses it is told once, and not of each process."""
    if not path.startswith(_LOADED):
        return path == "/etc/ld.so.cache"
    return ".so" in path and "python" not in path and "/R/" not in path
