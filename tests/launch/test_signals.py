"""A launched command is sent every signal that it would have been sent, and once."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.launch.launching import DRIVER, PYTHON, launch, start, state, until
from vestige.launch import signals

COUNTER = """
import os, signal, sys, time
counts = {}
def count(number, frame):
    counts[number] = counts.get(number, 0) + 1
    with open("counts", "w") as file: file.write(repr(sum(counts.values())))
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGCONT):
    signal.signal(number, count)
open("pid", "w").write(str(os.getpid()))
late = time.monotonic() + 40
while not os.path.exists("end") and time.monotonic() < late: time.sleep(0.01)
sys.exit(3)
"""


def counting(folder: Path, **how: object) -> subprocess.Popen[bytes]:
    process = start(PYTHON, "-c", COUNTER, cwd=folder, **how)
    until(lambda: (folder / "pid").exists() and (folder / "pid").read_text())
    return process


def counted(folder: Path) -> int:
    path = folder / "counts"
    until(lambda: path.exists() and path.read_text())
    time.sleep(0.2)
    return int(path.read_text())


def end(process: subprocess.Popen[bytes], folder: Path) -> int:
    (folder / "end").touch()
    process.communicate()
    return process.returncode


@pytest.mark.parametrize("wait", [0.0, 0.5])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT])
def test_a_signal_to_the_launcher_reaches_the_command(number: signal.Signals, wait: float, tmp_path: Path) -> None:
    process = counting(tmp_path)
    time.sleep(wait)
    process.send_signal(number)
    assert counted(tmp_path) == 1
    assert end(process, tmp_path) == 3


def test_signals_are_passed_on_where_their_senders_are_not_known(tmp_path: Path) -> None:
    process = counting(tmp_path, env={**os.environ, "DRIVER_PLAIN": "1"})
    for number in range(1, 4):
        process.send_signal(signal.SIGTERM)
        assert counted(tmp_path) == number
    assert end(process, tmp_path) == 3


def test_a_signal_to_the_whole_group_reaches_the_command_once(tmp_path: Path) -> None:
    process = counting(tmp_path, start_new_session=True)
    time.sleep(0.5)
    for number in range(1, 4):
        os.killpg(process.pid, signal.SIGTERM)
        assert counted(tmp_path) == number
    process.send_signal(signal.SIGTERM)
    assert counted(tmp_path) == 4
    assert end(process, tmp_path) == 3


def test_a_command_that_signals_its_own_group_is_not_sent_it_again(tmp_path: Path) -> None:
    program = COUNTER.replace("late =", "os.kill(0, signal.SIGUSR1)\nlate =", 1)
    process = start(PYTHON, "-c", program, cwd=tmp_path, start_new_session=True)
    assert counted(tmp_path) == 1
    assert end(process, tmp_path) == 3


def test_an_alarm_that_was_set_before_us_ends_the_command() -> None:
    program = "import os,signal,sys; signal.alarm(1); os.execvp(sys.argv[1], sys.argv[1:])"
    done = subprocess.run([PYTHON, "-c", program, *DRIVER, "sleep", "20"], check=False, timeout=15)
    assert done.returncode == 128 + signal.SIGALRM


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM])
def test_what_is_ignored_stays_ignored(number: signal.Signals) -> None:
    script = f"grep SigIgn /proc/self/status; kill -{int(number)} $$; echo alive"
    done = subprocess.run(
        ["sh", "-c", f"trap '' {int(number)}; exec \"$@\"", "sh", *DRIVER, "sh", "-c", script], capture_output=True, check=True
    )
    assert done.stdout.endswith(b"alive\n")
    ignored = int(done.stdout.split()[1], 16) & 0x7FFFFFFF  # whoever started the tests may have ignored one beyond the usual
    assert ignored == 1 << (number - 1)


def test_nothing_is_ignored_or_blocked_that_was_not() -> None:
    script = "grep -E 'Sig(Ign|Blk|Cgt)' /proc/self/status"
    bare = subprocess.run(["grep", "-E", "Sig(Ign|Blk|Cgt)", "/proc/self/status"], capture_output=True, check=True).stdout
    assert launch(*script.replace("'", "").split()).stdout == bare


def test_a_blocked_signal_stays_blocked() -> None:
    program = "import os,signal,sys; signal.pthread_sigmask(0, {12}); os.execvp(sys.argv[1], sys.argv[1:])"
    words = ["grep", "SigBlk", "/proc/self/status"]
    done = subprocess.run([PYTHON, "-c", program, *DRIVER, *words], capture_output=True, check=True, timeout=20)
    assert int(done.stdout.split()[1], 16) == 1 << 11


def test_a_command_that_outlives_sigterm_is_waited_for(tmp_path: Path) -> None:
    process = counting(tmp_path)
    for _ in range(3):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
    assert process.poll() is None
    assert end(process, tmp_path) == 3


def test_stopping_the_launcher_stops_the_command_and_back(tmp_path: Path) -> None:
    process = counting(tmp_path, process_group=0)  # with a parent outside its group, however the tests are started
    command = int((tmp_path / "pid").read_text())
    process.send_signal(signal.SIGTSTP)  # nobody handles it: the command is stopped, and so are we
    until(lambda: state(command) == "T")
    until(lambda: state(process.pid) == "T")
    process.send_signal(signal.SIGCONT)
    until(lambda: state(command) == "S")
    until(lambda: state(process.pid) == "S")
    assert end(process, tmp_path) == 3


def test_a_command_that_stops_itself_is_seen_to_be_stopped() -> None:
    process = start("sh", "-c", "kill -STOP $$; exit 6")
    pid, status = os.waitpid(process.pid, os.WUNTRACED)
    assert pid == process.pid
    assert os.WIFSTOPPED(status)
    process.send_signal(signal.SIGCONT)
    assert process.wait(20) == 6


def test_a_command_that_is_continued_by_another_continues_us(tmp_path: Path) -> None:
    process = counting(tmp_path)
    command = int((tmp_path / "pid").read_text())
    os.kill(command, signal.SIGSTOP)
    until(lambda: state(process.pid) == "T")
    os.kill(command, signal.SIGCONT)
    until(lambda: state(process.pid) == "S")
    assert end(process, tmp_path) == 3


def test_when_the_watcher_is_killed_the_status_still_comes(tmp_path: Path) -> None:
    number = tmp_path / "watcher"
    process = counting(tmp_path, env={**os.environ, "DRIVER_WATCHER": str(number)})
    until(lambda: number.exists() and number.read_text())
    os.kill(int(number.read_text()), signal.SIGKILL)
    time.sleep(0.2)
    process.send_signal(signal.SIGUSR1)
    assert counted(tmp_path) == 1
    assert end(process, tmp_path) == 3


def test_a_storm_of_signals_disturbs_nothing(tmp_path: Path) -> None:
    program = "import signal,time,sys\nn=[0]\nsignal.signal(10, lambda *_: n.__setitem__(0, n[0]+1))\nprint('go', flush=True)\n"
    program += "end=time.monotonic()+1\nwhile time.monotonic()<end: print('x'*100)\nprint('end')"
    process = start(PYTHON, "-c", program)
    assert process.stdout is not None
    assert process.stdout.readline() == b"go\n"
    for _ in range(2000):
        process.send_signal(signal.SIGUSR1)
    *lines, last = process.stdout.read().splitlines()
    assert process.wait(20) == 0
    assert set(lines) == {b"x" * 100}
    assert last == b"end"


COMMAND, OURSELVES = 4711, -1

TABLE = [
    # number, code, sender; shares, group, keys → whom
    (signal.SIGINT, signals.KERNEL, 0, True, True, True, signals.NOTHING),
    (signal.SIGINT, signals.KERNEL, 0, False, True, True, signals.GROUP),
    (signal.SIGHUP, signals.KERNEL, 0, False, False, True, signals.GROUP),
    (signal.SIGALRM, signals.KERNEL, 0, True, False, False, signals.COMMAND),
    (signal.SIGTTOU, signals.KERNEL, 0, False, False, True, signals.NOTHING),
    (signal.SIGTERM, 0, 1, True, False, False, signals.COMMAND),
    (signal.SIGTERM, 0, 1, True, True, False, signals.NOTHING),
    (signal.SIGTERM, 0, 1, False, True, False, signals.GROUP),
    (signal.SIGTERM, 0, 1, False, False, False, signals.COMMAND),
    (signal.SIGTERM, 0, COMMAND, True, False, False, signals.NOTHING),  # the command itself, to its group
    (signal.SIGINT, 0, OURSELVES, False, True, True, signals.NOTHING),
    (signal.SIGUSR1, -1, 1, True, False, False, signals.COMMAND),  # sigqueue(3)
    (signal.SIGTERM, 0, 0, True, False, False, signals.COMMAND),  # from outside our container
    (signal.SIGINT, None, 0, True, False, True, signals.NOTHING),
    (signal.SIGINT, None, 0, True, False, False, signals.COMMAND),
    (signal.SIGINT, None, 0, False, False, True, signals.COMMAND),
    (signal.SIGTERM, None, 0, True, False, True, signals.COMMAND),
]


@pytest.mark.parametrize(("number", "code", "sender", "shares", "group", "keys", "whom"), TABLE)
def test_whom_a_signal_is_passed_on_to(
    number: int, code: int | None, sender: int, shares: bool, group: bool, keys: bool, whom: str
) -> None:
    arrived = signals.Arrived(number, code, os.getpid() if sender == OURSELVES else sender)
    assert signals.destination(arrived, command=COMMAND, shares_group=shares, to_group=group, keys=keys) == whom
