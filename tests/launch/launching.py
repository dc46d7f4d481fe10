"""Commands launched for real: by pipes, and in a terminal with somebody at the keys."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

DRIVER = [sys.executable, str(Path(__file__).with_name("driver.py"))]
PYTHON = sys.executable
PATIENCE = 20.0


def launch(*words: str, folder: Path | None = None, **how: Any) -> subprocess.CompletedProcess[bytes]:
    """A command that is launched and waited for, its output in pipes unless said otherwise."""
    kept = [] if folder is None else ["--folder", str(folder)]
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "timeout": 60, **how}
    return subprocess.run([*DRIVER, *kept, *words], check=False, **how)


def start(*words: str, **how: Any) -> subprocess.Popen[bytes]:
    """A command that is launched."""
    how = {"stdout": subprocess.PIPE, "stdin": subprocess.DEVNULL, **how}
    return subprocess.Popen([*DRIVER, *words], **how)


def until(condition: Any, *, seconds: float = PATIENCE) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)


def state(pid: int) -> str:
    """The letter of /proc/PID/stat: T stopped, S sleeping, Z a zombie; "" where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rsplit(b") ", 1)[1][:1].decode()
    except OSError:
        return ""


class Screen:
    """A terminal of 97 columns and 31 lines in which a program runs, as the leader of a session, and its keys."""

    def __init__(self, words: Sequence[str], *, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        self.shown = b""
        self._seen = 0
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 31, 97, 0, 0))
                if cwd is not None:
                    os.chdir(cwd)
                for number in (signal.SIGPIPE, signal.SIGXFSZ):
                    signal.signal(number, signal.SIG_DFL)
                os.execvpe(words[0], list(words), {**os.environ, "TERM": "xterm", "PS1": "$ ", **(environ or {})})
            finally:
                os._exit(99)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.hang_up()
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except OSError:
            pass

    def hang_up(self) -> None:
        """Close the window."""
        if not self._closed:
            self._closed = True
            os.close(self.master)

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def expect(self, text: bytes, *, seconds: float = PATIENCE) -> bytes:
        """What is shown from here to a text; the text must come."""
        deadline = time.monotonic() + seconds
        while (end := self.shown.find(text, self._seen)) < 0:
            left = deadline - time.monotonic()
            assert left > 0, f"no {text!r} in {self.shown[self._seen :]!r}"
            if not self._read(min(left, 0.2)) and self._ended:
                raise AssertionError(f"ended without {text!r} in {self.shown[self._seen :]!r}")
        found = self.shown[self._seen : end + len(text)]
        self._seen = end + len(text)
        return found

    def rest(self) -> bytes:
        """What is shown until the program has ended."""
        deadline = time.monotonic() + PATIENCE
        while not self._ended:
            assert time.monotonic() < deadline, f"it does not end: {self.shown!r}"
            self._read(0.2)
        found = self.shown[self._seen :]
        self._seen = len(self.shown)
        return found

    def still(self, seconds: float) -> bytes:
        """What is shown in some time."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._read(left)
        found = self.shown[self._seen :]
        self._seen = len(self.shown)
        return found

    def status(self) -> int:
        """The wait status of the program, which has ended or is about to."""
        found: list[int] = []

        def ended() -> bool:
            self._read(0)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                found.append(status)
            return bool(pid)

        until(ended)
        return found[0]

    def modes(self) -> list[Any]:
        """Of the terminal, as it is now."""
        return termios.tcgetattr(self.master)

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    _ended = False
    _closed = False

    def _read(self, seconds: float) -> bool:
        if self._ended:
            time.sleep(min(seconds, 0.01))
            return False
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.master, 1 << 16)
        except OSError:
            data = b""
        self._ended = not data
        self.shown += data
        return bool(data)


def shell(*, cwd: Path | None = None) -> Screen:
    """An interactive shell in a terminal, which finds the launcher as `v`."""
    folder = Path(os.environ["HOME"])
    (folder / "v").write_text("#!/bin/sh\nexec " + " ".join(DRIVER) + ' "$@"\n')
    (folder / "v").chmod(0o755)
    environ = {"PATH": f"{folder}:{os.environ['PATH']}", "INPUTRC": "/dev/null"}
    screen = Screen(["bash", "--norc", "--noprofile", "-i"], environ=environ, cwd=cwd)
    screen.type(b"bind 'set enable-bracketed-paste off'; set -b; echo ready$((1+1))\n")
    screen.expect(b"ready2\r\n")
    screen.expect(b"$ ")
    return screen
