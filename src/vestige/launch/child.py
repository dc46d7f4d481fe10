"""The child, between its fork and the moment when it becomes the command."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` would load enum
import errno
import os
import stat
import struct

from vestige.launch import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vestige.launch.streams import Streams

#: What the launcher is told by the watcher: `p` the command's number, `s` stopped by a signal, `c` continued, `e` ended
#: with a wait status; and by the child: `x` could not be executed (errno).
MESSAGE = struct.Struct("<ci")

NOT_FOUND, NOT_EXECUTABLE = 127, 126
_CAPABILITIES = "security.capability"
_INTERPRETERS = 4  # how many `#!` the kernel follows
_LOOKED_AT = 256  # bytes of a file's beginning; BINPRM_BUF_SIZE


def find_program(name: str, path: str | None, cwd: str | None = None) -> str | int:
    """Where a command lies, as a shell would find it and call it; 127 where it does not, 126 where it cannot be executed.

    `path` is the variable PATH; None where it is not set. A name that is relative to `cwd` (None: the working directory)
    stays so: a script reads in it how it was called.
    """
    if "/" in name:
        return _executable(name, cwd)
    verdict: str | int = NOT_FOUND
    for folder in (os.defpath if path is None else path).split(os.pathsep) if name else ():
        candidate = os.path.join(folder or ".", name)
        found = _executable(candidate, cwd)
        if isinstance(found, str):
            return found
        if os.path.isfile(os.path.join(cwd or "", candidate)):
            verdict = found
    return verdict


def _executable(name: str, cwd: str | None) -> str | int:
    path = os.path.join(cwd or "", name)
    try:
        found = os.stat(path)
    except (PermissionError, NotADirectoryError):
        return NOT_EXECUTABLE
    except (OSError, ValueError):
        return NOT_FOUND
    if stat.S_ISDIR(found.st_mode) or not os.access(path, os.X_OK):
        return NOT_EXECUTABLE
    return name


def gains_privileges(path: str) -> bool:
    """Whether executing a file makes somebody else of the caller: setuid, setgid, file capabilities.

    Of a script it is the interpreter that counts. Root gains nothing by capabilities.
    """
    for _ in range(_INTERPRETERS):
        interpreter = _interpreter(path)
        if interpreter is None:
            break
        path = interpreter
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return False
    if found.st_mode & stat.S_ISUID and found.st_uid != os.geteuid():
        return True
    if found.st_mode & stat.S_ISGID and found.st_mode & stat.S_IXGRP and found.st_gid != os.getegid():
        return True
    try:
        return os.geteuid() != 0 and bool(os.getxattr(path, _CAPABILITIES))
    except (OSError, AttributeError):
        return False


def _interpreter(path: str) -> str | None:
    first = _beginning(path)
    if not first.startswith(b"#!"):
        return None
    words = first[2:].split(b"\n", 1)[0].split(None, 1)
    return os.fsdecode(words[0]) if words else None


def _beginning(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return b""
    try:
        return os.read(descriptor, _LOOKED_AT)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def execute(
    program: str,
    argv: Sequence[str],
    environ: Mapping[str, str],
    standard: Streams,
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
        _restore_signals(standard)
        _become(program, argv, environ)
    except (OSError, ValueError) as error:
        number = getattr(error, "errno", None) or errno.EINVAL
        _report(report, number)
        os._exit(NOT_FOUND if number == errno.ENOENT else NOT_EXECUTABLE)


def replace(program: str, argv: Sequence[str], environ: Mapping[str, str], standard: Streams) -> None:
    """Become the command in this very process, with the streams it was given. Raises OSError."""
    if standard.let_go_of:
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    for number in standard.closed:
        os.close(number)
    _restore_signals(standard)
    _become(program, argv, environ)


def _become(path: str, argv: Sequence[str], environ: Mapping[str, str]) -> None:
    try:
        os.execve(path, list(argv), environ)
    except OSError as error:
        own = [name for name in environ if name.startswith("VESTIGE_")]
        if error.errno == errno.E2BIG and own:
            # As many words as there is room for: that there be less room because of us is not the command's fault.
            _become(path, argv, {name: word for name, word in environ.items() if name not in own})
        # A text without `#!`: every shell hands it to sh, and so does execvp(3). What is no text has a zero in its first line.
        if error.errno != errno.ENOEXEC or b"\0" in _beginning(path).split(b"\n", 1)[0]:
            raise
    os.execve("/bin/sh", ["/bin/sh", path, *argv[1:]], environ)


def _take_terminal(standard: Streams) -> None:
    """A process group of its own, in the foreground of the pseudo-terminal."""
    if standard.terminal is None:
        return
    try:
        os.setpgid(0, 0)
        # A process in the background that claims the terminal is stopped by SIGTTOU, unless it does not want to hear of it.
        _signal.pthread_sigmask(_signal.SIG_BLOCK, {_signal.SIGTTOU})
        os.tcsetpgrp(standard.terminal.slave, os.getpgrp())
    except OSError:
        pass  # without job control, but with a terminal


def _take_streams(standard: Streams) -> None:
    for number, descriptor in enumerate(standard.given):
        if descriptor is not None:
            os.dup2(descriptor, number)
    for number, descriptor in standard.doubles:
        os.dup2(descriptor, number)
    for number in standard.closed:
        if standard.given[number] is None:
            try:
                os.close(number)
            except OSError:
                pass


def _restore_signals(standard: Streams) -> None:
    if standard.held is not None:
        signals.give_back(standard.held)


def _report(report: int, number: int) -> None:
    try:
        os.write(report, MESSAGE.pack(b"x", number))
    except OSError:
        pass
