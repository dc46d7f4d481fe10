"""Cases 89 to 94: recording itself, and what may go wrong with it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cases.stage import TEXT, c_program, project, recorded, used
from tests.record.running import VESTIGE, records, run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")

__all__ = ["project"]  # the fixture


def test_case_89_a_program_that_removes_the_store_ends_as_without_us(project: Path) -> None:
    ends_as_without_us(project, "rm -rf .vestige")


@pytest.mark.not_under("ptrace", "preload")
def test_case_89_a_program_that_cleans_the_folder_ends_as_without_us(project: Path) -> None:
    ends_as_without_us(project, "git init -q . && git clean -qfdx -e in -e vestige.toml")


def ends_as_without_us(project: Path, line: str) -> None:
    recorded(project, "cp", "in", "earlier")
    script = f"cat in > one; sleep 0.2; {line}; cat in > two; echo said; exit 3"
    done = run(project, "sh", "-c", script)
    assert (done.returncode, done.stdout) == (3, b"said\n")
    assert (project / "two").read_text() == TEXT
    assert b"Traceback" not in done.stderr
    found = recorded(project, "cp", "two", "three")
    assert used(found) == ({"two"}, {"three"})


def test_case_90_where_no_file_may_grow_the_program_ends_as_without_us(project: Path) -> None:
    line = f"ulimit -f 0; {' '.join(VESTIGE)} run sh -c 'cat in; echo said >&2; exit 3'"
    done = subprocess.run(["sh", "-c", line], cwd=project, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (3, TEXT.encode())
    assert done.stderr.endswith(b"said\n")
    assert b"Traceback" not in done.stderr


CLOCK = """
#include <dlfcn.h>
#include <time.h>
static time_t ahead(void) { char *text = getenv("AHEAD"); return text ? atol(text) : 0; }
int clock_gettime(clockid_t clock, struct timespec *time) {
    long status = syscall(SYS_clock_gettime, clock, time);
    if (!status && clock == CLOCK_REALTIME) time->tv_sec += ahead();
    return status;
}
time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into) *into = now.tv_sec;
    return now.tv_sec;
}
"""


@pytest.mark.not_under("ptrace")
def test_case_91_a_clock_that_is_set_back_changes_no_order(project: Path) -> None:
    shim = c_program(project, CLOCK, "-shared", "-fPIC")
    recorded(project, "cp", "in", "middle", environ={"LD_PRELOAD": shim, "AHEAD": "86400"})
    run(project, "cp", "middle", "out")
    late, early = records(project)
    assert late["command"][2] == "out"
    assert early["started"] > late["started"]
    assert early["sequence"] < late["sequence"]
    traced = subprocess.run([*VESTIGE, "trace", "out"], cwd=project, capture_output=True, text=True, check=True).stdout
    assert "cp in middle" in traced


@pytest.mark.not_under("ptrace")
def test_case_92_what_we_do_ourselves_is_in_no_record(project: Path) -> None:
    subprocess.run(["git", "init", "-q", "."], cwd=project, check=True)
    (project / "code.py").write_text("x = 1\n")
    subprocess.run(["git", "add", "."], cwd=project, check=True)
    record = recorded(project, "true")
    assert (record["inputs"], record["outputs"]) == ([], [])
    outer = recorded(project, *VESTIGE, "run", "cp", "in", "out")
    assert used(outer) == ({"in"}, {"out"})
    assert not [one for one in outer["inputs"] + outer["outputs"] if "vestige/" in one["path"] or ".git" in one["path"]]


def test_case_93_what_is_not_a_file_costs_nothing(project: Path) -> None:
    """The figures are those of `make bench`; this is their order of magnitude: calls that are not watched run at full speed."""
    script = """
import os, time
began = time.perf_counter()
for _ in range(200_000):
    os.getppid()
print(time.perf_counter() - began)
"""
    (project / "step.py").write_text(script)
    command = [sys.executable, "-I", "-S", "step.py"]
    bare = min(float(subprocess.run(command, cwd=project, capture_output=True, check=True).stdout) for _ in range(3))
    seen = min(float(run(project, *command).stdout) for _ in range(3))
    assert seen < 5 * bare


SAME = {
    "output and error": "echo out; echo err >&2; exit 7",
    "a pipeline": "seq 1000 | sort -r | head -3 | tac",
    "bytes": "printf '\\\\000\\\\377\\\\n'",
    "a file": "cat in; wc -c < in; cat nothing",
    "descriptors": "ls /proc/self/fd | wc -l; echo x >&9",
    "signals": "kill -TERM $$",
    "children": "sh -c 'exit 5'; echo $?; (exit 6)",
    "folders": "mkdir a && cd a && pwd -P | sed 's,.*/,,' && ls -la | tail -n +4 && rmdir ../a && pwd | wc -l",
    "limits": "ulimit -a; umask",
    "traps": "trap 'echo caught; exit 9' USR1; kill -USR1 $$; sleep 5",
    "background": "sleep 0.05 & wait $!; echo $?",
    "names": "env | sed 's/=.*//' | grep -v ^VESTIGE_ | sort",
    "redirections": "exec 3>new; echo hello >&3; exec 3>&-; cat new; rm new",
    "python": "python3 -c 'import sys; print(sys.argv, sys.flags.interactive); sys.exit(\"no\")' a b",
    "perl": 'perl -e \'print STDERR "e"; print "o"; exit 4\'',
}


@pytest.mark.not_under("ptrace", "preload")
@pytest.mark.parametrize("name", SAME)
def test_case_94_a_program_says_and_does_the_same(project: Path, name: str) -> None:
    """`test_zero_difference.py` compares forty programs and more of each."""
    bare = subprocess.run(["sh", "-c", SAME[name]], cwd=project, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    seen = run(project, "sh", "-c", SAME[name])
    assert (seen.stdout, seen.stderr) == (bare.stdout, bare.stderr)
    assert seen.returncode == (bare.returncode if bare.returncode >= 0 else 128 - bare.returncode)


OURS = {"descriptors", "names"}  # where the library is put before programs, its journal and its variable are seen


def test_case_94_programs_say_and_do_the_same_however_they_are_observed(project: Path, rung: str) -> None:
    lines = [line for name, line in SAME.items() if name not in OURS or rung != "preload"]
    script = "\n".join(f"sh -c {shlex.quote(line)}; echo $?" for line in lines)
    bare = subprocess.run(["sh", "-c", script], cwd=project, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    seen = run(project, "sh", "-c", script)
    assert (seen.stdout, seen.stderr, seen.returncode) == (bare.stdout, bare.stderr, bare.returncode)
