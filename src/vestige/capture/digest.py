"""Digests of files: read once, never changed by being looked at, never read again while they stay the same.

Bytes are read with pread(2) into buffers of our own, never mapped: a file that is truncated while it
is mapped kills its reader with SIGBUS, and the files of a running program are truncated all the time.
Reading in one thread while two to four others hash is as fast as a mapping when the file is cold.
A descriptor's offset is never moved, since it may be shared with the program that is being recorded.

What changes while it is read has no digest (`None`): neither its old nor its new content would be
what was read. Only regular files are ever opened. Opening the read end of a FIFO lets its writer go
on, and opening a device can do anything.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from itertools import islice

from blake3 import blake3

from vestige.model.files import Digest, Signature
from vestige.model.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

#: From here on it is worth asking the cache: below, reading is cheaper than SQLite.
WORTH_CACHING = 1 << 20

_ONE_READ = 1 << 18
_CHUNK = 1 << 20
_PIPELINE = 8 << 20
#: A file that changed under us is read a second time if it is no larger than this.
_AGAIN = 64 << 20
#: Times of files come from a clock that ticks every 1 to 10 ms, so that a write may leave no trace.
_TICK_NS = 20_000_000
_COARSE_TICK_NS = 2_000_000_000

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
#: Only a file's owner may leave its access time alone.
_UNNOTICED = _FLAGS | getattr(os, "O_NOATIME", 0)


class Hashed(NamedTuple):
    """One of `many` files. Without a signature it could not be opened, and `problem` says why; with a
    signature but no digest it changed while it was read, or the deadline came first."""

    path: str
    signature: Signature | None
    digest: Digest | None
    problem: str | None = None


def of_bytes(data: bytes | bytearray | memoryview, algorithm: str = "blake3") -> Digest:
    """The digest of bytes that are at hand."""
    if algorithm == "blake3":
        return "blake3:" + blake3(data).hexdigest()
    hasher = _hasher(algorithm, 1)
    hasher.update(data)
    return f"{algorithm}:{hasher.hexdigest()}"


def of_file(
    path: str,
    cache: DigestCache | None = None,
    *,
    algorithm: str = "blake3",
    deadline: float | None = None,
) -> tuple[Signature, Digest | None]:
    """The signature of a regular file and the digest that belongs to it; symbolic links are followed.

    The digest is None if the file changed while it was read, or if `deadline` (of
    `time.monotonic`) passed. Raises OSError: what cannot be opened, and EINVAL for what is no regular file.
    """
    found = os.stat(path)
    if algorithm == "blake3" and (quick := _quickly(path, found)) is not None:
        return quick
    before = _regular(found, path)
    if before.size < WORTH_CACHING or algorithm != "blake3":
        cache = None
    if cache is not None and (known := cache.get(before)) is not None:
        return before, known
    for _ in range(2):
        started = time.time_ns()
        fd = _open(path)
        try:
            signature, digest = of_fd(fd, before=before, algorithm=algorithm, deadline=deadline, path=path)
        finally:
            os.close(fd)
        if digest is not None:
            if cache is not None:
                cache.put(signature, digest, started)
            return signature, digest
        if signature.size > _AGAIN or _passed(deadline):
            break
        before = signature
    return signature, None


def of_fd(
    fd: int,
    *,
    before: Signature | None = None,
    algorithm: str = "blake3",
    deadline: float | None = None,
    path: str | None = None,
) -> tuple[Signature, Digest | None]:
    """As `of_file`, from a descriptor that is open for reading, from the beginning; its offset stays where it is.

    `before` is what a stat(2) said earlier: the content must belong to that signature.
    """
    if before is None:
        before = _regular(os.fstat(fd), path)
    if before.size < _ONE_READ:
        digest = _of_small(fd, before.size, algorithm)
    elif before.size < _PIPELINE:
        digest = _of_large(_chunks(fd), before.size, algorithm, 1, deadline)
    else:
        chunks = _chunks_ahead(fd)
        try:
            digest = _of_large(chunks, before.size, algorithm, min(os.cpu_count() or 1, 4), deadline)
        finally:
            chunks.close()
    after = _regular(os.fstat(fd), path)
    return after, digest if after == before else None


def many(paths: Iterable[str], cache: DigestCache | None = None, *, deadline: float | None = None) -> Iterator[Hashed]:
    """The digests of many files, as they are done, in no promised order; abandon it at any time.

    Files that are in memory are read by one thread: more only fight for the interpreter. As soon as
    files turn out to be slow to come, others help.
    """
    waiting = iter(paths)

    def all_of(paths: list[str]) -> list[Hashed]:
        return [_one(path, cache, deadline) for path in paths]

    slow = 0  # batches in a row; of a single one the system may simply have let somebody else go first
    while batch := list(islice(waiting, 16)):
        began = time.perf_counter()
        hashed = all_of(batch)
        spent = time.perf_counter() - began
        yield from hashed
        # What is left when two nanoseconds a byte are taken off is waiting, not hashing.
        size = sum([found.signature.size for found in hashed if found.signature is not None])
        each = (spent - size * 2e-9) / len(batch)
        slow = slow + 1 if each > 60e-6 else 0
        if slow > 1:
            yield from _helped(all_of, list(islice(waiting, 1024)), 4 if each < 1e-3 else 16)


def _one(path: str, cache: DigestCache | None, deadline: float | None) -> Hashed:
    if deadline is not None and time.monotonic() > deadline:
        return Hashed(path, None, None, "out of time")
    try:
        signature, digest = _quickly(path, os.stat(path)) or of_file(path, cache, deadline=deadline)
    except Exception as error:
        return Hashed(path, None, None, getattr(error, "strerror", None) or str(error))
    return Hashed(path, signature, digest, None)


def of_directory(members: Mapping[str, Digest]) -> Digest:
    """The identity of a directory that is one thing, from the digests of all files below it.

    `members` maps paths relative to the directory, with `/`, to digests. The digest is BLAKE3 over
    the line `directory` and one line an entry, in the order of the names' bytes: `file` or
    `directory`, the digest, the name, each line ended by a NUL (which no name holds).
    """
    entries: dict[str, list[tuple[bytes, str, Digest]]] = {"": []}
    for path, digest in members.items():
        folder, _, name = path.rpartition("/")
        entries.setdefault(folder, []).append((os.fsencode(name), "file", digest))
        while folder and (folder := folder.rpartition("/")[0]) not in entries:
            entries[folder] = []
    for folder in sorted(entries, key=lambda name: name.count("/") + bool(name), reverse=True):
        hasher = blake3(b"directory\0")
        for encoded, kind, digest in sorted(entries[folder]):
            hasher.update(f"{kind} {digest} ".encode() + encoded + b"\0")
        identity = f"blake3:{hasher.hexdigest()}"
        if folder:
            above, _, name = folder.rpartition("/")
            entries[above].append((os.fsencode(name), "directory", identity))
    return identity


class DigestCache:
    """Digests of large files by signature, in SQLite; a miss whenever anything is wrong with it.

    The file is opened by the first question. Writers wait 50 ms for each other. A signature that was
    younger than a tick of the clock when its content was read is not believed: the file may have
    changed once more within the tick. (A page that is written through a mapping while we read leaves
    no trace in any signature: let files be cached that no running program maps for writing.)
    """

    def __init__(self, path: str) -> None:
        import _thread

        self._path = path
        self._lock = _thread.allocate_lock()
        self._connection: Any = None
        self._owner = 0
        self._silent_until = 0.0

    def get(self, signature: Signature) -> Digest | None:
        """The digest of content with this signature, if it is known."""
        key = _key(signature)
        rows = self._ask("SELECT size, mtime_ns, ctime_ns, digest, proof FROM digest WHERE device=? AND inode=?", key[:2])
        for size, mtime_ns, ctime_ns, digest, proof in rows:
            if (size, mtime_ns, ctime_ns) == key[2:] and proof == _proof(key, digest):
                return str(digest)
        return None

    def put(self, signature: Signature, digest: Digest, started_ns: int) -> None:
        """Remember a digest. `started_ns` is the wall clock (nanoseconds) just before its content was read."""
        newest = max(signature.mtime_ns, signature.ctime_ns)
        coarse = signature.mtime_ns % 1_000_000_000 == 0 and signature.ctime_ns % 1_000_000_000 == 0
        if newest > started_ns - (_COARSE_TICK_NS if coarse else _TICK_NS):
            return
        key = _key(signature)
        self._ask("INSERT OR REPLACE INTO digest VALUES (?, ?, ?, ?, ?, ?, ?)", (*key, digest, _proof(key, digest)))

    def close(self) -> None:
        """Give the file back. Asking again opens it again."""
        with self._lock:
            if self._connection is not None and self._owner == os.getpid():
                self._connection.close()
            self._connection = None

    def _ask(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            if time.monotonic() < self._silent_until:
                return []
            try:
                if self._connection is None or self._owner != os.getpid():
                    self._connection, self._owner = self._opened(), os.getpid()
                rows: list[tuple[Any, ...]] = self._connection.execute(statement, values).fetchall()
            except Exception as error:
                self._failed(error)
                return []
            return rows

    def _opened(self) -> Any:
        import sqlite3

        os.makedirs(os.path.dirname(self._path) or ".", 0o700, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=0.05, isolation_level=None, check_same_thread=False)
        # Nothing is waited for: each row proves itself, so that one torn by a power cut is a miss.
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS digest (device INTEGER, inode INTEGER, size INTEGER, mtime_ns INTEGER, "
            "ctime_ns INTEGER, digest TEXT, proof TEXT, PRIMARY KEY (device, inode)) WITHOUT ROWID"
        )
        return connection

    def _failed(self, error: Exception) -> None:
        """A file that is damaged is begun anew; one that is busy or cannot be written is left alone for a second."""
        import sqlite3

        self._connection = None
        if type(error) is not sqlite3.DatabaseError:
            self._silent_until = time.monotonic() + 1
            return
        for suffix in ("", "-journal"):
            try:
                os.unlink(self._path + suffix)
            except OSError:
                pass


def _key(signature: Signature) -> tuple[int, int, int, int, int]:
    numbers = (signature.device, signature.inode, signature.size, signature.mtime_ns, signature.ctime_ns)
    device, inode, size, mtime_ns, ctime_ns = (n if n < 1 << 63 else n - (1 << 64) for n in numbers)
    return device, inode, size, mtime_ns, ctime_ns


def _proof(key: tuple[int, ...], digest: object) -> str:
    return str(blake3(f"{key} {digest}".encode()).hexdigest(8))


def _hasher(algorithm: str, threads: int) -> Any:
    if algorithm == "blake3":
        # A pool of its own, never the library's shared one (AUTO), which does not survive a fork.
        return blake3(max_threads=threads)
    import hashlib

    return hashlib.new(algorithm, usedforsecurity=False)


def _open(path: str) -> int:
    try:
        return os.open(path, _UNNOTICED)
    except PermissionError:
        return os.open(path, _FLAGS)


def _regular(found: os.stat_result, path: str | None) -> Signature:
    if not stat.S_ISREG(found.st_mode):
        code = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL
        raise OSError(code, os.strerror(code) if code == errno.EISDIR else "not a regular file", path)
    return Signature(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)


def _quickly(path: str, before: os.stat_result) -> tuple[Signature, Digest] | None:
    """The common case, small and undisturbed, with nothing done twice; None where it is not so common."""
    if before.st_size >= _ONE_READ or not stat.S_ISREG(before.st_mode):
        return None
    try:
        fd = os.open(path, _UNNOTICED)
    except PermissionError:
        fd = os.open(path, _FLAGS)
    try:
        data = os.pread(fd, before.st_size + 1, 0)
        after = os.fstat(fd)
    finally:
        os.close(fd)
    size, mtime_ns, ctime_ns, inode, device = after.st_size, after.st_mtime_ns, after.st_ctime_ns, after.st_ino, after.st_dev
    if (
        len(data) != size
        or before.st_ino != inode
        or before.st_ctime_ns != ctime_ns
        or before.st_mtime_ns != mtime_ns
        or before.st_dev != device
        or before.st_mode != after.st_mode
    ):
        return None
    return Signature(size, mtime_ns, ctime_ns, inode, device), "blake3:" + blake3(data).hexdigest()


def _of_small(fd: int, size: int, algorithm: str) -> Digest | None:
    data = os.pread(fd, size + 1, 0)
    while len(data) < size and (more := os.pread(fd, size + 1 - len(data), len(data))):
        data += more
    return of_bytes(data, algorithm) if len(data) == size else None


def _of_large(chunks: Iterator[memoryview], size: int, algorithm: str, threads: int, deadline: float | None) -> Digest | None:
    hasher = _hasher(algorithm, threads)
    for chunk in chunks:
        hasher.update(chunk)
        size -= len(chunk)
        if size < 0 or _passed(deadline):
            return None
    return f"{algorithm}:{hasher.hexdigest()}" if size == 0 else None


def _chunks(fd: int) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(_CHUNK))
    offset = 0
    while count := os.preadv(fd, [buffer], offset):
        yield buffer[:count]
        offset += count


def _chunks_ahead(fd: int) -> Any:
    """As `_chunks`, with a thread that reads on while the last chunk is hashed. To be closed before `fd` is."""
    from queue import SimpleQueue
    from threading import Thread

    free: SimpleQueue[memoryview | None] = SimpleQueue()
    full: SimpleQueue[memoryview | OSError] = SimpleQueue()
    for _ in range(3):
        free.put(memoryview(bytearray(_CHUNK)))

    def read() -> None:
        offset = 0
        while (buffer := free.get()) is not None:
            try:
                count = os.preadv(fd, [buffer], offset)
            except OSError as error:
                full.put(error)
                return
            full.put(buffer[:count])
            if count == 0:
                return
            offset += count

    reader = Thread(target=read, daemon=True)
    reader.start()
    try:
        while chunk := full.get():
            if isinstance(chunk, OSError):
                raise chunk
            yield chunk
            free.put(memoryview(chunk.obj))
    finally:
        free.put(None)
        reader.join()


def _helped(all_of: Callable[[list[str]], list[Hashed]], paths: list[str], helpers: int) -> Iterator[Hashed]:
    from queue import Empty, SimpleQueue
    from threading import Thread

    waiting: SimpleQueue[list[str]] = SimpleQueue()
    done: SimpleQueue[list[Hashed]] = SimpleQueue()
    parts = [paths[start : start + 16] for start in range(0, len(paths), 16)]
    for part in parts:
        waiting.put(part)

    def work() -> None:
        try:
            while True:
                done.put(all_of(waiting.get_nowait()))
        except Empty:
            return

    for _ in range(min(helpers, len(parts))):
        Thread(target=work, daemon=True).start()
    try:
        for _ in parts:
            yield from done.get()
    finally:
        while not waiting.empty():
            try:
                waiting.get_nowait()
            except Empty:
                break


def _passed(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() > deadline
