"""`vestige.output_dir`, `vestige.initialize`, `with vestige.start(...)`: a folder for the results, and a record of the script."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.script.scripts import record, records, script, settled, used
from vestige.errors import UsageError
from vestige.record import info
from vestige.script import names

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looked at by what Linux tells of processes")

WRITES = "import vestige\nopen(vestige.output_dir + 'w.csv', 'w').write(open('in.csv').read())\n"


def test_reading_output_dir_begins_the_run_of_the_script(project: Path) -> None:
    done = script(project, WRITES, environ={"VESTIGE_NAME": "exp"})
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr == b"Saving results to results/exp/\n"
    assert (project / "results/exp/w.csv").read_text() == "1,2\n"
    found = record(project)
    assert (found["kind"], found["name"], found["status"], found["exit_code"]) == ("script", "exp", "finished", 0)
    assert used(found) == ({"in.csv"}, {"results/exp/w.csv"})
    assert found["script"]["path"] == "step.py"
    assert found["command"] == [sys.executable, "step.py"]
    assert None not in (found["code"]["snapshot"], found["environment"], found["machine"])
    assert found["observation"]["method"] == "audit"
    assert "only what Python itself opened was observed" in found["observation"]["gaps"][0]


def test_the_name_is_a_text_and_survives_a_change_of_folder(project: Path) -> None:
    (project / "below").mkdir()
    source = """
import os, vestige
first = vestige.output_dir
assert type(first) is str and first == "results/exp/", first
os.chdir("below")
assert vestige.output_dir == "../results/exp/"
open(vestige.output_dir + "x", "w").write("x")
"""
    assert script(project, source, environ={"FOOTSTEPS_NAME": "exp"}).returncode == 0
    assert (project / "results/exp/x").exists()


@pytest.mark.parametrize(
    ("source", "status", "code"),
    [
        ("raise SystemExit(3)", "failed", 3),
        ("1/0", "failed", 1),
        ("import os; os._exit(5)", "failed", 5),
        ("import os; os.abort()", "failed", None),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "failed", None),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "interrupted", None),
        ("raise KeyboardInterrupt", "interrupted", None),
    ],
)
def test_however_the_script_ends_it_is_recorded(project: Path, source: str, status: str, code: int | None) -> None:
    script(project, f"{WRITES}{source}", environ={"VESTIGE_NAME": "exp"})
    found = record(project)
    assert (found["status"], found["exit_code"]) == (status, code)
    assert used(found)[1] == {"results/exp/w.csv"}


OLD_KERNEL = "from vestige.script import leaving\nleaving.told_by_the_kernel = lambda: False\n"


@pytest.mark.parametrize(
    ("source", "status", "code"),
    [
        ("", "finished", 0),
        ("import sys; sys.exit(3)", "failed", 3),
        ("import sys; sys.exit('a message')", "failed", 1),
        ("1/0", "failed", 1),
        ("raise KeyboardInterrupt", "interrupted", 130),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "interrupted", None),
    ],
)
def test_where_the_kernel_does_not_tell_python_does(project: Path, source: str, status: str, code: int | None) -> None:
    done = script(project, f"{OLD_KERNEL}{WRITES}{source}", environ={"VESTIGE_NAME": "exp"})
    found = record(project)
    assert (found["status"], found["exit_code"]) == (status, code)
    if code not in (None, 130):
        assert done.returncode == code
    assert (code is None) == any("ended without a word" in problem for problem in found["problems"])


def test_where_no_process_can_be_started_the_next_command_writes_the_record(project: Path) -> None:
    source = f"import os\ndel os.posix_spawn\n{OLD_KERNEL}{WRITES}"
    (project / "step.py").write_text(source)
    environ = {**os.environ, "VESTIGE_NAME": "exp"}
    subprocess.run([sys.executable, "step.py"], cwd=project, env=environ, capture_output=True, check=True)
    assert records(project) == []
    subprocess.run([sys.executable, "-m", "vestige", "log"], cwd=project, capture_output=True, check=True)
    found = record(project)
    assert (found["status"], found["name"]) == ("finished", "exp")
    assert "results/exp/w.csv" in used(found)[1]
    assert (project / "results/exp/info.txt").exists()


def test_a_name_that_is_taken_gets_a_number(project: Path) -> None:
    for _ in range(3):
        script(project, WRITES, environ={"VESTIGE_NAME": "exp"})
    assert sorted(os.listdir(project / "results")) == ["exp", "exp-1", "exp-2"]
    assert [one["name"] for one in records(project)] == ["exp", "exp-1", "exp-2"]


def test_sixty_that_begin_at_once_get_sixty_folders(tmp_path: Path) -> None:
    program = (
        "from vestige.script.names import make_folder; import sys; sys.stdin.read(); print(make_folder('results', 'a/b')[0])"
    )
    read, write = os.pipe()
    started = [
        subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stdin=read, stdout=subprocess.PIPE, text=True)
        for _ in range(60)
    ]
    os.close(read)
    os.close(write)
    found = {one.communicate()[0].strip() for one in started}
    assert found == {"a/b", *(f"a/b-{number}" for number in range(1, 60))}


@pytest.mark.parametrize("name", ["", " ", "/abs", "..", "a/../../b", "~/x", ".", "x\0y", "x" * 300])
def test_a_name_that_cannot_be_a_folder_is_refused_with_a_reason(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a run"):
        names.checked(name)


@given(st.text(max_size=40))
def test_what_is_a_name_stays_below_the_folder_of_results(name: str) -> None:
    try:
        found = names.checked(name)
    except UsageError:
        return
    assert os.path.normpath(os.path.join("/results", found)).startswith("/results/")
    assert names.checked(found) == found


def test_initialize_takes_a_name_and_a_root_outside_of_the_project(project: Path, tmp_path: Path) -> None:
    source = f"""
import vestige
assert vestige.initialize("hcp/fold-3", output_root={str(tmp_path / "elsewhere")!r}).endswith("elsewhere/hcp/fold-3/")
open(vestige.output_dir + "w.csv", "w").write("x")
try:
    vestige.initialize("another")
except vestige.VestigeError as error:
    assert "has a folder already" in str(error), error
else:
    raise AssertionError
"""
    done = script(project, source)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "elsewhere/hcp/fold-3/info.txt").exists()
    assert used(record(project), "data", "temporary")[1] == {str(tmp_path / "elsewhere/hcp/fold-3/w.csv")}


# -- where nobody can be asked ---------------------------------------------------------------------------------------------


def test_without_a_terminal_a_name_is_made_up(project: Path) -> None:
    script(project, WRITES)
    assert re.fullmatch("[a-z]+-[a-z]+", record(project)["name"])


@pytest.mark.parametrize(
    ("shell", "seen", "name"),
    [
        ("printf 'piped-name\\n' | $PY step.py", "", "piped-name"),
        ("printf 'a\\nb\\nc\\n' | $PY step.py", "a\nb\nc\n", None),
        ("printf 'no end of line' | $PY step.py", "no end of line", None),
        ("(printf 'one\\n'; sleep 0.6; printf 'two\\n') | $PY step.py", "one\ntwo\n", None),
        ("printf '/absolute\\n' | $PY step.py", "", None),
        ("head -c 70000 /dev/zero | tr '\\0' x | $PY step.py", "x" * 70000, None),
        ("$PY step.py < in.csv", "1,2\n", None),
        ("$PY step.py <&-", None, None),
        ("printf 'a\\nb\\n' | while read f; do $PY step.py; done", None, None),
    ],
)
def test_nothing_of_the_standard_input_is_lost(project: Path, shell: str, seen: str | None, name: str | None) -> None:
    source = "import sys, vestige\nvestige.output_dir\nprint(sys.stdin.read() if sys.stdin else '', end='')\n"
    (project / "step.py").write_text(source)
    done = subprocess.run(
        ["sh", "-c", shell],
        cwd=project,
        capture_output=True,
        text=True,
        env={**os.environ, "PY": sys.executable},
        timeout=60,
        check=False,
    )
    settled(project)
    assert done.returncode == 0, done.stderr
    found = records(project)
    if "while" in shell:
        assert done.stdout == "b\n"  # the first takes what is left, as it would without us
        return
    if seen is not None and not (seen == "" and name is None):
        assert done.stdout == seen
    if name is not None:
        assert [one["name"] for one in found] == [name]


def test_on_a_terminal_the_name_is_asked_for_with_completion(project: Path) -> None:
    (project / "results" / "baseline").mkdir(parents=True)
    (project / "results" / "baseline" / "info.txt").touch()
    (project / "step.py").write_text(WRITES + "print('done')\n")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(project)
        os.execv(sys.executable, [sys.executable, "step.py"])
    shown = _until(terminal, b"Input name of experiment:")
    os.write(terminal, b"../no\n")
    shown += _until(terminal, b"leads out of the folder")
    time.sleep(0.3)
    os.write(terminal, b"bas\t")
    shown += _until(terminal, b"baseline")
    os.write(terminal, b"\n")
    shown += _until(terminal, b"done")
    assert b"Saving results to results/baseline-1/" in shown
    os.waitpid(pid, 0)
    os.close(terminal)
    settled(project)
    assert record(project)["name"] == "baseline-1"


def _until(terminal: int, text: bytes, seconds: float = 30.0) -> bytes:
    deadline, shown = time.monotonic() + seconds, b""
    while text not in shown:
        assert time.monotonic() < deadline, shown
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                shown += os.read(terminal, 4096)
            except OSError:
                break
    assert text in shown, shown
    return shown


# -- what lies beside the results -----------------------------------------------------------------------------------------

HEADERS = ["Command:", "System:", "Python:", "Git Hash:", "Uncommitted changes:", "Current working dir:"]


def test_info_txt_has_every_section_and_its_changes_apply(project: Path, tmp_path: Path) -> None:
    (project / "in.csv").write_bytes(b"3,4\r\n")
    (project / "data.bin").write_bytes(bytes(range(256)))
    subprocess.run(["git", "-C", project, "add", "data.bin"], check=True)
    subprocess.run(["git", "-C", project, "config", "diff.noprefix", "true"], check=True)
    subprocess.run(["git", "-C", project, "config", "color.ui", "always"], check=True)
    script(project, WRITES, "--lr", "0 1", environ={"VESTIGE_NAME": "exp"})
    info = (project / "results/exp/info.txt").read_bytes()
    lines = info.decode("utf-8", "surrogateescape").split("\n")
    assert [line for line in lines if line in HEADERS] == HEADERS
    assert lines[1] == f"{sys.executable} step.py --lr '0 1'"
    commit = subprocess.run(["git", "-C", project, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    assert lines[lines.index("Git Hash:") + 1] == commit[:7]
    assert lines[lines.index("Current working dir:") + 1] == str(project)
    changes = info.split(b"Uncommitted changes:\n")[1].split(b"Current working dir:\n")[0]
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", project, clone], check=True)
    subprocess.run(["git", "-C", clone, "apply", "-"], input=changes, check=True)
    for name in ("in.csv", "data.bin", "step.py"):
        assert (clone / name).read_bytes() == (project / name).read_bytes()
    versions = (project / "results/exp/package_versions.txt").read_text().split()
    assert any(line.startswith("pytest==") for line in versions)


def test_a_script_that_git_does_not_have_is_copied(project: Path) -> None:
    (project / "new.py").write_text(WRITES)
    done = subprocess.run(
        [sys.executable, "new.py"], cwd=project, env={**os.environ, "VESTIGE_NAME": "exp"}, capture_output=True, check=False
    )
    settled(project)
    assert done.returncode == 0
    assert (project / "results/exp/new.py").read_text() == WRITES


@pytest.mark.parametrize("kind", ["no git", "no commit", "detached"])
def test_without_git_or_a_commit_the_sections_are_there(project: Path, tmp_path: Path, kind: str) -> None:
    where = tmp_path / "other"
    where.mkdir()
    (where / "in.csv").write_text("1,2\n")
    if kind == "no commit":
        subprocess.run(["git", "init", "-q", where], check=True)
    elif kind == "detached":
        where = project
        subprocess.run(["git", "-C", where, "checkout", "-q", "--detach"], check=True)
    done = script(where, WRITES, environ={"VESTIGE_NAME": "exp"})
    assert (done.returncode, done.stderr) == (0, b"Saving results to results/exp/\n")
    lines = (where / "results/exp/info.txt").read_text().split("\n")
    assert [line for line in lines if line in HEADERS] == HEADERS
    note = {"no git": "(no git repository)", "no commit": "(no commit yet)"}.get(kind)
    assert note is None or lines[lines.index("Git Hash:") + 1] == note


def test_changes_that_hold_a_secret_are_left_out_and_said_so(project: Path) -> None:
    (project / "in.csv").write_text("token = ghp_0123456789abcdefghijklmnopqrstuvwxyzAB\n")
    script(project, WRITES.replace("open('in.csv').read()", "'x'"), environ={"VESTIGE_NAME": "exp"})
    info = (project / "results/exp/info.txt").read_text()
    assert "ghp_" not in info
    assert "# the changes of in.csv are left out: they hold a secret" in info
    assert "a/step.py" in info


def test_nothing_of_the_users_is_replaced(project: Path) -> None:
    source = WRITES + "open(vestige.output_dir + 'package_versions.txt', 'w').write('mine')\n"
    script(project, source, environ={"VESTIGE_NAME": "exp"})
    assert (project / "results/exp/package_versions.txt").read_text() in ("mine",)


# -- sections, workers, runs around -----------------------------------------------------------------------------------------


def test_sections_are_runs_of_their_own_and_one_inside_another_is_its_child(project: Path) -> None:
    source = """
import vestige
for number in range(2):
    with vestige.start(f"fold-{number}") as run:
        assert vestige.output_dir == run.output_dir == f"results/fold-{number}/", vestige.output_dir
        open(vestige.output_dir + "w", "w").write(open("in.csv").read())
        with vestige.start("inner") as inner:
            open(vestige.output_dir + "v", "w").write("v")
            assert vestige.output_dir == f"results/fold-{number}/inner/"
        vestige.log(accuracy=number)
try:
    with vestige.start("broken"):
        1 / 0
except ZeroDivisionError:
    pass
"""
    done = script(project, source)
    assert done.returncode == 0, done.stderr
    found = {one["name"]: one for one in records(project)}
    assert set(found) == {"fold-0", "fold-1", "inner", "broken"}
    assert used(found["fold-1"]) == ({"in.csv"}, {"results/fold-1/w", "results/fold-1/inner/v"})
    assert found["fold-1"]["values"]["accuracy"][0]["value"] == 1
    inner = [one for one in records(project) if one["name"] == "inner"]
    assert [one["parent"] for one in inner] == [found["fold-0"]["id"], found["fold-1"]["id"]]
    assert found["broken"]["status"] == "failed"
    assert "ZeroDivisionError: division by zero" in found["broken"]["problems"]
    assert (project / "results/fold-0/info.txt").exists()


WORKERS = """
import multiprocessing, os, sys, vestige
from concurrent.futures import ProcessPoolExecutor

def work(number):
    with open(vestige.output_dir + f"part-{number}", "w") as file:
        file.write(open("in.csv").read())
    vestige.log(part=number)
    return vestige.output_dir

if __name__ == "__main__":
    own = vestige.output_dir
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(sys.argv[1])) as pool:
        assert set(pool.map(work, range(4))) == {own}
"""


@pytest.mark.parametrize("way", ["fork", "spawn", "forkserver"])
def test_workers_join_the_run_that_started_them(project: Path, way: str) -> None:
    done = script(project, WORKERS, way, environ={"VESTIGE_NAME": "exp"})
    assert done.returncode == 0, done.stderr
    assert os.listdir(project / "results") == ["exp"]
    found = record(project)
    assert used(found) == ({"in.csv"}, {f"results/exp/part-{number}" for number in range(4)})
    assert sorted(one["value"] for one in found["values"]["part"]) == [0, 1, 2, 3]


def test_a_script_under_vestige_run_joins_that_run(project: Path) -> None:
    (project / "step.py").write_text(WRITES + "vestige.log(loss=0.5)\n")
    command = [sys.executable, "-m", "vestige", "run", sys.executable, "step.py"]
    done = subprocess.run(
        command, cwd=project, env={**os.environ, "VESTIGE_NAME": "exp"}, capture_output=True, timeout=60, check=False
    )
    settled(project)
    assert (done.returncode, done.stderr) == (0, b"Saving results to results/exp/\n")
    found = record(project)
    assert found["kind"] == "command"
    assert found["values"]["loss"][0]["value"] == 0.5
    assert (project / "results/exp/info.txt").exists()
    assert (project / "results/exp/package_versions.txt").exists()
    assert used(found)[1] == {"results/exp/w.csv"}


def test_a_run_that_a_value_has_begun_is_named_by_its_folder(project: Path) -> None:
    script(project, "import vestige\nvestige.log(a=1)\nvestige.initialize('later')\n")
    assert record(project)["name"] == "later"


@pytest.mark.parametrize(("options", "name"), [([], "exp"), (["--name", "given"], "given")])
def test_a_run_around_a_script_takes_its_name_if_it_has_none(project: Path, options: list[str], name: str) -> None:
    (project / "step.py").write_text("import vestige\nvestige.initialize('exp')\n")
    command = [sys.executable, "-m", "vestige", "run", *options, sys.executable, "step.py"]
    subprocess.run(command, cwd=project, capture_output=True, timeout=60, check=True)
    settled(project)
    assert record(project)["name"] == name


def test_a_folder_that_vanishes_is_made_again_and_said_so(project: Path) -> None:
    source = "import shutil, vestige\nshutil.rmtree(vestige.output_dir)\nopen(vestige.output_dir + 'w', 'w').write('x')\n"
    done = script(project, source, environ={"VESTIGE_NAME": "exp"})
    assert done.returncode == 0, done.stderr
    assert b"has vanished; it is made again" in done.stderr
    assert (project / "results/exp/w").read_text() == "x"


def test_where_nothing_can_be_recorded_the_script_goes_on(project: Path) -> None:
    (project / ".vestige").write_text("no folder")
    done = subprocess.run(
        [sys.executable, "-c", WRITES],
        cwd=project,
        env={**os.environ, "VESTIGE_NAME": "exp"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"vestige: nothing can be recorded" in done.stderr
    assert (project / "results/exp/w.csv").exists()


def test_what_was_imported_or_read_before_is_found(project: Path) -> None:
    (project / "helper.py").write_text("VALUE = 1\n")
    source = """
import mmap, helper
f = open("in.csv")
m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
import vestige
vestige.output_dir
"""
    script(project, source, environ={"VESTIGE_NAME": "exp"})
    found = record(project)
    assert used(found)[0] == {"in.csv"}
    assert used(found, "code")[0] == {"helper.py", "step.py"}


def test_what_a_library_writes_into_the_folder_is_found(project: Path) -> None:
    source = """
import ctypes, os, vestige
C = ctypes.CDLL(None)
descriptor = C.open((vestige.output_dir + "native.bin").encode(), os.O_CREAT | os.O_WRONLY, 0o666)
C.write(descriptor, b"abc", 3)
open(vestige.output_dir + "w", "w").write("x")
os.mkdir(vestige.output_dir + "below")
C.close(C.open((vestige.output_dir + "below/empty").encode(), os.O_CREAT | os.O_WRONLY, 0o666))
"""
    done = script(project, source, environ={"VESTIGE_NAME": "exp"})
    assert done.returncode == 0, done.stderr
    found = record(project)
    assert used(found)[1] == {"results/exp/native.bin", "results/exp/w", "results/exp/below/empty"}
    assert {use["path"] for use in found["outputs"]} == used(found)[1]


def test_a_file_read_from_the_results_of_another_run_is_an_edge(project: Path) -> None:
    script(project, WRITES, environ={"VESTIGE_NAME": "first"})
    reads = WRITES.replace("in.csv", "results/first/w.csv").replace("'w.csv'", "'final.csv'")
    script(project, reads, environ={"VESTIGE_NAME": "second"})
    command = [sys.executable, "-m", "vestige", "trace", "results/second/final.csv"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    assert "in.csv -> step.py" in done.stdout
    assert "results/first/w.csv" in done.stdout


@given(st.lists(st.text(max_size=8), max_size=5))
def test_the_command_of_info_txt_is_quoted_as_a_shell_reads_it(words: list[str]) -> None:
    shown = info.render(info.Info(command=words, system="", python="", commit=None, changes=b"", cwd=""))
    assert shown.startswith(f"Command:\n{shlex.join(words)}\n".encode("utf-8", "surrogateescape"))
