"""The kernel stops each call that opens, renames or removes a file, and asks us; we look, and let it go on.

This is seccomp user notification (seccomp_unotify(2), Linux 5.5 and later). A filter is installed in the child
between fork and exec, and inherited by all its descendants: static binaries, shells, any language. For the calls it
selects the kernel suspends the caller and puts a message into a queue that belongs to a descriptor, the *listener*.
Whoever holds the listener reads the message, reads the path out of the caller's memory, and answers "continue".
All other calls run at full speed: the filter looks at the number alone, so that the kernel (5.11) decides from a bitmap.

What follows from this mechanism:

- We see a call before it happens, never its result. What came of it is found afterwards (a file exists or not, its
  signature changed or not). While we look, the caller cannot run: its path, its working directory and the file's
  content are as they were. That is what makes it possible to hash a file before it is changed.
- Another thread may exchange the path between our look and the kernel's. For a record that is of no consequence; as
  a security policy this would be useless, and we use it for none.
- A filter cannot be taken off. If the listener is closed while filtered processes live, each of their selected calls
  fails with ENOSYS. So whoever watches must outlive them, and somebody must be ready to take its place (`stand_in`).
- Only one listener may exist in an ancestry: EBUSY means that somebody observes us already.
- io_uring opens files without system calls. It is answered with ENOSYS, as container engines do; programs fall back.
- Without CAP_SYS_ADMIN the filter needs `no_new_privs`, under which setuid programs do not gain privileges.

The numbers below are part of the kernel's ABI: include/uapi/linux/seccomp.h, and the system call tables.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RECEIVE = 0xC0502100
SEND = 0xC0182101
SET_FLAGS = 0x40082104
SYNC_WAKE_UP = 1  # Linux 6.6: hand the processor over, since the caller waits for us
CONTINUE = 1

#: id, thread, flags, number, architecture, instruction pointer, six arguments
MESSAGE = struct.Struct("=QIIiIQ6Q")
ANSWER = struct.Struct("=QqiI")

_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER = 1
_NEW_LISTENER = 1 << 3
_WAIT_KILLABLE = 1 << 5  # Linux 5.19: once received, only a fatal signal interrupts the caller

_ALLOW = 0x7FFF0000
_NOTIFY = 0x7FC00000
_TRACE = 0x7FF00000
_ERRNO = 0x00050000

X86_64, I386, AARCH64 = 0xC000003E, 0x40000003, 0xC00000B7

_DENIED = {X86_64: 425, I386: 425, AARCH64: 425}  # io_uring_setup

#: The calls that are selected, by architecture.
CALLS: Mapping[int, Mapping[int, str]] = {
    X86_64: {
        2: "open", 257: "openat", 437: "openat2", 85: "creat", 82: "rename", 264: "renameat", 316: "renameat2",
        86: "link", 265: "linkat", 88: "symlink", 266: "symlinkat", 87: "unlink", 263: "unlinkat", 84: "rmdir",
        83: "mkdir", 258: "mkdirat", 76: "truncate", 59: "execve", 322: "execveat", 42: "connect",
        161: "chroot", 155: "pivot_root", 165: "mount", 429: "move_mount", 308: "setns", 304: "open_by_handle_at",
        317: "seccomp", 157: "prctl", 44: "sendto",
        4: "stat", 6: "lstat", 262: "newfstatat", 332: "statx", 21: "access", 269: "faccessat", 439: "faccessat2",
    },
    I386: {
        5: "open", 295: "openat", 437: "openat2", 8: "creat", 38: "rename", 302: "renameat", 353: "renameat2",
        9: "link", 303: "linkat", 83: "symlink", 304: "symlinkat", 10: "unlink", 301: "unlinkat", 40: "rmdir",
        39: "mkdir", 296: "mkdirat", 92: "truncate", 193: "truncate", 11: "execve", 358: "execveat", 362: "connect",
        61: "chroot", 217: "pivot_root", 21: "mount", 429: "move_mount", 346: "setns", 342: "open_by_handle_at",
        354: "seccomp", 172: "prctl", 369: "sendto",
        106: "stat", 107: "lstat", 195: "stat", 196: "lstat", 300: "newfstatat", 383: "statx", 33: "access", 307: "faccessat",
        439: "faccessat2",
    },
    AARCH64: {
        56: "openat", 437: "openat2", 38: "renameat", 276: "renameat2", 37: "linkat", 36: "symlinkat", 35: "unlinkat",
        34: "mkdirat", 45: "truncate", 221: "execve", 281: "execveat", 203: "connect",
        51: "chroot", 41: "pivot_root", 40: "mount", 429: "move_mount", 268: "setns", 265: "open_by_handle_at",
        277: "seccomp", 167: "prctl", 206: "sendto",
        79: "newfstatat", 291: "statx", 48: "faccessat", 439: "faccessat2",
    },
}  # fmt: skip

#: Of a call that does many things, the one that is meant: its first argument.
ONLY = {"prctl": 22, "seccomp": 1}  # PR_SET_SECCOMP; SECCOMP_SET_MODE_FILTER

#: Calls that ask about a file and do not open it: selected only where the configuration wants to know of them.
ASKING = frozenset({"stat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2"})

#: Where the flags of a call lie, which may say that it is about a descriptor; and where the address does, if there is one.
_FLAGS = {"newfstatat": 40, "statx": 32}
_EMPTY_PATH = 0x1000
_ADDRESS = {"sendto": 48}

#: ptrace(2) itself, which a tracer wants to know of: whom it traces nobody else can.
TRACES = {X86_64: 101, I386: 26, AARCH64: 117}

_NATIVE = {"x86_64": (X86_64, I386), "aarch64": (AARCH64,)}
_SECCOMP = {"x86_64": 317, "aarch64": 277}

_X32 = 0x40000000


def program(machine: str, *, traced: bool = False, metadata: bool = False) -> bytes:
    """The filter for a machine (`os.uname().machine`), as the kernel's array of instructions.

    `traced`: a tracer is stopped for, not a listener told; it can ask for the position of the architecture in `CALLS`.
    `metadata`: the calls that ask about a file are selected, too.
    """
    load, jump_equal, jump_at_least, jump_if_set, give = 0x20, 0x15, 0x35, 0x45, 0x06
    code: list[tuple[int, int, int, int]] = [(load, 0, 0, 4)]
    sections = []
    for architecture in _NATIVE[machine]:
        section = [(load, 0, 0, 0)]
        ask = _TRACE | [*CALLS].index(architecture) if traced else _NOTIFY
        if architecture == X86_64:
            section += [(jump_at_least, 0, 1, _X32), (give, 0, 0, _ERRNO | errno.ENOSYS)]
        section += [(jump_equal, 0, 1, _DENIED[architecture]), (give, 0, 0, _ERRNO | errno.ENOSYS)]
        calls = {number: call for number, call in CALLS[architecture].items() if metadata or call not in ASKING}
        answers = [(give, 0, 0, _ALLOW), (give, 0, 0, ask)]
        for number, call in sorted(calls.items()):
            if call in ONLY:
                first = [(load, 0, 0, 16), (jump_equal, 1, 0, ONLY[call])]
            elif call in _FLAGS:
                first = [(load, 0, 0, _FLAGS[call]), (jump_if_set, 0, 1, _EMPTY_PATH)]
            elif call in _ADDRESS:
                at = _ADDRESS[call]
                first = [(load, 0, 0, at), (jump_equal, 0, 3, 0), (load, 0, 0, at + 4), (jump_equal, 0, 1, 0)]
            else:
                continue
            section += [(jump_equal, 0, len(first) + 2, number), *first, *answers]
        numbers = sorted(number for number, call in calls.items() if not (call in ONLY or call in _FLAGS or call in _ADDRESS))
        numbers += [TRACES[architecture]] if traced else []
        for position, number in enumerate(numbers):
            section.append((jump_equal, len(numbers) - position, 0, number))
        section += [(give, 0, 0, _ALLOW), (give, 0, 0, ask)]
        sections.append((architecture, section))
    for architecture, section in sections:
        code.append((jump_equal, 0, len(section), architecture))
        code += section
        code.append((load, 0, 0, 4))
    code[-1] = (give, 0, 0, _ALLOW)
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


class RefusedError(Exception):
    """The kernel would not install a listener; `errno` says why."""

    def __init__(self, number: int) -> None:
        super().__init__(os.strerror(number))
        self.errno = number


def supported() -> bool:
    """Whether this system could have it at all; the kernel's own answer comes from `install`."""
    return sys.platform == "linux" and os.uname().machine in _NATIVE


def install(*, metadata: bool = False) -> int:
    """Put the filter on this process, for ever; returns the listener.

    Raises RefusedError: EBUSY where a listener is above us already, EPERM, EINVAL or ENOSYS where the kernel or a sandbox
    forbids it.
    """
    return _put_on((_NEW_LISTENER | _WAIT_KILLABLE, _NEW_LISTENER), metadata=metadata)


def install_traced(*, metadata: bool = False) -> None:
    """Put the filter on this process, for ever, so that selected calls stop for its tracer; without one they fail.

    Raises RefusedError.
    """
    _put_on((0,), traced=True, metadata=metadata)


def _put_on(tries: tuple[int, ...], *, traced: bool = False, metadata: bool = False) -> int:
    if not supported():
        raise RefusedError(errno.ENOSYS)
    machine = os.uname().machine
    code = program(machine, traced=traced, metadata=metadata)
    text = ctypes.create_string_buffer(code, len(code))
    filter_ = ctypes.create_string_buffer(struct.pack("=H6xQ", len(code) // 8, ctypes.addressof(text)))
    libc = ctypes.CDLL(None, use_errno=True)
    last = errno.EINVAL
    # A process that may administer the system needs no no_new_privs, and its setuid programs keep working.
    for privileged in (True, False) if os.geteuid() == 0 else (False,):
        if not privileged and libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise RefusedError(ctypes.get_errno())
        for flags in tries:
            given = libc.syscall(_SECCOMP[machine], _SET_MODE_FILTER, flags, filter_)
            if given >= 0:
                return int(given)
            last = ctypes.get_errno()
            if last not in (errno.EINVAL, errno.EACCES):
                raise RefusedError(last)
    raise RefusedError(last)


def send_listener(socket: int, listener: int) -> None:
    """Hand the listener over to whoever holds the other end of a socket pair."""
    import _socket

    end = _socket.socket(fileno=os.dup(socket))
    end.sendmsg([b"L"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("=i", listener))])
    end.close()


def send_refusal(socket: int, number: int) -> None:
    """Say that there will be no listener, and why (an errno)."""
    os.write(socket, b"N" + number.to_bytes(2, "little"))


def receive_listener(socket: int) -> tuple[int | None, int]:
    """The listener that was handed over; or None, and the errno of the refusal (0: the other end went away)."""
    import _socket

    end = _socket.socket(fileno=os.dup(socket))
    try:
        data, ancillary, _, _ = end.recvmsg(3, _socket.CMSG_SPACE(4))
    finally:
        end.close()
    for level, kind, content in ancillary:
        if data == b"L" and level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            (listener,) = struct.unpack("=i", content[:4])
            os.set_inheritable(listener, False)
            return int(listener), 0
    return None, int.from_bytes(data[1:3], "little")


#: What the watcher tells the child that got no listener, with the length of the variables behind it.
_TOLD = struct.Struct("=cI")


def tell(socket: int, variables: Mapping[str, str], *, traced: bool = False) -> None:
    """Let the child go on, with these variables in its environment; or, `traced`, have it put on the other filter."""
    text = b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in variables.items())
    data = _TOLD.pack(b"t" if traced else b"g", len(text)) + text
    while data:
        data = data[os.write(socket, data) :]


def obey(socket: int, environ: dict[str, str], *, metadata: bool = False) -> None:
    """In a child that got no listener: do what the watcher says, until it lets us go on. Opens nothing."""
    while len(head := os.read(socket, _TOLD.size)) == _TOLD.size:
        kind, left = _TOLD.unpack(head)
        text = b""
        while left > len(text) and (block := os.read(socket, left - len(text))):
            text += block
        for one in os.fsdecode(text).split("\0")[:-1]:
            name, _, value = one.partition("=")
            environ[name] = value
        if kind == b"g":
            return
        try:
            install_traced(metadata=metadata)
        except RefusedError as refused:
            os.write(socket, refused.errno.to_bytes(2, "little"))
        else:
            os.write(socket, b"\0\0")


def stand_in(listener: int, unanswered: Iterable[int] = ()) -> None:
    """Answer "continue" to everything until nobody is filtered any more: for when the watcher was killed.

    `unanswered` are the messages that the watcher had received and may not have answered.
    """
    import select

    libc = ctypes.CDLL(None, use_errno=True)
    message = ctypes.create_string_buffer(MESSAGE.size)
    answer = ctypes.create_string_buffer(ANSWER.size)
    for identity in unanswered:
        ANSWER.pack_into(answer, 0, identity, 0, 0, CONTINUE)
        libc.ioctl(listener, ctypes.c_ulong(SEND), answer)
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while True:
        for _, events in poll.poll():
            if events & select.POLLIN:
                ctypes.memset(message, 0, MESSAGE.size)
                if libc.ioctl(listener, ctypes.c_ulong(RECEIVE), message) == 0:
                    ANSWER.pack_into(answer, 0, MESSAGE.unpack_from(message)[0], 0, 0, CONTINUE)
                    libc.ioctl(listener, ctypes.c_ulong(SEND), answer)
            elif events & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
                return
