"""How a file of the store comes into being: whole, under a name that nobody else has taken, or not at all.

The bytes go to a hidden name in the same folder first. `publish` then links it to its name, which fails
where the name is taken; `replace` renames it. Whatever goes wrong, nothing is left behind, except by a
process that was killed: such leftovers begin with `.tmp-` and are swept by `gc`.
"""

from __future__ import annotations

import errno
import os

TEMPORARY = ".tmp-"

#: Errors by which a file system says that it has no hard links.
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})


def folder_mode(path: str) -> int:
    """The mode that new folders inside `path` get: as open to others as `path` is, and as inheritable."""
    return os.stat(path).st_mode & 0o2777 | 0o700


def make_folder(path: str, mode: int | None = None) -> int:
    """Make a folder and those above it, none of them narrowed by the umask; returns its mode.

    Without `mode`, that of the nearest folder which exists already. A group's project stays usable by the group.
    """
    missing = []
    head = path
    while not os.path.isdir(head):
        missing.append(head)
        above = os.path.dirname(head)
        if above == head:
            break
        head = above
    if not missing:
        return folder_mode(path)
    bits = folder_mode(head) if mode is None else mode
    for folder in reversed(missing):
        try:
            os.mkdir(folder, bits & 0o777)
        except FileExistsError:
            if not os.path.isdir(folder):
                raise
            continue
        if os.stat(folder).st_mode & 0o2777 != bits:
            os.chmod(folder, bits)
    return bits


def temporary(folder: str, mode: int) -> tuple[int, str]:
    """A new, open, hidden file in `folder`, and its path."""
    while True:
        path = os.path.join(folder, f"{TEMPORARY}{os.getpid()}-{os.urandom(6).hex()}")
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), mode)
        except FileExistsError:
            continue
        if hasattr(os, "fchmod"):
            try:
                os.fchmod(fd, mode)
            except OSError:
                pass  # some file systems have no modes
        return fd, path


def write_all(fd: int, data: bytes) -> None:
    """Write every byte."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def flush(fd: int) -> None:
    """Have the bytes reach the disk; the folder is not waited for."""
    getattr(os, "fdatasync", os.fsync)(fd)


def publish(path: str, data: bytes, *, mode: int = 0o644, durable: bool = True) -> bool:
    """Write a file that did not exist. False, and nothing changed, where the name is taken. Raises OSError."""
    hidden = _hidden(path, data, mode=mode, durable=durable)
    try:
        return claim(hidden, path)
    finally:
        discard(hidden)


def replace(path: str, data: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Write a file, in one step, over whatever was there. Raises OSError."""
    hidden = _hidden(path, data, mode=mode, durable=durable)
    try:
        os.replace(hidden, path)
    except BaseException:
        discard(hidden)
        raise


def claim(hidden: str, path: str) -> bool:
    """Give a hidden file its name, unless the name is taken. The hidden name may outlive this."""
    try:
        os.link(hidden, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _claim_without_links(hidden, path)
    return True


def discard(path: str) -> None:
    """Remove a file that may be gone already."""
    try:
        os.unlink(path)
    except OSError:
        pass


def _claim_without_links(hidden: str, path: str) -> bool:
    """The name is taken by an empty file of ours first, then the hidden file is renamed over it."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    try:
        os.replace(hidden, path)
    except BaseException:
        discard(path)
        raise
    return True


def _hidden(path: str, data: bytes, *, mode: int, durable: bool) -> str:
    fd, hidden = temporary(os.path.dirname(path) or ".", mode)
    try:
        write_all(fd, data)
        if durable:
            flush(fd)
    except BaseException:
        os.close(fd)
        discard(hidden)
        raise
    os.close(fd)
    return hidden
