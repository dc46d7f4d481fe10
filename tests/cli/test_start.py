"""What the path of every recorded command may import before the command is started: start-up is a feature."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

#: Modules in C, or next to nothing. `pathlib`, `dataclasses`, `json` or `re` would each cost more than all of these.
ALLOWED = {
    "__future__",
    "_json",
    "_struct",
    "array",
    "errno",
    "fcntl",
    "math",
    "select",
    "struct",
    "termios",
    "time",
    "_socket",
    "ctypes",
    "_ctypes",
    "ctypes._endian",
}

LIGHT = {
    "vestige",
    "vestige.cli",
    "vestige.cli.arguments",
    "vestige.cli.run",
    "vestige.config",
    "vestige.errors",
    "vestige.launch",
    "vestige.model",
    "vestige.model.spelling",
    "vestige.ops",
    "vestige.ops.run",
    "vestige.record",
    "vestige.record.command",
    "vestige.record.identity",
    "vestige.record.journal",
    "vestige.record.options",
    "vestige.record.secrets",
    "vestige.store",
    "vestige.store.project",
    "vestige.store.publish",
}

CODE = """
import sys
before = set(sys.modules)
import vestige.cli
from vestige.cli import run
from vestige.cli.arguments import parse
run._options(parse(run.VERB, ["--name", "x", "--input", "a", "echo", "hi"]))
import vestige.ops.run
print(*sorted(set(sys.modules) - before))
"""


def test_a_recorded_command_loads_no_more_than_this(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    ours = {name for name in loaded if name.startswith("vestige") and not name.startswith("vestige.launch.")}
    assert loaded - ours - {name for name in loaded if name.startswith("vestige.launch.")} <= ALLOWED
    assert ours <= LIGHT


def test_asking_for_help_loads_no_more_than_the_rows(tmp_path: Path) -> None:
    code = (
        "import sys; from vestige.cli import verbs; verbs.every(); print(*(n for n in sys.modules if n.startswith('vestige.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    rooms = {name.split(".")[1] for name in done.stdout.split()}
    assert rooms <= {"cli", "errors", "model", "report"}
