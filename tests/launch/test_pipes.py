"""Under pipes, files and closed streams, a launched command is what it is without us."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.launch.launching import DRIVER, PYTHON, launch, start, state, until
from vestige.launch import pump

NOISE = random.Random(7).randbytes(300_000)


def test_bytes_are_passed_on_exactly(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(NOISE)
    done = launch("cat", str(tmp_path / "noise"), folder=tmp_path)
    assert done.stdout == NOISE
    assert (tmp_path / "stdout").read_bytes() == NOISE


def test_the_exit_code_is_the_commands_own() -> None:
    assert launch("sh", "-c", "exit 41").returncode == 41
    assert launch("true").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGPIPE, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_128_and_its_number(number: signal.Signals) -> None:
    assert launch("sh", "-c", f"kill -{int(number)} $$").returncode == 128 + number


def test_output_and_error_stay_apart() -> None:
    done = launch("sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")


def test_output_and_error_that_are_one_pipe_keep_their_order(tmp_path: Path) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo o$i; echo e$i >&2; done"
    done = launch("sh", "-c", script, stderr=subprocess.STDOUT, folder=tmp_path)
    assert done.stdout.split() == [f"{s}{i}".encode() for i in range(1, 10) for s in "oe"]
    assert (tmp_path / "stdout").read_bytes() == done.stdout
    assert not (tmp_path / "stderr").exists()


def test_a_reader_that_leaves_ends_the_command_as_without_us(tmp_path: Path) -> None:
    said = tmp_path / "said"
    line = f"DRIVER_SAY={said} {' '.join(DRIVER)} yes | head -1"
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=False, timeout=30)
    assert done.stdout == b"y\n"
    until(said.exists)
    assert said.read_text().split()[0] == str(int(signal.SIGPIPE))


SILENT = """
import os, sys
os.write(1, b"up")
sys.stdin.read()
try:
    os.write(1, b"x")
except BrokenPipeError:
    open("gone", "w").close()
"""


def test_a_reader_that_leaves_a_silent_command_is_noticed_by_the_next_write(tmp_path: Path) -> None:
    process = start(PYTHON, "-c", SILENT, stdin=subprocess.PIPE, cwd=tmp_path)
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.read(2) == b"up"
    process.stdout.close()
    time.sleep(0.5)
    process.stdin.close()
    process.wait(20)
    assert (tmp_path / "gone").exists()


def test_standard_input_that_is_a_pipe_loses_nothing_to_us() -> None:
    line = f"printf '1\\n2\\n3\\n' | while read f; do {' '.join(DRIVER)} echo got $f; done"
    assert subprocess.run(["sh", "-c", line], capture_output=True, check=True, timeout=30).stdout == b"got 1\ngot 2\ngot 3\n"


def test_a_writer_learns_that_the_command_has_closed_its_input() -> None:
    line = f"(yes; echo $? >&2) | {' '.join(DRIVER)} sh -c 'head -1; exec <&-; sleep 1; echo end'"
    process = subprocess.Popen(["bash", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    before = time.monotonic()
    assert process.stderr.readline() == b"141\n"
    assert time.monotonic() - before < 0.9, "only when the command had ended"
    assert process.communicate()[0] == b"y\nend\n"


def test_files_are_the_commands_own(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("input\n")
    (tmp_path / "log").write_text("before\n")
    with (tmp_path / "in").open() as given, (tmp_path / "out").open("w") as out, (tmp_path / "log").open("a") as log:
        kinds = "import os,stat,sys; sys.stdout.write(' '.join(oct(stat.S_IFMT(os.fstat(i).st_mode)) for i in range(3)))"
        launch("sh", "-c", f'cat; {PYTHON} -c "{kinds}"; echo more >&2', stdin=given, stdout=out, stderr=log)
    assert (tmp_path / "out").read_text() == "input\n" + " ".join(["0o100000"] * 3)
    assert (tmp_path / "log").read_text() == "before\nmore\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_what_is_closed_stays_closed(closed: str, tmp_path: Path) -> None:
    look = f"import os\nopen({str(tmp_path / 'found')!r},'w').write(repr([n for n in range(3) if not is_open(n)]))"
    program = f"import os\ndef is_open(n):\n  try: os.fstat(n); return 1\n  except OSError: return 0\n{look}"
    (tmp_path / "look.py").write_text(program)
    for words in ([PYTHON], [*DRIVER, "--folder", str(tmp_path), PYTHON]):
        subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *words, str(tmp_path / "look.py")], check=True, timeout=30)
        numbers = [{"<": 0, ">": 1, "2": 2}[word[0]] for word in closed.split()]
        # An interpreter opens files of its own: only what it did not open can be compared.
        assert (tmp_path / "found").read_text() in (repr(numbers), repr(numbers[1:])), words


def test_a_closed_stream_is_not_an_open_one_of_ours() -> None:
    script = "ls -l /proc/self/fd 2>/dev/null | sed 's/.* \\([0-9]*\\) -> /\\1 /' | sort"
    bare = subprocess.run(["sh", "-c", f"exec <&-; {script}"], capture_output=True, check=True).stdout
    ours = subprocess.run(["sh", "-c", 'exec <&-; exec "$@"', "sh", *DRIVER, "sh", "-c", script], capture_output=True, check=True)
    assert [line.split()[0] for line in ours.stdout.splitlines()] == [line.split()[0] for line in bare.splitlines()]


def test_other_descriptors_reach_the_command_and_nobody_else_holds_them(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    process = start(
        "bash", "-c", f"echo three >&{writer}; exec {writer}>&-; read wait", pass_fds=(writer,), stdin=subprocess.PIPE
    )
    os.close(writer)
    before = time.monotonic()
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read() == b"three\n"  # to its end, although the command lives
    assert time.monotonic() - before < 10
    assert process.poll() is None
    process.communicate(b"\n")


def test_the_command_gets_nothing_of_ours() -> None:
    script = "ls /proc/self/fd | wc -l"
    bare = subprocess.run(["sh", "-c", script], capture_output=True, stdin=subprocess.DEVNULL, check=True).stdout
    assert launch("sh", "-c", script).stdout == bare


def test_sockets_are_passed_on() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = start("sh", "-c", "cat; echo end >&2", stdin=theirs, stdout=theirs, stderr=theirs)
        theirs.close()
        ours.sendall(NOISE)
        ours.shutdown(socket.SHUT_WR)
        found = b""
        while data := ours.recv(1 << 16):
            found += data
    assert process.wait(20) == 0
    assert found == NOISE + b"end\n"


def test_a_socket_whose_reader_has_gone() -> None:
    ours, theirs = socket.socketpair()
    process = start("yes", stdout=theirs)
    theirs.close()
    assert ours.recv(2) == b"y\n"
    ours.close()
    assert process.wait(20) == 128 + signal.SIGPIPE


def test_no_inherited_descriptor_is_made_non_blocking() -> None:
    reader, writer = os.pipe()
    process = start("sh", "-c", "echo hi; read wait", stdout=writer, stdin=subprocess.PIPE)
    assert os.read(reader, 10) == b"hi\n"
    assert os.get_blocking(writer)
    assert os.get_blocking(reader)
    process.communicate(b"\n")
    os.close(reader)
    os.close(writer)


def test_output_is_shown_as_it_comes() -> None:
    process = start("sh", "-c", "printf 'no newline'; read wait", stdin=subprocess.PIPE)
    assert process.stdout is not None
    assert os.read(process.stdout.fileno(), 100) == b"no newline"
    process.communicate(b"\n")


def test_a_slow_reader_stops_the_command(tmp_path: Path) -> None:
    program = """
import os, sys, time
written = blocked = 0
os.set_blocking(1, False)
while blocked < 10:
    try:
        written += os.write(1, b"x" * 4096)
        blocked = 0
    except BlockingIOError:
        blocked += 1
        time.sleep(0.03)
open("written", "w").write(str(written))
"""
    process = start(PYTHON, "-c", program, cwd=tmp_path)
    assert process.wait(20) == 0
    written = int((tmp_path / "written").read_text())
    assert 65536 <= written <= 3 * 65536, "two pipes, and what was on its way"
    assert process.stdout is not None
    assert len(process.stdout.read()) == written


def test_a_slow_reader_keeps_neither_signals_nor_the_exit_status_back(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    program = f"import os,signal,sys\nsignal.signal(signal.SIGUSR1, lambda *_: os._exit(7))\nopen({str(ready)!r},'w')\n"
    process = start(PYTHON, "-c", program + "while True: os.write(1, b'x'*65536)")
    until(ready.exists)
    time.sleep(0.3)
    before = time.monotonic()
    process.send_signal(signal.SIGUSR1)
    assert process.wait(20) == 7
    assert time.monotonic() - before < 1
    assert process.stdout is not None
    found = process.stdout.read()  # what the command wrote is there still, up to its end
    assert set(found) == {ord("x")}
    assert len(found) > 65536


def test_everything_written_before_the_end_arrives(tmp_path: Path) -> None:
    for size in (1, 4096, 65536, 65537, 200_000):
        done = launch(PYTHON, "-c", f"import os\nd=b'z'*{size}\nwhile d: d=d[os.write(1,d):]")
        assert done.stdout == b"z" * size


def test_background_processes_keep_the_pipe_open_and_the_status_does_not_wait() -> None:
    process = start("sh", "-c", "(sleep 3; echo later) & echo now; exit 5")
    before = time.monotonic()
    assert process.wait(20) == 5
    assert time.monotonic() - before < 2.9
    assert process.stdout is not None
    assert process.stdout.read() == b"now\nlater\n"
    assert time.monotonic() - before > 2.9


def test_a_substitution_waits_for_background_processes() -> None:
    line = f"x=$({' '.join(DRIVER)} sh -c '(sleep 0.5; echo later) & echo now'); echo \"[$x]\""
    assert subprocess.run(["sh", "-c", line], capture_output=True, check=True, timeout=30).stdout == b"[now\nlater]\n"


def test_what_is_left_behind_ends_with_the_reader() -> None:
    process = start("sh", "-c", "(sleep 0.3; exec yes) & echo $!; exit 0")
    assert process.stdout is not None
    yes = int(process.stdout.readline())
    assert process.wait(20) == 0
    assert state(yes)
    process.stdout.close()
    until(lambda: state(yes) in ("", "Z"))


def test_copies_are_cut_at_their_limit_and_counted_in_full(tmp_path: Path) -> None:
    done = launch("--limit", "1000", PYTHON, "-c", "print('x'*5000); import sys; sys.stderr.write('e'*1000)", folder=tmp_path)
    assert len(done.stdout) == 5001
    assert (tmp_path / "stdout").read_bytes() == b"x" * 1000
    document = json.loads((tmp_path / "streams.json").read_text())
    pipes = document["stdout"].pop("pipe"), document["stderr"].pop("pipe")
    assert document["stdout"] == {"size": 5001, "truncated": True}
    assert document["stderr"] == {"size": 1000, "truncated": False}
    assert pipes[0] != pipes[1]
    assert document["ended"] is True


def test_the_count_goes_on_with_what_is_left_behind(tmp_path: Path) -> None:
    process = start("--folder", str(tmp_path), "sh", "-c", "(sleep 0.5; echo later) & echo now")
    process.wait(20)
    assert json.loads((tmp_path / "streams.json").read_text())["ended"] is False
    until(lambda: json.loads((tmp_path / "streams.json").read_text())["ended"])
    assert (tmp_path / "stdout").read_bytes() == b"now\nlater\n"
    assert json.loads((tmp_path / "streams.json").read_text())["stdout"]["size"] == 10
    process.communicate()


@pytest.mark.parametrize(("script", "moved"), [("cat > /dev/null", True), ("true", False)])
def test_whether_standard_input_was_read_is_noted(script: str, moved: bool, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("input\n")
    with (tmp_path / "in").open() as given:
        launch("sh", "-c", f"{script}; (sleep 0.2 &)", stdin=given, folder=tmp_path)
    document = json.loads((tmp_path / "streams.json").read_text())
    assert document["stdin"] == {"kind": "file", "path": str(tmp_path / "in"), "moved": moved}


def test_a_folder_that_cannot_be_written_costs_the_copy_alone(tmp_path: Path) -> None:
    done = launch("echo", "hi", folder=tmp_path / "nowhere")
    assert (done.returncode, done.stdout) == (0, b"hi\n")


def test_lines_of_several_writers_stay_whole() -> None:
    line = f"{PYTHON} -c 'import os,sys\nl=(sys.argv[1]*900+chr(10)).encode()\nfor _ in range(800): os.write(1,l)'"
    both = f"({' '.join(DRIVER)} {line} a & {' '.join(DRIVER)} {line} b & wait) | (sleep 0.2; cat)"
    done = subprocess.run(["bash", "-c", both], capture_output=True, check=True, timeout=60)
    assert {bytes(set(one)) for one in done.stdout.splitlines()} == {b"a", b"b"}
    assert len(done.stdout.splitlines()) == 1600


def test_a_hundred_megabytes_arrive_and_do_not_take_long() -> None:
    size = 100 << 20
    program = f"import os\nd=bytes(range(256))*256\nfor _ in range({size}//65536): os.write(1,d)"
    process = start(PYTHON, "-c", program)
    assert process.stdout is not None
    found, total, before = hashlib.blake2b(), 0, time.monotonic()
    while data := process.stdout.read1(1 << 20):  # type: ignore[attr-defined]
        total += len(data)
        found.update(data)
    assert process.wait() == 0
    assert total == size
    wanted = hashlib.blake2b()
    for _ in range(size // 65536):
        wanted.update(bytes(range(256)) * 256)
    assert found.digest() == wanted.digest()
    assert time.monotonic() - before < 10


def test_the_working_directory_and_the_environment_are_the_commands_own(tmp_path: Path) -> None:
    (tmp_path / "script").write_text('#!/bin/sh\necho "$0" "$(pwd)" $FOO\n')
    (tmp_path / "script").chmod(0o755)
    done = launch("--cwd", str(tmp_path), "./script", env={**os.environ, "FOO": "bar"})
    assert done.stdout == f"./script {tmp_path} bar\n".encode()


@pytest.mark.parametrize("content", [NOISE, b"".join(b"line %d\n" % number for number in range(30_000))])
def test_a_pipe_that_cannot_be_opened_again_gets_what_is_sure_to_fit(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to another user, as under sudo: its description is shared, and must stay as it is."""
    monkeypatch.setattr(pump, "again", lambda given, _access: (os.dup(given), False))
    reader, writer = os.pipe()
    outlet = pump.Outlet(writer)
    found, left = b"", memoryview(content)
    while left or len(found) < len(content):
        taken = outlet.write(left)
        left = left[taken:]
        if not taken:
            found += os.read(reader, 10_000)
    assert found == content
    assert os.get_blocking(writer)
    outlet.close()
    os.close(reader)
    os.close(writer)
