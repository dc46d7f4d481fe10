"""Connections under the real kernel: who is outside the run, and who is the run itself."""

from __future__ import annotations

import _socket
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_STREAM, socket

import pytest

from tests.observe.watching import watch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")


@pytest.fixture(params=["compiled", "python"], autouse=True)
def _which(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VESTIGE_WATCHER", request.param)


@contextmanager
def server(family: int, address: object, kind: int = SOCK_STREAM) -> Iterator[socket]:
    with socket(family, kind) as listener:
        listener.bind(address)  # type: ignore[arg-type]
        if kind == SOCK_STREAM:
            listener.listen()
        yield listener


def connections(program: str, folder: Path) -> dict[str, int]:
    """The endpoints to which a Python program connects, and whether they are its own."""
    folder.mkdir(exist_ok=True)
    watched = watch([sys.executable, "-I", "-S", "-c", "import socket\n" + program], folder)
    assert watched.status == 0
    return {event.text: event.flags for event in watched.events if event.op == "c" and event.text is not None}


def test_a_server_outside_the_run_is_named_with_host_and_port(tmp_path: Path) -> None:
    with server(AF_INET, ("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
        program = f"for _ in range(3): socket.create_connection(('127.0.0.1', {port}))"
        assert connections(program, tmp_path / "p") == {f"tcp:127.0.0.1:{port}": 0}


def test_a_server_of_the_runs_own_is_marked(tmp_path: Path) -> None:
    program = """
import os
server = socket.create_server(("127.0.0.1", 0))
child = os.fork()
if child == 0:
    server.accept()
    os._exit(0)
host, port = server.getsockname()
server.close()
socket.create_connection((host, port))
os.waitpid(child, 0)
"""
    found = connections(program, tmp_path / "p")
    assert list(found.values()) == [1]


def test_where_nobody_listens_nothing_is_noted(tmp_path: Path) -> None:
    with server(AF_INET, ("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    program = f"""
for address in (("127.0.0.1", {port}), "nowhere", "\\0nowhere-{port}"):
    try: socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET).connect(address)
    except OSError: pass
"""
    assert connections(program, tmp_path / "p") == {}


def test_a_datagram_socket_is_told_from_a_stream(tmp_path: Path) -> None:
    with server(AF_INET, ("127.0.0.1", 0), SOCK_DGRAM) as one:
        port = one.getsockname()[1]
        program = f"socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', {port}))"
        assert connections(program, tmp_path / "p") == {f"udp:127.0.0.1:{port}": 0}


def test_an_address_of_the_newer_kind_stands_in_brackets(tmp_path: Path) -> None:
    try:
        with server(AF_INET6, ("::1", 0)) as one:
            port = one.getsockname()[1]
            assert connections(f"socket.create_connection(('::1', {port}))", tmp_path / "p") == {f"tcp:[::1]:{port}": 0}
    except OSError:  # a machine without it has no such connections
        assert not os.path.exists("/proc/net/if_inet6") or "::1" not in _addresses()


def _addresses() -> list[str]:
    with open("/proc/net/if_inet6", encoding="ascii") as file:
        return [_socket.inet_ntop(AF_INET6, bytes.fromhex(line.split()[0])) for line in file]


def test_another_host_is_outside_even_where_it_does_not_answer(tmp_path: Path) -> None:
    program = """
one = socket.socket()
one.setblocking(False)
try: one.connect(("192.0.2.1", 81))
except OSError: pass
"""
    assert connections(program, tmp_path / "p") == {"tcp:192.0.2.1:81": 0}


def test_sockets_with_a_path_or_a_name_are_outside_unless_they_are_the_runs(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    name = f"vestige-{os.getpid()}-{threading.get_ident()}"
    program = f"""
own = socket.socket(socket.AF_UNIX); own.bind("own.sock"); own.listen()
for address in ("own.sock", "other.sock", "\\0{name}"):
    socket.socket(socket.AF_UNIX).connect(address)
"""
    with server(AF_UNIX, str(folder / "other.sock")), server(AF_UNIX, "\0" + name):
        found = connections(program, folder)
    assert found == {f"unix:{folder}/own.sock": 1, f"unix:{folder}/other.sock": 0, f"unix:@{name}": 0}


UNREADABLE = """
#include <fcntl.h>
#include <sys/prctl.h>
int main(void) { prctl(PR_SET_DUMPABLE, 0); open("in", O_RDONLY); return open((char *)8, O_RDONLY) == -1 ? 0 : 1; }
"""

FILTERED = """
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv) {
    struct sock_filter allow[] = {{BPF_RET, 0, 0, SECCOMP_RET_ALLOW}};
    struct sock_fprog program = {1, allow};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_NAME, "sandbox");
    return argc > 1 ? (int)syscall(SYS_seccomp, 1, 0, &program) : prctl(PR_SET_SECCOMP, 2, &program);
}
"""

WRONG_ADDRESS = """
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
    long wrong = syscall(SYS_openat, AT_FDCWD, 8L, O_RDONLY), closed = syscall(SYS_openat, 77, "x", O_RDONLY);
    return wrong == -1 && closed == -1 ? 0 : 1;
}
"""


def gaps(folder: Path, source: str, *words: str) -> list[str | None]:
    folder.mkdir()
    program = folder.parent / "program"
    subprocess.run(["gcc", "-w", "-x", "c", "-o", str(program), "-"], input=source.encode(), check=True)
    watched = watch([str(program), *words], folder)
    assert watched.status == 0
    return [event.text for event in watched.events if event.op == "g"]


@pytest.mark.parametrize("words", [(), ("newer",)])
def test_a_program_that_installs_a_filter_is_named(tmp_path: Path, words: tuple[str, ...]) -> None:
    said = "sandbox installed a filter of its own: a call that it refuses is noted as if it had been made"
    assert gaps(tmp_path / "p", FILTERED, *words) == [said]


def test_an_address_that_leads_nowhere_is_no_gap(tmp_path: Path) -> None:
    assert gaps(tmp_path / "p", WRONG_ADDRESS) == []


def test_a_program_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    said = "program cannot be read: which files it opens is not known"
    assert gaps(tmp_path / "p", UNREADABLE) == ([] if os.geteuid() == 0 else [said])  # root may read every program
