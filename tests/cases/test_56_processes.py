"""Cases 56 to 73: programs of every kind, how they start, and what becomes of them and of us."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cases.stage import TEXT, c_program, digest, gaps, project, python, recorded, used, user
from tests.record.running import VESTIGE, last, paths, records, run, use
from tests.record.test_command import SLOW, pids_of, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")

__all__ = ["project"]  # the fixture

X86 = os.uname().machine == "x86_64"

INTERRUPTED = """
static pthread_t self;
static volatile int done;
static void nothing(int number) {}
static void *interrupt(void *unused) { while (!done) { pthread_kill(self, SIGURG); usleep(100); } return NULL; }
int main(int count, char **words) {
    struct sigaction action = {.sa_handler = nothing, .sa_flags = count > 1 ? 0 : SA_RESTART};
    pthread_t thread;
    int broken = 0, in, out;
    sigaction(SIGURG, &action, NULL);
    self = pthread_self();
    pthread_create(&thread, NULL, interrupt, NULL);
    for (int at = 0; at < 500; at++) {
        char name[32];
        sprintf(name, "out%d", at);
        while ((in = open("in", O_RDONLY)) < 0 && errno == EINTR) broken++;
        while ((out = open(name, O_WRONLY | O_CREAT, 0666)) < 0 && errno == EINTR) broken++;
        if (in < 0 || out < 0) return 1;
        close(in), close(out);
    }
    done = 1;
    pthread_join(thread, NULL);
    return count == 1 && broken ? 2 : 0;
}
"""


def test_case_56_a_static_program_with_a_runtime_of_its_own(project: Path) -> None:
    """Go's runtime interrupts its own threads with SIGURG all the time."""
    record = recorded(project, c_program(project, INTERRUPTED, "-static", "-pthread"))
    assert used(record) == ({"in"}, {f"out{at}" for at in range(500)})


COPY = """
int main(void) {
    char text[4096];
    int in = open("in", O_RDONLY), out = open("out", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    return write(out, text, read(in, text, sizeof text)) < 0;
}
"""


@pytest.mark.programs
def test_case_56_a_program_of_another_c_library(project: Path) -> None:
    record = recorded(project, c_program(project, COPY, "-static", compiler="musl-gcc"))
    assert used(record) == ({"in"}, {"out"})


@pytest.mark.programs
def test_case_56_a_program_in_go(project: Path) -> None:
    (project / "in.json").write_text('{"a": [1, 2]}')
    record = recorded(project, "sh", "-c", "gron in.json > out")
    assert used(record) == ({"in.json"}, {"out"})
    assert (project / "out").read_text().startswith("json = {}")


I386 = """
static long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}
void _start(void) {
    call(5, (long)"in", 0, 0);
    call(38, (long)"old", (long)"new", 0);
    call(1, call(5, (long)"made", 0101, 0666) < 0, 0, 0);
}
"""
X32 = """
int main(void) { return !(syscall(0x40000000 | 2, "in", O_RDONLY) == -1 && errno == ENOSYS && open("in", O_RDONLY) >= 0); }
"""


@pytest.mark.skipif(not X86, reason="of x86 only")
def test_case_57_a_32_bit_program_is_decoded_by_its_own_table(project: Path) -> None:
    (project / "old").write_text("old")
    program = c_program(project, I386, "-m32", "-static", "-nostdlib", "-fno-pie", "-no-pie", "-fno-stack-protector")
    assert used(recorded(project, program)) == ({"in", "old"}, {"made", "new"})


@pytest.mark.also_under("ptrace")
@pytest.mark.skipif(not X86, reason="of x86 only")
def test_case_57_the_third_way_into_the_kernel_is_refused_and_the_record_says_so(project: Path) -> None:
    record = recorded(project, c_program(project, X32))
    assert used(record)[0] == {"in"}
    assert "x32" in record["observation"]["denied"]


FAMILY = """
import multiprocessing, os, subprocess, sys
ME = os.path.abspath(__file__)
def write(name):
    open(name, "w").write(name)
if __name__ == "__main__":
    if len(sys.argv) > 1:
        write(sys.argv[1])
        sys.exit()
    again = [sys.executable, "-I", "-S", ME]
    subprocess.run([*again, "vfork"], check=True)
    os.waitpid(os.posix_spawn(again[0], [*again, "spawn"], os.environ), 0)
    if not os.fork():
        write("fork")
        os._exit(0)
    os.wait()
    for method in ("fork", "forkserver"):
        process = multiprocessing.get_context(method).Process(target=write, args=(method + "ed",))
        process.start()
        process.join()
"""
CLONE3 = """
#include <linux/sched.h>
int main(void) {
    struct clone_args arguments = {.exit_signal = SIGCHLD};
    long child = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child < 0) return 1;
    if (!child) { close(open("cloned", O_WRONLY | O_CREAT, 0666)); _exit(0); }
    wait(NULL);
    return 0;
}
"""


def test_case_58_processes_stand_below_those_that_made_them(project: Path) -> None:
    record = python(project, FAMILY)
    assert used(record)[1] == {"vfork", "spawn", "fork", "forked", "forkservered"}
    processes = record["processes"]
    (first,) = [one["pid"] for one in processes if "step.py" in one["argv"]]

    def parents(path: str) -> set[int]:
        return {processes[at]["parent"] for at in use(record, "outputs", path)["by"]}

    assert [parents(path) for path in ("vfork", "spawn", "fork", "forked")] == [{first}] * 4
    (server,) = parents("forkservered")
    assert server != first
    assert {one["parent"] for one in processes if one["pid"] == server} == {first}


def test_case_58_a_process_made_with_clone3_is_one_of_its_own(project: Path) -> None:
    record = recorded(project, c_program(project, CLONE3))
    processes = record["processes"]
    ((at,),) = [use(record, "outputs", "cloned")["by"]]
    assert processes[at]["parent"] == processes[0]["pid"]


EXECUTES = """
static void *execute(void *unused) { execl("./script", "./script", "word", NULL); return NULL; }
int main(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, execute, NULL);
    pause();
}
"""


def test_case_59_a_script_that_another_thread_executes_and_what_runs_it(project: Path) -> None:
    (project / "script").write_text(f"#!/usr/bin/env -S {sys.executable} -I -S\nopen('out', 'w').write(open('in').read())\n")
    (project / "script").chmod(0o755)
    record = recorded(project, c_program(project, EXECUTES, "-pthread"))
    assert used(record) == ({"in"}, {"out"})
    assert "script" in paths(record, "inputs", "code")
    (process,) = record["processes"]
    assert process["argv"] == [sys.executable, "-I", "-S", "./script", "word"]
    assert record["environment"] is not None


def test_case_59_a_script_whose_interpreter_is_a_script(project: Path) -> None:
    interpreter, script = project.parent / "interpreter", project / "script"
    interpreter.write_text("#!/bin/sh\ncat in > out\n")
    script.write_text(f"#!{interpreter}\n")
    for path in (interpreter, script):
        path.chmod(0o755)
    record = recorded(project, "./script")
    assert used(record) == ({"in", str(interpreter)}, {"out"})
    assert "script" in paths(record, "inputs", "code")


THREADS = """
static void *work(void *number) {
    for (long at = 0; at < 20; at++) {
        char name[32];
        sprintf(name, "out%ld-%ld", (long)number, at);
        int out = open(name, O_WRONLY | O_CREAT, 0666), in = open(name, O_RDONLY), other = open("in", O_RDONLY);
        if (out < 0 || in < 0 || other < 0) exit(1);
        close(out), close(in), close(other);
    }
    return NULL;
}
int main(void) {
    pthread_t threads[64];
    for (long at = 0; at < 64; at++) pthread_create(&threads[at], NULL, work, (void *)at);
    for (long at = 0; at < 64; at++) pthread_join(threads[at], NULL);
    return 0;
}
"""


def test_case_60_of_many_threads_at_once_nothing_is_lost(project: Path) -> None:
    record = recorded(project, c_program(project, THREADS, "-pthread"))
    raw = journal(project, record)
    assert {f"{project}/out{a}-{b}" for a in range(64) for b in range(20)} == {path for op, path in raw if op == "w"}
    assert record["observation"]["lost"] == record["observation"]["unreadable"] == 0
    assert len(record["processes"]) == 1
    assert paths(record, "inputs") == {"in"}


def journal(project: Path, record: dict[str, Any]) -> list[tuple[str, str]]:
    """The operations of a record's journal, and their paths."""
    import zlib

    from vestige.observe.interface import parse

    algorithm, _, name = record["observation"]["raw"].partition(":")
    data = zlib.decompress((project / ".vestige/objects" / algorithm / name[:2] / name[2:]).read_bytes(), 31)
    return [(event.op, event.path or "") for event in parse(data.splitlines(keepends=True))]


SHORT = """
int main(void) {
    for (int at = 0; at < 3000; at++) {
        pid_t child = fork();
        if (!child) {
            char name[32];
            sprintf(name, "out%d", at);
            _exit(open(name, O_WRONLY | O_CREAT, 0666) < 0);
        }
        if (child < 0) return 2;
        int status;
        if (at % 2) while (wait(&status) > 0) if (status) return 1;   /* two at a time */
    }
    return 0;
}
"""


@pytest.mark.not_under("ptrace", "preload")
def test_case_61_of_thousands_of_short_processes_nothing_is_lost(project: Path) -> None:
    record = recorded(project, c_program(project, SHORT))
    assert {f"{project}/out{at}" for at in range(3000)} == {path for op, path in journal(project, record) if op == "w"}
    assert record["observation"]["lost"] == record["observation"]["unreadable"] == 0


NUMBERED = """
#include <linux/sched.h>
int main(void) {
    pid_t number = getpid() > 20000 ? 4321 : 31234;
    struct clone_args arguments = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&number, .set_tid_size = 1};
    for (int at = 0; at < 2; at++) {
        long child = syscall(SYS_clone3, &arguments, sizeof arguments);
        if (child < 0) return 1;
        if (!child) {
            close(open(at ? "second" : "first", O_WRONLY | O_CREAT, 0666));
            _exit(0);
        }
        wait(NULL);
        sleep(at ? 0 : 2);    /* no kernel gives a number out again at once */
    }
    return 0;
}
"""


@pytest.mark.root
def test_case_61_a_number_given_out_again_is_another_process(project: Path) -> None:
    record = recorded(project, c_program(project, NUMBERED))
    ((first,), (second,)) = (use(record, "outputs", name)["by"] for name in ("first", "second"))
    assert first != second
    assert record["processes"][first]["pid"] == record["processes"][second]["pid"]


def test_case_62_what_goes_on_in_the_background_is_recorded_until_it_ends(project: Path) -> None:
    script = "(setsid sh -c 'sleep 0.5; cat in > late; mv late later' > /dev/null 2>&1 &)"
    began = time.monotonic()
    assert run(project, "sh", "-c", script).returncode == 0
    assert time.monotonic() - began < 5
    assert not (project / "later").exists() or time.monotonic() - began > 0.5
    record = last(project)
    assert used(record) == ({"in"}, {"later"})
    assert record["status"] == "finished"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_case_63_what_a_program_did_before_it_was_killed(project: Path, number: signal.Signals) -> None:
    script = f"import os; open('out', 'w').write(open('in').read()); os.kill(os.getpid(), {int(number)})"
    assert run(project, sys.executable, "-I", "-S", "-c", script).returncode in (-number, 128 + number)
    record = last(project)
    assert (record["status"], record["signal"]) == ("failed", number)
    assert paths(record, "inputs") == {"in"}
    assert use(record, "outputs", "out")["digest"] == digest(TEXT)


def test_case_63_a_core_dump_is_an_output(project: Path) -> None:
    script = f"ulimit -c unlimited; {sys.executable} -I -S -c 'import os; os.abort()'; exit 3"
    run(project, "sh", "-c", script)
    found = {path.name for path in project.glob("*core*")}
    kernel = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    assert bool(found) == (kernel[0] not in "|/" and "core" in kernel)
    assert paths(last(project), "outputs") == found


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "interrupted"), (signal.SIGQUIT, "failed")]
)
def test_case_64_who_is_interrupted_ends_as_without_us(project: Path, number: signal.Signals, status: str) -> None:
    command = [*VESTIGE, "run", "sh", "-c", "cat in > out; exec sleep 20"]
    process = subprocess.Popen(command, cwd=project, stderr=subprocess.DEVNULL)
    until((project / "out").exists)
    time.sleep(0.2)
    process.send_signal(number)
    assert process.wait(timeout=20) in (-number, 128 + number)
    record = last(project)
    assert (record["status"], record["signal"]) == (status, number)
    assert used(record) == ({"in"}, {"out"})


TRACED = """
#include <sys/ptrace.h>
int main(void) {
    char text[8192] = {0};
    read(open("/proc/self/status", O_RDONLY), text, sizeof text - 1);
    if (!strstr(text, "TracerPid:\\t0\\n")) return 1;
    pid_t child = fork();
    if (!child) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0)) _exit(1);
        raise(SIGSTOP);
        _exit(open("in", O_RDONLY) < 0);
    }
    int status;
    waitpid(child, &status, 0);
    if (!WIFSTOPPED(status)) return 2;
    ptrace(PTRACE_CONT, child, 0, 0);
    waitpid(child, &status, 0);
    return status != 0;
}
"""


def test_case_65_nobody_is_seen_to_trace_and_whoever_wants_to_can(project: Path) -> None:
    assert used(recorded(project, c_program(project, TRACED)))[0] == {"in"}


@pytest.mark.programs
@pytest.mark.parametrize(
    "debugger",
    ["strace -f -o ../trace", "strace -f --seccomp-bpf -e trace=%file -o ../trace", "gdb -q -nx -batch -ex run --args"],
)
def test_case_65_debuggers_work_and_what_they_look_at_is_seen(project: Path, debugger: str) -> None:
    program = c_program(project, COPY, "-g")
    assert shutil.which(debugger.split()[0])
    record = recorded(project, *debugger.split(), program)
    assert used(record) == ({"in"}, {"out"})


@pytest.mark.programs
@pytest.mark.parametrize("flag", ["address,undefined", "leak", "thread"])
def test_case_65_sanitizers_work(project: Path, flag: str) -> None:
    record = recorded(project, c_program(project, COPY, f"-fsanitize={flag}"))
    assert used(record) == ({"in"}, {"out"})


def test_case_66_a_storm_of_signals_to_a_program_that_tries_again_itself(project: Path) -> None:
    """Whose handlers restart no call, gets EINTR now and then, as of a network file system: every call is seen all the same."""
    record = recorded(project, c_program(project, INTERRUPTED, "-pthread"), "unforgiving")
    assert used(record) == ({"in"}, {f"out{at}" for at in range(500)})


@pytest.mark.also_under("ptrace")
def test_case_67_a_program_that_would_gain_privileges_is_named(project: Path) -> None:
    (program,) = [path for path in map(shutil.which, ("su",)) if path]
    done = run(project, "sh", "-c", f"{program} --version > out", options=["-v"])
    assert done.returncode == 0
    named = gaps(last(project))
    if user():
        assert len(named) == 1
        assert "could not gain privileges" in named[0]
        assert program in named[0]
        assert done.stderr.count(b"could not gain privileges") == 1
    else:
        assert named == []  # root's programs keep what they have


def test_case_67_capabilities_of_a_file_are_privileges_too(project: Path) -> None:
    program = c_program(project, COPY)
    give = f"import os; os.setxattr({program!r}, 'security.capability', bytes.fromhex('0100000200200000' + '0' * 24))"
    inside = ["unshare", "--user", "--map-root-user"] if user() else []
    given = subprocess.run([*inside, sys.executable, "-c", give], check=False).returncode == 0
    assert [program in gap for gap in gaps(recorded(project, "sh", "-c", program))] == [True] * (given and user())


UNDUMPABLE = """
int main(void) { prctl(PR_SET_DUMPABLE, 0); return open("in", O_RDONLY) < 0; }
"""


def test_case_68_a_program_whose_memory_is_closed_to_us_is_counted(project: Path, rung: str) -> None:
    record = recorded(project, c_program(project, UNDUMPABLE))
    closed = user() and rung != "preload"  # from within, it is open
    assert used(record)[0] == (set() if closed else {"in"})
    assert (record["observation"]["unreadable"] > 0) == closed


def test_case_69_closed_descriptors_and_an_empty_environment_change_nothing(project: Path) -> None:
    script = f"""
import os, subprocess
os.closerange(3, 10000)
os.chdir("/")
subprocess.run(["/usr/bin/env", "-i", "/bin/sh", "-c", "cat {project}/in > {project}/out"], check=True, close_fds=True)
"""
    assert used(python(project, script)) == ({"in"}, {"out"})


def test_case_69_a_program_that_becomes_another_user_of_a_name_space(project: Path) -> None:
    inside = ["unshare", "--user", "--map-root-user", "sh", "-c", "test $(id -u) = 0; cat in > out"]
    allowed = subprocess.run([*inside[:3], "true"], check=False).returncode == 0
    if allowed:
        assert used(recorded(project, *inside)) == ({"in"}, {"out"})
    else:
        assert run(project, *inside).returncode == 1


def test_case_70_runs_in_runs_and_beside_each_other_keep_what_is_theirs(project: Path) -> None:
    vestige = " ".join(VESTIGE)
    line = f"{vestige} run sh -c 'cat in > one; cat one > two' & {vestige} run sh -c 'cat in > three'; wait; cat two three > four"
    recorded(project, "sh", "-c", line)
    inner: list[dict[str, Any]] = []
    outer: list[dict[str, Any]] = []
    for record in records(project):
        (inner if record["parent"] else outer).append(record)
    assert [paths(record, "outputs") for record in outer] == [{"one", "two", "three", "four"}]
    assert sorted(map(sorted, (paths(record, "outputs") for record in inner))) == [["one", "two"], ["three"]]
    assert {record["parent"] for record in inner} == {outer[0]["id"]}


def test_case_71_a_watcher_that_is_killed_costs_the_program_nothing(project: Path) -> None:
    (project / "in.csv").write_text(TEXT)
    process = subprocess.Popen([*VESTIGE, "run", "sh", "-c", SLOW], cwd=project, stderr=subprocess.PIPE)
    watcher = pids_of(project, "watcher")
    until(lambda: any(b"/one" in events.read_bytes() for events in project.glob(".vestige/active/*/events.jsonl")))
    os.kill(watcher, signal.SIGKILL)
    assert process.wait(timeout=30) == 0
    assert (project / "two").read_text() == "end\n"
    record = last(project)
    assert gaps(record) == ["the watcher was killed: what happened after that was not seen"]
    assert record["status"] == "finished"
    assert "one" in paths(record, "outputs")


REFUSING = """
#include <linux/filter.h>
#include <linux/seccomp.h>
#define TO(where, then) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, where, 0, then)
int main(int count, char **words) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        TO(SYS_seccomp, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 99;
    execvp(words[1], words + 1);
    return 98;
}
"""


def test_case_72_where_the_kernel_refuses_the_next_best_way_is_taken(project: Path) -> None:
    (project / "step.py").write_text("open('out', 'w').write(open('in').read())")
    program = c_program(project, REFUSING)
    done = subprocess.run([program, *VESTIGE, "run", sys.executable, "step.py"], cwd=project, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"")
    record = last(project)
    assert record["observation"]["method"] != "notify"
    assert used(record) == ({"in"}, {"out"})


CONFINED = """
#include <linux/filter.h>
#include <linux/seccomp.h>
#define TO(where, then) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, where, 0, then)
int main(int count, char **words) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        TO(SYS_mkdir, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return 1;
    if (count > 1 ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)
                  : syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) return 2;
    if (mkdir("folder", 0777) != -1 || errno != EPERM) return 3;
    return open("in", O_RDONLY) < 0 || open("out", O_WRONLY | O_CREAT, 0666) < 0;
}
"""


@pytest.mark.parametrize("words", [(), ("prctl",)], ids=["seccomp", "prctl"])
@pytest.mark.also_under("ptrace")
def test_case_73_a_program_with_a_filter_of_its_own_is_seen_and_named(project: Path, rung: str, words: tuple[str, ...]) -> None:
    program = c_program(project, CONFINED)
    record = recorded(project, program, *words)
    assert used(record) == ({"in"}, {"out"})
    if rung == "preload":  # it has no filter that another could outrank
        assert gaps(record) == []
        return
    (gap,) = gaps(record)
    assert "filter" in gap
    assert "program" in gap
