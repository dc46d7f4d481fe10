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

import ctypes
import errno
import fcntl
import os
import select
import stat
import time
from _json import encode_basestring_ascii as quoted

from vestige.observe import notify
from vestige.observe.lines import FORMAT, written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    #: path, stat → digest (or None: over the budget), and whether the bytes were kept
    Preimage = Callable[[str, os.stat_result], "tuple[str | None, bool]"]

#: Opening this name (with the run's id after it) makes the watcher write out its journal before it answers.
FLUSH_MARK = "/.vestige-flush/"

_PAGE = 4096
_AT_FDCWD = 0xFFFFFF9C
_O_PATH = 0o10000000
_O_TMPFILE = 0o20000000
_AT_REMOVEDIR = 0x200
_EXCHANGE = 2
_INLINE = 1 << 20  # bytes that are hashed at once; more goes to a thread
_SHARED = "/dev/shm/"  # noqa: S108 - a name to recognise, not a place to write
_BLANK = bytes(notify.MESSAGE.size)
_pack, _unpack = notify.ANSWER.pack, notify.MESSAGE.unpack
_IDLE = 20  # milliseconds without a message before the journal is written out
_HOLD = 1.0  # seconds a change may wait for the snapshot


class Watch:
    """What the watcher is handed, and what it remembers between two messages."""

    __slots__ = (
        "_absent", "_aside", "_buffer", "_created", "_deadline", "_head", "_ioctl", "_journal", "_lines", "_listener", "_local",
        "_lock", "_message", "_own", "_pending", "_preimage", "_processes", "_read", "_readv", "_redact",
        "_remote", "_root", "_seen", "_snapshot_due", "_touched", "_vectors", "unreadable",
    )  # fmt: skip

    def __init__(
        self,
        listener: int,
        journal: int,
        message: ctypes.Array[ctypes.c_char],
        *,
        root: str,
        own: tuple[str, ...],
        preimage: Preimage,
        redact: Callable[[list[str]], list[str]],
        snapshot_due: bool,
    ) -> None:
        """`journal` is a descriptor opened for appending. `message` is memory shared with whoever stands in for us: the
        kernel's message is received into it, directly if it is a page, since ioctl copies what is small. `root` is the
        project's; `own` are folders that are Vestige's."""
        import _thread

        libc = ctypes.CDLL(None, use_errno=True)
        self._listener = listener
        self._journal = journal
        self._message = memoryview(message).cast("B")
        self._head = self._message[: notify.MESSAGE.size]
        self._ioctl = fcntl.ioctl
        self._readv = libc.process_vm_readv
        self._readv.argtypes = (
            ctypes.c_int,
            ctypes.c_void_p,
            ctypes.c_ulong,
            ctypes.c_void_p,
            ctypes.c_ulong,
            ctypes.c_ulong,
        )
        self._readv.restype = ctypes.c_ssize_t
        self._buffer = ctypes.create_string_buffer(_PAGE + 1)
        at = ctypes.addressof(self._buffer)
        self._vectors = (ctypes.c_uint64 * 4)(at, _PAGE)
        self._local = ctypes.addressof(self._vectors)
        self._remote = self._local + 16
        self._root = root.rstrip("/") + "/"
        self._own = own
        self._preimage = preimage
        self._redact = redact
        self._snapshot_due = snapshot_due
        self._deadline = time.monotonic() + _HOLD
        self._aside: list[tuple[int, ...]] = []
        self._pending: dict[tuple[int, int], list[tuple[int, ...]]] = {}
        self._seen: set[tuple[int, str]] = set()
        self._absent: set[str] = set()
        self._read: set[tuple[int, int]] = set()
        self._touched: set[tuple[int, int]] = set()
        self._created: set[str] = set()
        self._processes: dict[int, int] = {}
        self._lines: list[str] = []
        self._lock = _thread.allocate_lock()
        self.unreadable = 0
        try:
            self._ioctl(listener, notify.SET_FLAGS, notify.SYNC_WAKE_UP)
        except OSError:
            pass  # an older kernel

    # -- the loop ----------------------------------------------------------------------------------------------------

    def loop(self, others: dict[int, Callable[[], None]]) -> None:
        """Answer until no filtered process is left. `others` are descriptors to listen to beside, and what to call."""
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        for descriptor in others:
            poll.register(descriptor, select.POLLIN)
        listener = self._listener
        while True:
            ready = poll.poll(_IDLE if self._lines or self._aside else None)
            if not ready:
                self.flush()
                if self._aside and time.monotonic() > self._deadline:
                    self.snapshot_taken(late=True)
            for descriptor, events in ready:
                if descriptor != listener:
                    if events & (select.POLLHUP | select.POLLERR) and not events & select.POLLIN:
                        poll.unregister(descriptor)
                    others[descriptor]()
                elif events & select.POLLIN:
                    self._receive()
                    if self._aside and time.monotonic() > self._deadline:  # others may never leave us a pause
                        self.snapshot_taken(late=True)
                elif events & (select.POLLHUP | select.POLLERR):
                    while self._pending:
                        time.sleep(0.002)
                    self.flush()
                    return

    def _receive(self) -> None:
        self._head[:] = _BLANK
        try:
            self._ioctl(self._listener, notify.RECEIVE, self._message, True)
        except OSError:
            return  # ENOENT: the caller was killed meanwhile
        message = _unpack(self._head)
        try:
            answer = self._look(message)
        except Exception as error:
            self.note("g", text=f"an event could not be read: {type(error).__name__}: {error}")
            answer = True
        if answer:
            self._answer(message[0])

    def _answer(self, identity: int) -> None:
        try:
            self._ioctl(self._listener, notify.SEND, _pack(identity, 0, 0, notify.CONTINUE))
        except OSError:
            pass  # ENOENT: the caller was killed meanwhile

    # -- one message -------------------------------------------------------------------------------------------------

    def _look(self, message: tuple[int, ...]) -> bool:
        """Note what the call is about to do; False where the answer is given later."""
        _, thread, _, number, architecture, _, *a = message
        call = notify.CALLS[architecture][number]
        if call == "openat":
            return self._open(message, thread, self._path(thread, a[1], a[0]), a[2])
        if call == "open":
            return self._open(message, thread, self._path(thread, a[0]), a[1])
        if call == "openat2":
            how = self._memory(thread, a[2], 8)
            return self._open(message, thread, self._path(thread, a[1], a[0]), int.from_bytes(how, "little"))
        if call == "creat":
            return self._open(message, thread, self._path(thread, a[0]), os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        if call == "execve":
            return self._execute(thread, self._path(thread, a[0]), a[1], architecture)
        if call == "execveat":
            return self._execute(thread, self._path(thread, a[1], a[0]), a[2], architecture)
        if call == "rename":
            return self._rename(message, thread, self._path(thread, a[0]), self._path(thread, a[1]), 0)
        if call in ("renameat", "renameat2"):
            flags = a[4] if call == "renameat2" else 0
            return self._rename(message, thread, self._path(thread, a[1], a[0]), self._path(thread, a[3], a[2]), flags)
        if call == "unlink":
            return self._unlink(message, thread, self._path(thread, a[0]), folder=False)
        if call == "unlinkat":
            return self._unlink(message, thread, self._path(thread, a[1], a[0]), folder=bool(a[2] & _AT_REMOVEDIR))
        if call == "rmdir":
            return self._unlink(message, thread, self._path(thread, a[0]), folder=True)
        if call in ("mkdir", "mkdirat"):
            path = self._path(thread, a[0]) if call == "mkdir" else self._path(thread, a[1], a[0])
            if path and not os.path.lexists(path):
                self.note("k", self._process(thread), path)
            return True
        if call in ("link", "linkat"):
            old = self._path(thread, a[0]) if call == "link" else self._path(thread, a[1], a[0])
            new = self._path(thread, a[1]) if call == "link" else self._path(thread, a[3], a[2])
            if old and new:
                found = _lstat(old) if not old.startswith("/proc/") else None
                self._created.add(new)
                self.note("l", self._process(thread), old, new, signature=found)
            return True
        if call in ("symlink", "symlinkat"):
            target = self._text(thread, a[0])
            link = self._path(thread, a[1]) if call == "symlink" else self._path(thread, a[2], a[1])
            if link and not os.path.lexists(link):
                self.note("s", self._process(thread), link, target)
            return True
        if call == "truncate":
            return self._truncate(message, thread, self._path(thread, a[0]))
        if call == "connect":
            return self._connect(thread, a[1], a[2])
        if call == "seccomp":
            return True
        self.note("g", self._process(thread), text=f"{call} was called: paths behind it may be named otherwise")
        return True

    def _open(self, message: tuple[int, ...], thread: int, path: str | None, flags: int) -> bool:
        if path is None or flags & _O_PATH:
            return True
        if not (flags & (os.O_ACCMODE | os.O_CREAT | os.O_TRUNC)):
            key = (thread, path)
            if key in self._seen or path.startswith(("/proc/", "/sys/", "/dev/")):
                return True
            try:
                found = os.stat(path)
            except OSError:
                if path.startswith(FLUSH_MARK):
                    self.flush()
                elif path not in self._absent:
                    self._absent.add(path)
                    self.note("a", self._process(thread), path)
                return True
            kind = found.st_mode & 0o170000
            if kind == stat.S_IFREG:
                self._seen.add(key)
                self._read.add((found.st_dev, found.st_ino))
                self.note("r", self._process(thread), path, flags=flags, signature=found)
            elif kind == stat.S_IFDIR:
                self._seen.add(key)
                self.note("d", self._process(thread), path)
            return True
        if path.startswith(("/proc/", "/sys/", "/dev/")) and not path.startswith(_SHARED):
            return True
        if flags & _O_TMPFILE == _O_TMPFILE:
            self.note("w", self._process(thread), path, flags=flags)
            return True
        try:
            found = os.stat(path)
        except OSError as error:
            if error.errno == errno.ENOENT and not flags & os.O_CREAT:
                return True
            if self._hold(message, path, None):
                return False
            self._created.add(path)
            self.note("w", self._process(thread), path, flags=flags)
            return True
        if found.st_mode & 0o170000 != stat.S_IFREG or flags & (os.O_CREAT | os.O_EXCL) == (os.O_CREAT | os.O_EXCL):
            return True
        if not flags & (os.O_ACCMODE | os.O_TRUNC):
            return self._open(message, thread, path, flags & ~os.O_CREAT)
        if self._hold(message, path, found):
            return False
        if not self._save(message, path, found, needed=not flags & os.O_TRUNC):
            return False
        self.note("w", self._process(thread), path, flags=flags, signature=found)
        return True

    def _truncate(self, message: tuple[int, ...], thread: int, path: str | None) -> bool:
        if path is None:
            return True
        try:
            found = os.stat(path)
        except OSError:
            return True
        if self._hold(message, path, found):
            return False
        if not self._save(message, path, found, needed=True):
            return False
        self.note("t", self._process(thread), path, signature=found)
        return True

    def _rename(self, message: tuple[int, ...], thread: int, old: str | None, new: str | None, flags: int) -> bool:
        if old is None or new is None:
            return True
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
        if old in self._created:
            self._touched.add((source.st_dev, source.st_ino))
        self._created.add(new)
        marks = (1 if flags & _EXCHANGE else 0) | (2 if stat.S_ISDIR(source.st_mode) else 0)
        before = None if replaced is None else _five(replaced)
        self.note("m", self._process(thread), old, new, marks, source, before)
        return True

    def _unlink(self, message: tuple[int, ...], thread: int, path: str | None, *, folder: bool) -> bool:
        if path is None:
            return True
        found = _lstat(path)
        if found is None:
            return True
        if self._hold(message, path, found):
            return False
        if not folder and (found.st_dev, found.st_ino) in self._read and not self._save(message, path, found, needed=True):
            return False
        self.note("u", self._process(thread), path, flags=int(folder), signature=found)
        return True

    def _execute(self, thread: int, path: str | None, argv: int, architecture: int) -> bool:
        if path is None:
            return True
        try:
            found = os.stat(path)
        except OSError:
            return True  # a search along PATH
        self._processes.pop(thread, None)
        process = self._process(thread)
        words = self._redact(self._words(thread, argv, 4 if architecture == notify.I386 else 8))
        folder = _link(f"/proc/{thread}/cwd")
        text = "[" + ",".join(quoted(_utf8(word)) for word in words) + "]"
        self.note("x", process, path, folder, signature=found, text=text)
        if found.st_mode & 0o6000 and os.geteuid() not in (0, found.st_uid):
            self.note("g", process, text=f"{path} could not gain privileges under observation; use --observe audit")
        return True

    def _connect(self, thread: int, address: int, length: int) -> bool:
        data = self._memory(thread, address, min(length, 128))
        family = int.from_bytes(data[:2], "little")
        if family == 1:
            name = data[2:].rstrip(b"\0")
            endpoint = "unix:" + (("@" + os.fsdecode(name[1:])) if name[:1] == b"\0" else os.fsdecode(name.split(b"\0")[0]))
        elif family in (2, 10) and len(data) >= 8:
            import _socket

            port = int.from_bytes(data[2:4], "big")
            host = _socket.inet_ntop(family, data[4:8] if family == 2 else data[8:24])
            endpoint = f"tcp:{host}:{port}" if family == 2 else f"tcp:[{host}]:{port}"
        else:
            return True
        self.note("c", self._process(thread), text=endpoint)
        return True

    # -- before a change ---------------------------------------------------------------------------------------------

    def _hold(self, message: tuple[int, ...], path: str, found: os.stat_result | None) -> bool:
        """Put a change to the project aside while the snapshot of its code is being taken."""
        if not self._snapshot_due or not path.startswith(self._root):
            return False
        if path.startswith(self._own):
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
            try:
                if not self._look(message):
                    continue
            except Exception as error:
                self.note("g", text=f"an event could not be read: {type(error).__name__}: {error}")
            self._answer(message[0])

    def take(self, path: str, found: os.stat_result) -> None:
        """Hash and copy a file that the command can change without asking, since it has it open from the start."""
        self._touched.add((found.st_dev, found.st_ino))
        self._noted(path, found, self._preimage(path, found))

    def _save(self, message: tuple[int, ...], path: str, found: os.stat_result, *, needed: bool) -> bool:
        """Hash and copy what is about to be lost; False where a thread does it and gives the answer."""
        if found.st_mode & 0o170000 != stat.S_IFREG or path.startswith(self._own):
            return True
        key = (found.st_dev, found.st_ino)
        if key in self._pending:
            self._pending[key].append(message)
            return False
        if key in self._touched:
            return True
        self._touched.add(key)
        if path in self._created:
            return True
        if found.st_size <= _INLINE:
            self._noted(path, found, self._preimage(path, found))
            return True
        if not needed and key not in self._read:
            return True  # large, never read by the run, and replaced as a whole
        import _thread

        self._touched.discard(key)
        self._pending[key] = [message]
        _thread.start_new_thread(self._save_large, (key, path, found))
        return False

    def _save_large(self, key: tuple[int, int], path: str, found: os.stat_result) -> None:
        try:
            self._noted(path, found, self._preimage(path, found))
        except Exception as error:
            self.note("g", text=f"{path}: its content before the change was not read: {error}")
        self._touched.add(key)
        waiting = self._pending.pop(key)
        for message in waiting:
            try:
                if not self._look(message):
                    continue
            except Exception as error:
                self.note("g", text=f"an event could not be read: {type(error).__name__}: {error}")
            self._answer(message[0])

    def _noted(self, path: str, found: os.stat_result, result: tuple[str | None, bool]) -> None:
        digest, kept = result
        self.note("h", 0, path, flags=int(kept), signature=found, text=digest)

    # -- the caller's memory and name --------------------------------------------------------------------------------

    def _memory(self, thread: int, address: int, length: int) -> bytes:
        self._vectors[2], self._vectors[3] = address, length
        got = self._readv(thread, self._local, 1, self._remote, 1, 0)
        if got < 0:
            self.unreadable += 1
            return b""
        return self._buffer.raw[:got]

    def _text(self, thread: int, address: int) -> str | None:
        """A string of the caller's; None where it cannot be read."""
        buffer, vectors = self._buffer, self._vectors
        vectors[2], vectors[3] = address, _PAGE - (address & (_PAGE - 1))
        got = self._readv(thread, self._local, 1, self._remote, 1, 0)
        if got <= 0:
            if address:
                self.unreadable += 1
            return None
        buffer[got] = b"\0"
        text = buffer.value
        if len(text) == got:
            text += self._buffer.value if self._memory(thread, address + got, _PAGE) else b""
            self._buffer[_PAGE] = b"\0"
        return os.fsdecode(text)

    def _path(self, thread: int, address: int, folder: int = _AT_FDCWD) -> str | None:
        path = self._text(thread, address)
        if path is None or path[:1] == "/":
            return path
        folder &= 0xFFFFFFFF
        base = _link(f"/proc/{thread}/cwd" if folder == _AT_FDCWD else f"/proc/{thread}/fd/{folder}")
        if base is None:
            self.unreadable += 1
            return None
        if not path:
            return base
        while path.startswith("./"):
            path = path[2:].lstrip("/")
        return f"{base}/{path}" if base != "/" else "/" + path

    def _words(self, thread: int, address: int, width: int) -> list[str]:
        """An argument vector, at most 4,096 words and 128 KiB."""
        words: list[str] = []
        size = 0
        while address and len(words) < 4096 and size < 1 << 17:
            block = self._memory(thread, address, min(64 * width, _PAGE - (address & (_PAGE - 1))))
            for at in range(0, len(block) - width + 1, width):
                pointer = int.from_bytes(block[at : at + width], "little")
                if not pointer:
                    return words
                word = self._text(thread, pointer)
                words.append(word or "")
                size += len(word or "")
            if not block:
                break
            address += len(block)
        return words

    def _process(self, thread: int) -> int:
        """The process that a thread belongs to, noted when it is seen first."""
        process = self._processes.get(thread)
        if process is not None:
            return process
        process, parent, name = thread, 0, ""
        try:
            with open(f"/proc/{thread}/status", "rb", 0) as file:
                for line in file.read(512).split(b"\n"):
                    key, _, value = line.partition(b":\t")
                    if key == b"Name":
                        name = os.fsdecode(value)
                    elif key == b"Tgid":
                        process = int(value)
                    elif key == b"PPid":
                        parent = int(value)
                        break
        except (OSError, ValueError):
            pass
        self._processes[thread] = process
        if process != thread and process in self._processes:
            return process
        self._processes[process] = process
        if parent > 1 and parent not in self._processes and parent != os.getpid():
            self._process(parent)  # seen first, so that every process stands below those that are known
        self.note("p", process, flags=parent, text=name)
        return process

    # -- the journal -------------------------------------------------------------------------------------------------

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
        self._lines.append(journal_line(op, process, path, other, flags, signature, text))
        if len(self._lines) > 512:
            self.flush()

    def flush(self) -> None:
        """Bring the journal to the file. A disk that is full loses lines, never the program."""
        with self._lock:
            lines, self._lines = self._lines, []
            if lines:
                data = "".join(lines).encode("ascii")
                try:
                    while data:
                        data = data[os.write(self._journal, data) :]
                except OSError:
                    self.unreadable += len(lines)


def first_line() -> str:
    """The line with which a journal begins: its format, and the wall clock."""
    return journal_line("v", flags=FORMAT, text=repr(time.time()))


_SOURCES = (
    ".py", ".pyi", ".r", ".R", ".jl", ".sh", ".c", ".h", ".cc", ".cpp", ".hpp", ".f", ".f90", ".rs", ".go", ".java",
    ".js", ".ts", ".pl", ".rb", ".lua", ".m", ".sql", ".ipynb", ".cu", ".pyx", ".toml", ".yaml", ".yml", ".cfg", ".ini",
    "Makefile",
)  # fmt: skip


def journal_line(
    op: str,
    process: int = 0,
    path: str | None = None,
    other: str | None = None,
    flags: int = 0,
    signature: os.stat_result | None = None,
    text: str | None = None,
) -> str:
    """An event of this moment as its line (`observe.interface` has the table)."""
    line = f'["{op}",{time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000},{process},{_field(path)}'
    if text is not None:
        five = "null" if signature is None else _five(signature)
        line += f",{_field(other)},{flags},{five},{quoted(_utf8(text))}"
    elif signature is not None:
        line += f",{_field(other)},{flags},{_five(signature)}"
    elif flags or other is not None:
        line += f",{_field(other)},{flags}"
    return line + "]\n"


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _five(found: os.stat_result) -> str:
    return f"[{found.st_size},{found.st_mtime_ns},{found.st_ctime_ns},{found.st_ino},{found.st_dev}]"


def _field(path: str | None) -> str:
    if path is None:
        return "null"
    return quoted(path if path.isascii() and path[:1] != "%" else written(path))


def _utf8(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
