"""Commands at a terminal: as without Vestige, apart from one closing line."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shlex
import signal
import struct
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pseudo-terminals as Linux has them")

VESTIGE = f"{shlex.quote(sys.executable)} -m vestige"
BARE, WRAPPED = "", f"{VESTIGE} run "

#: What to wait for on the screen, then what to type.
Step = tuple[bytes, bytes]


def session(command: str, folder: Path, steps: Sequence[Step] = (), *, seconds: float = 30) -> tuple[bytes, int]:
    """A shell line at a terminal of 40 lines and 100 columns: what the screen showed, and the wait status."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execv("/bin/sh", ["sh", "-c", "exec " + command])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    screen, seen, left = b"", 0, list(steps)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                data = os.read(terminal, 4096)
            except OSError:
                break
            screen += data
        if left and (found := screen.find(left[0][0], seen)) >= 0:
            seen = found + len(left[0][0])
            os.write(terminal, left.pop(0)[1])
    else:
        os.kill(pid, 9)
        raise AssertionError(f"not ended after {seconds} s; the screen: {screen!r}")
    return screen, os.waitpid(pid, 0)[1]


def without_the_closing_line(screen: bytes) -> bytes:
    return re.sub(rb"vestige: [0-9a-f]{8} .*\r\n", b"", screen)


@pytest.mark.parametrize(
    ("command", "steps"),
    [
        ("sh -c 'test -t 0 && test -t 1 && test -t 2 && echo tty; stty size; exit 5'", ()),
        ("sh -c 'echo ready; exec cat'", ((b"ready\r\n", b"hello\n"), (b"hello\r\nhello\r\n", b"\x04"))),
        ("sh -c 'echo ready; read line; echo got $line'", ((b"ready\r\n", b"typed\n"),)),
        ("sh -c 'printf \"\\033[1mbold\\033[0m\\377\"; printf err >&2'", ()),
        ("sh -c 'stty -echo; echo ready; read x; stty echo; echo ${#x}'", ((b"ready\r\n", b"secret\n"),)),
        ("sh -c 'trap \"echo caught; exit 9\" INT; echo ready; while :; do sleep 0.1; done'", ((b"ready\r\n", b"\x03"),)),
        ("sh -c 'echo ready; exec sleep 30'", ((b"ready\r\n", b"\x03"),)),
        ("sh -c 'echo ready; exec sleep 30'", ((b"ready\r\n", b"\x1c"),)),
    ],
    ids=["size", "echo", "read", "bytes", "no-echo", "trap", "interrupt", "quit"],
)
def test_the_screen_and_the_status_are_as_without_us(tmp_path: Path, command: str, steps: Sequence[Step]) -> None:
    bare, status = session(BARE + command, tmp_path, steps)
    screen, wrapped = session(WRAPPED + command, tmp_path, steps)
    assert without_the_closing_line(screen) == bare
    code = os.waitstatus_to_exitcode(status)
    # What Ctrl-C has ended ends us likewise: a shell asks that before it goes on with its script.
    assert os.waitstatus_to_exitcode(wrapped) == (128 - code if code < 0 and code != -signal.SIGINT else code)


def test_the_closing_line_says_what_was_recorded(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("x")
    screen, _ = session(f"{VESTIGE} run --name copying cp in out", tmp_path)
    assert re.fullmatch(rb"vestige: [0-9a-f]{8} copying \xc2\xb7 1 in \xe2\x86\x92 1 out \xc2\xb7 [0-9.]+ s\r\n", screen)


def test_quiet_says_nothing(tmp_path: Path) -> None:
    assert session(f"{VESTIGE} run -q echo hi", tmp_path)[0] == b"hi\r\n"


def test_stopping_and_going_on_with_the_shells_job_control(tmp_path: Path) -> None:
    # One process: a shell that is about to execute (vfork) cannot be stopped, with us or without.
    script = "import time; print('ready', flush=True); time.sleep(1); print('on', flush=True); print(input())"
    (tmp_path / "wait.py").write_text(script)
    line = f"{VESTIGE} run python3 wait.py\n".encode()
    steps = (
        (b"", b"PS1=prompt:\n"),
        (b"hprompt:", line),
        (b"ready\r\n", b"\x1a"),
        (b"Stopped", b"fg\n"),
        (b"on\r\n", b"typed\n"),
        (b"vestige: ", b"echo status $?; exit\n"),
    )
    screen, _ = session("bash --norc --noprofile -i", tmp_path, steps)
    assert b"typed\r\ntyped\r\n" in screen
    assert b"status 0" in screen


def test_what_is_left_in_the_background_lives_on_and_writes_to_the_terminal(tmp_path: Path) -> None:
    inner = f"{VESTIGE} run -q sh -c '(sleep 1; echo late; echo late > late) & echo early'; sleep 2.5"
    screen, _ = session(f"sh -c {shlex.quote(inner)}", tmp_path)
    assert screen == b"early\r\nlate\r\n"
    assert (tmp_path / "late").read_text() == "late\n"


def test_the_terminal_is_as_it_was_afterwards(tmp_path: Path) -> None:
    inner = f"stty -g > before; {VESTIGE} run -q sh -c 'stty raw; kill -TERM $$'; stty -g > after"
    session(f"sh -c {shlex.quote(inner)}", tmp_path)
    assert (tmp_path / "before").read_text() == (tmp_path / "after").read_text()
