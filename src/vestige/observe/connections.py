"""Where a connection is about to go, and whether whoever listens there belongs to the run itself.

The caller is suspended in connect(2), so its socket and the listener are as they were. A server that the run started is no
gap: what it reads is seen. It is known by its socket, which one of the watcher's descendants holds open.
"""

from __future__ import annotations

import ctypes
import os

from vestige.model.values import NamedTuple
from vestige.observe.callers import link

_UNIX, _INET, _INET6 = 1, 2, 10
_STREAM, _DATAGRAM = 1, 2
_PIDFD_GETFD = 438
_LISTENING = "0A"
_NOBODY = ("0.0.0.0", "::")  # noqa: S104  # to recognise, not to bind to


class Target(NamedTuple):
    """What a program connects to: `tcp:HOST:PORT`, `udp:HOST:PORT`, `unix:PATH` or `unix:@NAME`; `ip:` where the kind of the
    socket cannot be known. `host` and `port` of what is no path."""

    endpoint: str
    kind: str
    host: str = ""
    port: int = 0
    path: str = ""


def target(thread: int, descriptor: int, address: bytes) -> Target | None:
    """What an address in a caller's memory names; None for what is no connection to anybody."""
    family = int.from_bytes(address[:2], "little")
    if family == _UNIX and len(address) > 2:
        return _path(thread, address[2:])
    if family in (_INET, _INET6) and len(address) >= (8 if family == _INET else 24):
        import _socket

        port = int.from_bytes(address[2:4], "big")
        host = _socket.inet_ntop(family, address[4:8] if family == _INET else address[8:24])
        kind = {_STREAM: "tcp", _DATAGRAM: "udp"}.get(_type(thread, descriptor), "ip")
        return Target(f"{kind}:{host}:{port}" if family == _INET else f"{kind}:[{host}]:{port}", kind, host, port)
    return None


def _path(thread: int, name: bytes) -> Target | None:
    if name[:1] == b"\0":
        path = "@" + os.fsdecode(name[1:].rstrip(b"\0"))
        return Target("unix:" + path, "unix", path=path)
    path = os.fsdecode(name.split(b"\0")[0])
    if not path:
        return None
    if not path.startswith("/"):
        path = os.path.join(link(f"/proc/{thread}/cwd") or "", path)
    return Target("unix:" + path, "unix", path=path)


def _type(thread: int, descriptor: int) -> int:
    """SOCK_STREAM, SOCK_DGRAM, or 0 where the caller's socket cannot be looked at (Linux before 5.6, or forbidden)."""
    import _socket

    try:
        process = os.pidfd_open(_leader(thread))
    except (OSError, AttributeError):
        return 0
    try:
        ours = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, process, ctypes.c_int(descriptor & 0xFFFFFFFF), 0)
    finally:
        os.close(process)
    if ours < 0:
        return 0
    try:
        end = _socket.socket(fileno=ours)
    except OSError:
        os.close(ours)
        return 0
    kind: int = end.type & 0xF
    end.close()
    return kind


def _leader(thread: int) -> int:
    try:
        with open(f"/proc/{thread}/status", "rb") as file:
            for line in file:
                if line.startswith(b"Tgid:"):
                    return int(line[5:])
    except (OSError, ValueError):
        pass
    return thread


class Listeners:
    """Who listens. Answers are remembered by the listening socket."""

    def __init__(self) -> None:
        self._ours: dict[str, bool] = {}

    def look(self, thread: int, where: Target) -> bool | None:
        """Whether the run itself listens there: None where nobody does."""
        if where.kind == "unix":
            found = _bound(thread, where.path)
            if not found and (where.path.startswith("@") or not os.path.exists(where.path)):
                return None
            return self._is_ours(found)
        if not _is_here(where.host):
            return False
        kinds = ("tcp", "udp") if where.kind == "ip" else (where.kind,)
        listening = _listening(thread, where, kinds)
        if listening is None:
            return False
        return self._is_ours(listening) if listening else None

    def _is_ours(self, sockets: list[str]) -> bool:
        unknown = {socket for socket in sockets if socket not in self._ours}
        if unknown:
            held = _held_below(os.getpid(), unknown)
            self._ours.update((socket, socket in held) for socket in unknown)
        return any(self._ours[socket] for socket in sockets)


def _bound(thread: int, path: str) -> list[str]:
    """The sockets that are bound to a path, or to an abstract name, in the caller's network: their inodes."""
    found = []
    try:
        with open(f"/proc/{thread}/net/unix", "rb") as file:
            next(file)
            for line in file:
                parts = os.fsdecode(line).rstrip("\n").split(None, 7)
                if len(parts) == 8 and (parts[7] == path or (parts[7][:1] not in "/@" and path.endswith("/" + parts[7]))):
                    found.append(parts[6])
    except (OSError, StopIteration):
        pass
    return found


def _listening(thread: int, where: Target, kinds: tuple[str, ...]) -> list[str] | None:
    """The sockets that take what is sent to a port of this host; None where that cannot be known."""
    found: list[str] | None = None
    for kind in kinds:
        for version in ("", "6"):
            try:
                with open(f"/proc/{thread}/net/{kind}{version}", encoding="ascii") as file:
                    lines = file.readlines()[1:]
            except (OSError, ValueError):
                continue
            found = found or []
            for line in lines:
                parts = line.split()
                address, _, port = parts[1].partition(":")
                if int(port, 16) != where.port or not (kind == "udp" or parts[3] == _LISTENING):
                    continue
                if _host(address) in (*_NOBODY, where.host, f"::ffff:{where.host}"):
                    found.append(parts[9])
    return found


def _host(digits: str) -> str:
    """An address as the kernel prints it: words of four bytes, each in the order of the machine."""
    import _socket

    data = b"".join(bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8))
    return _socket.inet_ntop(_INET if len(data) == 4 else _INET6, data)


def _is_here(host: str) -> bool:
    """Whether an address is one of this host's own: nothing is sent to find out."""
    import _socket

    if host.startswith("127.") or host in ("::1", *_NOBODY):
        return True
    try:
        end = _socket.socket(_INET6 if ":" in host else _INET, _DATAGRAM)
    except OSError:
        return False
    try:
        end.bind((host, 0))
    except OSError:
        return False
    finally:
        end.close()
    return True


def _held_below(process: int, sockets: set[str]) -> set[str]:
    """Which of these sockets a descendant of a process holds open."""
    names = {f"socket:[{socket}]": socket for socket in sockets}
    found: set[str] = set()
    waiting = [process]
    while waiting and len(found) < len(names):
        one = waiting.pop()
        try:
            tasks = os.listdir(f"/proc/{one}/task")
        except OSError:
            continue
        for task in tasks:
            try:
                with open(f"/proc/{one}/task/{task}/children", "rb") as file:
                    waiting += map(int, file.read().split())
            except (OSError, ValueError):
                continue
        if one == process:
            continue
        try:
            descriptors = os.listdir(f"/proc/{one}/fd")
        except OSError:
            continue
        for descriptor in descriptors:
            held = names.get(link(f"/proc/{one}/fd/{descriptor}") or "")
            if held is not None:
                found.add(held)
    return found
