"""The same small programs, however they are observed: each way sees exactly what it can, and says what it cannot."""

from __future__ import annotations

import gzip
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from tests.launch.test_recorded import session
from tests.observe.test_watcher import IO_URING, OLD_CALLS, READ_AND_WRITE, compiled
from tests.record.running import last, paths, run, use
from vestige.observe.audit import GAP
from vestige.observe.interface import Event, parse

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these ways are Linux's")


@dataclass
class Rung:
    """A way of observing. `whole`: it sees every process; `outside`: it sees programs that are not Python."""

    name: str
    watcher: str = ""
    whole: bool = True
    outside: bool = True

    def record(self, folder: Path, *words: str, code: int = 0) -> dict[str, Any]:
        """What `vestige run` says of a command, which must end as without it."""
        done = run(folder, *words, options=["--observe", self.name], environ={"VESTIGE_WATCHER": self.watcher})
        assert done.returncode == code, done.stderr
        record = last(folder)
        assert record["observation"]["method"] == self.name
        assert record["observation"]["refused"] == []
        if self.whole:
            assert record["observation"]["gaps"] == []
        if not self.outside:
            assert GAP in record["observation"]["gaps"]
        return record


RUNGS = (
    Rung("notify"),
    Rung("notify", "python"),
    Rung("ptrace"),
    Rung("preload", whole=False),
    Rung("audit", whole=False, outside=False),
)


@pytest.fixture(params=RUNGS, ids=["notify", "notify-python", "ptrace", "preload", "audit"])
def rung(request: pytest.FixtureRequest) -> Rung:
    assert isinstance(request.param, Rung)
    return request.param


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "p"
    made.mkdir()
    (made / "in").write_text("hello")
    (made / "vestige.toml").touch()
    return made


def digest(text: str) -> str:
    return "blake3:" + blake3(text.encode()).hexdigest()


def events(folder: Path, record: dict[str, Any]) -> list[Event]:
    name = record["observation"]["raw"].removeprefix("blake3:")
    (stored,) = (folder / ".vestige" / "objects").rglob(name[2:])
    return list(parse(gzip.decompress(stored.read_bytes()).splitlines(keepends=True)))


def seen(rung: Rung, names: Sequence[str]) -> set[str]:
    """What a program that is not Python has read."""
    return set(names) if rung.outside else set()


# -- what is seen -----------------------------------------------------------------------------------------------------------


def test_a_c_program(rung: Rung, folder: Path) -> None:
    record = rung.record(folder, compiled(folder, READ_AND_WRITE))
    assert (folder / "out").read_text() == "hello"
    assert paths(record, "inputs") == seen(rung, ["in"])
    assert paths(record, "outputs") == {"out"}


def test_a_c_program_that_is_linked_statically(rung: Rung, folder: Path) -> None:
    program = compiled(folder, READ_AND_WRITE, "-static")
    record = rung.record(folder, program)
    assert (folder / "out").read_text() == "hello"
    assert paths(record, "inputs") == ({"in"} if rung.whole else set())
    if rung.name == "preload":
        assert paths(record, "outputs") == set()
        assert any(gap.startswith(program) for gap in record["observation"]["gaps"])
    else:
        assert paths(record, "outputs") == {"out"}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the 32-bit entry is x86's")
def test_the_32_bit_entry(rung: Rung, folder: Path) -> None:
    program = compiled(folder, OLD_CALLS, "-static", "-nostdlib", "-no-pie", "-fno-pie", "-fno-stack-protector")
    record = rung.record(folder, program)
    assert paths(record, "inputs") == ({"in"} if rung.whole else set())
    assert ("made" in paths(record, "outputs")) == (rung.name != "preload")


def test_io_uring(rung: Rung, folder: Path) -> None:
    refused = run(folder, compiled(folder, IO_URING), options=["--observe", rung.name]).returncode == 0
    assert refused == rung.outside
    assert ("io_uring_setup" in last(folder)["observation"]["denied"]) == rung.outside


def test_a_shells_redirections_and_children(rung: Rung, folder: Path) -> None:
    (folder / "old").write_text("old")
    script = "cat < in > a; mv a b; cp b c; ln c d; ln -s c e; rm b; mkdir f; cp in f/g; mv old new"
    record = rung.record(folder, "sh", "-c", script)
    assert paths(record, "inputs") == seen(rung, ["in", "old"])
    assert paths(record, "outputs") >= {"c", "d", "f/g", "new"}
    assert ("e" in paths(record, "outputs")) == rung.outside  # a link has no content to be compared


def test_threads_and_processes_of_python(rung: Rung, folder: Path) -> None:
    script = """
import multiprocessing, threading
def write(name):
    open(name, "w").write(open("in").read())
threads = [threading.Thread(target=write, args=(f"t{i}",)) for i in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
processes = [multiprocessing.Process(target=write, args=(f"p{i}",)) for i in range(4)]
[p.start() for p in processes]; [p.join() for p in processes]
"""
    record = rung.record(folder, sys.executable, "-c", script)
    assert paths(record, "inputs") == {"in"}
    assert paths(record, "outputs") == {f"t{i}" for i in range(8)} | {f"p{i}" for i in range(4)}
    noted = events(folder, record)
    writers = {event.path: event.pid for event in noted if event.op == "w" and event.pid}
    assert len({writers[f"{folder}/t{i}"] for i in range(8)}) == 1
    assert len({writers[f"{folder}/p{i}"] for i in range(4)}) == 4


def test_paths_relative_to_a_folders_descriptor(rung: Rung, folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "read").write_text("x")
    script = """
import os
d = os.open("sub", os.O_RDONLY)
os.close(os.open("read", os.O_RDONLY, dir_fd=d))
os.close(os.open("made", os.O_WRONLY | os.O_CREAT, dir_fd=d))
os.fchdir(d)
os.replace("made", "../moved")
open("../in").close()
"""
    record = rung.record(folder, sys.executable, "-c", script)
    assert "moved" in paths(record, "outputs")
    if rung.outside:
        assert paths(record, "inputs") == {"in", "sub/read"}


def test_names_of_any_bytes(rung: Rung, folder: Path) -> None:
    odd = os.fsdecode(b'a\n\xff"\\%')
    (folder / odd).write_text("x")
    rung.record(folder, sys.executable, "-c", "import sys, shutil; shutil.copyfile(sys.argv[1], sys.argv[1] + '2')", odd)
    noted = events(folder, last(folder))
    assert [event for event in noted if event.op == "r" and event.path == f"{folder}/{odd}"]
    assert [event for event in noted if event.op == "w" and event.path == f"{folder}/{odd}2"]


def test_what_is_absent_is_no_input(rung: Rung, folder: Path) -> None:
    script = "import os\ntry: open('nothing')\nexcept OSError: pass"
    record = rung.record(folder, sys.executable, "-c", script)
    assert paths(record, "inputs") == set()
    absent = [event for event in events(folder, record) if event.op == "a" and event.path == f"{folder}/nothing"]
    assert len(absent) == 1


# -- what is lost --------------------------------------------------------------------------------------------------------------


def test_a_content_is_taken_before_it_is_changed(rung: Rung, folder: Path) -> None:
    record = rung.record(folder, "sh", "-c", "cat in; printf new > in")
    written = use(record, "outputs", "in")
    assert written["digest"] == digest("new")
    if rung.outside:
        assert use(record, "inputs", "in")["digest"] == digest("hello")
        assert written["before"] == digest("hello")
        assert "h" in {event.op for event in events(folder, record)}
    else:
        assert paths(record, "inputs") == set()


def test_a_large_content_is_taken_while_others_go_on(rung: Rung, folder: Path) -> None:
    (folder / "large").write_bytes(b"x" * (5 << 20))
    script = "cat large > /dev/null; : > large & for i in 1 2 3 4 5; do cat in > o$i; done; wait"
    record = rung.record(folder, "sh", "-c", script)
    assert paths(record, "outputs") == {"large", "o1", "o2", "o3", "o4", "o5"}
    if rung.outside:
        assert use(record, "inputs", "large")["digest"] == digest("x" * (5 << 20))


def test_a_file_that_the_shell_opened_is_known(rung: Rung, folder: Path) -> None:
    command = [sys.executable, "-m", "vestige", "run", "--observe", rung.name, "--", "cat"]
    with (folder / "in").open() as read, (folder / "out").open("w") as written:
        subprocess.run(command, cwd=folder, stdin=read, stdout=written, check=True)
    record = last(folder)
    assert (paths(record, "inputs"), paths(record, "outputs")) == ({"in"}, {"out"})


# -- processes -----------------------------------------------------------------------------------------------------------------


def test_an_orphan_that_goes_on_writing(rung: Rung, folder: Path) -> None:
    record = rung.record(folder, "sh", "-c", "(sleep 0.4; cat in > late) & exit 3", code=3)
    assert (folder / "late").read_text() == "hello"
    assert paths(record, "outputs") == {"late"}
    assert paths(record, "inputs") == seen(rung, ["in"])


def test_many_short_processes(rung: Rung, folder: Path) -> None:
    record = rung.record(folder, "sh", "-c", "i=0; while [ $i -lt 60 ]; do (cat in > f$i) & i=$((i+1)); done; wait")
    assert paths(record, "outputs") == {f"f{i}" for i in range(60)}


EXECUTES_IN_A_THREAD = """
#include <pthread.h>
#include <unistd.h>
static void *other(void *given) { pause(); return given; }
static void *become(void *given) { execlp("cp", "cp", "in", "out", (char *)0); return given; }
int main(void) {
    pthread_t one, two;
    pthread_create(&one, 0, other, 0);
    pthread_create(&two, 0, become, 0);
    pause();
    return 1;
}
"""


def test_a_thread_that_executes(rung: Rung, folder: Path) -> None:
    record = rung.record(folder, compiled(folder, EXECUTES_IN_A_THREAD, "-pthread"))
    assert paths(record, "inputs") == seen(rung, ["in"])
    assert paths(record, "outputs") == {"out"}


VFORKS = """
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
    int status;
    pid_t child = vfork();
    if (child == 0) {
        execlp("cp", "cp", "in", "out", (char *)0);
        _exit(127);
    }
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}
"""


def test_a_child_that_borrows_its_parents_memory(rung: Rung, folder: Path) -> None:
    record = rung.record(folder, compiled(folder, VFORKS))
    assert paths(record, "inputs") == seen(rung, ["in"])
    assert paths(record, "outputs") == {"out"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_a_signal_ends_the_command_as_it_would(rung: Rung, folder: Path, number: signal.Signals) -> None:
    record = rung.record(folder, "sh", "-c", f"ulimit -c 0; kill -{number.value} $$", code=128 + number)
    assert record["signal"] == number


def test_signals_are_handled_in_their_number_and_order(rung: Rung, folder: Path) -> None:
    script = """
import os, signal
seen = []
signal.signal(signal.SIGUSR1, lambda *_: seen.append("1"))
signal.signal(signal.SIGUSR2, lambda *_: seen.append("2"))
signal.signal(signal.SIGTRAP, lambda *_: seen.append("t"))
for _ in range(50):
    os.kill(os.getpid(), signal.SIGUSR1); os.kill(os.getpid(), signal.SIGUSR2); os.kill(os.getpid(), signal.SIGTRAP)
    open("in").close()
open("out", "w").write("".join(seen))
"""
    rung.record(folder, sys.executable, "-c", script)
    assert (folder / "out").read_text() == "12t" * 50


def test_a_shell_inside_has_job_control(rung: Rung, folder: Path) -> None:
    script = """
set -m
sh -c 'kill -STOP $$; cat in > out' &
while jobs > stopped; ! grep -q Stopped stopped; do sleep 0.01; done
fg > /dev/null
cat out
"""
    rung.record(folder, "bash", "-c", script)
    assert "Stopped" in (folder / "stopped").read_text()
    assert (folder / "out").read_text() == "hello"


def test_stopping_with_ctrl_z_and_going_on(rung: Rung, folder: Path) -> None:
    script = "import time; print('ready', flush=True); time.sleep(0.6); print('on', flush=True); print(open(input()).read())"
    (folder / "wait.py").write_text(script)
    line = f"VESTIGE_WATCHER={rung.watcher} {sys.executable} -m vestige run --observe {rung.name} python3 wait.py\n"
    steps = (
        (b"", b"PS1=prompt:\n"),
        (b"hprompt:", line.encode()),
        (b"ready\r\n", b"\x1a"),
        (b"Stopped", b"fg\n"),
        (b"on\r\n", b"in\n"),
        (b"vestige: ", b"echo status $?; exit\n"),
    )
    screen, _ = session("bash --norc --noprofile -i", folder, steps)
    assert re.search(rb"in\r\nhello\r\n", screen)
    assert b"status 0" in screen
    assert paths(last(folder), "inputs") == {"in"}
