"""Who, where and when: the few facts that a run has before anything else is known of it."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def new_id() -> str:
    """A UUID version 7 (RFC 9562): sorted by time, its last 32 bits random, so that eight digits name a run."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & (1 << 48) - 1) << 80 | 7 << 76 | (random >> 64 & 0xFFF) << 64 | 2 << 62 | random & (1 << 62) - 1
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def timestamp(seconds: float) -> str:
    """ISO 8601, UTC, microseconds."""
    whole, fraction = divmod(round(seconds * 1_000_000), 1_000_000)
    t = time.gmtime(whole)
    return f"{t[0]:04}-{t[1]:02}-{t[2]:02}T{t[3]:02}:{t[4]:02}:{t[5]:02}.{fraction:06}Z"


def sequence() -> int:
    """Microseconds since the host was booted: orders events when the clock is set."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
    return time.monotonic_ns() // 1000


_known: dict[object, str | None] = {}


def boot() -> str | None:
    """The identity of this boot of the host; None where the system does not say."""
    if "boot" not in _known:
        try:
            with open("/proc/sys/kernel/random/boot_id", "rb") as file:
                _known["boot"] = file.read().decode("ascii").strip()
        except OSError:
            _known["boot"] = None
    return _known["boot"]


def host() -> str:
    """The host's name."""
    if hasattr(os, "uname"):
        return os.uname().nodename
    return os.environ.get("COMPUTERNAME", "")


def user() -> str | None:
    """The user's name, as the system knows it."""
    number = os.getuid() if hasattr(os, "getuid") else None
    if number not in _known:
        try:
            import pwd

            _known[number] = pwd.getpwuid(os.getuid()).pw_name
        except (ImportError, KeyError):
            _known[number] = os.environ.get("USER") or os.environ.get("USERNAME")
    return _known[number]


def process(pid: int) -> list[int]:
    """A process so that it cannot be taken for a later one of the same number: pid and start time in clock ticks."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return [pid, int(file.read().rpartition(b")")[2].split()[19])]
    except (OSError, ValueError, IndexError):
        return [pid, 0]


def leads(environ: Mapping[str, str]) -> bool:
    """Whether a process is the first of those that were started together, or was started alone."""
    ranks = ("SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK")
    return not is_task(environ) or next((environ[name] for name in ranks if name in environ), "0") == "0"


def is_task(environ: Mapping[str, str]) -> bool:
    """Whether a process may be one of many that SLURM or MPI has started; see `record.step`."""
    return any(name in environ for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"))
