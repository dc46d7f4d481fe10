"""The one place where errors become lines and exit codes."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.calling import Caller, program
from tests.ops.study import Study
from vestige import __version__


def test_the_version(call: Caller) -> None:
    assert call("--version").out == f"vestige {__version__}\n"


@pytest.mark.parametrize("words", [(), ("help",), ("--help",), ("-h",)])
def test_without_a_verb_all_verbs_are_shown(call: Caller, words: tuple[str, ...]) -> None:
    called = call(*words)
    assert called.code == 0
    assert called.out.startswith("Vestige records how every file was made")
    assert "Making again" in called.out


@pytest.mark.parametrize("words", [("help", "log"), ("log", "--help"), ("log", "-h", "--nonsense=1")])
def test_help_of_a_verb(call: Caller, words: tuple[str, ...]) -> None:
    if "--nonsense=1" in words:
        assert call(*words).code == 64
        return
    called = call(*words)
    assert called.code == 0
    assert called.out.startswith("vestige log: the runs, the newest first\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("shwo",), 64, "vestige: there is no verb 'shwo'; did you mean 'vestige show'?\n"),
        (("show",), 64, "vestige: something is missing: vestige show RUN|FILE; vestige help show says more\n"),
        (("log", "--stat", "x"), 64, "vestige: vestige log has no option --stat; did you mean --status?\n"),
        (("show", ""), 64, "vestige: a word is empty: vestige show RUN|FILE; a variable of the shell that is not set?\n"),
        (("show", "nonsense"), 1, "vestige: no run and no file is known as 'nonsense'; vestige log lists the runs\n"),
        (("log", "--since", "soon"), 64, "vestige: 'soon' does not begin with a number; --since takes"),
        (("log", "--where", "x"), 64, "vestige: 'x' is no comparison; --where takes"),
        (("gc", "--keep", "3 parsecs"), 64, "vestige: '3 parsecs' is not a span of time; --keep takes"),
        (("--project", "/nonexistent", "log"), 64, "vestige: /nonexistent is not a folder; --project takes"),
        (("run",), 64, "vestige: something is missing: vestige run CMD [ARGUMENT…]"),
        (("run", "-i", "in.csv", "cat"), 64, "vestige: no item 'in.csv'; did you mean --input in.csv?"),
        (("completion", "csh"), 64, "vestige: there is no completion for 'csh'; there is bash, zsh and fish\n"),
        (("help", "nonsense"), 64, "vestige: there is no verb 'nonsense'"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_type(
    study: Study, call: Caller, words: tuple[str, ...], code: int, said: str
) -> None:
    study.record()
    called = call(*words)
    assert called.code == code
    assert called.err.startswith(said)
    assert called.err.count("\n") == 1
    assert called.out == ""


def test_where_one_says_different_a_failure_is_two(study: Study, call: Caller) -> None:
    study.record()
    assert call("diff", "last", "nonsense").code == 1
    assert call("diff", "--exit-code", "last", "nonsense").code == 2


def test_options_of_every_verb_may_stand_before_it(
    study: Study, call: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.record()
    monkeypatch.chdir(tmp_path)
    assert call("log").code == 1
    before = call("--project", str(study.root), "log")
    assert before.code == 0
    assert before == call("log", "--project", str(study.root)) == call(f"--project={study.root}", "log")


def test_a_reader_that_leaves_ends_it_silently(study: Study) -> None:
    for _ in range(3):
        study.record(("python", "x" * 40_000))
    command = f"{sys.executable} -m vestige log | head -c 1"
    done = subprocess.run(["bash", "-c", f"{command}; echo $PIPESTATUS"], cwd=study.root, capture_output=True, check=True)
    assert done.stderr == b""
    assert done.stdout.endswith(b"141\n")


def test_standard_output_may_be_closed(study: Study) -> None:
    study.record()
    done = subprocess.run(["sh", "-c", f"{sys.executable} -m vestige log >&-"], cwd=study.root, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr


def test_an_interrupt_is_130_and_no_traceback(study: Study, call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vestige.cli.doctor.main", interrupt)
    called = call("doctor")
    assert (called.code, called.err) == (130, "")


def test_a_defect_is_one_line_and_a_traceback_only_for_those_who_ask(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr("vestige.cli.doctor.main", fail)
    called = call("doctor")
    assert called.code == 1
    assert called.err.startswith("vestige: a defect in Vestige: KeyError: 'surprise' at test_main.py:")
    assert called.err.count("\n") == 1
    monkeypatch.setenv("VESTIGE_DEBUG", "1")
    assert "Traceback" in call("doctor").err


def test_what_cannot_be_written_is_one_line(study: Study, call: Caller) -> None:
    study.write("out.csv", "x")
    study.record(writes=["out.csv"])
    called = call("restore", "out.csv@last", "-o", "/proc/nothing.csv")
    assert (called.code, called.err) == (1, "vestige: /proc: No such file or directory\n")


def test_a_name_cannot_move_the_cursor(study: Study, call: Caller) -> None:
    called = call("show", "./evil\x1b[2J\nname")
    assert "\x1b" not in called.err
    assert called.err.count("\n") == 1


def test_names_that_are_not_utf_8_are_asked_for_and_answered(study: Study) -> None:
    name = os.fsdecode(b"caf\xe9.csv")
    study.write(name, "content that is long enough")
    study.record(writes=[name])
    done = subprocess.run(
        [sys.executable, "-m", "vestige", "show", b"caf\xe9.csv"], cwd=study.root, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"caf\\xe9.csv" in done.stdout


def test_a_screen_that_cannot_show_our_letters_gets_others(study: Study) -> None:
    study.record(("python", "träin.py"))
    done = program("log", cwd=study.root, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert b"tr\\xe4in.py" in done.stdout


def test_a_wrong_configuration_stops_no_question(study: Study, call: Caller) -> None:
    study.record()
    study.write("vestige.toml", "kep = 1\n")
    assert call("log").code == 0
    assert call("show", "last").code == 0


def test_people_see_a_table_and_programs_plain_lines(study: Study) -> None:
    study.record(change={"name": "train"})
    assert program("log", cwd=study.root).stdout.count(b"\t") == 6
    screen = on_a_terminal("log", cwd=study.root)
    assert "train" in screen
    assert "\x1b[" in screen
    assert "\t" not in screen


def test_no_color_is_honoured(study: Study) -> None:
    study.record()
    assert "\x1b[" not in on_a_terminal("log", cwd=study.root, NO_COLOR="1")
    assert "\x1b[" not in on_a_terminal("--no-color", "log", cwd=study.root)
    assert b"\x1b[" in program("--color", "show", "last", "--all", cwd=study.root, NO_COLOR="1").stdout


def on_a_terminal(*words: str, cwd: Path, **variables: str) -> str:
    """What the program shows on a terminal of 80 columns."""
    master, slave = pty.openpty()
    os.set_inheritable(slave, True)
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "80", **variables}
    worker = subprocess.Popen([sys.executable, "-m", "vestige", *words], stdout=slave, cwd=cwd, env=environ)
    os.close(slave)
    shown = b""
    while True:
        try:
            block = os.read(master, 65536)
        except OSError:
            break
        if not block:
            break
        shown += block
    os.close(master)
    assert worker.wait() == 0
    return shown.decode()
