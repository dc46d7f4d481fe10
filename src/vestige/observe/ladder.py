"""Which way of observing is to be had here: the best first, each tried in earnest, with the reason where one is refused.

| rung | needs | sees |
|---|---|---|
| `notify` | seccomp(2) with a listener, and nobody above us who has one | every process |
| `ptrace` | seccomp(2), ptrace(2), and that its stops arrive; the compiled library | every process |
| `preload` | the library that is put before a program, a dynamic loader that heeds it | programs that are linked dynamically |
| `audit` | nothing | Python programs from inside; what else was written, by comparing folders |

A run that gets what it asks for first comes by here not at all: `notify` is tried by the child itself, and only where that is
refused, the others are tried, in children that are thrown away.
"""

from __future__ import annotations

import errno
import importlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

RUNGS = ("notify", "ptrace", "preload", "audit")

_GAINS = "the command gains privileges (setuid), which a filter or a tracer would keep from it"
#: Of a run that was to be filtered first, by an ordinary user.
DEPRIVED = "no_new_privs was set before a listener was refused: setuid programs gained no privileges in this run"
_YAMA = "/proc/sys/kernel/yama/ptrace_scope"
_SANDBOX = "in a container: --security-opt seccomp=unconfined, or a profile that allows seccomp(2)"

_NOTIFY = {
    errno.EBUSY: ("somebody listens to this process's calls already (EBUSY)", None),
    errno.ENOSYS: (
        "the kernel has no seccomp user notification, or this is not Linux on x86_64 or aarch64",
        "Linux 5.5 or later",
    ),
    errno.EINVAL: ("the kernel is older than Linux 5.5, or has no seccomp", "Linux 5.5 or later"),
    errno.EPERM: ("a sandbox forbids it (EPERM)", _SANDBOX),
    errno.EACCES: ("a sandbox forbids it (EACCES)", _SANDBOX),
}


class Refusal:
    """Why a rung is not to be had, and what could be done about it."""

    __slots__ = ("advice", "reason")

    def __init__(self, reason: str, advice: str | None = None) -> None:
        self.reason = reason
        self.advice = advice


class Found:
    """The rung that is to be had; what escapes it for a reason of this place; and why there is no better one."""

    __slots__ = ("gaps", "refused", "rung")

    def __init__(self, rung: str, refused: tuple[str, ...] = (), gaps: tuple[str, ...] = ()) -> None:
        self.rung = rung
        self.refused = refused
        self.gaps = gaps


def descend(wanted: str, number: int, *, gains: bool, failed: tuple[str, ...] = ()) -> Found:
    """The best rung from `wanted` (auto: the first) downwards.

    `number` is the errno with which `notify` was refused (0: it was not tried). `gains`: the command gains privileges, so
    that neither a filter nor a tracer is in question unless asked for by name. `failed` are rungs that turned out not to work.
    """
    refused: list[str] = []
    for rung in RUNGS[0 if wanted == "auto" else RUNGS.index(wanted) :]:
        refusal: Refusal | None
        found: tuple[str, ...] = ()
        if rung in failed:
            refusal = Refusal("it was to be had, but not for this command")
        elif rung in ("notify", "ptrace") and gains and wanted != rung:
            refusal = Refusal(_GAINS)
        elif rung == "notify":
            refusal = notify_refused(number)
        elif rung == "ptrace":
            refusal, found = ptrace_refused()
        else:
            refusal = preload_refused() if rung == "preload" else None
        if refusal is None:
            return Found(rung, tuple(refused), found)
        refused.append(f"{rung}: {refusal.reason}")
    raise AssertionError  # audit is never refused


def look() -> Iterator[tuple[str, Refusal | None]]:
    """Every rung, and why it is not to be had here (None: it is)."""
    for rung in RUNGS:
        if rung == "notify":
            number = _listened()
            yield rung, notify_refused(number) if number else None
        elif rung == "ptrace":
            yield rung, ptrace_refused()[0]
        else:
            yield rung, preload_refused() if rung == "preload" else None


def notify_refused(number: int) -> Refusal:
    """What the errno of a refused listener means."""
    return Refusal(*_NOTIFY.get(number, (f"the kernel refuses it ({os.strerror(number) or number})", None)))


def ptrace_refused() -> tuple[Refusal | None, tuple[str, ...]]:
    """Why nothing can be traced here; or None, and what escapes a tracer."""
    from vestige.observe import notify, ptrace

    if not notify.supported():
        return Refusal("this is not Linux on x86_64 or aarch64"), ()
    if ptrace.library() is None:
        return Refusal("the compiled watcher was not built", "install Vestige where a C compiler is found, or from a wheel"), ()
    found = ptrace.tried()
    if not found.refused:
        if not found.silent:
            return None, ()
        names = ", ".join(found.silent)
        return None, (f"a filter above this process takes some calls from the tracer: {names}",)
    if found.filter:
        return Refusal(f"no filter can be installed ({os.strerror(found.refused)})", _SANDBOX), ()
    if found.refused == errno.EIO:
        return Refusal("its stops do not arrive: a filter above us, or an emulator, takes the calls from it"), ()
    scope = _scope()
    if scope > 1:
        return Refusal(f"kernel.yama.ptrace_scope is {scope}", "sysctl kernel.yama.ptrace_scope=1, or run as root"), ()
    if found.refused in (errno.EPERM, errno.EACCES):
        advice = "run outside of strace or a debugger; in a container: --cap-add SYS_PTRACE"
        return Refusal("somebody traces this process already, or a sandbox forbids it (EPERM)", advice), ()
    return Refusal(f"the kernel refuses it ({os.strerror(found.refused)})"), ()


def preload_refused() -> Refusal | None:
    """Why no library can be put before programs here."""
    try:
        preload = importlib.import_module("vestige.observe.preload")
    except ImportError:
        return Refusal("this version of Vestige has no library to be put before programs")
    reason = preload.refusal()
    return None if reason is None else Refusal(str(reason))


def traced_by() -> int:
    """The number of the process that traces this one; 0 where none does."""
    return _status("self", b"TracerPid:")


def deprived(process: int) -> bool:
    """Whether neither a process nor what it starts can gain privileges any more (no_new_privs)."""
    return _status(process, b"NoNewPrivs:") > 0


def _status(process: int | str, key: bytes) -> int:
    """A number that the kernel tells of a process; 0 where it does not."""
    try:
        with open(f"/proc/{process}/status", "rb", 0) as file:
            for line in file.read(4096).split(b"\n"):
                if line.startswith(key):
                    return int(line[len(key) :])
    except (OSError, ValueError):
        pass
    return 0


def _listened() -> int:
    """Try to get a listener, in a child that ends at once: 0, or the errno of the refusal."""
    from vestige.observe import notify

    if not notify.supported():
        return errno.ENOSYS
    child = os.fork()
    if child == 0:
        code = errno.ENOSYS
        try:
            notify.install()
            code = 0
        except notify.RefusedError as error:
            code = error.errno
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else errno.ENOSYS  # a sandbox ended it


def _scope() -> int:
    try:
        with open(_YAMA, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0
