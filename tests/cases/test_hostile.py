"""Bad input: programs that do what they can to escape, and a host that plays tricks on us."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cases.stage import TEXT, c_program, digest, used
from tests.record.running import VESTIGE, last, run, use

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")

WAYS = ("notify", "ptrace", "preload")
MANY = 120

FILL = f"""
cat in; i=0
while [ $i -lt {MANY} ]; do echo $i > f$i; read x < f$i; mv f$i g$i; i=$((i+1)); done
echo said >&2; exit 3
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder that is no repository, with a file of data in it."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "vestige.toml").touch()
    (folder / "in").write_text(TEXT)
    return folder


@pytest.mark.parametrize(("way", "blocks"), [("notify", 8), ("notify", 24), ("ptrace", 8), ("ptrace", 24), ("audit", 8)])
def test_case_90_a_journal_that_may_not_grow_further_is_known_to_be_short(project: Path, way: str, blocks: int) -> None:
    line = f"ulimit -f {blocks}; exec {' '.join(VESTIGE)} run --observe {way} sh -c '{FILL}'"
    done = subprocess.run(["sh", "-c", line], cwd=project, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (3, TEXT.encode())
    assert done.stderr.endswith(b"said\n")
    assert sorted(one.name for one in project.glob("g*")) == sorted(f"g{number}" for number in range(MANY))
    subprocess.run([*VESTIGE, "log"], cwd=project, capture_output=True, check=True)  # there is room again
    record = last(project)
    assert (record["status"], record["exit_code"], record["observation"]["method"]) == ("failed", 3, way)
    outputs = used(record)[1]
    assert outputs <= {f"g{number}" for number in range(MANY)}
    if way == "audit":  # it compares folders in the end
        assert len(outputs) == MANY
    else:
        lost = record["observation"]["lost"]
        assert lost > 0
        assert [
            gap for gap in record["observation"]["gaps"] if gap.startswith(f"there was no room to write down {lost:,} of the")
        ]


BARE = r"""
#include <linux/close_range.h>
extern char **environ;
int main(void) {
    char text[4096];
    long length;
    close_range(3, ~0U, 0);
    clearenv();
    for (int at = 0; at < 100; at++) {  /* and whatever it may take for one of ours */
        fcntl(at + 3, F_SETFD, 0);
        close(at + 3);
    }
    prctl(PR_SET_NAME, "\n\xff)( [", 0, 0, 0);
    int in = open("in", O_RDONLY), out = open("out", O_CREAT | O_WRONLY, 0666);
    if (in != 3 || out != 4)
        return 1;
    length = read(in, text, sizeof text);
    write(out, text, length);
    close_range(0, ~0U, 0);
    char *words[] = {"sh", "-c", "cat out > later", NULL}, *none[] = {NULL};
    execve("/bin/sh", words, none);
    return 2;
}
"""


@pytest.mark.parametrize("way", WAYS)
def test_case_69_nothing_that_a_program_closes_or_clears_is_ours(project: Path, way: str) -> None:
    program = c_program(project, BARE)
    done = run(project, program, options=["--observe", way])
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    record = last(project)
    assert record["observation"]["method"] == way
    # Without its descriptors, a child of the shell that has no environment, is nobody whom the library could tell of.
    expected = {"out", "later"} if way != "preload" else {"out"}
    assert expected <= used(record)[1]
    assert used(record)[0] == {"in"}
    assert use(record, "inputs", "in")["digest"] == use(record, "outputs", "out")["digest"] == digest(TEXT)


@pytest.mark.parametrize("way", WAYS)
def test_case_25_names_of_any_bytes_are_themselves(project: Path, way: str) -> None:
    folder = os.fsencode(project)
    names = [b"\xff\xfe", b"a\nb\tc", b"-rf", b"%41", b"x" * 255, b'"\\', b"\xc3\xa9", b"\xed\xa0\x80", b" ", b"$(id)"]
    for name in names:
        with open(os.path.join(folder, name), "wb") as file:
            file.write(name)
    words = b" ".join(b"./" + shlex.quote(os.fsdecode(name)).encode("utf-8", "surrogateescape") for name in names)
    done = run(project, "sh", "-c", os.fsdecode(b"cat " + words + b" > out"), options=["--observe", way])
    assert done.returncode == 0
    assert (project / "out").read_bytes() == b"".join(names)
    record = last(project)
    found = {one["digest"] for one in record["inputs"] if one["size"] and one["path"] != "vestige.toml"}
    assert {digest(name) for name in names} <= found


AHEAD = """
#include <time.h>
/* The wall clock of whoever loads this is off by as many seconds as a file says, at any moment. */
static time_t ahead(void) {
    char text[32] = "";
    char *path = getenv("AHEAD");
    int file = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return 0;
    syscall(SYS_read, file, text, sizeof text - 1);
    syscall(SYS_close, file);
    return atol(text);
}
int clock_gettime(clockid_t clock, struct timespec *time) {
    long status = syscall(SYS_clock_gettime, clock, time);
    if (!status && clock == CLOCK_REALTIME)
        time->tv_sec += ahead();
    return status;
}
time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into)
        *into = now.tv_sec;
    return now.tv_sec;
}
"""


@pytest.mark.parametrize("way", [*WAYS, "audit"])
@pytest.mark.parametrize("jump", [-7 * 86400, 7 * 86400])
def test_case_91_a_clock_that_jumps_while_the_command_runs_spoils_nothing(project: Path, way: str, jump: int) -> None:
    """It jumps for the recorder and for the command, but not for the file system, as on a server elsewhere."""
    shim = c_program(project, AHEAD, "-shared", "-fPIC")
    clock = project.parent / "clock"
    clock.write_text("0")
    script = (
        f"cat in > before; sleep 0.2; echo {jump} > {clock}; cat before > out; touch -d @4102444800 out; cat in >> log; exit 3"
    )
    done = run(project, "sh", "-c", script, environ={"LD_PRELOAD": shim, "AHEAD": str(clock)}, options=["--observe", way])
    assert (done.returncode, done.stdout) == (3, b"")
    record = last(project)
    assert (record["status"], record["exit_code"], record["observation"]["method"]) == ("failed", 3, way)
    assert record["problems"] == []
    assert used(record)[1] - {str(clock)} == {"before", "out", "log"}
    assert (record["ended"] > record["started"]) == (jump > 0)
    assert 0.2 <= record["duration"] < 30
    moments = [use(record, "outputs", name)["first"]["seq"] for name in ("before", "out", "log")]
    assert moments == sorted(moments)
    assert 0 <= moments[0] - record["sequence"] < 30_000_000
    for name in ("before", "out", "log"):
        assert use(record, "outputs", name)["digest"] == digest(TEXT)
    for words in (["log"], ["show", "last"], ["trace", "out"], ["status"]):
        asked = subprocess.run([*VESTIGE, *words], cwd=project, capture_output=True, text=True, check=False)
        assert "Traceback" not in asked.stderr
        assert asked.returncode in (0, 1)
    assert "in" in subprocess.run([*VESTIGE, "trace", "out"], cwd=project, capture_output=True, text=True, check=True).stdout
