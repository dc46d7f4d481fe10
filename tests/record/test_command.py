"""Commands recorded for real: what the record says, and what stays as it would have been."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from tests.record.running import VESTIGE, last, paths, records, run, use
from vestige.observe.interface import Event, parse

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="recording is complete on Linux only")


def digest(data: bytes) -> str:
    return "blake3:" + blake3(data).hexdigest()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    (folder / "in.csv").write_text("a,b\n1,2\n3,4\n5,6\n")
    (folder / "step.py").write_text("import sys\nopen(sys.argv[2], 'w').write(open(sys.argv[1]).read().upper())\n")
    return folder


def test_inputs_and_outputs_are_found_without_being_declared(project: Path) -> None:
    done = run(project, "python3", "step.py", "in.csv", "out.csv")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    record = last(project)
    assert paths(record, "inputs") == {"in.csv"}
    assert paths(record, "outputs") == {"out.csv"}
    read, written = use(record, "inputs", "in.csv"), use(record, "outputs", "out.csv")
    assert read["digest"] == digest((project / "in.csv").read_bytes())
    assert written["digest"] == digest((project / "out.csv").read_bytes())
    assert read["evidence"] == ["observed"]
    assert record["status"] == "finished"
    assert record["observation"]["method"] == "notify"
    assert record["observation"]["gaps"] == []
    assert record["script"]["path"] == "step.py"
    assert record["problems"] == []


def test_a_chain_of_shell_tools_is_one_run(project: Path) -> None:
    run(project, "sh", "-c", "cut -d, -f1 in.csv | sort > tmp; mv tmp sorted; cat sorted > final; rm sorted")
    record = last(project)
    assert paths(record, "inputs") == {"in.csv"}
    assert paths(record, "outputs") == {"final"}


def test_a_file_read_and_rewritten_is_both_with_both_digests(project: Path) -> None:
    before = (project / "in.csv").read_bytes()
    run(project, "sh", "-c", "cat in.csv > /dev/null; echo new > in.csv")
    record = last(project)
    assert use(record, "inputs", "in.csv")["digest"] == digest(before)
    written = use(record, "outputs", "in.csv")
    assert (written["before"], written["digest"]) == (digest(before), digest(b"new\n"))
    assert use(record, "inputs", "in.csv")["kept"]


def test_a_file_renamed_over_an_input_keeps_the_inputs_digest(project: Path) -> None:
    before = (project / "in.csv").read_bytes()
    run(project, "sh", "-c", "sort in.csv > in.tmp; mv in.tmp in.csv")
    record = last(project)
    assert use(record, "inputs", "in.csv")["digest"] == digest(before)
    assert paths(record, "outputs") == {"in.csv"}


def test_sed_in_place_on_its_own_input(project: Path) -> None:
    before = (project / "in.csv").read_bytes()
    run(project, "sed", "-i", "s/1/9/", "in.csv")
    record = last(project)
    assert use(record, "inputs", "in.csv")["digest"] == digest(before)
    assert use(record, "outputs", "in.csv")["digest"] == digest(before.replace(b"1", b"9"))


def test_a_file_written_and_removed_is_neither(project: Path) -> None:
    run(project, "sh", "-c", "echo x > gone; cat gone; rm gone; cat nothing")
    record = last(project)
    assert paths(record, "inputs") == set()
    assert paths(record, "outputs") == set()
    assert record["status"] == "failed"


def test_an_input_that_the_run_deletes_is_still_its_input(project: Path) -> None:
    before = (project / "in.csv").read_bytes()
    run(project, "sh", "-c", "cat in.csv > out; rm in.csv")
    read = use(last(project), "inputs", "in.csv")
    assert read["deleted"]
    assert read["digest"] == digest(before)


def test_declared_files_are_labelled_and_grep_declares_nothing(project: Path) -> None:
    run(project, "sh", "-c", 'cat "$2" > "$4"', "sh", "-i", "in.csv", "-o", "out.csv")
    assert use(last(project), "inputs", "in.csv")["evidence"] == ["observed", "declared"]
    run(project, "grep", "-i", "word", "in.csv")
    assert paths(last(project), "inputs") == {"in.csv"}


def test_declared_before_the_command_where_nothing_is_observed(project: Path) -> None:
    run(project, "cp", "in.csv", "out.csv", options=["--observe", "none", "--input", "in.csv", "--output", "out.csv"])
    record = last(project)
    assert use(record, "inputs", "in.csv")["evidence"] == ["declared"]
    assert use(record, "outputs", "out.csv")["evidence"] == ["declared"]
    assert any("not observed" in gap for gap in record["observation"]["gaps"])


def test_the_exit_code_is_the_commands_own(project: Path) -> None:
    assert run(project, "sh", "-c", "exit 7").returncode == 7
    assert last(project)["exit_code"] == 7
    assert run(project, "sh", "-c", "kill -TERM $$").returncode == 128 + 15
    record = last(project)
    assert (record["signal"], record["status"], record["exit_code"]) == (15, "interrupted", None)


def test_a_command_that_does_not_exist_is_127_one_line_and_a_record(project: Path) -> None:
    done = run(project, "no-such-command")
    assert done.returncode == 127
    assert done.stderr == b"vestige: no-such-command: not found\n"
    record = last(project)
    assert record["status"] == "failed"
    assert record["exit_code"] == 127
    assert record["problems"] == ["no-such-command: not found"]
    assert record["code"]["snapshot"]


def test_a_command_that_cannot_be_executed_is_126(project: Path) -> None:
    (project / "script").write_text("#!/no/such/interpreter\n")
    assert run(project, "./script").returncode == 126
    (project / "script").chmod(0o755)
    assert run(project, "./script").returncode in (126, 127)


def test_a_script_without_a_first_line_is_run_by_the_shell(project: Path) -> None:
    (project / "script").write_text("cat in.csv > out\n")
    (project / "script").chmod(0o755)
    assert run(project, "./script").returncode == 0
    assert paths(last(project), "outputs") == {"out"}


def test_the_code_is_kept_as_it_stood_when_the_run_started(project: Path) -> None:
    (project / "step.py").write_text("open('step.py', 'a').write('# changed by itself\\n')\nopen('out', 'w').write('x')\n")
    before = (project / "step.py").read_bytes()
    run(project, "python3", "step.py")
    record = last(project)
    assert record["code"]["changed_during_run"]
    tree = record["code"]["snapshot"].removeprefix("git:")
    kept = subprocess.run(
        ["git", f"--git-dir={project}/.vestige/code.git", "show", f"{tree}:step.py"], capture_output=True, check=True
    ).stdout
    assert kept == before


def test_code_that_git_ignores_is_kept_if_it_was_used(project: Path) -> None:
    (project / ".gitignore").write_text("generated.py\n")
    (project / "generated.py").write_text("value = 3\n")
    (project / "step.py").write_text("import generated\nopen('out', 'w').write(str(generated.value))\n")
    run(project, "python3", "step.py")
    tree = last(project)["code"]["snapshot"].removeprefix("git:")
    listed = subprocess.run(
        ["git", f"--git-dir={project}/.vestige/code.git", "ls-tree", "-r", "--name-only", tree],
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split()
    assert "generated.py" in listed


def test_the_environment_is_that_of_the_python_that_ran_and_is_stored_once(project: Path) -> None:
    for _ in range(2):
        run(project, "/usr/bin/python3", "step.py", "in.csv", "out.csv")
    one, two = records(project)[-2:]
    assert one["environment"] == two["environment"]
    algorithm, _, name = one["environment"].partition(":")
    stored = json.loads((project / ".vestige/objects" / algorithm / name[:2] / name[2:]).read_text())
    version = subprocess.run(
        ["/usr/bin/python3", "-c", "import sys; print(sys.version.split()[0])"], capture_output=True, text=True, check=True
    )
    assert stored["interpreters"][0]["version"] == version.stdout.strip()


def test_the_started_record_is_on_disk_while_the_command_runs(project: Path) -> None:
    script = "ls .vestige/active/*/started.json; echo $VESTIGE_RUN_ID"
    out = run(project, "sh", "-c", script).stdout.decode().split()
    assert out[0].split("/")[2] == out[1] == last(project)["id"]


def test_a_run_inside_a_run_is_its_child_and_both_know_the_files(project: Path) -> None:
    (project / "Makefile").write_text(
        f"out: mid\n\tcat mid > out\nmid: in.csv\n\t{' '.join(VESTIGE)} run sh -c 'sort in.csv > mid; echo done'\n"
    )
    done = run(project, "make", "-s", "out")
    assert done.returncode == 0, done.stderr
    outer, inner = records(project)
    assert inner["parent"] == outer["id"]
    assert paths(inner, "inputs") == {"in.csv"}
    assert paths(inner, "outputs") == {"mid"}
    assert paths(outer, "outputs") == {"mid", "out"}
    assert inner["observation"]["method"] == "notify"


def events_of(project: Path, record: dict[str, Any]) -> list[Event]:
    """What was kept of a run's journal."""
    digest = record["observation"]["raw"].removeprefix("blake3:")
    data = (project / ".vestige/objects/blake3" / digest[:2] / digest[2:]).read_bytes()
    return list(parse(gzip.decompress(data).splitlines(keepends=True)))


def test_the_events_of_a_run_are_kept_those_of_one_inside_another_too(project: Path) -> None:
    run(project, *VESTIGE, "run", "sh", "-c", "cat in.csv > mid")
    outer, inner = records(project)
    kept = {record["id"]: {event.path for event in events_of(project, record)} for record in (outer, inner)}
    assert {f"{project}/in.csv", f"{project}/mid"} <= kept[inner["id"]] < kept[outer["id"]]
    assert len(events_of(project, inner)) == inner["observation"]["events"]


def test_two_runs_in_one_folder_at_once_do_not_mix(project: Path) -> None:
    script = "for i in 1 2 3 4 5; do cat in.csv > $1$i; sleep 0.05; done"
    both = [subprocess.Popen([*VESTIGE, "run", "sh", "-c", script, "sh", name], cwd=project) for name in "ab"]
    assert [process.wait() for process in both] == [0, 0]
    found = sorted(sorted(paths(record, "outputs")) for record in records(project))
    assert found == [[f"{name}{i}" for i in range(1, 6)] for name in "ab"]


def test_a_daemon_that_outlives_the_command_is_recorded_and_not_waited_for(project: Path) -> None:
    started = time.monotonic()
    done = run(project, "sh", "-c", "(sleep 2; echo late > late) > /dev/null 2>&1 & echo now > now")
    assert done.returncode == 0
    assert time.monotonic() - started < 2
    assert paths(last(project), "outputs") == {"now", "late"}


def test_secrets_in_the_command_reach_no_file(project: Path) -> None:
    secret = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"
    run(project, "sh", "-c", "cat in.csv > out", "--token", secret, environ={"MY_API_KEY": "zxcvbnmasdfghjkl"})
    for path in project.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
            assert b"zxcvbnmasdfghjkl" not in path.read_bytes(), path
    record = last(project)
    assert record["redactions"][0]["kind"] == "github"


def test_strict_refuses_an_uncommitted_tree_before_anything_runs(project: Path) -> None:
    done = run(project, "touch", "ran", options=["--strict"])
    assert done.returncode == 1
    assert b"refusing to run: commit your changes first (every run maps to a commit)" in done.stderr
    assert b"step.py" in done.stderr
    assert not (project / "ran").exists()


def test_a_name_with_a_newline_and_bytes_that_are_not_utf8_is_recorded(project: Path) -> None:
    name = os.fsdecode(b"a\n\xff.txt")
    run(project, "cp", "in.csv", name)
    (written,) = last(project)["outputs"]
    assert written["encoding"] == "percent"
    assert written["path"] == "a%0A%FF.txt"


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_does_not_keep_the_command_from_running(project: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root can write anywhere")
    project.chmod(0o555)
    try:
        done = run(project, "cat", "in.csv", options=["-v"])
    finally:
        project.chmod(0o755)
    assert done.returncode == 0
    assert done.stdout == (project / "in.csv").read_bytes()
    assert done.stderr.count(b"\n") >= 1
    assert b"vestige: " in done.stderr


def pids_of(folder: Path, name: str) -> int:
    """The number of one of Vestige's processes of the run that is active in a project."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for started in folder.glob(".vestige/active/*/started.json"):
            processes = json.loads(started.read_text())["processes_of_vestige"]
            if name in processes:
                return int(processes[name][0])
        time.sleep(0.02)
    raise AssertionError("no run has started")


def until(holds: Callable[[], bool]) -> None:
    """Wait for something, as long as a busy machine may take."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


SLOW = "cat in.csv > one; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; cat in.csv > /dev/null; done; echo end > two"


@pytest.mark.parametrize("victim", ["watcher", "recorder"])
def test_whichever_of_our_processes_is_killed_the_command_goes_on(project: Path, victim: str) -> None:
    process = subprocess.Popen([*VESTIGE, "run", "sh", "-c", SLOW], cwd=project, stderr=subprocess.PIPE)
    pid = pids_of(project, victim)
    until(lambda: any(b"/one" in events.read_bytes() for events in project.glob(".vestige/active/*/events.jsonl")))
    os.kill(pid, signal.SIGKILL)
    assert process.wait(timeout=30) == 0
    assert (project / "two").read_text() == "end\n"
    subprocess.run([*VESTIGE, "log"], cwd=project, check=True, stdout=subprocess.DEVNULL)
    record = last(project)
    assert "one" in paths(record, "outputs")
    if victim == "recorder":
        assert "two" in paths(record, "outputs")
    else:
        assert any("watcher was killed" in gap for gap in record["observation"]["gaps"])


def test_a_launcher_that_is_killed_leaves_a_record(project: Path) -> None:
    process = subprocess.Popen([*VESTIGE, "run", "sh", "-c", SLOW + " 2>/dev/null"], cwd=project)
    pids_of(project, "watcher")
    time.sleep(0.3)
    process.kill()
    process.wait()
    assert {"one", "two"} <= paths(last(project), "outputs")


def test_a_run_whose_every_process_was_killed_is_lost_and_its_files_are_traced(project: Path) -> None:
    process = subprocess.Popen([*VESTIGE, "run", "sh", "-c", "cat in.csv > one; sleep 60"], cwd=project, start_new_session=True)
    pid = pids_of(project, "recorder")
    time.sleep(0.5)
    processes = json.loads(next(project.glob(".vestige/active/*/started.json")).read_text())["processes_of_vestige"]
    for name in ("recorder", "watcher", "launcher", "command"):
        os.kill(processes[name][0], signal.SIGKILL)
    process.wait()
    assert pid
    listed = subprocess.run([*VESTIGE, "log", "--json"], cwd=project, check=True, capture_output=True).stdout
    (entry,) = json.loads(listed)
    assert entry["status"] == "lost"
    traced = subprocess.run([*VESTIGE, "trace", "one"], cwd=project, capture_output=True, check=False)
    assert traced.returncode == 0
    assert b"in.csv" in traced.stdout


# -- standard streams ---------------------------------------------------------------------------------------------------


def shell(project: Path, line: str) -> subprocess.CompletedProcess[bytes]:
    """A line as it would be typed; `vestige` is ours."""
    vestige = " ".join(VESTIGE)
    return subprocess.run(["sh", "-c", line.replace("vestige", vestige)], cwd=project, capture_output=True, check=False)


def test_redirected_streams_are_input_and_output(project: Path) -> None:
    shell(project, "vestige run sort < in.csv > sorted")
    record = last(project)
    assert paths(record, "inputs") == {"in.csv"}
    assert paths(record, "outputs") == {"sorted"}
    assert record["stdin"] == {"kind": "file", "path": "in.csv", "digest": digest((project / "in.csv").read_bytes())}


def test_redirected_input_that_is_not_read_is_no_input(project: Path) -> None:
    shell(project, "vestige run true < in.csv")
    assert paths(last(project), "inputs") == set()


def test_what_is_appended_to_a_log_is_an_append_with_the_digest_before(project: Path) -> None:
    (project / "log").write_text("before\n")
    shell(project, "vestige run echo after >> log")
    written = use(last(project), "outputs", "log")
    assert written["access"] == "append"
    assert (written["before"], written["digest"]) == (digest(b"before\n"), digest(b"before\nafter\n"))


def test_a_command_that_reads_nothing_leaves_standard_input_to_the_next(project: Path) -> None:
    done = shell(project, "printf 'one\\ntwo\\nthree\\n' | while read line; do vestige run echo got $line; done")
    assert done.stdout == b"got one\ngot two\ngot three\n"


def test_a_reader_that_goes_away_ends_the_writer(project: Path) -> None:
    done = shell(project, "vestige run yes | head -1")
    assert done.stdout == b"y\n"
    record = last(project)
    assert record["signal"] == signal.SIGPIPE


def test_output_is_passed_on_byte_for_byte_and_kept(project: Path) -> None:
    done = run(project, "sh", "-c", "printf '\\377\\000out'; printf err >&2")
    assert (done.stdout, done.stderr) == (b"\xff\0out", b"err")
    streams = last(project)["streams"]
    assert (streams["stdout"]["digest"], streams["stdout"]["size"]) == (digest(b"\xff\0out"), 5)
    assert streams["stderr"]["digest"] == digest(b"err")


LOOK = """
import os
def state(number):
    try:
        os.fstat(number)
    except OSError:
        return "closed"
    return "open"
found = [state(number) for number in range(3)]
open("found", "w").write(" ".join(found))
"""


def test_closed_streams_stay_closed(project: Path) -> None:
    (project / "look.py").write_text(LOOK)
    done = shell(project, "vestige run python3 look.py <&- >&- 2>&-")
    assert done.returncode == 0
    assert (project / "found").read_text() == "closed closed closed"
    assert shell(project, "vestige run python3 look.py <&-").returncode == 0
    assert (project / "found").read_text() == "closed open open"


# -- what surrounds a run, and what is left where the kernel does not help ----------------------------------------------------


def environment(project: Path, record: dict[str, Any]) -> dict[str, Any]:
    algorithm, _, name = record["environment"].partition(":")
    found: dict[str, Any] = json.loads((project / ".vestige/objects" / algorithm / name[:2] / name[2:]).read_text())
    return found


def test_the_system_packages_of_what_was_used_are_named(project: Path) -> None:
    run(project, "sort", "in.csv")
    system = environment(project, last(project))["system"]
    assert "coreutils" in system
    assert any(name.startswith("libc6") for name in system)


def test_a_library_that_was_edited_in_place_is_code(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "venv"
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    (packages / "loose.py").write_text("value = 1\n")
    (project / "step.py").write_text("import loose\n")
    run(project, str(folder / "bin/python"), "step.py")
    assert str(packages / "loose.py") in paths(last(project), "inputs", "code")


def test_without_the_kernel_python_is_observed_from_inside_and_others_by_comparison(project: Path) -> None:
    run(project, "sh", "-c", "python3 step.py in.csv out.csv; cat in.csv > by-cat", options=["--observe", "audit"])
    record = last(project)
    assert record["observation"]["method"] == "audit"
    assert any("Python" in gap for gap in record["observation"]["gaps"])
    assert "in.csv" in paths(record, "inputs")
    assert {"out.csv", "by-cat"} <= paths(record, "outputs")


def test_in_a_home_folder_the_snapshot_holds_the_code_that_was_used_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "used.py").write_text("import mine\nopen('out', 'w').write('x')\n")
    (tmp_path / "mine.py").write_text("")
    (tmp_path / "diary.py").write_text("")
    done = run(tmp_path, "python3", "used.py", environ={"HOME": str(tmp_path)})
    assert done.returncode == 0
    assert not (tmp_path / ".vestige").exists()
    (store,) = Path(os.environ["XDG_STATE_HOME"]).glob("vestige/detached/*")
    deadline = time.monotonic() + 10
    while not (found := list(store.glob("runs/*/*/*.json"))) and time.monotonic() < deadline:
        time.sleep(0.05)
    record = json.loads(found[0].read_text())
    tree = record["code"]["snapshot"].removeprefix("git:")
    listed = subprocess.run(
        ["git", f"--git-dir={store}/code.git", "ls-tree", "-r", "--name-only", tree], capture_output=True, check=True, text=True
    ).stdout.split()
    assert listed == ["mine.py", "used.py"]


def test_a_wrong_configuration_is_said_in_one_line_and_the_command_runs(project: Path) -> None:
    (project / "vestige.toml").write_text('keeep = "1 MiB"\n')
    done = run(project, "cp", "in.csv", "out.csv", options=["-v"])
    assert done.returncode == 0
    assert (project / "out.csv").exists()
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("vestige: the configuration was passed over: ")
    assert "keep" in lines[0]
