"""The watcher, with real programs under the real kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.observe.watching import watch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")

READ_AND_WRITE = """
#include <fcntl.h>
#include <unistd.h>
int main(void) {
    char buffer[64];
    int in = open("in", O_RDONLY), out = open("out", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    write(out, buffer, read(in, buffer, sizeof buffer));
    return 0;
}
"""

OLD_CALLS = """
/* int 0x80: the 32-bit entry, from a 64-bit program that lies below 4 GiB */
static long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
    return result;
}
static char name[] = "in", other[] = "made";
void _start(void) {
    call(5, (long)name, 0, 0);
    call(5, (long)other, 0101, 0666);
    call(1, 0, 0, 0);
}
"""

IO_URING = """
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) { char p[512] = {0}; return syscall(425, 8, p) == -1 && errno == ENOSYS ? 0 : 1; }
"""


def compiled(folder: Path, source: str, *flags: str) -> str:
    (folder / "program.c").write_text(source)
    program = folder.parent / "program"
    subprocess.run(["gcc", "-w", "-o", str(program), str(folder / "program.c"), *flags], check=True)
    (folder / "program.c").unlink()
    return str(program)


@pytest.fixture(autouse=True, params=["compiled", "python"])
def _of_either_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VESTIGE_WATCHER", request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "p"
    made.mkdir()
    (made / "in").write_text("hello")
    return made


@pytest.mark.parametrize("flags", [(), ("-static",)], ids=["dynamic", "static"])
def test_a_c_program_is_seen_however_it_was_linked(folder: Path, flags: tuple[str, ...]) -> None:
    seen = watch([compiled(folder, READ_AND_WRITE, *flags)], folder)
    assert seen.status == 0
    assert (folder / "out").read_text() == "hello"
    (read,) = seen.of("r", folder / "in")
    assert read.signature is not None
    assert read.signature.size == 5
    (written,) = seen.of("w", folder / "out")
    assert written.signature is None
    assert written.flags & os.O_TRUNC


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the 32-bit entry is x86's")
def test_calls_through_the_32_bit_entry_are_decoded_by_its_own_table(folder: Path) -> None:
    program = compiled(folder, OLD_CALLS, "-static", "-nostdlib", "-no-pie", "-fno-pie", "-fno-stack-protector")
    seen = watch([program], folder)
    assert len(seen.of("r", folder / "in")) == 1
    assert len(seen.of("w", folder / "made")) == 1


def test_io_uring_is_refused_as_if_the_kernel_had_none(folder: Path) -> None:
    assert watch([compiled(folder, IO_URING)], folder).status == 0


def test_a_shells_redirections_and_children_are_seen(folder: Path) -> None:
    seen = watch(["sh", "-c", "cat < in > a; mv a b; cp b c; ln c d; ln -s c e; rm b; mkdir f"], folder)
    assert seen.of("r", folder / "in")
    assert seen.of("w", folder / "a")
    assert [event.other for event in seen.of("m", folder / "a")] == [str(folder / "b")]
    assert seen.of("w", folder / "c")
    assert [event.other for event in seen.of("l", folder / "c")] == [str(folder / "d")]
    assert [event.other for event in seen.of("s", folder / "e")] == ["c"]
    assert seen.of("u", folder / "b")
    assert seen.of("k", folder / "f")
    programs = [os.path.basename(event.path or "") for event in seen.events if event.op == "x"]
    assert programs[0] in ("sh", "dash", "bash")
    assert {"cat", "mv", "cp", "ln", "rm", "mkdir"} <= set(programs)


def test_threads_and_processes_of_python_are_seen(folder: Path) -> None:
    script = """
import multiprocessing, threading
def write(name):
    open(name, "w").write(name)
threads = [threading.Thread(target=write, args=(f"t{i}",)) for i in range(20)]
[t.start() for t in threads]; [t.join() for t in threads]
processes = [multiprocessing.Process(target=write, args=(f"p{i}",)) for i in range(4)]
[p.start() for p in processes]; [p.join() for p in processes]
"""
    seen = watch([sys.executable, "-I", "-c", script], folder)
    assert seen.status == 0
    threads = [seen.of("w", folder / f"t{i}")[0].pid for i in range(20)]
    assert len(set(threads)) == 1
    processes = {seen.of("w", folder / f"p{i}")[0].pid for i in range(4)}
    assert len(processes) == 4
    parents = {event.pid: event.flags for event in seen.events if event.op == "p"}
    assert {parents[pid] for pid in processes} == {threads[0]}


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("perl", "open(A, '<', 'in'); open(B, '>', 'out'); print B <A>;"),
        pytest.param(
            "node", "const fs = require('fs'); fs.writeFileSync('out', fs.readFileSync('in'))", marks=pytest.mark.programs
        ),
    ],
)
def test_other_languages_are_seen(folder: Path, program: str, text: str) -> None:
    assert shutil.which(program), f"{program} is needed for this test"
    seen = watch([program, "-e", text], folder)
    assert (folder / "out").read_text() == "hello"
    assert seen.of("r", folder / "in")
    assert seen.of("w", folder / "out")


def test_paths_relative_to_a_folders_descriptor_are_made_absolute(folder: Path) -> None:
    (folder / "sub").mkdir()
    script = """
import os
d = os.open("sub", os.O_RDONLY)
os.close(os.open("made", os.O_WRONLY | os.O_CREAT, dir_fd=d))
os.fchdir(d)
os.replace("made", "../moved")
open("../in").close()
"""
    seen = watch([sys.executable, "-I", "-c", script], folder)
    assert seen.of("w", folder / "sub" / "made")
    assert [event.other for event in seen.of("m", folder / "sub" / "made")] == [f"{folder}/sub/../moved"]
    assert seen.of("r", f"{folder}/sub/../in")


def test_names_with_newlines_and_bytes_that_are_not_utf8_survive(folder: Path) -> None:
    name = os.fsdecode(b'a\n\xff"\\%')
    (folder / name).write_text("x")
    seen = watch(["cat", name], folder)
    assert seen.of("r", f"{folder}/{name}")


def test_what_is_absent_is_noted_once_and_is_no_input(folder: Path) -> None:
    seen = watch(["sh", "-c", "cat nothing; cat nothing"], folder)
    assert len(seen.of("a", folder / "nothing")) == 1
    assert not seen.of("r", folder / "nothing")


def test_a_file_is_handed_over_before_it_is_changed(folder: Path) -> None:
    contents = {}

    def preimage(path: str, found: os.stat_result) -> tuple[str | None, bool]:
        contents[path] = Path(path).read_text()
        return "x:" + contents[path], True

    seen = watch(["sh", "-c", "cat in; echo changed > in; echo again > in"], folder, preimage=preimage)
    assert contents == {str(folder / "in"): "hello"}
    (event,) = seen.of("h", folder / "in")
    assert event.text == "x:hello"
    assert event.flags == 1
    operations = [event.op for event in seen.events if event.path == str(folder / "in")]
    assert operations == ["r", "h", "w", "w"]


def test_a_large_file_is_taken_in_a_thread_while_others_go_on(folder: Path) -> None:
    with (folder / "large").open("wb") as file:
        file.truncate(3 << 20)
    started = threading.Event()

    def preimage(path: str, found: os.stat_result) -> tuple[str | None, bool]:
        started.set()
        time.sleep(0.5)
        return f"x:{os.stat(path).st_size}", False

    reads = "for i in 1 2 3 4 5; do cat in > /dev/null; done"
    script = f"cat large > /dev/null; (: > large) & sleep 0.1; {reads}; date +%s%N > t; wait; date +%s%N > u"
    seen = watch(["sh", "-c", script], folder, preimage=preimage)
    assert started.is_set()
    (event,) = seen.of("h", folder / "large")
    assert event.text == f"x:{3 << 20}"
    assert (folder / "large").stat().st_size == 0
    assert int((folder / "u").read_text()) - int((folder / "t").read_text()) > 100_000_000


def test_changes_to_the_project_wait_for_the_snapshot_and_reads_do_not(folder: Path) -> None:
    reader, writer = os.pipe()
    (folder / "code.py").write_text("1")
    script = "cat in > ../read; echo 2 > code.py"
    content = []

    def snapshot() -> None:
        time.sleep(0.4)
        content.append(((folder.parent / "read").exists(), (folder / "code.py").read_text()))
        os.write(writer, b"1")

    thread = threading.Thread(target=snapshot)
    thread.start()
    seen = watch(["sh", "-c", script], folder, snapshot=reader)
    thread.join()
    assert content == [(True, "1")]
    assert (folder / "code.py").read_text() == "2\n"
    assert not [event for event in seen.events if event.op == "g"]


def test_a_snapshot_that_never_comes_holds_nothing_up_for_long(folder: Path) -> None:
    reader, writer = os.pipe()
    (folder / "code.py").write_text("1")
    before = time.monotonic()
    seen = watch(["sh", "-c", "echo 2 > code.py"], folder, snapshot=reader)
    assert time.monotonic() - before < 5
    os.close(writer)
    assert (folder / "code.py").read_text() == "2\n"
    assert [event.text for event in seen.events if event.op == "g"] == [
        "the code was changed by the run before its snapshot was complete"
    ]


def test_an_orphan_keeps_the_watcher_waiting_and_is_seen(folder: Path) -> None:
    seen = watch(["sh", "-c", "(sleep 0.5; echo late > late) & exit 3"], folder)
    assert os.WEXITSTATUS(seen.status) == 3
    assert (folder / "late").read_text() == "late\n"
    assert seen.of("w", folder / "late")


@pytest.mark.programs
def test_a_debugger_works_under_the_watcher(folder: Path) -> None:
    assert shutil.which("strace"), "strace is needed for this test"
    seen = watch(["strace", "-f", "-o", "trace", "-e", "trace=openat", "cat", "in"], folder)
    assert seen.status == 0
    assert '"in"' in (folder / "trace").read_text()
    assert seen.of("r", folder / "in")


def test_many_short_processes_lose_nothing(folder: Path) -> None:
    seen = watch(["sh", "-c", "i=0; while [ $i -lt 200 ]; do : > f$i; cat f$i; i=$((i+1)); done"], folder)
    assert seen.status == 0
    assert all(seen.of("w", folder / f"f{i}") and seen.of("r", folder / f"f{i}") for i in range(200))


def test_that_a_library_of_the_system_is_loaded_is_told_once(folder: Path) -> None:
    seen = watch(["sh", "-c", "for i in 1 2 3 4; do cat in; done"], folder)
    read = [event.path for event in seen.events if event.op == "r"]
    assert read.count("/etc/ld.so.cache") == 1
    assert len([path for path in read if path and "/libc.so" in path]) == 1
    assert read.count(str(folder / "in")) == 4
