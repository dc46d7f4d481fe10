"""The launch that works everywhere passes on what it can: streams as they are, and the exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vestige.launch import portable


@pytest.mark.parametrize(
    ("script", "code"), [("raise SystemExit(7)", 7), ("pass", 0), ("import os; os.kill(os.getpid(), 15)", 143)]
)
def test_the_exit_code_is_the_commands_own(script: str, code: int) -> None:
    assert portable.launch([sys.executable, "-c", script]) == code


def test_what_cannot_be_started(tmp_path: Path) -> None:
    assert portable.launch(["no such command"]) == 127
    (tmp_path / "text").write_text("text")
    assert portable.launch([str(tmp_path / "text")]) == 126


def test_environment_folder_and_number(tmp_path: Path) -> None:
    script = "import os; open('said', 'w').write(f\"{os.getpid()} {os.environ['FOO']}\")"
    numbers: list[int] = []
    code = portable.launch([sys.executable, "-c", script], environ={"FOO": "bar"}, cwd=str(tmp_path), started=numbers.append)
    assert code == 0
    assert (tmp_path / "said").read_text() == f"{numbers[0]} bar"


def test_ctrl_c_is_for_the_command() -> None:
    command = """
import os, signal, time
signal.signal(signal.SIGINT, lambda *_: os._exit(5))
os.kill(os.getppid(), signal.SIGINT)
time.sleep(0.1)
os.kill(os.getpid(), signal.SIGINT)
time.sleep(9)
"""
    launcher = f"import sys\nfrom vestige.launch import portable\nsys.exit(portable.launch([sys.executable, '-c', {command!r}]))"
    assert subprocess.run([sys.executable, "-c", launcher], check=False, timeout=30).returncode == 5
