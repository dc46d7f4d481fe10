"""What a run handed to others, told from the programs that it executed and the sockets that it connected to.

A container engine, another host, a scheduler, a daemon or a server does its work outside the tree of processes that is
observed. Nobody can see what it reads there, but that something was handed over shows: each gives one line, which begins
with the name of what it was handed to and a colon, so that `advice` can be looked up by it.
"""

from __future__ import annotations

import os

from vestige.model.values import NamedTuple
from vestige.observe.conclusion import Conclusion, Execution, Process, Sight

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SHOWN = 3  # endpoints that are named in a line
_DNS = 53


class Contact(NamedTuple):
    """Somebody outside the run whom it connected to; `name` is the host as the command line or the hosts file has it."""

    endpoint: str
    name: str | None = None


def contacts(conclusion: Conclusion, hosts: Mapping[str, str]) -> tuple[Contact, ...]:
    """Every endpoint that may have given something to the run or done something for it; `hosts` gives names to addresses."""
    told = {sight.what.partition(":")[2] for sight in conclusion.network if sight.what.startswith("tcp:")}
    found = []
    for sight in conclusion.network:
        kind, _, where = sight.what.partition(":")
        if kind == "unix":
            if _service(where) != _HARMLESS:
                found.append(Contact(sight.what))
        elif kind == "tcp" or where not in told:  # looking for the best address, a resolver connects and sends nothing
            host, port = _apart(where)
            name = hosts.get(host) or (None if port == _DNS else _named(conclusion, sight))
            found.append(Contact(sight.what, None if name == host else name))
    return tuple(found)


def gaps(conclusion: Conclusion, known: Sequence[Contact], *, connections: bool) -> tuple[str, ...]:
    """One line for each that something was handed to. `connections`: those of every program were seen, so that a program
    that found nobody to connect to has done its work itself."""
    lines: dict[str, None] = {}
    parents = _parents(conclusion)
    for execution in conclusion.executions:
        line = _of_execution(execution, parents, connections=connections)
        if line is not None:
            lines[line] = None
    by = {sight.what: sight.by for sight in conclusion.network}
    servers: dict[str, None] = {}
    for contact in known:
        kind, _, where = contact.endpoint.partition(":")
        if kind == "unix":
            if (line := _of_socket(where, [conclusion.processes[one] for one in by[contact.endpoint]])) is not None:
                lines[line] = None
            continue
        host, port = _apart(where)
        if port in _ENGINE_PORTS:
            lines[_container("docker")] = None
        elif port != _DNS:
            servers[f"{contact.name or host}:{port}"] = None
    if servers:
        lines[_network(list(servers))] = None
    return tuple(lines)


def advice(gap: str) -> str | None:
    """What can be done about a gap; None where nothing is known that helps."""
    kind = gap.partition(":")[0]
    if kind in _ADVICE:
        return _ADVICE[kind]
    return next((said for mark, said in _BY_MARK if mark in gap), None)


def kind(gap: str) -> str:
    """What a gap is about, in a word or two: gaps of one kind have the same cure."""
    head, colon, _ = gap.partition(": ")
    if colon and " " not in head:
        return head
    return next((name for mark, name in _KINDS if mark in gap), "other")


# -- programs -------------------------------------------------------------------------------------------------------------


def _of_execution(execution: Execution, parents: Mapping[int, str], *, connections: bool) -> str | None:
    name = os.path.basename(execution.path)
    words = list(execution.argv[1:])
    if name in _ENGINES:
        return None if _first(words, _ENGINE_VALUES) in _ENGINE_QUESTIONS else _container(name)
    if name in _SCHEDULERS:
        return None if _only_asks(words, ("--version", "--help", "-h", "-V")) else f"{name}: {_SCHEDULERS[name]}"
    if name in _COPIERS:
        return _copied(name, words)
    if name in _SHELLS_ELSEWHERE:
        return None if parents.get(execution.process) in _COPIERS else _ran_on(name, words)
    if name in _MULTIPLEXERS:
        return None if connections or _only_asks(words, ("-V", "-v", "-ls", "-list", "ls")) else _sessions(name)
    if name == "crontab":
        return None if _only_asks(words, ("-l",)) else f"{name}: {_LATER}"
    if name == "systemctl":
        return None if _first(words, ()) in _SYSTEM_QUESTIONS else f"{name}: {_SERVICES}"
    return None


def _container(name: str) -> str:
    return f"{name}: the container's files were not seen"


def _sessions(name: str) -> str:
    return f"{name}: what runs in its sessions was not seen"


def _ran_on(name: str, words: list[str]) -> str | None:
    host = _first(words, _SSH_VALUES)
    if host is None or _only_asks(words, ("-V", "-G", "-Q")):
        return None
    return f"{name}: what ran on {_host(host)} was not seen"


def _copied(name: str, words: list[str]) -> str | None:
    """The hosts of `user@host:path`, `host::module` and `rsync://host/path`."""
    if "--server" in words:
        return None  # the other end of an rsync between two processes here, or one whom nobody else asked
    hosts: dict[str, None] = {}
    for word in words:
        if word.startswith("-"):
            continue
        scheme, separator, rest = word.partition("://")
        if separator and scheme in ("rsync", "scp", "sftp"):
            hosts[_host(rest.partition("/")[0].partition(":")[0])] = None
        else:
            host, colon, _ = word.partition(":")
            if colon and host and "/" not in host and "=" not in host:
                hosts[_host(host)] = None
            elif name == "sftp":
                hosts[_host(word)] = None
    return f"{name}: files on {_some(list(hosts))} were not seen" if hosts else None


def _host(word: str) -> str:
    """`user@host` without who, `ssh://host:port/` without the rest."""
    word = word.partition("://")[2].partition("/")[0] if "://" in word else word
    return word.rpartition("@")[2]


def _first(words: Sequence[str], with_values: Sequence[str]) -> str | None:
    """The first word that is no option, nor the value of one."""
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word.startswith("-") and word != "-":
            skip = word in with_values
        else:
            return word
    return None


def _only_asks(words: Sequence[str], asking: Sequence[str]) -> bool:
    return bool(words) and words[0] in asking


def _parents(conclusion: Conclusion) -> dict[int, str]:
    """The program of each process's parent."""
    found = {}
    for at, process in enumerate(conclusion.processes):
        if process.parent is not None:
            found[at] = os.path.basename(conclusion.processes[process.parent].executable or "")
    return found


# -- sockets --------------------------------------------------------------------------------------------------------------


def _of_socket(path: str, processes: Sequence[Process]) -> str | None:
    service = _service(path)
    programs = {os.path.basename(process.executable or process.name) for process in processes}
    if service in _ENGINES:
        asking = [_first(one.argv[1:], _ENGINE_VALUES) in _ENGINE_QUESTIONS for one in processes]
        return None if programs <= _ENGINES and all(asking) else _container(service)
    if service in ("systemd", "dbus") and "systemctl" in programs:
        return None  # said of the program, by what it was told
    if service in _LINES:
        return _LINES[service]
    return f"{path}: what the program behind this socket did was not seen"


def _service(path: str) -> str:
    """Who listens at a path, by its name."""
    name = path.rpartition("/")[2]
    for service, marks in _SOCKETS:
        for mark in marks:
            if (mark in path) if mark[0] in "/@" else name.startswith(mark):
                return service
    return ""


def _network(servers: list[str]) -> str:
    return f"network: whatever {_some(servers)} answered is not reproducible from files"


def _some(names: list[str]) -> str:
    shown = names[:_SHOWN] if len(names) > _SHOWN + 1 else names
    rest = [f"{len(names) - len(shown)} more"] if len(shown) < len(names) else []
    *begin, last = [*shown, *rest]
    return f"{', '.join(begin)} and {last}" if begin else last


def _apart(where: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[host]:port`."""
    host, _, port = where.rpartition(":")
    return host.strip("[]"), int(port) if port.isdigit() else 0


def _named(conclusion: Conclusion, sight: Sight) -> str | None:
    """The one host that the programs which connected were told of on their command lines."""
    names = {host for at in sight.by for word in conclusion.processes[at].argv[1:] for host in _hosts_in(word)}
    return names.pop() if len(names) == 1 else None


def _hosts_in(word: str) -> list[str]:
    """The host of a URL, alone or as an option's value."""
    before, separator, rest = word.partition("://")
    if not separator or not before[-1:].isalpha():
        return []
    end = min((at for mark in "/?#" if (at := rest.find(mark)) >= 0), default=len(rest))
    host = rest[:end].rpartition("@")[2]
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return [host.lower()] if host and set(host) <= _NAME else []


def hosts(text: str) -> dict[str, str]:
    """The names that a file such as /etc/hosts gives to addresses; not to this host's own."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if names and not address.startswith(("127.", "::1", "fe00", "ff00", "ff02")):
            found.setdefault(address, names[0])
    return found


def _words(text: str) -> frozenset[str | None]:
    return frozenset(text.split()) | {None}


_LATER = "what was put off runs later, and is not seen"
_SERVICES = "what a service did was not seen"
_DATABASE = "what the database answered is not reproducible from files"
_JOB = "the job runs elsewhere, and its files were not seen"
_HARMLESS = "harmless"

_ENGINES = frozenset(
    {"docker", "podman", "nerdctl", "buildah", "ctr", "crictl", "docker-compose", "containerd", "crio", "buildkit"}
)
_ENGINE_PORTS = frozenset({2375, 2376})
_ENGINE_VALUES = (
    "-H",
    "--host",
    "-c",
    "--context",
    "--config",
    "-l",
    "--log-level",
    "--root",
    "--storage-driver",
    "-f",
    "--file",
)
#: Questions to an engine and to a service manager; so is no word at all.
_ENGINE_QUESTIONS = _words(
    """ps images image version info inspect search logs top stats port history events context system help ls list volume
    network login logout tag"""
)
_SYSTEM_QUESTIONS = _words(
    """status show cat list-units list-unit-files list-timers list-sockets list-dependencies is-active is-enabled is-failed
    is-system-running get-default help"""
)
_SCHEDULERS = {
    **dict.fromkeys(("sbatch", "srun", "salloc", "qsub", "qrsh", "bsub", "condor_submit", "condor_run", "flux"), _JOB),
    **dict.fromkeys(("oarsub", "llsubmit", "jsrun", "aprun", "kubectl", "oc"), _JOB),
    **dict.fromkeys(("at", "batch"), _LATER),
    "systemd-run": _SERVICES,
}
_COPIERS = frozenset({"scp", "sftp", "rsync", "rclone"})
_SHELLS_ELSEWHERE = frozenset({"ssh", "mosh", "rsh", "slogin", "dbclient"})
_SSH_VALUES = tuple(f"-{letter}" for letter in "BbcDEeFIiJLlmOoPpQRSWw")
_MULTIPLEXERS = frozenset({"tmux", "screen"})
_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:%")

#: By a part of the path, or by how the socket's name begins. The first that fits counts.
_SOCKETS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("docker", ("docker.sock", "/docker.sock", "/dockerd.sock")),
    ("podman", ("podman.sock", "/podman/")),
    ("buildkit", ("buildkitd.sock", "/buildkit/")),
    ("containerd", ("containerd.sock", "/containerd/")),
    ("crio", ("crio.sock",)),
    ("slurm", ("munge.socket", "/munge/", "slurm")),
    ("tmux", ("/tmux-",)),
    ("screen", ("/screen/S-", "/screens/S-", "/.screen/")),
    ("postgres", (".s.PGSQL.",)),
    ("mysql", ("mysqld.sock", "mysql.sock", "mysqlx.sock", "mariadb.sock")),
    ("redis", ("redis", "valkey")),
    ("mongodb", ("mongodb-",)),
    ("libvirt", ("libvirt-sock", "virtqemud")),
    ("snapd", ("snapd",)),
    ("ray", ("raylet", "plasma_store")),
    (_HARMLESS, ("/.X11-unix/", "@/tmp/.X11-unix/", "wayland-", "/.ICE-unix/", "@/tmp/.ICE-unix/", "/at-spi", "gvfs")),
    (_HARMLESS, ("/nscd/", "/.nscd_socket", "/lib/sss/pipes/", "/systemd/userdb/", "/systemd/resolve/", "/systemd/journal/")),
    (_HARMLESS, ("/systemd/notify", "/run/systemd/io.systemd.", "/nslcd/", "/winbindd", "/unscd", "/run/nss")),
    (_HARMLESS, ("/dev/log", "/run/log", "agent.", "S.gpg-agent", "S.keyboxd", "S.dirmngr", "S.scdaemon", "ssh-agent")),
    (_HARMLESS, ("/ssh-", "/keyring/", "/gcr/ssh", "/pulse/", "pulse", "pipewire", "jack", "/avahi-daemon/", "/cups/", "uuidd")),
    (_HARMLESS, ("/abrt/", "@ISCSI", "/vscode-ipc", "vscode-", "/run/udev/", "@/org/kernel/")),
    ("systemd", ("/systemd/private", "/run/systemd/")),
    ("dbus", ("/dbus/", "system_bus_socket", "@/tmp/dbus-", "dbus-", "/bus")),
)  # fmt: skip
_LINES = {
    "slurm": f"slurm: {_JOB}",
    "tmux": _sessions("tmux"),
    "screen": _sessions("screen"),
    **{name: f"{name}: {_DATABASE}" for name in ("postgres", "mysql", "redis", "mongodb")},
    "libvirt": "libvirt: what a virtual machine did was not seen",
    "snapd": f"snapd: {_SERVICES}",
    "ray": "ray: what its workers did was not seen",
    "systemd": f"systemd: {_SERVICES}",
    "dbus": "dbus: what other programs did when they were asked was not seen",
}
_ENGINE_ADVICE = "run vestige inside the container, or name its files with --input and --output"
_JOB_ADVICE = "put vestige run into the job's script, or name its files with --input and --output"
_ADVICE = {
    **dict.fromkeys(_ENGINES, _ENGINE_ADVICE),
    **dict.fromkeys((*_SCHEDULERS, "slurm"), _JOB_ADVICE),
    **dict.fromkeys(_SHELLS_ELSEWHERE, "run vestige on the other host, too, or name the files with --input and --output"),
    **dict.fromkeys(_COPIERS, "what was fetched is an output here: keep it, since the other host is not recorded"),
    **dict.fromkeys((*_MULTIPLEXERS, "at", "batch", "crontab"), "put vestige run before the command itself"),
    **dict.fromkeys(("postgres", "mysql", "redis", "mongodb"), "write the answer into a file, and record the step from there"),
    **dict.fromkeys(("systemd", "systemctl", "systemd-run", "dbus", "snapd"), "put vestige run into what the service starts"),
    "network": "fetch into a file in a step of its own: that file is kept, and what follows can be made again",
    "libvirt": "run vestige inside the machine",
    "ray": "start its workers inside the recorded run",
}  # fmt: skip
#: Of gaps that name a program or a path first: a part of their text, what they are about, and what helps.
_KINDS = (
    ("could not gain privileges", "setuid"),
    ("it is traced itself", "debuggers"),
    ("asked to be told of calls itself", "filters"),
    ("takes some calls from the tracer", "filters"),
    ("cannot be read", "unreadable"),
    ("no room to write", "full disks"),
    ("filter of its own", "filters"),
    ("may have other names", "mounts"),
    ("mount namespace of its own", "mounts"),
    ("more than 4,096 bytes", "long paths"),
    ("behind this socket", "sockets"),
    ("by its handle", "handles"),
    ("content before the change", "content"),
    ("changed before it could be hashed", "content"),
)
_BY_MARK = (
    ("could not gain privileges", "vestige run --observe audit lets it"),
    ("no room to write", "make room, and record the command once more"),
    ("cannot be read", "name what it reads and writes with --input and --output"),
    ("may have other names", "run vestige inside, or name the files with --input and --output"),
    ("mount namespace of its own", "have what matters copied to where it stays"),
    ("behind this socket", "start the server inside the recorded run, or name the files with --input and --output"),
)

__all__ = ["Contact", "advice", "contacts", "gaps", "hosts", "kind"]
