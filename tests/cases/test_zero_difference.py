"""Case 94: programs bare and under `vestige run`; whatever can be compared is the same.

That is standard output and error byte for byte, the exit status, every file with its name, bytes and mode, and in a terminal
the screen. A signal that ends the command is 128 and its number here, as a shell says it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cases.both_ways import Program, Step, bash, both, both_in_a_terminal, python, sh
from tests.cases.everyday import EVERYDAY, TABLE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="observed by the kernel on Linux alone")

GETPASS = "import getpass\nprint(len(getpass.getpass('word: ')))\n"
RAW = """
import os, termios, tty
old = termios.tcgetattr(0)
tty.setraw(0)
os.write(1, b"up")
while (key := os.read(0, 1)) != b"q": os.write(1, b"<%d>" % key[0])
termios.tcsetattr(0, termios.TCSADRAIN, old)
"""
JOBS = """
set -m; sh -c "echo ready; exec sleep 30"; echo $?; echo stopped; read a; jobs; bg; kill %1; wait %1; echo $?
sh -c 'test $(ps -o tpgid= -p $$) = $(ps -o pgid= -p $$) && echo in front'
"""


@pytest.mark.parametrize("program", EVERYDAY.values(), ids=EVERYDAY)
def test_everything_is_the_same(tmp_path: Path, program: Program) -> None:
    both(tmp_path, program)


@pytest.fixture(scope="module")
def inspect(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A program that tells all that it knows of itself."""
    built = tmp_path_factory.mktemp("built") / "inspect"
    subprocess.run(["gcc", "-o", built, Path(__file__).with_name("inspect.c")], check=True)
    return Program((str(built), "a", "", "b c\n"), {"in": "x", "log": "y"}, says=b"leads its group 0, its session 0\n")


@pytest.mark.parametrize(
    "around",
    [
        '"$@"',
        '"$@" 3< in 5>> log 9<> in 8> new',
        '"$@" > out; cat out',
        '"$@" < in > out 2>&1; cat out',
        '"$@" 2>&1 | cat',
        'cat in | "$@"',
        '"$@" <&-',
        '"$@" 2>&-',
        'ulimit -n 100; ulimit -c 0; ulimit -s 4096; ulimit -t 100; ulimit -f 9999; umask 027; "$@"',
        'renice -n 3 $$ > /dev/null; trap "" HUP INT USR2 TTOU; "$@"',
        'ln -s . there; cd there; "$@"',
        'env --block-signal=USR1,CHLD,URG,RTMIN,RTMAX --ignore-signal=ALRM,WINCH "$@"',
        'taskset -c 0 "$@"',
        'env LC_ALL=C X="$(printf "a\\nb\\377")" "$@"',
        'env LC_ALL= LANG= LC_CTYPE= "$@"',
        'env -u PATH "$@"',
        'env PYTHONPATH=/nowhere PYTHONUTF8=1 PYTHONDONTWRITEBYTECODE=1 "$@"',
    ],
)  # fmt: skip
def test_a_program_knows_of_no_difference(tmp_path: Path, inspect: Program, around: str) -> None:
    """Descriptors, signals, limits, words, variables, capabilities, priorities, group, session, terminal."""
    both(tmp_path, inspect, around=around)


def test_a_program_far_from_any_project_knows_of_no_difference(tmp_path: Path, inspect: Program) -> None:
    both(tmp_path, inspect, around='cd /; "$@"', method=None)


@pytest.mark.parametrize("around", ['"$@"', '"$@" < /dev/null', '"$@" 2> err', '"$@" | cat', '"$@" 3>&1 4<&0'])
def test_a_program_in_a_terminal_knows_of_no_difference(tmp_path: Path, inspect: Program, around: str) -> None:
    # Beside a pipe it shares the group of the launcher, which leads it.
    program = replace(
        inspect, says=b"terminal, in the foreground", normal=lambda text: text.replace(b"its group 1", b"its group 0")
    )
    both_in_a_terminal(tmp_path, program, around=f"set -m; {around}; exit $?")


@pytest.mark.parametrize(
    ("program", "steps"),
    [
        (sh("stty -a; tty > /dev/null; echo $?; test -t 0; echo $?; stty size; printf '\\033[1m%s\\t\\377\\n' bold; ls"), ()),
        (sh("echo ready; read a; echo got $a; cat; exit 3", code=3), ((b"ready", b"words\n"), (b"got", b"more\n\x04"))),
        (sh("trap 'echo told; exit 9' INT; echo ready; while :; do sleep 0.05; done", code=9), ((b"ready", b"\x03"),)),
        (sh("echo ready; exec sleep 30", code=130), ((b"ready", b"\x03"),)),
        (sh("echo ready; exec sleep 30", code=131), ((b"ready", b"\x1c"),)),
        (sh("(trap 'exit 3' INT; echo ready; while :; do sleep 0.05; done); echo $?", code=130), ((b"ready", b"\x03"),)),
        (python(GETPASS, says=b"6"), ((b"word: ", b"secret\n"),)),
        (python(RAW, says=b"<3><26><27>"), ((b"up", b"\x03\x1a\x1bq"),)),
        (bash(JOBS, says=b"in front"), ((b"ready", b"\x1a"), (b"stopped", b"\n"))),
        (sh("cat in | tee out | tail -1; cat < /dev/tty", {"in": TABLE}), ((b"199,", b"typed\n\x04"),)),
        (sh("seq 20000; seq 5 >&2"), ()),
        (sh("kill -SEGV $$", code=139), ()),
    ],
)
def test_the_screen_is_the_same(tmp_path: Path, program: Program, steps: Sequence[Step]) -> None:
    both_in_a_terminal(tmp_path, program, steps)


@pytest.mark.parametrize("around", ['("$@") 3>&1 | cat', '"$@" 2>&1 3>&1 | cat', '"$@" 3>&1 2>&1'])
def test_what_is_written_by_several_descriptors_keeps_its_order(tmp_path: Path, around: str) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo a$i; echo b$i >&3; echo c$i >&2; done"
    both(tmp_path, sh(script, says=b"a1\n"), around=around)


def test_what_is_written_by_several_descriptors_keeps_its_order_in_a_terminal(tmp_path: Path) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo a$i; echo b$i >&3; echo c$i >&2; done; read a <&4; echo $a"
    both_in_a_terminal(tmp_path, sh(script, says=b"a1\r\nb1\r\nc1\r\n"), ((b"c9", b"typed\n"),), around='"$@" 3>&1 4<&0')


@pytest.mark.parametrize("limit", [8, 10, 11, 12, 14, 20, 32])
def test_where_few_files_may_be_open_the_command_runs_all_the_same(tmp_path: Path, limit: int) -> None:
    around = f'exec 5>&- 6>&- 7>&- 8>&- 9>&-; ulimit -n {limit}; "$@"'
    both(tmp_path, sh("cat in; ulimit -n; exit 3", {"in": "x"}, code=3, says=b"x"), around=around, method=None)


def test_a_command_line_that_leaves_no_room_for_variables_of_ours(tmp_path: Path) -> None:
    words = ["x" * 100_000] * 20
    while not _fits([*words, ""]):
        words.pop()
    room = max(size for size in (1 << 17 >> shift for shift in range(2, 17)) if _fits([*words, "x" * size]))
    for step in (room >> shift for shift in range(1, 17)):
        room += step if _fits([*words, "x" * (room + step)]) else 0
    script = "import os, sys; sys.argv = ['vestige', 'run', 'sh', '-c', 'echo $#; exit 5', *['x' * 100_000] * {}, 'x' * {}];"
    start = " from vestige.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script.format(len(words), room - 60) + start], cwd=tmp_path, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (5, b"%d\n" % len(words), b"")


def _fits(words: Sequence[str]) -> bool:
    try:
        return subprocess.run(["/bin/sh", "-c", ":", *words], check=False).returncode == 0
    except OSError:
        return False
