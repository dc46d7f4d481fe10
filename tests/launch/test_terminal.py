"""In a terminal, a launched command is what it is without us: modes, keys, size, job control, and what is shown."""

from __future__ import annotations

import os
import shutil
import signal
import termios
import time
from pathlib import Path

import pytest

from tests.launch.launching import DRIVER, PYTHON, Screen, shell, until
from vestige.launch.terminal import signals_of

VISIBLE = "import os;print(*(os.isatty(n) for n in range(3)), *os.get_terminal_size())"


def program(folder: Path, text: str) -> bytes:
    """A Python program in a file, as words for a shell."""
    (folder / "program.py").write_text(text)
    return f"{PYTHON} {folder / 'program.py'}".encode()


def both(words: list[str]) -> list[bytes]:
    """What is shown of a command without us and with us."""
    found = []
    for way in ([], DRIVER):
        with Screen([*way, *words]) as screen:
            found.append(screen.rest())
    return found


def test_a_command_in_a_terminal_is_in_a_terminal(tmp_path: Path) -> None:
    with Screen([*DRIVER, "--folder", str(tmp_path), PYTHON, "-c", VISIBLE]) as screen:
        assert screen.rest() == b"True True True 97 31\r\n"
        assert screen.status() == 0
    assert (tmp_path / "terminal").read_bytes() == b"True True True 97 31\r\n"


@pytest.mark.parametrize(
    "words",
    [
        ["stty", "-a"],
        ["sh", "-c", "printf 'a\\nb\\r\\n\\tc'; echo err >&2; printf '\\033[31mred\\033[0m\\377\\n'"],
        ["sh", "-c", "stty -opost; printf 'a\\nb\\n'; stty sane"],
        ["sh", "-c", "ps -o pgid=,tpgid= -p $$ | { read a b; test $a = $b && echo foreground; }; tty | sed 's/[0-9]*$//'"],
        ["sh", "-c", "seq 20000"],
    ],
)
def test_what_is_shown_is_the_same_byte_for_byte(words: list[str]) -> None:
    bare, ours = both(words)
    assert ours == bare


@pytest.mark.parametrize("redirected", ["< /dev/null", "> /dev/null", "2> /dev/null", "< /dev/null 2> /dev/null"])
def test_redirections_leave_the_other_streams_in_the_terminal(redirected: str) -> None:
    text = "import os,sys;t=os.open('/dev/tty',2);os.write(t,repr([os.isatty(n) for n in range(3)]).encode()+b'\\n')"
    bare, ours = both(["sh", "-c", f'exec "$@" {redirected}', "sh", PYTHON, "-c", text])
    assert ours == bare
    with Screen(["sh", "-c", f'exec "$@" {redirected}', "sh", *DRIVER, PYTHON, "-c", text]) as screen:
        assert screen.rest() == bare
        assert screen.status() == 0


def test_output_is_kept_when_input_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("line\n")
    with Screen(["sh", "-c", 'exec "$@" < in', "sh", *DRIVER, "--folder", str(tmp_path), "cat"], cwd=tmp_path) as screen:
        assert screen.rest() == b"line\r\n"
    assert (tmp_path / "terminal").read_bytes() == b"line\n"


def test_the_exit_code_and_the_modes_after_it() -> None:
    with shell() as screen:
        before = screen.modes()
        screen.type(b"v sh -c 'exit 5'; echo =$?=\n")
        screen.expect(b"=5=\r\n")
        screen.type(b"v sh -c 'kill -TERM $$'; echo =$?=\n")
        screen.expect(b"=143=\r\n$ ")
        assert screen.modes() == before


def test_the_shell_around_finds_the_modes_that_it_had() -> None:
    with shell() as screen:
        screen.type(b"stty -g; v true; stty -g; echo over\n")
        screen.expect(b"echo over\r\n")
        before, after, _ = screen.expect(b"over").split(b"\r\n")
        assert after == before
        screen.type(b"v stty -echo; stty -a | grep -o .echo; stty echo\n")
        screen.expect(b"-echo\r\n")


def test_keys_reach_the_command_and_are_echoed_once() -> None:
    with shell() as screen:
        screen.type(b"v cat; echo =$?=\n")
        screen.expect(b"$?=\r\n")
        screen.type(b"hello\n")
        assert screen.expect(b"hello\r\nhello\r\n") == b"hello\r\nhello\r\n"
        screen.type(b"\x04")
        screen.expect(b"=0=")


def test_ctrl_c_ends_the_command_and_is_shown() -> None:
    with shell() as screen:
        screen.type(b"v sleep 30; echo =$?=\n")
        screen.expect(b"$?=\r\n")
        time.sleep(0.3)
        screen.type(b"\x03")
        screen.expect(b"^C", seconds=5)
        screen.type(b"echo next\n")  # bash ends the line, as it does without us
        screen.expect(b"next\r\n", seconds=5)


def test_ctrl_c_that_the_command_handles(tmp_path: Path) -> None:
    text = "import time\ntry:\n  print('up',flush=True); time.sleep(30)\nexcept KeyboardInterrupt: print('caught'); exit(4)"
    with shell() as screen:
        screen.type(b"v " + program(tmp_path, text) + b"; echo =$?=\n")
        screen.expect(b"up\r\n")
        screen.type(b"\x03")
        screen.expect(b"caught\r\n", seconds=5)
        screen.expect(b"=4=\r\n", seconds=5)


def test_ctrl_c_ends_a_loop_around_the_command(tmp_path: Path) -> None:
    (tmp_path / "loop").write_text(f"for i in 1 2 3; do echo round $i; {' '.join(DRIVER)} sleep 30; done; echo over\n")
    for interpreter in ("bash", "sh"):
        with Screen([interpreter, str(tmp_path / "loop")]) as screen:
            screen.expect(b"round 1\r\n")
            time.sleep(0.5)
            screen.type(b"\x03")
            rest = screen.rest()
            assert b"round 2" not in rest
            assert b"over" not in rest


def test_ctrl_c_does_not_end_a_loop_around_a_command_that_handles_it(tmp_path: Path) -> None:
    command = f"{' '.join(DRIVER)} bash -c 'trap \"exit 0\" INT; echo up; while :; do sleep 0.1; done'"
    for way in (command, command.removeprefix(" ".join(DRIVER) + " ")):
        (tmp_path / "loop").write_text(f"for i in 1 2; do echo round $i; {way}; done; echo over\n")
        with Screen(["bash", str(tmp_path / "loop")]) as screen:
            for number in (b"1", b"2"):
                screen.expect(b"round " + number + b"\r\nup\r\n")
                time.sleep(0.2)
                screen.type(b"\x03")
            screen.expect(b"over\r\n")


def test_ctrl_c_reaches_a_command_whose_output_is_a_pipe() -> None:
    with shell() as screen:
        screen.type(b"v sh -c 'echo up; exec sleep 30' | cat\n")
        screen.expect(b"cat\r\nup\r\n")
        screen.type(b"\x03")
        screen.expect(b"$ ", seconds=5)
        screen.type(b"echo =${PIPESTATUS[0]}=\n")
        screen.expect(b"=130=", seconds=5)


def test_ctrl_backslash_quits() -> None:
    with shell() as screen:
        screen.type(b"ulimit -c 0; v sh -c 'echo up; exec sleep 30'; echo =$?=\n")
        screen.expect(b"=\r\nup\r\n")
        time.sleep(0.2)
        screen.type(b"\x1c")
        screen.expect(b"=131=", seconds=5)


@pytest.mark.parametrize("after", [b"", b" | cat", b" < /dev/null"])
def test_ctrl_z_and_fg(after: bytes) -> None:
    with shell() as screen:
        before = screen.modes()
        screen.type(b"v sh -c 'echo up; sleep 1; sleep 1; echo end'" + after + b"; echo =$?=\n")
        screen.expect(b"=\r\nup\r\n")
        time.sleep(0.3)
        screen.type(b"\x1a")
        screen.expect(b"Stopped", seconds=5)
        screen.expect(b"$ ")
        until(lambda: screen.modes()[3] == before[3], seconds=5)
        screen.type(b"jobs\n")
        screen.expect(b"Stopped")
        screen.still(2.0)
        screen.type(b"fg; echo =$?=\n")
        screen.expect(b"end\r\n", seconds=6)
        screen.expect(b"=0=", seconds=5)
        screen.expect(b"$ ")
        assert screen.modes() == before


def test_ctrl_z_and_bg_and_then_keys() -> None:
    with shell() as screen:
        screen.type(b"v sh -c 'echo up; read a; echo got $a'\n")
        screen.expect(b"'\r\nup\r\n")
        time.sleep(0.2)
        screen.type(b"\x1a")
        screen.expect(b"Stopped")
        screen.type(b"bg; echo in shell\n")
        screen.expect(b"shell\r\n")
        screen.expect(b"in shell\r\n")
        screen.still(0.3)
        screen.type(b"fg\n")
        screen.still(0.5)
        screen.type(b"keys\n")
        screen.expect(b"got keys\r\n", seconds=5)


def test_ctrl_z_twice() -> None:
    with shell() as screen:
        screen.type(b"v cat\n")
        screen.still(0.5)
        for word in (b"one", b"two"):
            screen.type(word + b"\n")
            screen.expect(word + b"\r\n" + word + b"\r\n")
            screen.type(b"\x1a")
            screen.expect(b"Stopped")
            screen.expect(b"$ ")
            screen.type(b"fg\n")
            screen.expect(b"fg\r\n")
            screen.still(0.3)
        screen.type(b"\x04")
        screen.expect(b"$ ")


def test_a_command_in_the_background_reads_no_keys_and_is_stopped_as_without_us() -> None:
    with shell() as screen:
        screen.type(b"v sh -c 'read a; echo got $a' &\n")
        screen.expect(b"Stopped", seconds=6)
        screen.type(b"echo in shell\n")
        screen.expect(b"\nin shell\r\n")
        screen.type(b"fg\n")
        screen.still(0.5)
        screen.type(b"keys\n")
        screen.expect(b"got keys\r\n", seconds=5)


def test_a_command_in_the_background_writes() -> None:
    with shell() as screen:
        screen.type(b"v sh -c 'test -t 1 && sleep 0.3; echo written $((20+22))' &\n")
        screen.expect(b"written 42\r\n", seconds=5)
        screen.type(b"wait; echo =$?=\n")
        screen.expect(b"=0=")


def test_kill_of_a_background_job() -> None:
    with shell() as screen:
        screen.type(b"v sleep 30 &\n")
        screen.still(0.5)
        screen.type(b"kill %1; wait %1; echo =$?=\n")
        screen.expect(b"=143=", seconds=5)


SIZES = """
import os, signal, time
signal.signal(signal.SIGWINCH, lambda *_: os.write(1, b"size %d %d\\n" % os.get_terminal_size()))
print("up", flush=True)
end = time.monotonic() + 6
while time.monotonic() < end: time.sleep(0.1)
"""


@pytest.mark.parametrize("after", [b"", b" < /dev/null"])
def test_the_size_follows_the_window(after: bytes, tmp_path: Path) -> None:
    with shell() as screen:
        screen.type(b"v " + program(tmp_path, SIZES) + after + b"\n")
        screen.expect(b"up\r\n")
        screen.resize(40, 111)
        screen.expect(b"size 111 40\r\n", seconds=6)


RAW_KEYS = """
import os, termios, tty
old = termios.tcgetattr(0)
tty.setraw(0)
os.write(1, b"up")
while (key := os.read(0, 1)) != b"q": os.write(1, b"<%d>" % key[0])
termios.tcsetattr(0, termios.TCSADRAIN, old)
print("done")
"""


def test_a_program_that_makes_the_terminal_raw(tmp_path: Path) -> None:
    with shell() as screen:
        before = screen.modes()
        screen.type(b"v " + program(tmp_path, RAW_KEYS) + b"; echo =$?=\n")
        screen.expect(b"up")
        screen.type(b"a\x03\x1a\x1c\r\x11\x13\x16\x7f")
        screen.expect(b"<97><3><26><28><13><17><19><22><127>", seconds=5)
        screen.type(b"q")
        screen.expect(b"done\r\n=0=\r\n")
        screen.expect(b"$ ")
        assert screen.modes() == before


@pytest.mark.parametrize("after", [b"", b" < /dev/null", b" | cat"])
def test_a_password_is_not_echoed(after: bytes, tmp_path: Path) -> None:
    with shell() as screen:
        screen.type(b"v " + program(tmp_path, "import getpass; p = getpass.getpass('word: '); print(len(p))") + after + b"\n")
        screen.expect(b"word: ")
        time.sleep(0.2)
        screen.type(b"secret\n")
        shown = screen.expect(b"6\r\n", seconds=5)
        assert b"secret" not in shown


KEY = """
import os, sys, termios, tty
{before}
keys = {keys}
old = termios.tcgetattr(keys)
tty.setraw(keys)
os.write(keys, b"ready")
key = os.read(keys, 1)
termios.tcsetattr(keys, termios.TCSADRAIN, old)
{after}
print("key", key, len(data))
"""
READ, TERMINAL = "data = sys.stdin.read()", "os.open('/dev/tty', os.O_RDWR)"


def test_a_reader_of_keys_behind_a_pipe_gets_them(tmp_path: Path) -> None:
    """`vestige run make | less`: less reads keys from the terminal."""
    with shell() as screen:
        before = screen.modes()
        text = KEY.format(before="", keys=TERMINAL, after=READ)
        screen.type(b"v seq 10 | " + program(tmp_path, text) + b"\n")
        screen.expect(b"ready")
        time.sleep(0.2)
        screen.type(b"x")
        screen.expect(b"key b'x' 21\r\n", seconds=5)
        screen.expect(b"$ ")
        assert screen.modes() == before


@pytest.mark.parametrize("keys", [TERMINAL, "2", "1"])
def test_keys_for_a_program_whose_input_is_a_pipe(keys: str, tmp_path: Path) -> None:
    """`ls | vestige run fzf` reads keys from /dev/tty, `git diff | vestige run vim -` from where it shows warnings."""
    with shell() as screen:
        before = screen.modes()
        text = KEY.format(before=READ, keys=keys, after="")
        screen.type(b"seq 10 | v " + program(tmp_path, text) + b"; echo =$?=\n")
        screen.expect(b"ready")
        time.sleep(0.2)
        screen.type(b"x")
        screen.expect(b"key b'x' 21\r\n", seconds=5)
        screen.expect(b"=0=\r\n")
        screen.expect(b"$ ")
        assert screen.modes() == before


def test_what_was_typed_ahead_is_there_for_the_shell() -> None:
    with shell() as screen:
        screen.type(b"v sleep 1; echo =$?=\n")
        screen.still(0.4)
        screen.type(b"echo ahead$((1+1))\n")
        screen.expect(b"=0=\r\n", seconds=5)
        shown = screen.still(1.0)
        assert (b"ahead2\r\n" in shown) == _may_push_back()


def test_modes_that_the_command_changed_on_purpose_stay() -> None:
    with Screen(["sh", "-c", f"{' '.join(DRIVER)} stty -echo; stty -a"]) as screen:
        assert b" -echo " in screen.rest()
    with Screen(["sh", "-c", f"{' '.join(DRIVER)} sh -c 'stty raw -echo; kill -TERM $$'; stty -a"]) as screen:
        assert b" echo " in screen.rest().replace(b"\r\n", b" ")


def test_the_terminal_is_restored_when_we_are_asked_to_end() -> None:
    with shell() as screen:
        before = screen.modes()
        screen.type(b"v sh -c 'stty raw; echo $((20+22)); exec sleep 30'\n")
        screen.expect(b"42\n")
        (launcher,) = _children(screen.pid)
        os.kill(launcher, signal.SIGTERM)
        screen.expect(b"$ ", seconds=5)
        assert screen.modes() == before


HANGS = """
import os, signal, time
signal.signal(signal.SIGHUP, lambda *_: (open("hup", "w"), os._exit(0)))
open("up", "w").close()
time.sleep(30)
"""


@pytest.mark.parametrize("after", ["", " < /dev/null", " | cat"])
def test_a_terminal_that_goes_hangs_the_command_up(after: str, tmp_path: Path) -> None:
    words = program(tmp_path, HANGS).decode()
    with Screen(["sh", "-c", f"{' '.join(DRIVER)} {words}{after}; true"], cwd=tmp_path) as screen:
        until((tmp_path / "up").exists)
        time.sleep(0.2)
        screen.hang_up()
        until((tmp_path / "hup").exists, seconds=5)


def test_background_processes_go_on_writing_to_the_terminal() -> None:
    with shell() as screen:
        screen.type(b"v sh -c '(sleep 1; echo later; sleep 1; echo latest) & echo now'; echo =$?=\n")
        before = time.monotonic()
        screen.expect(b"\nnow\r\n=0=\r\n")
        assert time.monotonic() - before < 0.9
        screen.expect(b"later\r\n", seconds=5)
        screen.type(b"v echo between\n")
        screen.expect(b"\nbetween\r\n", seconds=5)
        screen.expect(b"latest\r\n", seconds=5)


def test_two_at_once_leave_the_terminal_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "two").write_text(
        f"{' '.join(DRIVER)} sh -c 'sleep 0.3; echo one' & {' '.join(DRIVER)} sh -c 'echo two; sleep 1'; wait\n"
    )
    with shell() as screen:
        before = screen.modes()
        screen.type(f"bash {tmp_path / 'two'}; echo =$?=\n".encode())
        screen.expect(b"two\r\n")
        screen.expect(b"one\r\n")
        screen.expect(b"=0=\r\n")
        screen.expect(b"$ ")
        assert screen.modes() == before


def test_one_beside_a_stopped_one() -> None:
    with shell() as screen:
        before = screen.modes()
        screen.type(b"v cat\n")
        screen.still(0.5)
        screen.type(b"\x1a")
        screen.expect(b"Stopped")
        screen.type(b"v sh -c 'read a; echo got $a'\n")
        screen.still(0.5)
        screen.type(b"this\n")
        screen.expect(b"got this\r\n", seconds=5)
        screen.type(b"fg\n")
        screen.still(0.5)
        screen.type(b"that\n")
        screen.expect(b"that\r\nthat\r\n", seconds=5)
        screen.type(b"\x04")
        screen.expect(b"$ ")
        assert screen.modes() == before


def test_an_interactive_shell_under_us_has_job_control() -> None:
    with shell() as screen:
        screen.type(b"PS1='inner> ' v bash --norc --noprofile -i\n")
        screen.expect(b"inner> ")
        screen.type(b"sleep 30\n")
        screen.still(0.5)
        screen.type(b"\x1a")
        screen.expect(b"Stopped")
        screen.type(b"jobs; fg\n")
        screen.expect(b"sleep 30\r\n")
        screen.still(0.3)
        screen.type(b"\x03")
        screen.expect(b"inner> ")
        screen.type(b"exit 9\n")
        screen.expect(b"$ ")
        screen.type(b"echo =$?=\n")
        screen.expect(b"=9=")


def test_a_session_leader_without_a_shell(tmp_path: Path) -> None:
    with Screen([*DRIVER, "sh", "-c", "echo up; read a; exit 3"]) as screen:
        screen.expect(b"up\r\n")
        screen.type(b"x\n")
        assert os.waitstatus_to_exitcode(screen.status()) == 3


@pytest.mark.programs
@pytest.mark.parametrize("name", ["vim", "less"])
def test_real_programs_for_the_screen(name: str, tmp_path: Path) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not here")
    (tmp_path / "text").write_text("".join(f"line {n}\n" for n in range(200)))
    with shell(cwd=tmp_path) as screen:
        before = screen.modes()
        words = b"vim -u NONE -N text" if name == "vim" else b"less text"
        screen.type(b"v " + words + b"\n")
        screen.expect(b"line 9")
        screen.still(0.5)
        screen.type(b"\x1a")
        screen.expect(b"Stopped", seconds=5)
        screen.type(b"fg\n")
        screen.expect(b"line 9", seconds=5)
        screen.still(0.3)
        screen.type(b":%s/line 0/changed/\r:wq\r" if name == "vim" else b"q")
        screen.still(0.5)  # keys typed any sooner are for the program
        screen.type(b"echo =$?=\n")
        screen.expect(b"=0=", seconds=5)
        screen.expect(b"$ ")
        assert screen.modes() == before
    if name == "vim":
        assert (tmp_path / "text").read_text().startswith("changed\nline 1\n")


def test_a_hundred_thousand_lines_arrive_in_a_terminal(tmp_path: Path) -> None:
    with Screen([*DRIVER, "seq", "100000"]) as screen:
        found = screen.rest()
    assert found == b"".join(b"%d\r\n" % number for number in range(1, 100001))


MODES = [0, 0, 0, termios.ISIG | termios.ICANON | termios.IEXTEN, 0, 0, [b"\0"] * 32]
MODES[6][termios.VINTR], MODES[6][termios.VQUIT] = b"\x03", b"\x1c"  # type: ignore[index]
MODES[6][termios.VSUSP], MODES[6][termios.VLNEXT] = b"\x1a", b"\x16"  # type: ignore[index]
QUIET = [0, 0, 0, termios.ICANON, 0, 0, MODES[6]]
RAW = [0, 0, 0, termios.ISIG, 0, 0, MODES[6]]


@pytest.mark.parametrize(
    ("keys", "modes", "meant", "literal"),
    [
        (b"abc", MODES, [], False),
        (b"a\x03b\x1a\x1c", MODES, [signal.SIGINT, signal.SIGTSTP, signal.SIGQUIT], False),
        (b"\x16\x03\x03", MODES, [signal.SIGINT], False),
        (b"x\x16", MODES, [], True),
        (b"\x16\x16\x03", MODES, [signal.SIGINT], False),
        (b"\x16\x03", RAW, [signal.SIGINT], False),
        (b"\x03\x1a", QUIET, [], False),
        (b"\0\0", MODES, [], False),
    ],
)
def test_keys_that_mean_a_signal(keys: bytes, modes: list[object], meant: list[int], literal: bool) -> None:
    assert signals_of(keys, modes) == (meant, literal)


def test_a_literal_key_may_come_later() -> None:
    assert signals_of(b"\x03\x03", MODES, literal=True) == ([signal.SIGINT], False)


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(number) for number in file.read().split()]


def _may_push_back() -> bool:
    try:
        with open("/proc/sys/dev/tty/legacy_tiocsti") as file:
            return file.read().strip() == "1"
    except FileNotFoundError:
        return True  # before Linux 6.2 it was always so
