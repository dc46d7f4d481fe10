"""The child, between its fork and the moment when it becomes the command."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` would load enum
import errno
import os
import stat
import struct

from vestige.launch import streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: What the watcher says to the launcher: `p` the command's number, `s` stopped by a signal, `c` continued, `e` ended with
#: a wait status, `x` could not be executed (errno).
MESSAGE = struct.Struct("<ci")

NOT_FOUND, NOT_EXECUTABLE = 127, 126
_CAPABILITIES = "security.capability"


def find_program(name: str, path: str | None, cwd: str | None = None) -> str | int:
    """Where a command lies, as a shell would find it and call it; 127 where it does not, 126 where it must not be executed.

    A path that is relative to `cwd` (None: the working directory) stays so: a script reads in it how it was called.
    """
    if "/" in name:
        return _executable(name, cwd)
    verdict: str | int = NOT_FOUND
    for folder in (os.defpath if path is None else path).split(os.pathsep) if name else ():
        found = _executable(os.path.join(folder, name), cwd)
        if isinstance(found, str):
            return found
        if found == NOT_EXECUTABLE and os.access(os.path.join(cwd or "", folder), os.X_OK):
            verdict = found  # in a folder that must not be looked into, nothing is found
    return verdict


def _executable(name: str, cwd: str | None) -> str | int:
    path = os.path.join(cwd or "", name)
    try:
        found = os.stat(path)
    except PermissionError:
        return NOT_EXECUTABLE
    except (OSError, ValueError):
        return NOT_FOUND
    if stat.S_ISDIR(found.st_mode) or not os.access(path, os.X_OK):
        return NOT_EXECUTABLE
    return name


def gains_privileges(path: str) -> bool:
    """Whether executing a file makes somebody else of the caller: setuid, setgid, file capabilities."""
    try:
        found = os.stat(path)
    except OSError:
        return False
    if found.st_mode & stat.S_ISUID and found.st_uid != os.geteuid():
        return True
    if found.st_mode & stat.S_ISGID and found.st_mode & stat.S_IXGRP and found.st_gid != os.getegid():
        return True
    try:
        return bool(os.getxattr(path, _CAPABILITIES))
    except (OSError, AttributeError):
        return False


def execute(
    program: str,
    argv: Sequence[str],
    environ: Mapping[str, str],
    standard: streams.Streams,
    *,
    steps: Sequence[Callable[[], None]],
    report: int,
    cwd: str | None,
    umask: int | None,
) -> None:
    """Become the command. `steps` are done last before it; what keeps it from starting is said on `report`. Never returns."""
    try:
        _take_terminal(standard)
        _take_streams(standard)
        if cwd is not None:
            os.chdir(cwd)
        if umask is not None:
            os.umask(umask)
        for step in steps:
            step()
        _restore_signals()
        _become(program, argv, environ)
    except OSError as error:
        number = error.errno or errno.EINVAL
        os.write(report, MESSAGE.pack(b"x", number))
        os._exit(NOT_FOUND if number == errno.ENOENT else NOT_EXECUTABLE)


def replace(program: str, argv: Sequence[str], environ: Mapping[str, str]) -> None:
    """Become the command in this very process, with the streams it was given. Raises OSError."""
    for number in streams.held():
        os.close(number)
    _restore_signals()
    _become(program, argv, environ)


def _become(program: str, argv: Sequence[str], environ: Mapping[str, str]) -> None:
    try:
        os.execve(program, list(argv), environ)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    # A text without `#!`: every shell hands it to sh, and so does execvp(3).
    os.execve("/bin/sh", ["/bin/sh", program, *argv[1:]], environ)


def _take_terminal(standard: streams.Streams) -> None:
    if standard.terminal is None:
        return
    os.setpgid(0, 0)
    # A process in the background that claims the terminal is stopped by SIGTTOU, unless it does not want to hear of it.
    _signal.pthread_sigmask(_signal.SIG_BLOCK, {_signal.SIGTTOU})
    os.tcsetpgrp(standard.terminal.slave, os.getpgrp())


def _take_streams(standard: streams.Streams) -> None:
    for number, descriptor in enumerate(standard.given):
        if descriptor is not None:
            os.dup2(descriptor, number)
    for number in streams.held():
        if standard.given[number] is None:
            os.close(number)


def _restore_signals() -> None:
    """As they were before Python changed them: it ignores SIGPIPE and SIGXFSZ, and catches SIGINT unless it was ignored."""
    for number in (_signal.SIGPIPE, getattr(_signal, "SIGXFSZ", None)):
        if number is not None:
            _signal.signal(number, _signal.SIG_DFL)
    if callable(_signal.getsignal(_signal.SIGINT)):
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, set())
