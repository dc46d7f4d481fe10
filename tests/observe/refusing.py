"""Run a command behind a filter that forbids something, as a sandbox would: `python refusing.py WHAT COMMAND…`.

WHAT is one of FORBIDDEN, or `listening:CALL,CALL…`: somebody else is told of these calls, and lets them go on.
"""

from __future__ import annotations

import _socket
import ctypes
import errno
import os
import struct
import sys
import threading

from vestige.observe import notify

LOAD, EQUAL, BITS, GIVE = 0x20, 0x15, 0x45, 0x06
ALLOW, ERRNO, TELL = 0x7FFF0000, 0x50000, 0x7FC00000
NUMBER, FIRST, SECOND = 0, 16, 24  # where they stand in what a filter sees
NATIVE = {"x86_64": notify.X86_64, "aarch64": notify.AARCH64}[os.uname().machine]
CALLS = {name: number for number, name in notify.CALLS[NATIVE].items()}
SECCOMP, PTRACE, CLONE = (317, 101, 56) if NATIVE == notify.X86_64 else (277, 117, 220)
NEW_LISTENER, CALL_INFO = 8, 0x420E

Program = list[tuple[int, int, int, int]]


def refused(number: int, error: int) -> Program:
    return [(LOAD, 0, 0, NUMBER), (EQUAL, 0, 1, number), (GIVE, 0, 0, ERRNO | error)]


def refused_with(number: int, argument: int, test: int, value: int, error: int) -> Program:
    inner = [(LOAD, 0, 0, argument), (test, 0, 1, value), (GIVE, 0, 0, ERRNO | error)]
    return [(LOAD, 0, 0, NUMBER), (EQUAL, 0, len(inner), number), *inner]


FORBIDDEN: dict[str, Program] = {
    "listener": refused_with(SECCOMP, SECOND, BITS, NEW_LISTENER, errno.EPERM),
    "busy": refused_with(SECCOMP, SECOND, BITS, NEW_LISTENER, errno.EBUSY),
    "filters": refused(SECCOMP, errno.EPERM),
    "tracing": refused_with(SECCOMP, SECOND, BITS, NEW_LISTENER, errno.EPERM) + refused(PTRACE, errno.EPERM),
    "call-info": refused_with(SECCOMP, SECOND, BITS, NEW_LISTENER, errno.EPERM)
    + refused_with(PTRACE, FIRST, EQUAL, CALL_INFO, errno.EIO),
}


def put_on(program: Program, flags: int = 0) -> int:
    code = b"".join(struct.pack("=HBBI", *one) for one in [*program, (GIVE, 0, 0, ALLOW)])
    text = ctypes.create_string_buffer(code, len(code))
    filter_ = ctypes.create_string_buffer(struct.pack("=H6xQ", len(code) // 8, ctypes.addressof(text)))
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0:  # root's filters, as a container engine's, need no no_new_privs
        libc.prctl(38, 1, 0, 0, 0)
    given = libc.syscall(SECCOMP, 1, flags, filter_)
    assert given >= 0, os.strerror(ctypes.get_errno())
    return int(given)


def listening(calls: list[str], command: list[str]) -> int:
    """Be the one who is told."""
    ours, theirs = _socket.socketpair()
    child = os.fork()
    if child == 0:
        told = [(EQUAL, len(calls) - at, 0, CALLS[call]) for at, call in enumerate(calls)]
        program = [(LOAD, 0, 0, NUMBER), *told, (GIVE, 0, 0, ALLOW), (GIVE, 0, 0, TELL)]
        notify.send_listener(theirs.fileno(), put_on(program, NEW_LISTENER))
        os.execvp(command[0], command)
    listener, _ = notify.receive_listener(ours.fileno())
    assert listener is not None
    threading.Thread(target=notify.stand_in, args=(listener,), daemon=True).start()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    what, command = sys.argv[1], sys.argv[2:]
    if what.startswith("listening:"):
        sys.exit(listening(what.partition(":")[2].split(","), command))
    put_on(FORBIDDEN[what])
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
