"""A view of the file system of our own: folders bound over others, and all but a few read-only.

A mount namespace needs CAP_SYS_ADMIN; whoever does not have it makes a user namespace first, in which they keep their
user and group ids and no other exists. Nothing that is mounted here is seen outside, and it goes with its last process.
Some systems forbid user namespaces, or all that one would do in them; `works` tries it.
"""

from __future__ import annotations

import errno
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import Any

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
#: Options in /proc/self/mountinfo that a remount must name again, else it would clear them (and is refused).
_FLAGS = {"nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 1024, "nodiratime": 2048, "relatime": 1 << 21, "nosymfollow": 256}
_STRICTATIME = 1 << 24
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
#: What would let a process of root undo its walls, or write past the file system: SYS_MODULE, SYS_RAWIO, SYS_PTRACE,
#: SYS_ADMIN, SYS_BOOT, MKNOD, MAC_OVERRIDE, MAC_ADMIN (linux/capability.h).
_DANGEROUS = (16, 17, 19, 21, 22, 27, 32, 33)
#: SETPCAP and SYS_ADMIN: to lay out a view, and to close it.
_TO_MOUNT = (8, 21)
_CAPABILITY_VERSION_3 = 0x20080522


def works(scratch: str) -> bool:
    """Whether a process here can have a view of its own. Tried in a child; `scratch` is an empty folder."""
    if sys.platform != "linux":
        return False
    child = os.fork()
    if child == 0:
        status = 1
        try:
            enter()
            bind(scratch, scratch)
            read_only_but((scratch,))
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def enter() -> None:
    """Move this process, which must have one thread only, into a view of its own. Raises OSError."""
    libc = _libc()
    if libc.unshare(_CLONE_NEWNS) != 0:
        _enter_as_ordinary_user(libc)
    _mount(None, "/", _MS_REC | _MS_PRIVATE)


def again() -> None:
    """Give this process a further view, which starts as a copy of the one it has. Raises OSError."""
    _checked("unshare", _libc().unshare(_CLONE_NEWNS))


def bind(source: str, target: str, *, read_only: bool = False) -> None:
    """Let a file or folder be seen at a second place, too, instead of what is there. Raises OSError."""
    _mount(source, target, _MS_BIND | _MS_REC)
    if read_only:
        _make_read_only(target)


def read_only_but(places: Collection[str]) -> None:
    """Make every mount read-only but those at `places`. Raises OSError where one that holds files cannot be."""
    for point, kind, options in _mounts():
        if point in places or "ro" in options or kind in _WITHOUT_FILES:
            continue
        try:
            _mount(None, point, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _flags(options))
        except OSError as error:
            # A mount that another one covers, or whose place is gone, cannot be named, so it cannot be written to either.
            if error.errno not in (errno.EINVAL, errno.ENOENT, errno.EACCES):
                raise


def drop_power() -> None:
    """Give up, for this process and all that it starts, what would let root undo this. Raises OSError."""
    libc = _libc()
    for capability in _DANGEROUS:
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    _change_capabilities(libc, lambda held: held & ~_bits(_DANGEROUS))
    _checked("prctl", libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def _enter_as_ordinary_user(libc: Any) -> None:
    user, group = os.geteuid(), os.getegid()
    _checked("unshare", libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS))
    # A process that gained capabilities counts as one whose /proc is not its own: files there would belong to root.
    libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{user} {user} 1")
    _write("/proc/self/gid_map", f"{group} {group} 1")
    # All capabilities came with the namespace, so that permissions of the user's own files would be passed over.
    _change_capabilities(libc, lambda held: held & _bits(_TO_MOUNT))


def _change_capabilities(libc: Any, change: Callable[[int], int]) -> None:
    import ctypes

    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then the upper halves of the three
    _checked("capget", libc.capget(header, sets))
    for kind in range(3):
        kept = change(sets[kind] | sets[kind + 3] << 32)
        sets[kind], sets[kind + 3] = kept & 0xFFFFFFFF, kept >> 32
    _checked("capset", libc.capset(header, sets))


def _bits(capabilities: Collection[int]) -> int:
    return sum(1 << capability for capability in capabilities)


def _make_read_only(target: str) -> None:
    below = target.rstrip("/") + "/"
    for point, _, options in _mounts():
        if point == target or point.startswith(below):
            _mount(None, point, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _flags(options))


def _mounts() -> Iterator[tuple[str, str, set[str]]]:
    """Where something is mounted, its type, and its options; of several at one place the last is the one that is seen."""
    seen: dict[str, tuple[str, set[str]]] = {}
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            fields = line.split(b" ")
            point = os.fsdecode(_unescaped(fields[4]))
            seen.pop(point, None)
            seen[point] = (fields[fields.index(b"-") + 1].decode("ascii", "replace"), set(fields[5].decode("ascii").split(",")))
    for point, (kind, options) in seen.items():
        yield point, kind, options


def _unescaped(text: bytes) -> bytes:
    for escaped, plain in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        text = text.replace(escaped, plain)
    return text


def _flags(options: Collection[str]) -> int:
    flags = sum(flag for name, flag in _FLAGS.items() if name in options)
    return flags if flags & (_FLAGS["noatime"] | _FLAGS["relatime"]) else flags | _STRICTATIME


def _mount(source: str | None, target: str, flags: int) -> None:
    names = [None if name is None else os.fsencode(name) for name in (source, target)]
    import ctypes

    result = _libc().mount(*names, None, ctypes.c_ulong(flags), None)
    _checked(f"mount on {target}", result)


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)


def _libc() -> Any:
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def _checked(name: str, result: int) -> None:
    if result < 0:
        import ctypes

        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


#: File systems that hold nothing of anybody's: what is written there is a word to the kernel, and its own rules hold.
_WITHOUT_FILES = frozenset({"autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "mqueue"})
