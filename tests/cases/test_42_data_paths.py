"""Cases 42 to 55: contents that move without read(2) and write(2), and ways to them that are no paths."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

from tests.cases.stage import TEXT, c_program, digest, gaps, project, python, recorded, used, user
from tests.record.running import VESTIGE, last, records, run, use

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")

__all__ = ["project"]  # the fixture

MAPPED = """
import mmap, os, sys
file = os.open(sys.argv[1], os.O_RDWR)
memory = mmap.mmap(file, 0)
os.close(file)
sum(memory[:])       # every page is there, and nothing has been written
memory[10] = ord("X")
"""


def test_case_42_a_shared_mapping_changes_the_file_it_is_of(project: Path) -> None:
    (project / "array").write_bytes(b"." * 10_000)
    record = python(project, MAPPED, "array")
    before, after = b"." * 10_000, b"." * 10 + b"X" + b"." * 9_989
    assert (project / "array").read_bytes() == after
    assert use(record, "inputs", "array")["digest"] == digest(before)
    written = use(record, "outputs", "array")
    assert (written["access"], written["before"], written["digest"]) == ("update", digest(before), digest(after))


@pytest.mark.not_under("ptrace")
def test_case_42_where_a_mapping_leaves_no_time_behind(project: Path) -> None:
    """In a file system in memory, a page that was read first is written without a trace."""
    folder = Path("/dev/shm") / f"vestige-{os.getpid()}"
    folder.mkdir()
    try:
        (folder / "array").write_bytes(b"." * 10_000)
        time.sleep(0.1)
        record = python(project, MAPPED, str(folder / "array"))
        after = digest(b"." * 10 + b"X" + b"." * 9_989)
        assert use(record, "inputs", f"{folder}/array")["digest"] == digest(b"." * 10_000)
        assert use(record, "outputs", f"{folder}/array")["digest"] == after
        assert use(recorded(project, "cat", f"{folder}/array"), "inputs", f"{folder}/array")["digest"] == after
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def test_case_43_a_mapping_to_read_is_an_input(project: Path) -> None:
    script = """
import mmap
with open("in", "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
    open("out", "wb").write(memory[:7])
"""
    record = python(project, script)
    assert used(record) == ({"in"}, {"out"})
    assert use(record, "inputs", "in")["digest"] == digest(TEXT)


def test_case_44_what_the_kernel_copies_is_read_and_written(project: Path) -> None:
    script = """
import fcntl, os
def both(name):
    return os.open("in", os.O_RDONLY), os.open(name, os.O_WRONLY | os.O_CREAT)
a, b = both("ranged")
os.copy_file_range(a, b, 1000)
a, b = both("sent")
os.sendfile(b, a, 0, 1000)
a, b = both("spliced")
r, w = os.pipe()
os.splice(b, os.splice(a, w, 1000) and 0) if False else os.splice(r, b, os.splice(a, w, 1000))
a, b = both("cloned")
try:
    fcntl.ioctl(b, 0x40049409, a)
except OSError:              # a file system that cannot share blocks
    os.write(b, os.read(a, 1000))
"""
    record = python(project, script.replace("os.splice(b, os.splice(a, w, 1000) and 0) if False else ", ""))
    assert used(record) == ({"in"}, {"ranged", "sent", "spliced", "cloned"})
    assert {use["digest"] for use in record["outputs"]} == {digest(TEXT)}


URING = """
int main(void) {
    char parameters[512] = {0};
    int ring = syscall(425, 8, parameters);
    return !(ring == -1 && errno == ENOSYS && open("in", O_RDONLY) >= 0);   /* falls back, as libraries do */
}
"""


@pytest.mark.also_under("ptrace")
def test_case_45_io_uring_is_denied_and_the_record_says_so(project: Path) -> None:
    record = recorded(project, c_program(project, URING))
    assert "io_uring_setup" in record["observation"]["denied"]
    assert used(record)[0] == {"in"}


OTHER_IO = """
#include <linux/aio_abi.h>
#include <sys/uio.h>
int main(void) {
    char *buffer;
    posix_memalign((void **)&buffer, 4096, 4096);
    int in = open("in", O_RDONLY | O_DIRECT);
    if (in < 0)
        in = open("in", O_RDONLY);     /* a file system in memory */
    aio_context_t context = 0;
    struct iocb block = {.aio_fildes = in, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_buf = (uintptr_t)buffer, .aio_nbytes = 4096};
    struct iocb *blocks[] = {&block};
    struct io_event event;
    if (syscall(SYS_io_setup, 1, &context) || syscall(SYS_io_submit, context, 1, blocks) != 1 ||
        syscall(SYS_io_getevents, context, 1, 1, &event, NULL) != 1 || event.res < 1)
        return 1;
    struct iovec vector = {buffer, event.res};
    return pwritev2(open("out", O_WRONLY | O_CREAT, 0666), &vector, 1, 0, 0) != event.res;
}
"""


def test_case_46_asynchronous_direct_and_vectored_calls_go_by_the_open(project: Path) -> None:
    record = recorded(project, c_program(project, OTHER_IO))
    assert used(record) == ({"in"}, {"out"})
    assert use(record, "outputs", "out")["digest"] == use(record, "inputs", "in")["digest"] == digest(TEXT)


RECEIVE = """
import array, os, socket, sys
end = socket.socket(socket.AF_UNIX)
end.connect("\\0" + sys.argv[1])
_, [(_, _, data)], _, _ = end.recvmsg(1, socket.CMSG_SPACE(4))
open("out", "wb").write(os.read(array.array("i", data)[0], 1000))
"""


@pytest.mark.also_under("ptrace", "preload")
def test_case_47_a_descriptor_from_outside_of_the_run_is_a_gap(project: Path) -> None:
    name = f"vestige-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server, (project / "in").open() as file:
        server.bind("\0" + name)
        server.listen()

        def serve() -> None:
            end, _ = server.accept()
            socket.send_fds(end, [b"x"], [file.fileno()])

        thread = threading.Thread(target=serve)
        thread.start()
        record = python(project, RECEIVE, name)
        thread.join()
    assert (project / "out").read_text() == TEXT
    assert used(record)[1] == {"out"}
    assert any(f"@{name}" in one["endpoint"] for one in record["network"])
    (gap,) = gaps(record)
    assert f"@{name}" in gap


HANDLE = """
int main(void) {
    struct file_handle *handle = calloc(1, sizeof *handle + MAX_HANDLE_SZ);
    handle->handle_bytes = MAX_HANDLE_SZ;
    int mount;
    if (name_to_handle_at(AT_FDCWD, "in", handle, &mount, 0))
        return 2;
    int in = open_by_handle_at(open(".", O_RDONLY), handle, O_RDONLY);
    if (in < 0)
        return errno == EPERM ? 3 : 4;
    char text[64];
    return read(in, text, sizeof text) != sizeof text;
}
"""


@pytest.mark.parametrize("way", ["compiled", "python"])
def test_case_47_a_file_opened_by_its_handle(project: Path, way: str) -> None:
    """Root may look up what a handle stands for, and so may we; others may not, and the gap is named."""
    record = recorded(project, c_program(project, HANDLE), status=3 if user() else 0, environ={"VESTIGE_WATCHER": way})
    assert used(record)[0] == (set() if user() else {"in"})
    assert [gap for gap in gaps(record) if "handle" not in gap] == []
    assert len(gaps(record)) == user()


def test_case_48_memory_that_is_shared_is_no_file_of_the_run(project: Path) -> None:
    script = """
import mmap, os
file = os.memfd_create("scratch")
os.write(file, b"x")
open(f"/proc/self/fd/{file}").read()
name = f"/dev/shm/vestige-{os.getpid()}"
shared = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)
os.ftruncate(shared, 4096)
mmap.mmap(shared, 4096)[0] = 1
if not os.fork():
    open(name, "r+").read()
    os._exit(0)
os.wait()
os.unlink(name)
"""
    assert used(python(project, script)) == (set(), set())


def test_case_49_a_fifo_joins_two_commands_and_is_never_read_by_us(project: Path) -> None:
    record = recorded(project, "sh", "-c", "mkfifo f; (sleep 0.2; tr a-z A-Z < in > f) & cat f > out; wait; test -p f")
    assert used(record) == ({"in"}, {"out"})
    assert use(record, "outputs", "out")["digest"] == digest(TEXT.upper())


def test_case_50_a_pipe_joins_two_commands(project: Path) -> None:
    record = recorded(project, "sh", "-c", "cat in | tr a-z A-Z > out")
    assert used(record) == ({"in"}, {"out"})
    (shell, *others) = record["processes"]
    assert {tuple(one["argv"]) for one in others} == {("cat", "in"), ("tr", "a-z", "A-Z")}
    assert {one["parent"] for one in others} == {shell["pid"]}


def pipeline(project: Path, line: str) -> str:
    """What `vestige trace out` says after a line of a shell, in which `vestige` is ours."""
    subprocess.run(["sh", "-c", line.replace("vestige", " ".join(VESTIGE))], cwd=project, check=True)
    assert len(records(project)) == line.count("vestige")
    return subprocess.run([*VESTIGE, "trace", "out"], cwd=project, capture_output=True, text=True, check=True).stdout


@pytest.mark.not_under("ptrace", "preload")
def test_case_49_two_runs_that_talk_through_a_fifo_are_linked(project: Path) -> None:
    traced = pipeline(project, "mkfifo f; vestige run cat in > f & vestige run tr a-z A-Z < f > out; wait")
    assert "cat in" in traced
    assert "tr a-z A-Z" in traced
    assert (project / "out").read_text() == TEXT.upper()


@pytest.mark.not_under("ptrace", "preload")
def test_case_50_runs_of_a_pipeline_are_linked(project: Path) -> None:
    traced = pipeline(project, "vestige run cat in | vestige run tr a-z A-Z | vestige run sort > out")
    assert traced.index("cat in") < traced.index("tr a-z A-Z") < traced.index("sort")
    down = subprocess.run([*VESTIGE, "trace", "--down", "in"], cwd=project, capture_output=True, text=True, check=True).stdout
    assert "out" in down.split()
    states = subprocess.run([*VESTIGE, "status"], cwd=project, capture_output=True, text=True, check=True).stdout
    assert "pipe" not in states
    (project / "in").write_text("other\n")
    stale = subprocess.run([*VESTIGE, "status"], cwd=project, capture_output=True, text=True, check=False).stdout
    assert "stale" in stale
    assert "out" in stale.split()


def test_case_51_what_the_shell_has_opened_for_the_command_is_used_by_it(project: Path) -> None:
    (project / "log").write_text("before\n")
    (project / "third").write_text("third\n")
    line = " ".join([*VESTIGE, "run", "sh", "-c", "'cat; cat <&3; echo trouble >&2'", "< in", "> out", "2>> log", "3< third"])
    subprocess.run(["sh", "-c", line], cwd=project, check=True)
    record = last(project)
    assert used(record) == ({"in", "third", "log"}, {"out", "log"})
    assert use(record, "outputs", "out")["digest"] == digest(TEXT + "third\n")
    log = use(record, "outputs", "log")
    assert (log["access"], log["before"], log["digest"]) == ("append", digest("before\n"), digest("before\ntrouble\n"))


def test_case_52_what_is_substituted_is_no_file(project: Path) -> None:
    script = "cat <<END > out\nhere\nEND\ncat <(tr a-z A-Z < in) >> out; tee >(cat > tee.out) < in > /dev/null; sleep 0.1"
    record = recorded(project, "bash", "-c", script)
    assert used(record) == ({"in"}, {"out", "tee.out"})
    assert use(record, "outputs", "out")["digest"] == digest("here\n" + TEXT.upper())


def test_case_53_a_database_is_used_and_its_side_files_come_and_go(project: Path) -> None:
    with sqlite3.connect(project / "data.db") as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("create table t (a)")
    connection.close()
    before = digest((project / "data.db").read_bytes())
    script = """
import sqlite3
connection = sqlite3.connect("data.db")
with connection:
    connection.execute("insert into t values (1)")
connection.close()
"""
    record = python(project, script)
    assert used(record) == ({"data.db"}, {"data.db"})
    assert use(record, "inputs", "data.db")["digest"] == before
    written = use(record, "outputs", "data.db")
    assert (written["before"], written["digest"]) == (before, digest((project / "data.db").read_bytes()))
    assert written["digest"] != before


def test_case_54_of_what_is_in_an_archive_the_archive_is_the_input(project: Path) -> None:
    with zipfile.ZipFile(project / "all.zip", "w") as archive:
        archive.writestr("inside.txt", "x")
        archive.writestr("module.py", "value = 1\n")
    script = """
import sys, zipfile
zipfile.ZipFile("all.zip").read("inside.txt")
sys.path.insert(0, "all.zip")
import module
"""
    assert used(python(project, script)) == ({"all.zip"}, set())


def test_case_55_a_huge_file_holds_nobody_up(project: Path) -> None:
    (project / "vestige.toml").write_text('hash_limit = "10 GiB"\n')
    with (project / "huge").open("wb") as file:
        file.truncate(40 << 30)
    began = time.monotonic()
    run(project, sys.executable, "-I", "-S", "-c", "open('huge', 'rb').read(10); open('huge', 'r+b').write(b'x')")
    record = last(project)
    assert time.monotonic() - began < 8
    read, written = use(record, "inputs", "huge"), use(record, "outputs", "huge")
    assert read["digest"] is written["digest"] is None
    assert read["signature"]["size"] == written["signature"]["size"] == 40 << 30
    assert read["signature"]["mtime_ns"] < written["signature"]["mtime_ns"]
    assert record["problems"] == [f"{project}/huge is larger than hash_limit: it is known by its size and its times"]
