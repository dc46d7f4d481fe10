"""`python driver.py [--folder F] [--limit N] [--cwd D] CMD…`: launches a command with the least watcher there can be.

The launcher is what is tested; the watcher here does nothing but what the launcher needs of it: a session, a fork, reaping.
`DRIVER_SAY=FILE` appends what came of it, `DRIVER_WATCHER=FILE` writes the watcher's number, `DRIVER_PLAIN=1` does without
signalfd(2), as a system must that has none.
"""

from __future__ import annotations

import _socket
import ctypes
import os
import signal
import sys

from vestige.launch import child, serve, signals, streams

_PR_SET_CHILD_SUBREAPER = 36


def main(words: list[str]) -> int:
    options = {"--folder": "", "--limit": "1048576", "--cwd": ""}
    while words[0] in options:
        options[words[0]] = words[1]
        words = words[2:]
    program = child.find_program(words[0], os.environ.get("PATH"), options["--cwd"] or None)
    if isinstance(program, int):
        return program
    standard = streams.inspect()
    standard.open(options["--folder"] or None, int(options["--limit"]))
    ours, theirs = _socket.socketpair()
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if "DRIVER_PLAIN" in os.environ:
        defaults = signals.Inbox.__init__.__kwdefaults__
        assert defaults is not None
        defaults["native"] = False
    watcher = os.fork()
    if watcher == 0:
        try:
            ours.close()
            _watch(program, words, options["--cwd"] or None, standard, theirs.fileno())
        finally:
            os._exit(0)
    theirs.close()
    standard.close_child_side()
    result = serve.serve(standard, ours.fileno(), watcher)
    if "DRIVER_SAY" in os.environ:
        with open(os.environ["DRIVER_SAY"], "a") as file:
            file.write(f"{result.status} {result.exec_errno} {int(result.interrupted)}\n")
    if result.interrupted:
        serve.end_interrupted()
    return serve.exit_code(result)


def _watch(program: str, words: list[str], cwd: str | None, standard: streams.Streams, control: int) -> None:
    """The watcher: its order of doing things is the one that `vestige.record.watch` has."""
    launcher = os.getppid()
    own_session = standard.terminal is not None
    if own_session:
        os.setsid()
        standard.make_controlling()
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    command = os.fork()
    if command == 0:
        child.execute(program, words, dict(os.environ), standard, steps=(), report=control, cwd=cwd, umask=None)
    if not own_session:
        os.setsid()
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGUSR1):
        signal.signal(ignored, signal.SIG_IGN)
    os.write(control, child.MESSAGE.pack(b"p", command))
    standard.close_all()
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != control:
            try:
                os.close(int(name))
            except OSError:
                pass
    if "DRIVER_WATCHER" in os.environ:
        with open(os.environ["DRIVER_WATCHER"], "w") as file:
            file.write(str(os.getpid()))
    while True:
        try:
            pid, status = os.waitpid(-1, os.WUNTRACED | os.WCONTINUED)
        except ChildProcessError:
            return
        if pid != command:
            continue
        if os.WIFSTOPPED(status):
            _say(control, b"s", os.WSTOPSIG(status))
        elif os.WIFCONTINUED(status):
            _say(control, b"c", 0)
            os.kill(launcher, signal.SIGCONT)
        else:
            _say(control, b"e", status)


def _say(control: int, kind: bytes, number: int) -> None:
    try:
        os.write(control, child.MESSAGE.pack(kind, number))
    except OSError:
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
