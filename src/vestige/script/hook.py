"""Which files this process uses, told by Python itself to every run that is going on in it.

The same hook as in the programs of a command (`observe.audit_hook`), with more than one journal to write to: what happens in a
function's call belongs to the call, to those around it, and to the script.
"""

from __future__ import annotations

import os
import sys
from contextvars import ContextVar

from vestige.observe import audit_hook
from vestige.observe.lines import first_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MANY = 20_000
_HELD = 32  # journals that are open at once

#: The calls and sections that this context is in, the outermost first.
INSIDE: ContextVar[tuple[Target, ...]] = ContextVar("vestige_inside", default=())


class Target(audit_hook.Journal):
    """The journal of one run of this process.

    Only so many are held open: a function that calls itself a thousand times must not take all descriptors from its program.
    """

    held = 0

    def __init__(self, folder: str, preamble: bytes = b"", *, begun: bool = False) -> None:
        """Made anew, with `preamble` in it: what is to be told of the process itself; unless it is `begun`."""
        path = os.path.join(folder, "events.jsonl")
        self.path = path
        self.folder = folder
        self.pid = os.getpid() if preamble else 0
        self.told: set[object] = set()
        self.closed = False
        self.fd, self.identity = -1, (0, 0)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            if not begun:
                os.write(descriptor, first_line().encode("ascii") + preamble)
        finally:
            os.close(descriptor)
        if Target.held < _HELD:
            self.open()
            Target.held += 1

    @classmethod
    def again(cls, folder: str) -> Target:
        """The journal of a run that another process has begun."""
        return cls(folder, begun=True)

    def close(self) -> None:
        """The run has ended."""
        self.closed = True
        if self.fd >= 0:
            Target.held -= 1
            self._release()

    def write(self, line: bytes) -> None:
        if self.fd >= 0:
            super().write(line)
            return
        self.open()
        try:
            super().write(line)
        finally:
            self._release()

    def _release(self) -> None:
        """Close the descriptor, if it is still ours: a program may have closed it, and been given its number."""
        try:
            found = os.fstat(self.fd)
            if (found.st_dev, found.st_ino) == self.identity:
                os.close(self.fd)
        except OSError:
            pass
        self.fd = -1

    def once(self, key: object) -> bool:
        """Whether this has not been told yet."""
        if key in self.told:
            return False
        if len(self.told) >= _MANY:
            self.told.clear()
        self.told.add(key)
        return True


class Hook(audit_hook.Hook):
    """Tells every run that is going on where the event happens."""

    def __init__(self, own: tuple[str, ...]) -> None:
        """`own`: beginnings of paths that are Vestige's."""
        super().__init__(_Several(self))
        self.own = own
        #: the script's own run, and what began outside of any context
        self.roots: tuple[Target, ...] = ()
        #: the outermost calls that are going on; if there is but one, what a thread of its does is its own
        self.going_on: list[tuple[Target, ...]] = []

    def targets(self) -> tuple[Target, ...]:
        inside = INSIDE.get()
        if not inside and len(self.going_on) == 1:
            inside = self.going_on[0]
        return (*self.roots, *(target for target in inside if not target.closed))

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event in self.handlers and (self.roots or self.going_on):
            super().__call__(event, args)

    def once(self, key: object) -> bool:
        return bool([target for target in self.targets() if target.once((key, 0))])


class _Several(audit_hook.Journal):
    """What the hook takes for its journal."""

    def __init__(self, hook: Hook) -> None:
        self.hook = hook
        self.path = ""
        self.pid = 0

    def note(
        self,
        op: str,
        path: str | None = None,
        other: str | None = None,
        flags: int = 0,
        found: os.stat_result | None = None,
        text: str | None = None,
        pid: int | None = None,
    ) -> None:
        if path is not None and path.startswith(self.hook.own):
            return
        state = None if found is None else (found.st_ino, found.st_size, found.st_mtime_ns)
        key = (op, path, text, flags if op == "d" else 0, state)
        for target in self.hook.targets():
            if op not in "radg" or target.once(key):
                try:
                    target.note(op, path, other, flags, found, text, pid)
                except OSError:
                    continue  # its folder is gone, or the disk is full: the program goes on


def preamble(argv: list[str]) -> bytes:
    """What is told of this process to each of its runs: that it is, and what it executes."""
    notes = _Collected()
    notes.note("p", flags=os.getppid(), text=audit_hook.program_name())
    if sys.executable:
        found = audit_hook.stat_of(sys.executable)
        notes.note("x", sys.executable, audit_hook.working_folder(), found=found, text=audit_hook.words_of(argv))
    return b"".join(notes.lines)


def used_before(paths: list[str]) -> bytes:
    """Files that were read before anybody looked."""
    notes = _Collected()
    for path in paths:
        found = audit_hook.stat_of(path)
        if found is not None and found.st_mode & 0o170000 == 0o100000:
            notes.note("r", path, found=found)
    return b"".join(notes.lines)


class _Collected(audit_hook.Journal):
    """Lines that are not written yet."""

    def __init__(self) -> None:
        self.path = ""
        self.pid = os.getpid()
        self.lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        self.lines.append(line)
