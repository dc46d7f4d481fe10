"""Programs that do what nobody expects of them: none of them is harmed, and none loses its record."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.script.scripts import record, records, script, settled, used
from vestige.errors import UsageError
from vestige.script import names

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looked at by what Linux tells of processes")

EXP = {"VESTIGE_NAME": "exp"}
WRITES = "import vestige\nwith open(vestige.output_dir + 'w', 'w') as file:\n    file.write('x')\n"


def python(project: Path, source: str, *flags: str, environ: Mapping[str, str] = EXP) -> subprocess.CompletedProcess[bytes]:
    """Run a script that ends well, and wait for nothing else."""
    (project / "step.py").write_text(source)
    words = [sys.executable, *flags, "step.py"]
    return subprocess.run(words, cwd=project, env={**os.environ, **environ}, capture_output=True, check=True)


MONITORED = "import vestige\n\n@vestige.monitor\ndef f(*a):\n    return a\n"


def test_threads_that_ask_first_at_once_get_one_folder(project: Path) -> None:
    source = """
import threading, vestige
seen, barrier = [], threading.Barrier(16)
def work():
    barrier.wait()
    seen.append(vestige.output_dir)
threads = [threading.Thread(target=work) for _ in range(16)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert seen == ["results/exp/"] * 16, seen
"""
    done = script(project, source, environ=EXP)
    assert (done.returncode, done.stderr) == (0, b"Saving results to results/exp/\n")
    assert os.listdir(project / "results") == ["exp"]
    record(project, "script")


def test_a_program_that_closes_every_descriptor_finds_nothing_of_ours_in_its_files(project: Path) -> None:
    source = f"""{MONITORED}
import glob, os
open(vestige.output_dir + "w", "w").write("x")
f(0)
os.closerange(3, 4096)
files = [open(f"{{vestige.output_dir}}v{{number}}", "w", 1) for number in range(40)]
f(1)
vestige.log(a=1)
[file.write("hello") for file in files]
[file.close() for file in files]
assert {{open(path).read() for path in glob.glob("results/exp/v*")}} == {{"hello"}}
"""
    done = script(project, source, environ=EXP)
    assert (done.returncode, done.stderr) == (0, b"Saving results to results/exp/\n")
    found = record(project, "script")
    assert found["status"] == "finished"
    assert "results/exp/v39" in used(found)[1]
    assert len(records(project, "function")) == 2


def test_where_the_standard_streams_are_closed_nothing_of_ours_takes_their_numbers(project: Path) -> None:
    source = f"""
import os
for number in (0, 1, 2):
    os.close(number)
{MONITORED}
folder = vestige.output_dir
f(1)
taken = []
for number in (0, 1, 2):
    try:
        taken.append(os.readlink(f"/proc/self/fd/{{number}}"))
    except OSError:
        pass
open(folder + "taken", "w").write(repr(taken))
"""
    assert script(project, source, environ=EXP).returncode == 0
    assert (project / "results/exp/taken").read_text() == "[]"
    assert record(project, "script")["status"] == "finished"


def test_a_function_that_calls_itself_often_leaves_descriptors_for_its_program(project: Path) -> None:
    source = """
import resource, vestige
resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

@vestige.monitor
def f(n):
    return f(n - 1) if n else open("in.csv").read()

assert f(120) == "1,2\\n"
"""
    done = script(project, source)
    assert (done.returncode, done.stderr) == (0, b"")
    found = records(project, "function")
    assert len(found) == 121
    assert all(used(one)[0] == {"in.csv"} for one in found)


def test_a_call_too_deep_to_be_recorded_costs_the_later_ones_nothing(project: Path) -> None:
    source = """
import sys, vestige

@vestige.monitor
def f(n):
    return f(n + 1)

@vestige.monitor
def after():
    return "fine"

sys.setrecursionlimit(300)
try:
    f(0)
except RecursionError:
    sys.setrecursionlimit(1000)
    after()
"""
    done = script(project, source)
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"Traceback" not in done.stderr
    found = records(project, "function")
    assert found[-1]["function"]["result"] == "fine"
    assert found[0]["function"]["exception"]["type"] == "RecursionError"
    assert {place.rpartition(" ")[2] for place in found[0]["function"]["exception"]["at"]} == {"f"}


def test_a_repr_or_an_exception_that_leaves_the_program_does_not_when_it_is_recorded(project: Path) -> None:
    source = f"""{MONITORED}
class Leaves:
    @property
    def shape(self):
        raise SystemExit(4)
    def __repr__(self):
        raise SystemExit(5)

class Silent(Exception):
    def __str__(self):
        raise SystemExit(6)

@vestige.monitor
def fails():
    raise Silent

assert len(f(Leaves(), 2)) == 2
try:
    fails()
except Silent:
    print("caught")
"""
    done = script(project, source)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"caught\n", b"")
    first, second = records(project, "function")
    assert first["function"]["arguments"]["a"]["items"][1] == 2
    assert "SystemExit" in first["function"]["arguments"]["a"]["items"][0]["problem"]
    assert second["function"]["exception"]["type"] == "__main__.Silent"


def test_causes_that_go_round_in_a_circle_are_recorded_once(project: Path) -> None:
    source = """
import vestige

@vestige.monitor
def f():
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__, second.__context__ = second, first, first
    raise first

try:
    f()
except ValueError:
    pass
"""
    assert script(project, source).returncode == 0
    assert record(project)["function"]["exception"]["message"] == "first"


def test_cancelled_coroutines_and_generators_have_ended(project: Path) -> None:
    source = """
import asyncio, vestige

@vestige.monitor
async def sleeps():
    await asyncio.sleep(10)

@vestige.monitor
async def counts():
    while True:
        yield 1
        await asyncio.sleep(0.01)

async def consume():
    async for _ in counts():
        pass

async def main():
    for one in (sleeps, consume):
        task = asyncio.create_task(one())
        await asyncio.sleep(0.05)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            print("cancelled")

asyncio.run(main())
"""
    done = script(project, source)
    assert (done.stdout, done.stderr) == (b"cancelled\ncancelled\n", b"")
    for found in records(project, "function"):
        assert found["function"]["exception"]["type"] == "asyncio.exceptions.CancelledError"


def test_a_generator_that_nobody_finishes_is_recorded_without_a_word(project: Path) -> None:
    source = """
import vestige

@vestige.monitor
def g():
    yield 1
    yield 2

left = g()
next(left)
"""
    done = script(project, source)
    assert (done.returncode, done.stderr) == (0, b"")
    assert record(project)["function"]["yielded"] == 1


def test_sections_in_threads_leave_the_program_its_own_folder(project: Path) -> None:
    source = """
import os, threading, vestige
barrier = threading.Barrier(8)

def work(number):
    with vestige.start(f"t{number}"):
        barrier.wait()
        assert vestige.output_dir == f"results/t{number}/"
        barrier.wait()

threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert "VESTIGE_OUTPUT_DIR" not in os.environ

inside = []
with vestige.start("outer"), vestige.start("inner"):
    thread = threading.Thread(target=lambda: inside.append(vestige.output_dir))
    thread.start()
    thread.join()
assert inside == ["results/outer/inner/"], inside
assert vestige.output_dir == "results/exp/"
with vestige.start("late"):
    assert os.environ["VESTIGE_OUTPUT_DIR"].endswith("results/late")
assert os.environ["VESTIGE_OUTPUT_DIR"].endswith("results/exp")
"""
    done = script(project, source, environ=EXP)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    assert len(records(project, "script")) == 12


@pytest.mark.parametrize(
    ("source", "code", "seen"),
    [
        ("import sys, atexit\natexit.register(lambda: sys.exit(9))", 0, "finished"),
        ("import os\nif os.fork() == 0:\n    vestige.log(child=1)\n    os._exit(3)\nos.wait()", 0, "finished"),
        ("import os, sys\nif len(sys.argv) < 2:\n    os.execv(sys.executable, [sys.executable, 'step.py', 'x'])", 0, "finished"),
        (
            "import threading as t, time\nt.Thread(target=lambda: (time.sleep(0.3), vestige.log(late=1))).start()",
            0,
            "finished",
        ),
        ("import threading\nclass End(Exception): pass\nthreading.excepthook = 1\nraise End", 1, "failed"),
        ("import sys\nsys.excepthook = lambda *_: None\n1/0", 1, "failed"),
        ("import sys\nsys.exit(-1)", 255, "failed"),
        ("import sys\nsys.exit(1 << 40)", 0, "finished"),
    ],
)
def test_whatever_its_end_the_run_is_recorded_once(project: Path, source: str, code: int, seen: str) -> None:
    begin = "import vestige\nopen(vestige.output_dir + 'w.csv', 'w').write(open('in.csv').read())\n"
    done = script(project, begin + source, environ=EXP)
    assert done.returncode == code, done.stderr
    found = record(project)
    assert (found["status"], found["exit_code"]) == (seen, code)
    assert used(found) == ({"in.csv"}, {"results/exp/w.csv"})


@pytest.mark.parametrize("flags", [["-I"], ["-OO"], ["-X", "dev"], ["-bb", "-W", "error::BytesWarning"], ["-S", "-E"]])
def test_however_python_is_started_the_script_is_recorded(project: Path, flags: list[str]) -> None:
    import blake3

    import vestige

    where = [str(Path(str(one.__file__)).parent.parent) for one in (vestige, blake3)]
    done = python(project, f"import sys\nsys.path += {where!r}\n{WRITES}", *flags)
    assert done.stderr == b"Saving results to results/exp/\n"
    settled(project)
    found = record(project)
    assert (found["status"], used(found)[1]) == ("finished", {"results/exp/w"})
    assert found["command"][1:] == [*flags, "step.py"]


@pytest.mark.parametrize("broken", ["", None])
def test_an_interpreter_that_does_not_know_itself_is_recorded_by_the_next_command(project: Path, broken: str | None) -> None:
    done = python(project, f"import sys\nsys.executable = {broken!r}\nsys.orig_argv = []\n{WRITES}")
    assert done.stderr == b"Saving results to results/exp/\n"
    subprocess.run([sys.executable, "-m", "vestige", "log"], cwd=project, capture_output=True, check=True)
    found = record(project)
    assert (found["status"], used(found)[1]) == ("finished", {"results/exp/w"})


def test_a_standard_error_that_fails_is_no_reason_to_stop(project: Path) -> None:
    source = """
import sys

class Broken:
    def write(self, text):
        raise RuntimeError("no")
    def flush(self):
        pass

sys.stdin = object()
sys.stderr = Broken()
import vestige
open(vestige.output_dir + "w", "w").write("x")
"""
    assert script(project, source, environ=EXP).returncode == 0
    assert record(project)["status"] == "finished"


def test_a_name_with_control_characters_is_a_folder_and_is_shown_on_one_line(project: Path) -> None:
    source = """
import vestige
for name in ("a\\nb", "c\\x1b[31m", "d\\udcff"):
    with vestige.start(name):
        open(vestige.output_dir + "w", "w").write("x")
"""
    done = script(project, source)
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 3
    assert b"\x1b" not in done.stderr
    assert {os.fsencode(name) for name in os.listdir(project / "results")} == {b"a\nb", b"c\x1b[31m", b"d\xff"}
    assert [one["name"] is not None and one["status"] for one in records(project)] == ["finished"] * 3


@pytest.mark.parametrize("name", ["\ud800", "a/" * 600, "x/.vestige", ".git/hooks", 5, b"bytes"])
def test_a_name_that_no_folder_can_have_is_refused_with_a_reason(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a run: ") as raised:
        names.checked(name)
    assert len(str(raised.value)) < 400


def test_a_store_that_vanishes_takes_nothing_of_the_program_with_it(project: Path) -> None:
    source = f"""{MONITORED}
import os
open(vestige.output_dir + "a", "w").write("x")
os.rename(".vestige", "moved")
vestige.log(a=1)
assert f(1) == (1,)
with vestige.start("section"):
    open(vestige.output_dir + "b", "w").write("x")
"""
    done = python(project, source)
    assert b"Traceback" not in done.stderr
    assert (project / "results/section/b").exists()


def test_without_a_home_and_in_a_folder_that_cannot_be_written_the_script_goes_on(project: Path, tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    environ["HOME"] = str(tmp_path / "nowhere")
    (project / ".vestige").write_text("in the way")
    source = "import vestige\nprint(vestige.initialize('n', r'%s'))\nvestige.log(a=1)\n" % (tmp_path / "out")
    (project / "step.py").write_text(source)
    done = subprocess.run([sys.executable, "step.py"], cwd=project, env=environ, capture_output=True, check=True)
    assert done.stdout.endswith(b"/out/n/\n")
    assert f"vestige: nothing can be recorded: '{project}/.vestige" in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 2


def test_the_mask_of_new_files_is_read_and_never_set_under_other_threads(project: Path) -> None:
    source = f"""{MONITORED}
import os, sys
os.umask(0o077)
called = set()
sys.setprofile(lambda _, event, what: called.add(what) if event == "c_call" else None)
f(1)
sys.setprofile(None)
assert os.open in called
assert os.umask not in called
"""
    done = script(project, source)
    assert done.returncode == 0, done.stderr
    assert record(project)["umask"] == "0077"
