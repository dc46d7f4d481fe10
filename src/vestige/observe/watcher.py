"""The watcher answers the kernel: it notes in the journal what each call is about to do, and lets it go on.

One thread, one loop. Per message: receive, read the path from the caller's memory, look at the file (a stat), write a
line, answer. Nothing else happens here, with three exceptions, all before a call that *changes* a file:

- the file was there before the run and this is the first change: its content is about to be lost, so it is hashed and
  copied first (`preimage`). Large files are handed to a thread; the loop goes on.
- the code's snapshot has not been taken yet and the file lies in the project: the call is put aside until it has.
- the name is that of the flush mark: the journal is brought to disk before the answer, so that whoever made the call
  reads everything that happened before it.

An error in here is never an error in the program: whatever happens, the answer is "continue".
"""

from __future__ import annotations

import _thread
import errno
import fcntl
import os
import select
import stat
import time
from _json import encode_basestring_ascii as quoted

from vestige.observe import connections, notify
from vestige.observe.callers import AT_FDCWD as _HERE
from vestige.observe.callers import Callers, TooLongError, link
from vestige.observe.lines import FLUSH_MARK, five, utf8
from vestige.observe.tentative import Tentative
from vestige.observe.views import OutOfReachError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from vestige.observe.notes import File, Notes
    from vestige.observe.shared import Shared
    from vestige.observe.terms import Terms


_O_PATH = 0o10000000
_O_TMPFILE = 0o20000000
_REMOVEDIR = 0x200
_EXCHANGE = 2
_INLINE = 1 << 20  # bytes that are hashed at once; more goes to a thread
_SHARED = "/dev/shm/"  # noqa: S108 - a name to recognise, not a place to write
_PARTING = ("chroot", "pivot_root", "mount", "move_mount", "setns")
_PSEUDO = ("/proc/", "/sys/", "/dev/")
_BLANK = bytes(notify.MESSAGE.size)
_pack, _unpack = notify.ANSWER.pack, notify.MESSAGE.unpack
_IDLE = 20  # milliseconds without a message before the journal is written out
_HOLD = 1.0  # seconds a change may wait for the snapshot

_SOURCES = (
    ".py", ".pyi", ".r", ".R", ".jl", ".sh", ".c", ".h", ".cc", ".cpp", ".hpp", ".f", ".f90", ".rs", ".go", ".java",
    ".js", ".ts", ".pl", ".rb", ".lua", ".m", ".sql", ".ipynb", ".cu", ".pyx", ".toml", ".yaml", ".yml", ".cfg", ".ini",
    "Makefile",
)  # fmt: skip

#: What a call means, and which of its arguments are paths: address, and the folder's descriptor that it is relative to.
_MEANINGS: Mapping[str, tuple[Any, ...]] = {
    "open": ("open", (0, None)), "openat": ("open", (1, 0)), "openat2": ("open", (1, 0)), "creat": ("open", (0, None)),
    "execve": ("execute", (0, None)), "execveat": ("execute", (1, 0)),
    "rename": ("rename", (0, None), (1, None)), "renameat": ("rename", (1, 0), (3, 2)), "renameat2": ("rename", (1, 0), (3, 2)),
    "unlink": ("unlink", (0, None)), "unlinkat": ("unlink", (1, 0)), "rmdir": ("unlink", (0, None)),
    "mkdir": ("mkdir", (0, None)), "mkdirat": ("mkdir", (1, 0)),
    "link": ("link", (0, None), (1, None)), "linkat": ("link", (1, 0), (3, 2)),
    "stat": ("ask", (0, None)), "lstat": ("ask", (0, None)), "newfstatat": ("ask", (1, 0)), "statx": ("ask", (1, 0)),
    "access": ("ask", (0, None)), "faccessat": ("ask", (1, 0)), "faccessat2": ("ask", (1, 0)),
    "symlink": ("symlink", (1, None)), "symlinkat": ("symlink", (2, 1)), "truncate": ("truncate", (0, None)),
}  # fmt: skip


class Watch:
    """What the watcher is handed, and what it puts off."""

    def __init__(self, listener: int, notes: Notes, shared: Shared, terms: Terms) -> None:
        """The kernel's message is received into `shared`."""
        self.notes = notes
        self.note = notes.note
        self.callers = Callers()
        self._listeners = connections.Listeners()
        self._connected: set[tuple[int, str]] = set()
        self._closed: set[str] = set()
        self._tentative = Tentative()
        self._beyond: set[str] = set()
        self._listener = listener
        self._message = shared.slot(0)
        self._head = self._message[: notify.MESSAGE.size]
        self._terms = terms
        self._snapshot_due = terms.snapshot_due
        self._deadline = time.monotonic() + _HOLD
        self._aside: list[tuple[int, ...]] = []
        self._pending: dict[File, list[tuple[int, ...]]] = {}
        self._waiting = _thread.allocate_lock()
        try:
            fcntl.ioctl(listener, notify.SET_FLAGS, notify.SYNC_WAKE_UP)
        except (OSError, ValueError):
            pass  # an older kernel; or no listener, but a tracer

    @property
    def unreadable(self) -> int:
        """How many calls are not in the journal, since no path could be read."""
        return self.callers.unreadable + self.notes.unreadable

    @property
    def lost(self) -> int:
        """How many events are not in the journal, since there was no room for them."""
        return self.notes.lost

    # -- the loop ----------------------------------------------------------------------------------------------------

    def loop(self, others: dict[int, Callable[[], None]]) -> None:
        """Answer until no filtered process is left. `others` are descriptors to listen to beside, and what to call."""
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        for descriptor in others:
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = poll.poll(_IDLE if self.notes.pending or self._aside else None)
            if not ready:
                self.notes.flush()
                self._late()
            for descriptor, events in ready:
                if descriptor != self._listener:
                    if events & (select.POLLHUP | select.POLLERR) and not events & select.POLLIN:
                        poll.unregister(descriptor)
                    others[descriptor]()
                elif events & select.POLLIN:
                    self._receive()
                    self._late()  # others may never leave us a pause
                elif events & (select.POLLHUP | select.POLLERR):
                    self._end()
                    return

    def _receive(self) -> None:
        self._head[:] = _BLANK
        try:
            fcntl.ioctl(self._listener, notify.RECEIVE, self._message, True)
        except OSError:
            return  # ENOENT: the caller was killed meanwhile
        self._consider(_unpack(self._head))

    def _consider(self, message: tuple[int, ...]) -> None:
        """Look at a message, and answer it if that is not left to others."""
        try:
            if not self._look(message):
                return
        except Exception as error:
            self.note("g", text=f"an event could not be read: {type(error).__name__}: {error}")
        self._answer(message[0])

    def _answer(self, identity: int) -> None:
        try:
            fcntl.ioctl(self._listener, notify.SEND, _pack(identity, 0, 0, notify.CONTINUE))
        except OSError:
            pass  # ENOENT: the caller was killed meanwhile

    def _late(self) -> None:
        if self._aside and time.monotonic() > self._deadline:
            self.snapshot_taken(late=True)

    def _end(self) -> None:
        while self._pending:
            time.sleep(0.002)
        self.notes.flush()

    # -- one message -------------------------------------------------------------------------------------------------

    def _look(self, message: tuple[int, ...]) -> bool:
        """Note what the call is about to do; False where the answer is given later."""
        _, thread, _, number, architecture, _, *a = message
        call = notify.CALLS[architecture][number]
        meaning, *places = _MEANINGS.get(call, (call,))
        unreadable = self.callers.unreadable
        try:
            at = [
                self.callers.path(
                    thread, a[address], _HERE if folder is None else a[folder], follow=meaning in ("open", "execute", "truncate")
                )
                for address, folder in places
            ]
        except OutOfReachError as error:
            self._lost(thread, f"used {error} and perhaps more, in a mount namespace of its own: nobody else finds it there")
            return True
        except TooLongError:
            self._lost(thread, "used a path of more than 4,096 bytes, and perhaps more: no call leads to what it names")
            return True
        if None in at:
            if self.callers.unreadable > unreadable:
                self._unreadable(thread)
            return True
        paths: list[str] = at  # type: ignore[assignment]
        if meaning == "open":
            return self._open(message, thread, paths[0], self._flags(call, thread, a))
        if meaning == "execute":
            words = self.callers.words(thread, a[places[0][0] + 1], 4 if architecture == notify.I386 else 8)
            return self._execute(thread, paths[0], words)
        if meaning == "rename":
            return self._rename(message, thread, paths[0], paths[1], a[4] if call == "renameat2" else 0)
        if meaning == "unlink":
            return self._unlink(
                message, thread, paths[0], folder=call == "rmdir" or (call == "unlinkat" and bool(a[2] & _REMOVEDIR))
            )
        if meaning == "mkdir":
            return self._make_folder(thread, paths[0])
        if meaning == "link":
            return self._link(thread, paths[0], paths[1])
        if meaning == "symlink":
            return self._symlink(thread, self.callers.text(thread, a[0]), paths[0])
        if meaning == "truncate":
            return self._truncate(message, thread, paths[0])
        if meaning == "ask":
            return self._ask(thread, paths[0])
        if meaning in ("connect", "sendto"):
            return self._connect(thread, a[0], *(a[1:3] if meaning == "connect" else a[4:6]))
        if call == "open_by_handle_at" and (path := self.callers.by_handle(thread, a[0], a[1])) is not None:
            return self._open(message, thread, path, a[2])
        self._escape(call, thread, a)
        return True

    def _unreadable(self, thread: int) -> None:
        """A call whose path the kernel does not show us; said once of each program, and counted."""
        name = self.callers.name(thread)
        if name not in self._closed:
            self._closed.add(name)
            self.note("g", self.notes.process(thread), text=f"{name} cannot be read: which files it opens is not known")

    def _lost(self, thread: int, said: str) -> None:
        """A file that cannot be looked at; said once of each program."""
        name = self.callers.name(thread)
        if name not in self._beyond:
            self._beyond.add(name)
            self.note("g", self.notes.process(thread), text=f"{name} {said}")

    def part_ways(self) -> None:
        """From now on, the same names may lead to other files for some."""
        from vestige.observe.views import Views

        if self.callers.views is None:
            self.callers.views = Views()

    def _escape(self, call: str, thread: int, a: list[int]) -> None:
        """A call after which not all is seen, or not under its own name."""
        if call in _PARTING:
            self.part_ways()
            return
        name = self.callers.name(thread)
        if call in notify.ONLY:
            if a[0] & 0xFFFFFFFF != notify.ONLY[call]:
                return
            said = "installed a filter of its own: a call that it refuses is noted as if it had been made"
        else:
            said = "opened a file by its handle: which one is not known"
        self.note("g", self.notes.process(thread), text=f"{name} {said}")

    def _flags(self, call: str, thread: int, a: list[int]) -> int:
        if call == "openat2":
            return int.from_bytes(self.callers.memory(thread, a[2], 8), "little")
        return a[1] if call == "open" else a[2] if call == "openat" else os.O_CREAT | os.O_WRONLY | os.O_TRUNC

    def _open(self, message: tuple[int, ...], thread: int, path: str, flags: int) -> bool:
        if flags & _O_PATH or (path.startswith(_PSEUDO) and not path.startswith(_SHARED)):
            return True
        if not flags & (os.O_ACCMODE | os.O_CREAT | os.O_TRUNC):
            return self._open_to_read(thread, path, flags)
        if flags & _O_TMPFILE == _O_TMPFILE:
            self.note("w", self.notes.process(thread), path, flags=flags)
            return True
        try:
            found = os.stat(path)
        except OSError as error:
            if error.errno == errno.ENOENT and not flags & os.O_CREAT:
                return True
            if self._hold(message, path, None):
                return False
            if os.path.islink(path):  # the call makes what it leads to
                path = os.path.realpath(path)
            self.notes.created.add(path)
            self.note("w", self.notes.process(thread), path, flags=flags)
            return True
        if found.st_mode & 0o170000 != stat.S_IFREG or flags & (os.O_CREAT | os.O_EXCL) == (os.O_CREAT | os.O_EXCL):
            return True
        if not flags & (os.O_ACCMODE | os.O_TRUNC):
            return self._open_to_read(thread, path, flags & ~os.O_CREAT)
        if self._hold(message, path, found):
            return False
        if not self._save(message, path, found, needed=not flags & os.O_TRUNC):
            return False
        process, file = self.notes.process(thread), (found.st_dev, found.st_ino)
        if flags & os.O_ACCMODE == os.O_RDWR and path not in self.notes.created:
            if not flags & os.O_TRUNC:
                self._tentative.opened(process, file)
            elif unread := self._tentative.truncated(process, file):
                self.note("n", process, path, flags=unread)
        self.note("w", process, path, flags=flags, signature=found)
        return True

    def _open_to_read(self, thread: int, path: str, flags: int) -> bool:
        if self.notes.repeated(thread, path):
            return True
        try:
            found = os.stat(path)
        except OSError as error:
            if path.startswith(FLUSH_MARK):
                self.notes.flush()
            elif error.errno in (errno.ENOENT, errno.ENOTDIR) and path not in self.notes.absent:
                self.notes.absent.add(path)
                self.note("a", self.notes.process(thread), path)
            return True
        kind = found.st_mode & 0o170000
        if kind == stat.S_IFREG:
            self.notes.opened(thread, path, (found.st_dev, found.st_ino))
            self.notes.read.add((found.st_dev, found.st_ino))
            self.note("r", self.notes.process(thread), path, flags=flags, signature=found)
        elif kind == stat.S_IFDIR:
            again = self.notes.listed(thread, path)
            if again:  # a third time tells nothing new
                self.notes.opened(thread, path, None)
            self.note("d", self.notes.process(thread), path, flags=int(again))
        return True

    def _ask(self, thread: int, path: str) -> bool:
        if path.startswith(_PSEUDO) or path in self.notes.asked:
            return True
        try:
            found = os.stat(path)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR) and path not in self.notes.absent and _lstat(path) is None:
                self.notes.absent.add(path)
                self.note("a", self.notes.process(thread), path)
            return True
        if found.st_mode & 0o170000 == stat.S_IFREG:
            self.notes.asked.add(path)
            self.note("q", self.notes.process(thread), path, signature=found)
        return True

    def _make_folder(self, thread: int, path: str) -> bool:
        if not os.path.lexists(path):
            self.note("k", self.notes.process(thread), path)
        return True

    def _link(self, thread: int, old: str, new: str) -> bool:
        found = None if old.startswith("/proc/") else _lstat(old)
        self.notes.created.add(new)
        self.note("l", self.notes.process(thread), old, new, signature=found)
        return True

    def _symlink(self, thread: int, target: str | None, path: str) -> bool:
        if not os.path.lexists(path):
            self.note("s", self.notes.process(thread), path, target)
        return True

    def _truncate(self, message: tuple[int, ...], thread: int, path: str) -> bool:
        try:
            found = os.stat(path)
        except OSError:
            return True
        if self._hold(message, path, found):
            return False
        if not self._save(message, path, found, needed=True):
            return False
        self.note("t", self.notes.process(thread), path, signature=found)
        return True

    def _rename(self, message: tuple[int, ...], thread: int, old: str, new: str, flags: int) -> bool:
        source = _lstat(old)
        if source is None:
            return True
        replaced = _lstat(new)
        if replaced is not None and flags & 1:  # RENAME_NOREPLACE
            return True
        if self._hold(message, old, source) or self._hold(message, new, replaced):
            return False
        if replaced is not None and not flags & _EXCHANGE:
            if (replaced.st_dev, replaced.st_ino) == (source.st_dev, source.st_ino):
                return True  # two names of one file: rename(2) does nothing
            if not self._save(message, new, replaced, needed=False):
                return False
        if old in self.notes.created:
            self.notes.touched.add((source.st_dev, source.st_ino))
        self.notes.created.add(new)
        marks = (1 if flags & _EXCHANGE else 0) | (2 if stat.S_ISDIR(source.st_mode) else 0)
        before = None if replaced is None else five(replaced)
        self.note("m", self.notes.process(thread), old, new, marks, source, before)
        return True

    def _unlink(self, message: tuple[int, ...], thread: int, path: str, *, folder: bool) -> bool:
        found = _lstat(path)
        if found is None:
            return True
        if self._hold(message, path, found):
            return False
        if not folder and (found.st_dev, found.st_ino) in self.notes.read and not self._save(message, path, found, needed=True):
            return False
        self.note("u", self.notes.process(thread), path, flags=int(folder), signature=found)
        return True

    def _execute(self, thread: int, path: str, argv: list[str]) -> bool:
        try:
            found = os.stat(path)
        except OSError:
            return True  # a search along PATH
        process = self.notes.process(thread, executes=True)
        words = self._terms.redact(argv)
        folder = link(f"/proc/{thread}/cwd")
        text = "[" + ",".join(quoted(utf8(word)) for word in words) + "]"
        self.note("x", process, path, folder, signature=found, text=text)
        user = os.geteuid()
        if user and ((found.st_mode & 0o6000 and user != found.st_uid) or _has_capabilities(path)):
            self.note("g", process, text=f"{path} could not gain privileges under observation; use --observe audit")
        return True

    def _connect(self, thread: int, descriptor: int, address: int, length: int) -> bool:
        found = connections.target(thread, descriptor, self.callers.memory(thread, address, min(length, 128)))
        if found is None:
            return True
        process = self.notes.process(thread)
        if (process, found.endpoint) not in self._connected:
            ours = self._listeners.look(thread, found)
            if ours is not None:  # else nobody is there, and the call fails
                self._connected.add((process, found.endpoint))
                self.note("c", process, flags=int(ours), text=found.endpoint)
        return True

    # -- before a change ---------------------------------------------------------------------------------------------

    def _hold(self, message: tuple[int, ...], path: str, found: os.stat_result | None) -> bool:
        """Put a change to the project aside while the snapshot of its code is being taken."""
        if not self._snapshot_due or not path.startswith(self._terms.root):
            return False
        if path.startswith(self._terms.own):
            return False
        if found is None and not path.endswith(_SOURCES):
            return False
        self._aside.append(message)
        return True

    def snapshot_taken(self, *, late: bool = False) -> None:
        """The code is safe: let go on what was put aside."""
        if late and self._snapshot_due:
            self.note("g", text="the code was changed by the run before its snapshot was complete")
        self._snapshot_due = False
        aside, self._aside = self._aside, []
        for message in aside:
            self._consider(message)

    def take(self, path: str, found: os.stat_result) -> None:
        """Hash and copy a file that the command can change without asking, since it has it open from the start."""
        self._noted(path, found, self._terms.preimage(path, found))
        self.notes.touched.add((found.st_dev, found.st_ino))

    def _save(self, message: tuple[int, ...], path: str, found: os.stat_result, *, needed: bool) -> bool:
        """Hash and copy what is about to be lost; False where a thread does it and gives the answer."""
        if found.st_mode & 0o170000 != stat.S_IFREG or path.startswith(self._terms.own):
            return True
        key = (found.st_dev, found.st_ino)
        with self._waiting:
            if key in self._pending:
                self._pending[key].append(message)
                return False
        if key in self.notes.touched:
            return True
        # What is large, was never read by the run, and is replaced as a whole, is not taken.
        if path in self.notes.created or (found.st_size > _INLINE and not needed and key not in self.notes.read):
            self.notes.touched.add(key)
            return True
        if found.st_size <= _INLINE:
            try:
                self._noted(path, found, self._terms.preimage(path, found))
            finally:
                self.notes.touched.add(key)  # not before: others may come for it meanwhile
            return True
        self._pending[key] = [message]
        _thread.start_new_thread(self._save_large, (key, path, found))
        return False

    def _save_large(self, key: tuple[int, int], path: str, found: os.stat_result) -> None:
        try:
            self._noted(path, found, self._terms.preimage(path, found))
        except Exception as error:
            self.note("g", text=f"{path}: its content before the change was not read: {error}")
        self.notes.touched.add(key)
        with self._waiting:
            messages = self._pending.pop(key)
        for message in messages:
            self._consider(message)

    def _noted(self, path: str, found: os.stat_result, result: tuple[str | None, bool]) -> None:
        digest, kept = result
        self.note("h", 0, path, flags=int(kept), signature=found, text=digest)


def _has_capabilities(path: str) -> bool:
    """Whether a program is given capabilities by its file, as ping is on some systems."""
    try:
        return bool(os.getxattr(path, "security.capability"))
    except OSError:
        return False


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None
