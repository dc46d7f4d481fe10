"""Tasks of one step: where SLURM or MPI starts a program many times at once, all of them share a run.

The first to come begins it, and takes the snapshot of the code; the runs of the others are its children, and have its code. In
a script, they share the folder of results, too. Each task has a journal and a record of its own, so that no two
hosts write to one file. Who comes first is decided by link(2), which is atomic on network file systems as well, where flock
may be missing or only local; on a file system that knows no links, by mkdir(2).
"""

from __future__ import annotations

import errno
import os
import time

from vestige.record import identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vestige.model.code import Code
    from vestige.record.journal import Begun

#: By which a process knows that its run has begun within its own task.
VARIABLE = "VESTIGE_STEP"
_FORGOTTEN = 30 * 86400.0  # seconds after which nobody of a step is left
_PATIENCE = 60.0  # seconds for which what the first one makes is waited for
_CODE = 10.0  # and its snapshot
_NO_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.EACCES, errno.EINVAL})


class Step:
    """What the tasks of a step have in common, its `key`; and which of them this process is."""

    __slots__ = ("key", "rank")

    def __init__(self, key: str, rank: str) -> None:
        self.key = key
        self.rank = rank

    @property
    def mark(self) -> str:
        """What `VARIABLE` says within this task."""
        return f"{self.key}/{self.rank}"


def step(environ: Mapping[str, str]) -> Step | None:
    """The step that this process is a task of; None where it is the only one, or in none."""
    job = environ.get("SLURM_JOB_ID") or environ.get("PBS_JOBID") or environ.get("LSB_JOBID") or ""
    attempt = environ.get("SLURM_RESTART_COUNT", "")
    if _many(environ.get("OMPI_COMM_WORLD_SIZE")):
        words = [
            "mpi",
            job,
            attempt,
            environ.get("PMIX_NAMESPACE", ""),
            environ.get("OMPI_MCA_orte_hnp_uri", "").partition(";")[2],
        ]
        return Step(_name(words), environ.get("OMPI_COMM_WORLD_RANK", "0"))
    if _many(environ.get("SLURM_STEP_NUM_TASKS")) and job and "SLURM_STEP_ID" in environ:
        words = ["slurm", environ.get("SLURM_CLUSTER_NAME", ""), job, environ["SLURM_STEP_ID"], attempt]
        return Step(_name(words), environ.get("SLURM_PROCID", "0"))
    if _many(environ.get("PMI_SIZE")):
        said = environ.get("PMI_JOBID") or environ.get("PMIX_NAMESPACE")
        # Without a name for it, those of one host belong together whom the same process has started.
        words = ["pmi", job, attempt, said or f"{identity.host()}-{identity.boot()}-{identity.process(os.getppid())}"]
        return Step(_name(words), environ.get("PMI_RANK", "0"))
    if "@" in environ.get("PMIX_NAMESPACE", "") and "PMIX_RANK" in environ:  # PRRTE: namespaces are named by host and process
        return Step(_name(["pmix", job, attempt, environ["PMIX_NAMESPACE"]]), environ["PMIX_RANK"])
    return None


def _many(size: str | None) -> bool:
    return size is not None and size.isdecimal() and int(size) > 1


def _name(words: list[str]) -> str:
    """A name that can be a file's; the end of a long one is a hash."""
    text = "-".join(word for word in words if word)
    safe = "".join(one if one.isascii() and (one.isalnum() or one in "-.") else "_" for one in text)
    if safe == text and len(safe) <= 100:
        return safe
    import zlib

    return f"{safe[:80]}-{zlib.crc32(os.fsencode(text)):08x}"


def join(begun: Begun, environ: Mapping[str, str]) -> str | None:
    """Let a run that has just begun be that of its step, or a child of the one that is. Returns what `VARIABLE` is to say to
    the processes below; None where the run is in no step, or in a run of its own task. Never raises."""
    found = step(environ)
    if found is None or environ.get(VARIABLE) == found.mark:
        return None
    folder = _folder(begun.place.store)
    begun.outer = None  # of a run that started srun, the watcher does not see us
    begun.started.pop("outer", None)
    try:
        one = first(folder, found.key, begun.id)
        begun.started["step"] = {"key": found.key, "rank": found.rank, "first": one}
        if one != begun.id:
            begun.started["parent"] = one
        else:
            _forget_the_old(folder)
    except OSError as error:
        problems = begun.started["problems"]
        assert isinstance(problems, list)
        problems.append(f"the other tasks of step {found.key} could not be found: {error.strerror}")
    try:
        begun.write("started.json", begun.started)
    except OSError:
        pass  # a full disk: it is written again when the run has its processes
    return found.mark


def is_from_outside(environ: Mapping[str, str]) -> bool:
    """Whether this is a task of a step, and the run that the environment names was begun outside of it."""
    found = step(environ)
    return found is not None and environ.get(VARIABLE) != found.mark


def shared(store: str, found: Step, what: str, make: Callable[[], str]) -> tuple[str, bool]:
    """What the first task of a step has made, and whether that is this one; for all others, the same. Where it takes the first
    one too long, a task makes its own. Raises what `make` raises."""
    folder = _folder(store)
    name = f"{found.key}-{_name([what])}"
    me = identity.new_id()
    if first(folder, f"{name}.first", me) == me:
        return first(folder, name, make()), True
    made = _awaited(os.path.join(folder, name))
    return (made, False) if made is not None else (make(), True)


def first(folder: str, name: str, text: str) -> str:
    """What the first one said who came here with this name: if that is us, `text`. Raises OSError."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    temporary = os.path.join(folder, f".tmp-{identity.new_id()}")
    _write(temporary, text)
    try:
        os.link(temporary, path)
    except FileExistsError:
        if os.stat(temporary).st_nlink > 1:
            return text  # the server has done it, and was asked once more since its answer was lost
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _first_by_folder(path, temporary, text)
    else:
        return text
    finally:
        try:
            os.unlink(temporary)
        except OSError:
            pass
    found = _awaited(path)
    if found is None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)
    return found


def _first_by_folder(path: str, temporary: str, text: str) -> str:
    try:
        os.mkdir(f"{path}.lock")
    except FileExistsError:
        found = _awaited(path)
        if found is not None:
            return found
    os.replace(temporary, path)
    return text


def _awaited(path: str) -> str | None:
    """What is in a file, as soon as it is there; None if it does not come."""
    deadline, pause = time.monotonic() + _PATIENCE, 0.01
    while True:
        try:
            with open(path, "rb", 0) as file:
                return os.fsdecode(file.read())
        except OSError:
            if time.monotonic() > deadline:
                return None
        time.sleep(pause)
        if (pause := min(pause * 1.5, 0.5)) == 0.5:
            _look_anew(os.path.dirname(path))


def _look_anew(folder: str) -> None:
    """A client of NFS remembers for a while that there was no such file, unless it changes the folder itself."""
    temporary = os.path.join(folder, f".tmp-{identity.new_id()}")
    try:
        _write(temporary, "")
        os.unlink(temporary)
    except OSError:
        pass


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        os.write(descriptor, os.fsencode(text))
    finally:
        os.close(descriptor)


def _folder(store: str) -> str:
    return os.path.join(store, "steps")


def _forget_the_old(folder: str) -> None:
    """Jobs come and go; what they have agreed upon need not stay."""
    now = time.time()
    try:
        for entry in os.scandir(folder):
            if now - entry.stat(follow_symlinks=False).st_mtime > _FORGOTTEN:
                os.rmdir(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)
    except OSError:
        pass  # another one does it, too


def code(started: Mapping[str, object], store: str) -> Code | None:
    """The code of the first run of a step, for a task that is not the first; None where it must be taken anew."""
    about = started.get("step")
    one = about.get("first") if isinstance(about, dict) else None
    if not isinstance(one, str) or one == started.get("id") or os.sep in one:
        return None
    from vestige.errors import VestigeError
    from vestige.model import wire
    from vestige.model.code import Code
    from vestige.store.journal import Active
    from vestige.store.records import Records

    folder = os.path.join(store, "active", one)
    deadline = time.monotonic() + _CODE
    while time.monotonic() < deadline:
        try:
            found = Active(folder).document("capture.json").get("code")
            return wire.decode(Code, found) if found is not None else None
        except VestigeError:
            pass
        if not os.path.isdir(folder):
            try:
                return Records(store).read(one).code  # it has ended already
            except (VestigeError, OSError):
                return None
        time.sleep(0.05)
    return None
