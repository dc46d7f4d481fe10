"""What the library that is put before programs tells, with real programs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import blake3
import pytest

from tests.observe.preloading import watch
from tests.observe.watching import Watched
from tests.record.running import VESTIGE, last, paths, records, run, use
from vestige.observe import preload

Build = Callable[..., Path]

STATIC = "#include <fcntl.h>\nint main(int n, char **w) { return open(w[1], O_RDONLY) < 0; }"
#: Executes a command behind a filter that refuses seccomp(2) and ptrace(2), as some sandboxes do.
SANDBOX = """
import ctypes, os, struct, sys
seccomp, ptrace = {"x86_64": (317, 101), "aarch64": (277, 117)}[os.uname().machine]
code = b"".join(
    struct.pack("=HBBI", *one)
    for one in ((0x20, 0, 0, 0), (0x15, 2, 0, seccomp), (0x15, 1, 0, ptrace), (6, 0, 0, 0x7FFF0000), (6, 0, 0, 0x50001))
)
text = ctypes.create_string_buffer(code, len(code))
program = ctypes.create_string_buffer(struct.pack("=H6xQ", len(code) // 8, ctypes.addressof(text)))
assert ctypes.CDLL(None).prctl(38, 1, 0, 0, 0) == 0 == ctypes.CDLL(None).prctl(22, 2, program)
os.execvp(sys.argv[1], sys.argv[1:])
"""
PRELOAD = [*VESTIGE, "run", "--observe", "preload", "--"]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("programs")

    def compile_(name: str, source: str, *flags: str) -> Path:
        path = folder / name
        (folder / f"{name}.c").write_text(source)
        subprocess.run(["gcc", "-O1", "-w", "-pthread", f"{path}.c", "-o", str(path), *flags], check=True)
        return path

    return compile_


@pytest.fixture(scope="module")
def calls(build: Build) -> Path:
    return build("calls", (Path(__file__).parent / "calls.c").read_text())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "project"
    path.mkdir()
    (path / "in.txt").write_text("content\n")
    (path / "empty").mkdir()
    return path


def ops(watched: Watched, name: Path) -> str:
    return "".join(event.op for event in watched.events if str(name) in (event.path, event.other))


def gaps(watched: Watched) -> list[str]:
    return [event.text or "" for event in watched.events if event.op == "g"]


# -- calls -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        "open", "open64", "openat", "openat64", "__open_2", "__openat64_2", "fopen", "fopen64", "freopen", "syscall(open)",
        "openat2", "small stack", "signal handler", "size limit", "errno", "vanish",
    ],
)  # fmt: skip
def test_a_file_that_is_opened_for_reading_is_noted_once(calls: Path, folder: Path, call: str) -> None:
    watched = watch([str(calls), call, "in.txt"], folder)
    assert watched.status == 0
    (event,) = watched.of("r", folder / "in.txt")
    found = (folder / "in.txt").stat()
    assert event.signature is not None
    assert (event.signature.size, event.signature.inode) == (found.st_size, found.st_ino)


@pytest.mark.parametrize(
    ("words", "name", "expected"),
    [
        (["opendir", "empty"], "empty", "d"),
        (["scandir", "empty"], "empty", "d"),
        (["creat", "new"], "new", "w"),
        (["creat64", "new"], "new", "w"),
        (["open(w)", "new"], "new", "w"),
        (["fopen(w)", "in.txt"], "in.txt", "hw"),
        (["fopen(a)", "in.txt"], "in.txt", "hw"),
        (["mkstemp", "tXXXXXX", "new"], "new", "m"),
        (["mkdtemp", "tXXXXXX", "new"], "new", "m"),
        (["rename", "in.txt", "new"], "new", "m"),
        (["renameat", "in.txt", "new"], "new", "m"),
        (["renameat2", "in.txt", "new"], "new", "m"),
        (["link", "in.txt", "new"], "new", "l"),
        (["linkat", "in.txt", "new"], "new", "l"),
        (["symlink", "in.txt", "new"], "new", "s"),
        (["symlinkat", "in.txt", "new"], "new", "s"),
        (["unlink", "in.txt"], "in.txt", "u"),
        (["unlinkat", "in.txt"], "in.txt", "u"),
        (["remove", "in.txt"], "in.txt", "u"),
        (["remove", "empty"], "empty", "u"),
        (["rmdir", "empty"], "empty", "u"),
        (["mkdir", "new"], "new", "k"),
        (["mkdirat", "new"], "new", "k"),
        (["truncate", "in.txt"], "in.txt", "ht"),
        (["truncate64", "in.txt"], "in.txt", "ht"),
        (["open", "absent"], "absent", "a"),
    ],
)
def test_what_is_done_to_a_name_is_noted(calls: Path, folder: Path, words: list[str], name: str, expected: str) -> None:
    watched = watch([str(calls), *words], folder)
    assert (watched.status == 0) == (expected != "a")
    assert ops(watched, folder / name) == expected


@pytest.mark.parametrize(
    "call",
    [
        "execl", "execlp", "execle", "execv", "execvp", "execve", "execvpe", "execveat", "fexecve", "syscall(execve)",
        "posix_spawn", "posix_spawnp", "vfork",
    ],
)  # fmt: skip
def test_what_an_executed_program_opens_is_noted_however_it_was_executed(calls: Path, folder: Path, call: str) -> None:
    name = "cat" if call.endswith("p") or call == "execvpe" else shutil.which("cat")
    watched = watch([str(calls), call, "in.txt", str(name)], folder)
    assert watched.status == 0
    (event,) = watched.of("r", folder / "in.txt")
    execution = [event for event in watched.events if event.op == "x"][-1]
    assert os.path.basename(execution.path or "") == "cat"
    assert (execution.text or "").endswith('cat","in.txt"]')
    assert execution.pid == event.pid
    assert execution.other == str(folder)
    first = next(event for event in watched.events if event.op == "p")
    assert event.pid == first.pid or event.pid in {event.pid for event in watched.events if event.flags == first.pid}
    assert not [event for event in watched.events if event.op == "p" and event.other == "again"]


def test_a_file_that_is_opened_for_a_spawned_program_is_noted(calls: Path, folder: Path) -> None:
    watched = watch([str(calls), "posix_spawn_addopen", "in.txt", str(shutil.which("cat")), "out.txt"], folder)
    assert watched.status == 0
    assert ops(watched, folder / "out.txt") == "w"
    assert (folder / "out.txt").read_text() == "content\n"


def test_a_command_that_the_c_library_starts_is_noted(calls: Path, folder: Path) -> None:
    watched = watch([str(calls), "system", "cat in.txt > out.txt"], folder)
    assert watched.status == 0
    assert ops(watched, folder / "out.txt") == "w"
    assert ops(watched, folder / "in.txt") == "r"


def test_a_null_pointer_is_refused_by_the_kernel_and_not_by_us(calls: Path, folder: Path) -> None:
    assert watch([str(calls), "null", ""], folder).status == 0


def test_io_uring_is_refused(calls: Path, folder: Path) -> None:
    assert watch([str(calls), "io_uring", ""], folder).status == 0


def test_a_file_opened_by_its_descriptor_bears_its_own_name(calls: Path, folder: Path) -> None:
    watched = watch(["/bin/sh", "-c", f"{calls} stdin . < in.txt"], folder)
    assert watched.status == 0
    assert len(watched.of("r", folder / "in.txt")) == 2


def test_names_of_any_bytes_are_noted_as_they_are(calls: Path, folder: Path) -> None:
    for name in (b"\xff\n\xfe", b"%\xc3\xa9%", b'q"\\', b"\xf0\x9f\x90\x8d", b"-x " + b"y" * 200):
        text = os.fsdecode(name)
        (folder / text).write_text("")
        path = folder.parent / f"{folder.name}.run"
        shutil.rmtree(path, ignore_errors=True)
        assert ops(watch([str(calls), "open", text], folder), folder / text) == "r"


def test_a_program_that_takes_every_descriptor_is_noted_all_the_same(calls: Path, folder: Path) -> None:
    (folder / "b").write_text("")
    watched = watch([str(calls), "close all", "in.txt", "b"], folder, environ={**os.environ, "LC_ALL": "C"})
    assert watched.status == 0
    assert ops(watched, folder / "in.txt") == "r"
    assert ops(watched, folder / "b") == "r"


def test_a_program_that_is_killed_loses_nothing(calls: Path, folder: Path) -> None:
    watched = watch([str(calls), "killed", "in.txt", "new"], folder)
    assert os.WTERMSIG(watched.status) == signal.SIGKILL
    assert ops(watched, folder / "in.txt") == "r"
    assert ops(watched, folder / "new") == "w"


def test_a_file_is_noted_again_when_another_process_has_changed_it(folder: Path) -> None:
    script = "exec 3< in.txt; echo more >> in.txt; exec 4< in.txt; (exec 5< in.txt)"
    watched = watch(["/bin/sh", "-c", script], folder)
    assert ops(watched, folder / "in.txt") == "rhwrr"


# -- programs ----------------------------------------------------------------------------------------------------------------


def test_a_shell_and_what_it_pipes_are_noted(folder: Path) -> None:
    watched = watch(["/bin/sh", "-c", "sort < in.txt | tee a > b; mv a c"], folder)
    assert watched.status == 0
    assert [ops(watched, folder / name) for name in ("in.txt", "a", "b", "c")] == ["r", "wm", "w", "m"]


def test_a_cleared_environment_does_not_hide_a_program(folder: Path) -> None:
    watched = watch(["env", "-i", str(shutil.which("cat")), "in.txt"], folder)
    assert ops(watched, folder / "in.txt") == "r"


def test_scripts_are_named_as_such(folder: Path) -> None:
    (folder / "script").write_text('#!/usr/bin/env -S sh -e\ncat "$1"\n')
    (folder / "script").chmod(0o755)
    watched = watch(["/bin/sh", "-c", "./script in.txt; :"], folder)
    (execution,) = watched.of("x", folder / "script")
    assert execution.text == '["./script","in.txt"]'
    assert ops(watched, folder / "in.txt") == "r"


def test_perl_is_noted(folder: Path) -> None:
    script = 'open(F, "<", "in.txt"); open(G, ">", "out.txt"); print G <F>; close G; rename "out.txt", "done"; unlink "in.txt"'
    watched = watch(["perl", "-e", script], folder)
    assert watched.status == 0
    assert [ops(watched, folder / name) for name in ("in.txt", "out.txt", "done")] == ["rhu", "wm", "m"]


def test_threads_of_python_lose_nothing(folder: Path) -> None:
    script = (
        "import threading\n"
        "def work(k):\n"
        "    for n in range(50): open(f'f{k}-{n}', 'w').close(); open(f'f{k}-{n}').close()\n"
        "every = [threading.Thread(target=work, args=(k,)) for k in range(16)]\n"
        "for one in every: one.start()\n"
        "for one in every: one.join()\n"
    )
    watched = watch([sys.executable, "-c", script], folder)
    assert watched.status == 0
    names = [folder / f"f{k}-{n}" for k in range(16) for n in range(50)]
    assert {ops(watched, name) for name in names} == {"wr"}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_pythons_multiprocessing_are_noted(folder: Path, method: str) -> None:
    (folder / "work.py").write_text(
        "import multiprocessing as m\n"
        "def work(n):\n"
        "    with open('in.txt') as a, open(f'out{n}', 'w') as b: b.write(a.read())\n"
        "if __name__ == '__main__':\n"
        f"    with m.get_context('{method}').Pool(3) as pool: pool.map(work, range(12))\n"
    )
    watched = watch([sys.executable, "work.py"], folder)
    assert watched.status == 0
    assert {ops(watched, folder / f"out{n}") for n in range(12)} == {"w"}
    writers = {event.pid for event in watched.events if event.op == "w"}
    known = {event.pid for event in watched.events if event.op == "p"}
    assert writers <= known


def test_two_hundred_processes_are_noted(folder: Path) -> None:
    script = "for n in $(seq 200); do cat in.txt > out$n; done"
    watched = watch(["/bin/sh", "-c", script], folder)
    assert watched.status == 0
    assert len({event.pid for event in watched.of("r", folder / "in.txt")}) == 200
    assert {ops(watched, folder / f"out{n}") for n in range(1, 201)} == {"w"}


def test_a_library_of_the_project_is_an_input(build: Build, folder: Path) -> None:
    library = build("libanswer.so", "int answer(void) { return 42; }", "-shared", "-fPIC")
    shutil.copy(library, folder / "libanswer.so")
    script = "import ctypes; assert ctypes.CDLL('./libanswer.so').answer() == 42"
    watched = watch([sys.executable, "-c", script], folder)
    assert watched.status == 0
    assert [event for event in watched.events if event.op == "r" and (event.path or "").endswith("libanswer.so")]


def test_a_library_that_was_put_before_already_stays(build: Build, folder: Path) -> None:
    source = "#include <string.h>\nint getpagesize(void) { return 4711; }"
    other = build("other.so", source, "-shared", "-fPIC")
    program = build("pages", '#include <unistd.h>\nint main(void) { return getpagesize() != 4711 || open("in.txt", 0) < 0; }')
    watched = watch([str(program)], folder, environ={**os.environ, "LD_PRELOAD": str(other)})
    assert watched.status == 0
    assert ops(watched, folder / "in.txt") == "r"
    shutil.rmtree(folder.parent / f"{folder.name}.run")
    watched = watch(["env", "-i", f"LD_PRELOAD={other}", str(program)], folder)
    assert watched.status == 0
    assert ops(watched, folder / "in.txt") == "r"


def test_a_program_with_address_sanitizer_starts_and_is_noted(build: Build, folder: Path) -> None:
    program = build("sanitized", STATIC, "-fsanitize=address")
    for argv in (
        [str(program), "in.txt"],
        ["env", "-i", str(program), "in.txt"],
        ["/bin/sh", "-c", f"{program} in.txt; exit $?"],
    ):
        shutil.rmtree(folder.parent / f"{folder.name}.run", ignore_errors=True)
        watched = watch(argv, folder)
        assert watched.status == 0
        assert ops(watched, folder / "in.txt") == "r"


# -- what cannot be seen -----------------------------------------------------------------------------------------------------


def test_a_static_program_is_named_as_a_gap(build: Build, folder: Path) -> None:
    program = build("static", STATIC, "-static")
    watched = watch(["/bin/sh", "-c", f"{program} in.txt; {program} in.txt; cat in.txt"], folder)
    assert gaps(watched) == [f"{program} is linked statically: which files it opens is not known"]
    assert len(watched.of("x", program)) == 2
    assert len(watched.of("r", folder / "in.txt")) == 1


def test_a_program_of_another_c_library_is_left_alone(build: Build, folder: Path) -> None:
    linker = os.path.realpath("/lib64/ld-linux-x86-64.so.2" if os.uname().machine == "x86_64" else "/lib/ld-linux-aarch64.so.1")
    shutil.copy(linker, folder / "ld.so")
    source = '#include <stdlib.h>\nint main(void) { return getenv("LD_PRELOAD") != 0; }'
    program = build("foreign", source, f"-Wl,--dynamic-linker={folder}/ld.so")
    watched = watch(["/bin/sh", "-c", f"{program}; exit $?"], folder)
    assert watched.status == 0
    assert gaps(watched) == [
        f"{program} uses another C library: which files it opens, or the programs that it starts, is not known"
    ]


def test_a_go_program_is_named_as_a_gap(build: Build, folder: Path) -> None:
    note = r".section .note.go.buildid, \"a\", @note; .long 4; .long 4; .long 4; .asciz \"Go\"; .balign 4; .long 0; .text"
    program = build("go", f'__asm__("{note}");\nint main(void) {{ return 0; }}')
    watched = watch(["/bin/sh", "-c", f"{program}; exit $?"], folder)
    assert watched.status == 0
    assert len(gaps(watched)) == 1
    assert "is a Go program" in gaps(watched)[0]


def test_a_changed_root_is_named_as_a_gap(calls: Path, folder: Path) -> None:
    watched = watch([str(calls), "chroot", "empty"], folder)
    assert gaps(watched) == ["calls called chroot: files may have other names behind it"]


@pytest.mark.root
def test_a_program_that_gains_privileges_is_named_as_a_gap(folder: Path) -> None:
    program = folder / "other"
    shutil.copy(str(shutil.which("cat")), program)
    os.chown(program, 65534, 65534)
    program.chmod(0o4755)
    watched = watch(["/bin/sh", "-c", f"{program} in.txt; exit $?"], folder)
    assert watched.status == 0
    assert gaps(watched) == [f"{program} gains privileges: which files it opens, or the programs that it starts, is not known"]


@pytest.mark.root
@pytest.mark.parametrize(
    "words", [["setpriv", "--reuid=65534", "--clear-groups"], ["setpriv", "--reuid=65534", "--clear-groups", "env", "-i"]]
)
def test_what_is_executed_as_another_user_is_named_as_a_gap(folder: Path, words: list[str]) -> None:
    cat = shutil.which("cat")
    done = [*words, str(cat), "in.txt"]
    watched = watch(["/bin/sh", "-c", " ".join(done) + " > out.txt 2> errors.txt; :"], folder)
    assert (folder / "out.txt").read_text() == "content\n"
    assert (folder / "errors.txt").read_text() == ""
    named = cat if len(words) == 3 else shutil.which("env")
    what = "which files it opens, or the programs that it starts, is not known"
    assert gaps(watched) == [f"{named} was executed as another user, or behind another root: {what}"]


# -- what waits for the watcher ----------------------------------------------------------------------------------------------


def test_a_content_is_taken_before_it_is_lost(folder: Path) -> None:
    taken: dict[str, str] = {}

    def save(path: str, _found: os.stat_result) -> tuple[str | None, bool]:
        taken[os.path.basename(path)] = Path(path).read_text()
        return "digest", True

    for name in ("truncated", "appended", "replaced", "removed"):
        (folder / name).write_text(f"{name} before")
    script = "cat removed; echo a > truncated; echo b >> appended; echo c > new; mv new replaced; rm removed in.txt; "
    script += "echo d > truncated"
    watched = watch(["/bin/sh", "-c", script], folder, preimage=save)
    assert watched.status == 0
    assert taken == {name: f"{name} before" for name in ("truncated", "appended", "replaced", "removed")}
    noted = [event for event in watched.events if event.op == "h"]
    assert [event.text for event in noted] == ["digest"] * 4


def test_a_change_waits_for_the_snapshot(folder: Path) -> None:
    ready, say = os.pipe()
    found: list[str] = []

    def later() -> None:
        time.sleep(0.3)
        found.append((folder / "in.txt").read_text())
        os.write(say, b"1")

    thread = threading.Thread(target=later)
    thread.start()
    watched = watch(["/bin/sh", "-c", "echo changed > in.txt"], folder, snapshot=ready)
    thread.join()
    assert watched.status == 0
    assert found == ["content\n"]
    assert (folder / "in.txt").read_text() == "changed\n"


def test_a_watcher_that_does_not_answer_holds_a_program_up_once(folder: Path) -> None:
    for name in "abc":
        (folder / name).write_text(name)
    start = time.monotonic()
    watched = watch(["/bin/sh", "-c", "echo 1 > a; echo 2 > b; echo 3 > c"], folder, deaf=True)
    assert watched.status == 0
    assert time.monotonic() - start < 4
    assert gaps(watched) == ["the watcher did not answer: what files held before the run changed them was not taken from then on"]
    assert [ops(watched, folder / name) for name in "abc"] == ["w"] * 3


@pytest.mark.parametrize("deaf", [False, True])
@pytest.mark.parametrize(("word", "mindful"), [("--password=hunter2", False), ("hunter2", True)])
def test_a_word_that_may_be_secret_never_reaches_the_journal(folder: Path, word: str, mindful: bool, deaf: bool) -> None:
    watched = watch(["/bin/sh", "-c", f"true; /bin/echo {word} in.txt; :"], folder, mindful=mindful, deaf=deaf)
    assert watched.status == 0
    assert b"hunter2" not in (folder.parent / f"{folder.name}.run" / "events.jsonl").read_bytes()
    executed = [event.text for event in watched.events if event.op == "x"]
    assert executed[-1] == ('["/bin/echo","[not recorded]"]' if deaf else '["/bin/echo","*","in.txt"]')


# -- runs --------------------------------------------------------------------------------------------------------------------


def digest(data: bytes) -> str:
    return "blake3:" + blake3.blake3(data).hexdigest()


def test_a_run_has_its_inputs_outputs_and_what_it_overwrote(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("3\n1\n2\n")
    (tmp_path / "log.txt").write_text("before\n")
    done = run(tmp_path, "sh", "-c", "sort in.csv > sorted.csv; wc -l sorted.csv >> log.txt", options=["--observe", "preload"])
    assert done.returncode == 0, done.stderr
    record = last(tmp_path)
    assert record["observation"]["method"] == "preload"
    assert record["observation"]["gaps"] == [preload.GAP]
    assert paths(record, "inputs") == {"in.csv", "log.txt"}
    assert paths(record, "outputs") == {"sorted.csv", "log.txt"}
    assert use(record, "inputs", "in.csv")["digest"] == digest(b"3\n1\n2\n")
    assert use(record, "inputs", "log.txt")["digest"] == digest(b"before\n")
    assert use(record, "outputs", "sorted.csv")["digest"] == digest(b"1\n2\n3\n")


def test_a_file_that_is_inherited_for_appending_is_taken_first(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("before\n")
    with open(tmp_path / "log.txt", "a") as file:
        subprocess.run([*PRELOAD, "sh", "-c", "echo after"], cwd=tmp_path, stdout=file, stderr=subprocess.PIPE, check=True)
    record = last(tmp_path)
    assert (tmp_path / "log.txt").read_text() == "before\nafter\n"
    assert use(record, "inputs", "log.txt")["digest"] == digest(b"before\n")
    assert use(record, "outputs", "log.txt")["digest"] == digest(b"before\nafter\n")


def test_a_static_command_is_recorded_with_its_gap(build: Build, tmp_path: Path) -> None:
    program = build("static", STATIC, "-static")
    (tmp_path / "in.txt").write_text("")
    done = run(tmp_path, str(program), "in.txt", options=["--observe", "preload"])
    assert done.returncode == 0
    gaps = last(tmp_path)["observation"]["gaps"]
    assert f"{program} is linked statically: which files it opens is not known" in gaps


def test_where_the_kernel_refuses_the_library_is_put_before(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("content\n")
    command = [sys.executable, "-c", SANDBOX, *VESTIGE, "run", "--", "sh", "-c", "cat in.txt > out.txt"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    record = last(tmp_path)
    assert record["observation"]["method"] == "preload"
    assert (paths(record, "inputs"), paths(record, "outputs")) == ({"in.txt"}, {"out.txt"})


def test_where_the_kernel_refuses_what_a_static_command_wrote_is_found_by_comparing(build: Build, tmp_path: Path) -> None:
    source = '#include <fcntl.h>\nint main(void) { return open("out.txt", O_WRONLY | O_CREAT, 0644) < 0; }'
    program = build("writes", source, "-static")
    command = [sys.executable, "-c", SANDBOX, *VESTIGE, "run", "--", str(program)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    record = last(tmp_path)
    assert record["observation"]["method"] == "audit"
    assert paths(record, "outputs") == {"out.txt"}


def test_a_run_within_a_run_has_its_own_part(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("content\n")
    inner = " ".join([*PRELOAD, "sh", "-c", "'cat in.txt > inner.txt'"])
    done = run(tmp_path, "sh", "-c", f"{inner} && cat inner.txt > outer.txt", options=["--observe", "preload"])
    assert done.returncode == 0, done.stderr
    found = {tuple(sorted(paths(record, "outputs"))) for record in records(tmp_path)}
    assert found == {("inner.txt",), ("inner.txt", "outer.txt")}


def test_a_watcher_that_is_killed_leaves_the_command_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("content\n")
    script = (
        "import os, signal, time\n"
        "open('in.txt').close()\n"
        "os.kill(os.getppid(), signal.SIGKILL)\n"
        "time.sleep(0.2)\n"
        "start = time.monotonic()\n"
        "open('in.txt', 'w').write('changed')\n"
        "assert time.monotonic() - start < 1\n"
        "open('out.txt', 'w').write('done')\n"
    )
    run(tmp_path, sys.executable, "-c", script, options=["--observe", "preload"])
    deadline = time.monotonic() + 10
    while not (tmp_path / "out.txt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (tmp_path / "out.txt").read_text() == "done"
    assert (tmp_path / "in.txt").read_text() == "changed"
    subprocess.run([*VESTIGE, "log"], cwd=tmp_path, check=True, capture_output=True)
    record = last(tmp_path)
    assert "out.txt" in paths(record, "outputs")
    assert any("watcher" in gap for gap in record["observation"]["gaps"])
