"""A command is found and executed as a shell would."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.launch.launching import launch
from vestige.launch import child, serve, streams


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content, mode in (
        ("script", "#!/bin/sh\necho script $0 $*\n", 0o755),
        ("text", "echo text $*\n", 0o755),
        ("plain", "echo no\n", 0o644),
        ("empty", "", 0o755),
        ("broken", "#!/no/such/interpreter\n", 0o755),
        ("binary", "\x7fXX\0\0\0", 0o755),
    ):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(mode)
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("script")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "plain").write_text("#!/bin/sh\necho found\n")
    (tmp_path / "again" / "plain").chmod(0o755)
    return tmp_path


# fmt: off
NAMES = [
    "script", "./script", "text", "./text", "plain", "./plain", "empty", "./broken", "./binary", "directory", "./directory",
    "./script/x", "link", "dangling", "./dangling", "nothing", "./nothing", "basename", "/usr/bin/basename", "/",
]
# fmt: on


@pytest.mark.parametrize("name", [*NAMES, "", "no\nsuch"])
@pytest.mark.parametrize("path", ["{}:/bin:/usr/bin", "{}:{}/again:/bin", ":/usr/bin:/bin", "/nowhere"])
def test_codes_and_output_are_those_of_a_shell(name: str, path: str, folder: Path) -> None:
    environ = {**os.environ, "PATH": path.replace("{}", str(folder))}
    shell = "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"
    bare = subprocess.run([shell, "-c", '"$0" "$@"', name, "a", "b c"], cwd=folder, env=environ, capture_output=True, check=False)
    ours = launch(name, "a", "b c", cwd=folder, env=environ)
    assert (ours.returncode, ours.stdout) == (bare.returncode, bare.stdout)


def test_a_command_is_found_from_where_it_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert child.find_program("./script", None, str(folder)) == "./script"
    assert child.find_program("script", ".:/bin", str(folder)) == "./script"
    assert launch("--cwd", str(folder), "./script", "x").stdout == b"script ./script x\n"


def test_a_path_that_is_not_set_is_the_systems() -> None:
    found = child.find_program("sh", None)
    assert isinstance(found, str)
    assert os.path.samefile(found, "/bin/sh")


def test_who_gains_privileges(folder: Path) -> None:
    program = folder / "plain"
    program.write_bytes(b"\x7fELF")
    program.chmod(0o4755)
    assert not child.gains_privileges(str(program)), "it is ours"
    assert not child.gains_privileges(str(folder / "nothing"))
    if os.geteuid() == 0:
        os.chown(program, 12345, 12345)
        program.chmod(0o4755)
        assert child.gains_privileges(str(program))
        program.chmod(0o2755)
        assert child.gains_privileges(str(program))
        program.chmod(0o2644)
        assert not child.gains_privileges(str(program)), "without execution by the group, setgid means locking"
        program.chmod(0o4755)
        script = folder / "starts"
        script.write_text(f"#!{program} -x\n")
        script.chmod(0o755)
        assert child.gains_privileges(str(script)), "its interpreter does"
        script.write_text("#!/bin/sh\n")
        os.chown(script, 12345, 12345)
        script.chmod(0o6755)
        assert not child.gains_privileges(str(script)), "of a script the bits mean nothing"
    else:
        found = child.find_program("su", "/bin:/usr/bin")
        assert not isinstance(found, str) or child.gains_privileges(found)


def test_names_that_are_not_utf_8(folder: Path) -> None:
    name = os.fsdecode(b"scr\xffipt")
    (folder / name).write_text('#!/bin/sh\nprintf %s "$1"\n')
    (folder / name).chmod(0o755)
    assert launch(f"./{name}", os.fsdecode(b"\xfe\n"), cwd=folder).stdout == b"\xfe\n"


@pytest.mark.parametrize(("status", "code"), [(0, 0), (5 << 8, 5), (15, 143), (9 | 128, 137)])
def test_exit_codes_are_a_shells(status: int, code: int) -> None:
    result = serve.Result()
    result.status = status
    assert serve.exit_code(result) == code


def test_a_watcher_that_is_gone_with_its_command_does_not_keep_the_launcher_waiting(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    standard = streams.inspect(stdin=os.devnull, stdout=str(tmp_path / "out"), stderr=str(tmp_path / "err"))
    launcher = os.fork()
    if launcher == 0:  # a process of its own, as a launcher is
        standard.open(str(tmp_path), 100)
        result = serve.serve(standard, ours.fileno(), 0)
        os._exit(0 if result.status is None else 1)
    assert os.waitpid(launcher, 0)[1] == 0
