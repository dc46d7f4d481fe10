"""What a start loads: a new import on the path of every recorded run fails here, and is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

SOURCE = str(Path(__file__).parents[1] / "src")

#: The launcher, until it forks: nothing here keeps the command waiting for long.
LAUNCHER = {
    "vestige": "",
    "vestige.": "cli config errors launch model observe ops record store",
    "vestige.cli.": "arguments run",
    "vestige.launch.": "child pump serve signals streams",
    "vestige.model.": "spelling",
    "vestige.observe.": "lines notify shared",
    "vestige.ops.": "run",
    "vestige.record.": "command identity journal options preimage secrets watch",
    "vestige.store.": "objects project publish",
}
LAUNCHER_OTHERS = "__future__ _ctypes _json _socket _struct ctypes ctypes._endian errno fcntl gc mmap pwd select struct types"

#: The recorder beside, for a run that finds everything as it was the last time.
RECORDER = {
    "vestige.": "capture",
    "vestige.capture.": "digest git gitconfig interpreters machine mounts packages remembered snapshot sources strangers system "
    "variables worktree",
    "vestige.model.": "code environment files gitformat machine plain run secret_names sha1 shape summary values wire",
    "vestige.observe.": "classify conclusion declared directories escapes interface judge lifecycle listings paths "
    "processes roles",
    "vestige.record.": "code compose context cores digests keeping leftovers looked recorder said surroundings tail",
    "vestige.store.": "code journal ledger records treelist",
}
RECORDER_OTHERS = "_collections _sha1 blake3 blake3.blake3 itertools resource zlib"

#: Each of these costs more than all of the launcher's own modules. They are here to be named in a failure.
NEVER = {"dataclasses", "inspect", "subprocess", "pathlib", "typing", "re", "json", "collections", "functools", "enum", "logging"}

STEP = """import sys
open(sys.argv[4], "w").write(open(sys.argv[2]).read().upper())
"""


def test_importing_vestige_loads_nothing_else(tmp_path: Path) -> None:
    program = "import sys; before = set(sys.modules); import vestige; print(*sorted(set(sys.modules) - before))"
    assert _python(tmp_path, program).split() == ["vestige"]


def test_the_launcher_loads_what_is_listed(tmp_path: Path) -> None:
    program = """
import os, sys
before = set(sys.modules)
def fork():
    print(*sorted(set(sys.modules) - before), flush=True)
    os._exit(0)
os.fork = fork
from vestige.cli import main
sys.argv = ["vestige", "run", "true"]
main()
"""
    (tmp_path / "project").mkdir()
    _compare(_python(tmp_path / "project", program).split(), _names(LAUNCHER, LAUNCHER_OTHERS))


def test_the_recorder_of_an_unchanged_run_loads_what_is_listed(project: Path, tmp_path: Path) -> None:
    program = f"""
import os, sys
before = set(sys.modules)
from vestige.record import watch
recorder, leave = watch._recorder, os._exit
def watched(*arguments):
    def note(status):
        with open({str(tmp_path / "hidden")!r}, "w") as file:
            print(*sorted(set(sys.modules) - before), file=file)
        os.replace({str(tmp_path / "hidden")!r}, {str(tmp_path / "loaded")!r})
        leave(status)
    os._exit = note
    recorder(*arguments)
watch._recorder = watched
from vestige.cli import main
sys.argv = ["vestige", "run", {sys.executable!r}, "step.py", "-i", "in.csv", "-o", "out.csv"]
main()
"""
    for again in range(3):
        if again == 1:
            time.sleep(2.2)  # what is younger than two seconds may still be changing, and is looked at again
        (tmp_path / "loaded").unlink(missing_ok=True)
        _python(project, program)
        while not (tmp_path / "loaded").exists():
            time.sleep(0.01)  # the launcher does not wait for the end of the recorder
    loaded = (tmp_path / "loaded").read_text().split()
    expected = _names(LAUNCHER, LAUNCHER_OTHERS) | _names(RECORDER, RECORDER_OTHERS)
    _compare(loaded, expected)
    records = sorted((project / ".vestige" / "runs").rglob("*.json"))
    assert [use["path"] for use in json.loads(records[-1].read_bytes())["outputs"]] == ["out.csv"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with a step whose output is ignored."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "step.py").write_text(STEP)
    (folder / "in.csv").write_text("a,b\n1,2\n")
    (folder / ".gitignore").write_text("out.csv\n")
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


def _names(rooms: dict[str, str], others: str) -> set[str]:
    return {room + name for room, names in rooms.items() for name in names.split() or [""]} | set(others.split())


def _compare(loaded: list[str], expected: set[str]) -> None:
    found = set(loaded)
    assert not found & NEVER, f"costs more than all else: {sorted(found & NEVER)}, among {sorted(found - expected)}"
    assert not found - expected, f"loaded now, and not on the list: {sorted(found - expected)}"
    unused = {name for name in expected - found if name.startswith("vestige")}
    assert not unused, f"on the list, and not loaded any more: {sorted(unused)}"


def _python(folder: Path, program: str) -> str:
    """What a program prints. Without site: what an installation loads at every start is not ours."""
    library = os.path.dirname(os.path.dirname(__import__("blake3").__file__))
    paths = f"import sys; sys.path[:0] = [{SOURCE!r}, {library!r}]\n"
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV_"))}
    command = [sys.executable, "-S", "-c", paths + program]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=True)
    return done.stdout
