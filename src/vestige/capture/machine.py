"""The machine a run works on, and the job that put it there: read from `/proc` and the like, without asking any program.

The machine is what stays the same for as long as the host is up, so it is looked at once a boot. What differs from job to
job (limits, container, rank) is the job's. Each probe may fail without harm: what it would have
said is then absent, and a line in `problems` says why.
"""

from __future__ import annotations

import os

from vestige.capture import digest
from vestige.capture.interpreters import remember
from vestige.model import plain, wire
from vestige.model.machine import Machine
from vestige.model.values import fields_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


def machine(cache_dir: str | None = None) -> Machine:
    """This machine. Found in the cache as long as host, boot and (for containers) the tree of mounts are the same."""
    key = [1, *_identity()]
    name = os.path.join(cache_dir, f"machine-{digest.of_bytes(wire.compact(key))[7:31]}.json") if cache_dir else None
    if name is not None:
        try:
            with open(name, "rb") as file:
                return wire.decode(Machine, plain.loads(file.read()))
        except Exception:
            pass  # absent or damaged: looked at anew
    found = _look()
    if name is not None and "problems" not in found.extra:
        remember(name, wire.compact(wire.encode(found)))
    return found


def boot() -> str | None:
    """The identity of the present boot, where the kernel says it."""
    return _line("/proc/sys/kernel/random/boot_id")


def _identity() -> list[str | None]:
    try:
        mounts: str | None = os.readlink("/proc/self/ns/mnt")
    except OSError:
        mounts = None
    return [os.uname().nodename if hasattr(os, "uname") else None, boot(), mounts]


def _look() -> Machine:
    from vestige.capture import gpu

    problems: list[str] = []
    said: dict[str, Any] = {}
    extra: dict[str, object] = {}

    def probe(what: str, look: Callable[[], Mapping[str, object]]) -> None:
        try:
            found = look()
        except Exception as error:
            problems.append(f"machine: {what} is not known: {getattr(error, 'strerror', None) or error}")
            return
        for key, value in found.items():
            if value not in (None, "", ()):
                (said if key in _FIELDS else extra)[key] = value

    probe("the system", _system)
    probe("the distribution", _distribution)
    probe("the C library", _libc)
    probe("the processor", _processor)
    probe("the memory", _memory)
    probe("the graphics processors", gpu.look)
    probe("the container", lambda: {"container": container(os.environ)})
    if problems:
        extra["problems"] = problems
    defaults = {"host": "", "system": "", "kernel": "", "architecture": ""}
    return Machine(**{**defaults, **said}, extra=extra)


_FIELDS = frozenset(name for name, _ in fields_of(Machine)) - {"extra"}


def _system() -> dict[str, object]:
    if not hasattr(os, "uname"):
        import platform

        its = platform.uname()
        return {"host": its.node, "system": its.system, "kernel": its.version, "architecture": its.machine}
    name = os.uname()
    return {
        "host": name.nodename,
        "system": name.sysname,
        "kernel": name.release,
        "architecture": name.machine,
        "kernel_version": name.version,
    }


def _distribution() -> dict[str, object]:
    """`PRETTY_NAME` of os-release(5), with what identifies it for a machine."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        text = _text(path)
        if text is None:
            continue
        pairs = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
        values = {key: value.strip("\"'") for key, value in pairs.items()}
        release = [values[key] for key in ("ID", "VERSION_ID") if key in values]
        return {"distribution": values.get("PRETTY_NAME") or values.get("NAME"), "distribution_id": ":".join(release)}
    if os.path.exists("/System/Library/CoreServices/SystemVersion.plist"):
        import platform

        return {"distribution": f"macOS {platform.mac_ver()[0]}"}
    return {}


def _libc() -> dict[str, object]:
    if "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", {}):
        return {"libc": os.confstr("CS_GNU_LIBC_VERSION")}
    for folder in ("/lib", "/usr/lib"):
        if os.path.isdir(folder) and (found := [name for name in os.listdir(folder) if name.startswith("ld-musl-")]):
            return {"libc": "musl " + found[0].removeprefix("ld-musl-").partition(".")[0]}
    return {}


def _processor() -> dict[str, object]:
    """The first block of /proc/cpuinfo; names of keys differ between architectures."""
    found: dict[str, object] = {"cpus": os.cpu_count()}
    block: dict[str, str] = {}
    sockets: set[str] = set()
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                key, colon, value = line.partition(":")
                if colon:
                    block.setdefault(key.strip().lower(), value.strip())
                    if key.startswith("physical id"):
                        sockets.add(value.strip())
    except FileNotFoundError:
        return found
    implementer = [block[key] for key in ("cpu implementer", "cpu part") if key in block]
    found["cpu"] = (
        block.get("model name")
        or block.get("cpu model")
        or block.get("cpu")
        or _line("/proc/device-tree/model", "\0")
        or " ".join(implementer)
    )
    found["flags"] = tuple((block.get("flags") or block.get("features") or "").split())
    found["microcode"] = block.get("microcode")
    found["sockets"] = len(sockets) or None
    return found


def _memory() -> dict[str, object]:
    for line in (_text("/proc/meminfo") or "").splitlines():
        if line.startswith("MemTotal:"):
            return {"memory": int(line.split()[1]) * 1024}
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        return {"memory": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")}
    return {}


def container(environ: Mapping[str, str], root: str = "/") -> str | None:
    """What kind of container this is, by the marks that its engine leaves; None outside of any."""
    image = environ.get("APPTAINER_CONTAINER") or environ.get("SINGULARITY_CONTAINER")
    if image:
        return f"apptainer {image}"
    if os.path.isdir(os.path.join(root, ".singularity.d")):
        return "apptainer"
    if environ.get("KUBERNETES_SERVICE_HOST") or os.path.isdir(os.path.join(root, "var/run/secrets/kubernetes.io")):
        return "kubernetes"
    if os.path.exists(path := os.path.join(root, "run/.containerenv")):
        pairs = dict(line.split("=", 1) for line in (_text(path) or "").splitlines() if "=" in line)
        return " ".join(["podman", pairs.get("image", "").strip('"')]).strip()
    if os.path.exists(os.path.join(root, ".dockerenv")):
        return "docker"
    named = _line(os.path.join(root, "run/systemd/container"))
    return named or environ.get("container") or None


def job(environ: Mapping[str, str]) -> dict[str, object] | None:
    """The scheduler's job, the container and the limits that a run works under; None where there is none of them.

    Keys: `scheduler`, `id`, what else the scheduler says of the job, `container` (its identity), and
    `cpus`, `memory` (bytes) where they are fewer than the machine's.
    """
    found: dict[str, object] = {}
    for scheduler, identity, others in _SCHEDULERS:
        if environ.get(identity):
            found = {"scheduler": scheduler, "id": environ[identity]}
            if scheduler == "sge":  # the task's variable betrays it; the job's bears a name that anyone may use
                found = {"scheduler": scheduler, "id": environ.get("JOB_ID")}
            elif scheduler == "mpi":
                found = {"scheduler": scheduler, "id": environ.get("PMIX_NAMESPACE") or environ.get("PMI_JOBID")}
            found.update({key: environ[name] for key, name in others.items() if environ.get(name)})
            break
    kind = container(environ)
    if kind is not None:
        found["container"] = " ".join(part for part in (kind, container_id(_text("/proc/self/mountinfo") or "")) if part)
    found.update(limits())
    return found or None


def container_id(mounts: str) -> str | None:
    """The identity of a container: 64 hexadecimal digits in the paths of its mounts (version 2 of cgroups hides it)."""
    for field in mounts.split():
        inside = False
        for part in field.split("/") if any(place in field for place in _OF_CONTAINERS) else ():
            if inside and len(part) >= 64 and _HEXADECIMAL.issuperset(part[:64]) and part[64:65] not in _HEXADECIMAL:
                return part[:64]
            inside = inside or part in _OF_CONTAINERS
    return None


_OF_CONTAINERS = ("containers", "overlay-containers", "sandboxes", "docker", "libpod")
_HEXADECIMAL = frozenset("0123456789abcdef")


def limits(root: str = "/sys/fs/cgroup", groups: str | None = None) -> dict[str, object]:
    """How many processors and bytes of memory may be used, where that is less than there are."""
    found: dict[str, object] = {}
    everything = os.cpu_count() or 1
    usable = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else everything)
    memory: int | None = None
    for folder in _groups(root, _text("/proc/self/cgroup") or "" if groups is None else groups):
        quota, _, period = (_line(os.path.join(folder, "cpu.max")) or "max").partition(" ")
        if quota.isdigit() and period.isdigit() and int(period):
            usable = min(usable, int(quota) / int(period))
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _line(os.path.join(folder, name)) or ""
            # Version 1 says "no limit" with a number of nine exabytes.
            if text.isdigit() and int(text) < 1 << 60:
                memory = min(memory or int(text), int(text))
    if usable < everything:
        found["cpus"] = int(usable) if usable == int(usable) else round(usable, 2)
    if memory is not None:
        found["memory"] = memory
    return found


def _groups(root: str, said: str) -> list[str]:
    """The folders of this process's control groups, and those above them: a limit there holds as well."""
    folders: list[str] = []
    for line in said.splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers not in {"", "memory"}:
            continue
        base = os.path.join(root, controllers) if controllers else root
        parts = [part for part in path.split("/") if part and part != ".."]
        folders += [os.path.join(base, *parts[:depth]) for depth in range(len(parts) + 1)]
    return folders


# (name, variable that holds the job's identity, what else is worth knowing)
_SCHEDULERS: tuple[tuple[str, str, dict[str, str]], ...] = (
    (
        "slurm",
        "SLURM_JOB_ID",
        {
            "array": "SLURM_ARRAY_JOB_ID",
            "task": "SLURM_ARRAY_TASK_ID",
            "step": "SLURM_STEP_ID",
            "name": "SLURM_JOB_NAME",
            "cluster": "SLURM_CLUSTER_NAME",
            "partition": "SLURM_JOB_PARTITION",
            "nodes": "SLURM_JOB_NODELIST",
            "tasks": "SLURM_NTASKS",
            "rank": "SLURM_PROCID",
        },
    ),
    ("pbs", "PBS_JOBID", {"array": "PBS_ARRAY_ID", "task": "PBS_ARRAY_INDEX", "name": "PBS_JOBNAME", "queue": "PBS_QUEUE"}),
    ("lsf", "LSB_JOBID", {"task": "LSB_JOBINDEX", "name": "LSB_JOBNAME", "queue": "LSB_QUEUE", "nodes": "LSB_HOSTS"}),
    ("flux", "FLUX_JOB_ID", {"rank": "FLUX_TASK_RANK"}),
    ("oar", "OAR_JOB_ID", {"name": "OAR_JOB_NAME"}),
    ("cobalt", "COBALT_JOBID", {}),
    ("condor", "_CONDOR_JOB_AD", {"slot": "_CONDOR_SLOT"}),
    ("awsbatch", "AWS_BATCH_JOB_ID", {"task": "AWS_BATCH_JOB_ARRAY_INDEX", "queue": "AWS_BATCH_JQ_NAME"}),
    ("sge", "SGE_TASK_ID", {"task": "SGE_TASK_ID", "name": "JOB_NAME", "queue": "QUEUE"}),
    ("mpi", "OMPI_COMM_WORLD_RANK", {"rank": "OMPI_COMM_WORLD_RANK", "tasks": "OMPI_COMM_WORLD_SIZE"}),
    ("mpi", "PMI_RANK", {"rank": "PMI_RANK", "tasks": "PMI_SIZE"}),
    ("torchelastic", "TORCHELASTIC_RUN_ID", {"rank": "RANK", "tasks": "WORLD_SIZE"}),
    ("ray", "RAY_JOB_ID", {}),
    ("github-actions", "GITHUB_RUN_ID", {"name": "GITHUB_WORKFLOW", "step": "GITHUB_JOB", "attempt": "GITHUB_RUN_ATTEMPT"}),
    ("gitlab-ci", "CI_JOB_ID", {"name": "CI_JOB_NAME", "pipeline": "CI_PIPELINE_ID"}),
    ("jenkins", "BUILD_TAG", {"name": "JOB_NAME"}),
)


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return None


def _line(path: str, ends: str = "\n") -> str | None:
    text = _text(path)
    return text.rstrip(ends).strip() if text else None
