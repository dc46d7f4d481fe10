"""What a run leaves while it is active: a folder that its processes write, and from which anybody can tell how it stands.

active/<full id>/started.json    the record so far, and `processes_of_vestige`
                 events.jsonl    what happened, one line an event
                 digests.jsonl   what was hashed
                 ended.json      how the command ended
                 heartbeat       touched while a process of Vestige lives, for readers on other hosts
"""

from __future__ import annotations

import os
import time

from vestige.errors import DamagedError, NotFoundError
from vestige.model import plain, wire
from vestige.model.files import Digest, Signature
from vestige.model.run import Run
from vestige.model.values import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Literal

    State = Literal["running", "finishing", "lost"]
else:
    State = str


#: A run of another host counts as alive for so many seconds after its last sign: clocks differ by minutes.
PATIENCE = 600.0
#: A folder without a started record is being made, if it is younger than this.
_NEWBORN = 60.0


@value
class Digested:
    """A file that was hashed: its signature then, its digest (None: could not be hashed), whether its bytes are kept."""

    path: str
    signature: Signature
    digest: Digest | None
    kept: bool


@value
class Ended:
    """How a command ended. `status` as from wait(2); `sequence` in µs since boot; `max_rss` in bytes."""

    status: int
    time: str
    sequence: int
    cpu_seconds: float | None = None
    max_rss: int | None = None
    problem: str | None = None


@value
class Active:
    """The folder of a run that has started and is not recorded yet."""

    path: str

    @property
    def id(self) -> str:
        """The run's full id."""
        return os.path.basename(self.path)

    def started(self) -> dict[str, Any]:
        """The started record. Raises NotFoundError, DamagedError, NewerFormatError."""
        document = self.document("started.json")
        where = f"{self.path}/started.json"
        if not isinstance(document.get("id"), str):
            raise DamagedError(f"{where} names no run")
        wire.check_version(document, where)
        try:
            wire.decode(Run, document)  # a record, but for its end
        except DamagedError as error:
            raise DamagedError(f"{where}: {error}") from error
        for key in ("options", "processes_of_vestige"):
            if not isinstance(document.get(key) or {}, dict):
                raise DamagedError(f"{where}: '{key}' holds what it cannot hold")
        return document

    def document(self, name: str) -> dict[str, Any]:
        """One of the small documents. Raises NotFoundError, DamagedError."""
        path = os.path.join(self.path, name)
        try:
            with open(path, "rb") as file:
                document = plain.loads(file.read())
        except FileNotFoundError as error:
            raise NotFoundError(f"{path} is not there") from error
        except OSError as error:
            raise DamagedError(f"{path} cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise DamagedError(f"{path} is not JSON: {error}") from error
        if not isinstance(document, dict):
            raise DamagedError(f"{path} is not a document")
        return document

    def events(self) -> Iterator[bytes]:
        """The lines of the journal of events, as they stand; a torn last line is left out."""
        return _lines(os.path.join(self.path, "events.jsonl"))

    def digests(self) -> Iterator[Digested]:
        """What was hashed, in that order. A damaged line is passed over."""
        for line in _lines(os.path.join(self.path, "digests.jsonl")):
            try:
                path, signature, digest, kept = plain.loads(line)
                yield Digested(_unwritten(path), Signature(*signature), digest, bool(kept))
            except (ValueError, TypeError, AttributeError):
                continue

    def ended(self) -> Ended | None:
        """How the command ended; None where that is not known (yet)."""
        try:
            found = self.document("ended.json")
            return Ended(
                int(found["status"]),
                str(found["time"]),
                int(found["seq"]),
                found.get("cpu_seconds"),
                found.get("max_rss"),
                found.get("problem"),
            )
        except (NotFoundError, DamagedError, KeyError, TypeError, ValueError):
            return None

    def function(self) -> dict[str, Any] | None:
        """The function that is called, if it is one: what was known when the call began, and how it has ended."""
        found: dict[str, Any] = {}
        for name in ("started.json", "ended.json"):
            try:
                told = self.document(name).get("function")
            except (NotFoundError, DamagedError):
                continue
            if isinstance(told, dict):
                found |= told
        return {"result": None, "exception": None, **found} if found else None

    def last_sign(self) -> float:
        """When anything was written here last, in seconds since the epoch, by the clock of the file system."""
        latest = 0.0
        for name in ("heartbeat", "events.jsonl", "digests.jsonl", "started.json", "ended.json", ""):
            try:
                latest = max(latest, os.stat(os.path.join(self.path, name)).st_mtime)
            except OSError:
                continue
        return latest


def list_active(store_dir: str) -> list[Active]:
    """The runs that have started and are not recorded, the oldest first."""
    folder = os.path.join(store_dir, "active")
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [Active(path) for name in names if name[0] != "." and os.path.isdir(path := os.path.join(folder, name))]


def state(active: Active) -> State:
    """How an active run stands. `finishing`: the command has ended, and whoever wants to may finish the record
    once `is_alive` says that nobody does. `lost`: it will never end."""
    if active.ended() is not None:
        return "finishing"
    return "running" if is_alive(active) else "lost"


def is_alive(active: Active) -> bool:
    """Whether a process of Vestige still takes care of the run."""
    try:
        started = active.started()
    except NotFoundError:
        return time.time() - active.last_sign() < _NEWBORN
    except DamagedError:
        return False
    processes = started.get("processes_of_vestige")
    here = hasattr(os, "uname") and started.get("host") == os.uname().nodename
    if here and started.get("boot") == boot() and isinstance(processes, dict):
        return any(_lives(process) for process in processes.values())
    if here and active.last_sign() < _booted():
        return False
    return time.time() - active.last_sign() < PATIENCE


def boot() -> str | None:
    """The identity of this boot of this host."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return None


def _booted() -> float:
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _lives(process: object) -> bool:
    """Whether `[pid, start time]` is a process that has not ended; a start time of 0 is one that nobody knew."""
    if not isinstance(process, list) or len(process) != 2:
        return False
    pid, since = process
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return fields[0] not in (b"Z", b"X") and since in (0, int(fields[19]))
    except (ValueError, IndexError):
        return False
    except OSError:
        return not os.path.exists("/proc/self/stat") and _answers(pid)


def _answers(pid: int) -> bool:
    """Without /proc: whether a process of that number exists."""
    if os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _lines(path: str) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line
    except OSError:
        return


def _unwritten(path: str) -> str:
    """The path that stands in a journal: percent-encoded where it begins with `%`."""
    if not path.startswith("%"):
        return path
    from urllib.parse import unquote_to_bytes

    return unquote_to_bytes(path[1:]).decode("utf-8", "surrogateescape")
