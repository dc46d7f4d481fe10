"""Small studies that are recorded by the real tools: for the golden copies in `golden/`, and made anew in `make test-programs`.

`python -m tests.exchange.seeds NTRK CAPSULA OLD_CAPSULA FOOTSTEPS ASIMOV` writes the golden copies: four Pythons that have the
tool (the old Capsula is 0.0.24), and asimov's `environment.py`.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"
ROOT = "/home/ada/study"

STEP = """\
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("-i", nargs="*", default=[])
parser.add_argument("-o")
given = parser.parse_args()
with open(given.o, "w") as out:
    out.write("".join(open(name).read() for name in given.i) + "made by a step of this study\\n")
"""
TRAIN = """\
import sys

import footsteps

footsteps.initialize(sys.argv[1])
with open(footsteps.output_dir + "weights.csv", "w") as file:
    file.write("6, 9, 42, and some more weights\\n")
"""
MONITOR = """\
import sys
from pathlib import Path

import capsula


@capsula.monitor(directory=Path(__file__).parent, include_return_value=True, items=("fit",))
def fit(n, seed=None):
    if n < 0:
        raise ValueError("negative")
    Path("out.csv").write_text("x" * n + "\\n")
    return n


fit(int(sys.argv[1]))
"""
COMMAND = """\
from pathlib import Path

print("fitted")
Path("out.csv").write_text("written by a command, and long enough\\n")
raise SystemExit(3)
"""
FIRST = """\
vault-directory = 'vault'

[capture]
include-cpu = false
pre-capture-commands = ['echo numpy > requirements.txt']
environment-variables = ['LR']

[capture.files]
"raw.csv" = { hash = "sha256", copy = true }
"requirements.txt" = { hash = "md5", move = true }

[capture.git.repositories]
"study" = '.'

[monitor.item.fit.files]
"out.csv" = { hash = "sha256", copy = true }
"gone.csv" = { hash = "sha256", copy = true }
"""
DECORATED = """\
import sys
from pathlib import Path

import capsula


@capsula.run()
def fit(n, seed=None):
    capsula.record("accuracy", 0.9)
    if n < 0:
        raise ValueError("negative")
    Path("out.csv").write_text("x" * n + "\\n")
    return n


fit(int(sys.argv[1]))
"""
LATER = """\
vault-dir = "vault"

[pre-run]
contexts = [
  { type = "CwdContext" },
  { type = "PlatformContext" },
  { type = "GitRepositoryContext", name = "study", path = ".", path_relative_to_project_root = true },
  { type = "EnvVarContext", name = "LR" },
  { type = "CommandContext", command = "echo hello" },
  { type = "FileContext", path = "raw.csv", hash_algorithm = "sha256", copy = true },
  FUNCTION
]
reporters = [{ type = "JsonDumpReporter" }]

[in-run]
watchers = [{ type = "UncaughtExceptionWatcher" }, { type = "TimeWatcher" }]
reporters = [{ type = "JsonDumpReporter" }]

[post-run]
contexts = [{ type = "FileContext", path = "out.csv", hash_algorithm = "sha256", move = true }]
reporters = [{ type = "JsonDumpReporter" }]
"""
RAW = "a,b\n1,2\n3,4\n5,6\n"


def ntrk(root: Path, python: str) -> str:
    """A chain of two steps; what `nt trace` says of its end."""
    _project(root, {"step.py": STEP, "in.csv": RAW, ".gitignore": "out.csv\nfinal.csv\n"})
    tool = [python, "-m", "ntrk"]
    _run([*tool, "track", "python3", "step.py", "-i", "in.csv", "-o", "out.csv"], root)
    _run([*tool, "track", "python3", "step.py", "-i", "out.csv", "in.csv", "-o", "final.csv"], root)
    return _run([*tool, "trace", "final.csv"], root)


def footsteps(root: Path, python: str) -> None:
    """One run of a script with uncommitted changes, in a repository whose remote holds a password."""
    _project(root, {"train.py": TRAIN})
    _run(["git", "remote", "add", "origin", "https://ada:pa55w0rdOfAda99@github.com/ada/study.git"], root)
    (root / "train.py").write_text(TRAIN + "# changed\n")
    _run([python, "train.py", "fold-1"], root)
    packages = root / "results" / "fold-1" / "package_versions.txt"
    for _ in range(600):  # footsteps does not wait for pip
        if "pip " in packages.read_text():
            break
        time.sleep(0.1)


def capsula_first(root: Path, python: str) -> None:
    """Capsules of a function, of one that raises, of a command, and of the context alone."""
    _project(root, {"fit.py": MONITOR, "command.py": COMMAND, "capsula.toml": FIRST, "raw.csv": RAW})
    (root / "fit.py").write_text(MONITOR + "# changed\n")
    tool = [python, "-c", "from capsula.__main__ import main; main()"]
    for words, status in (
        ([python, "fit.py", "30"], 0),
        ([python, "fit.py", "-1"], 1),
        ([*tool, "monitor", "-i", "fit", "python3", "command.py"], None),
        ([*tool, "capture"], 0),
    ):
        _run(words, root, status)
        time.sleep(1.1)  # a capsule is named by the second


def capsula_later(root: Path, python: str) -> None:
    """The same by the later generation."""
    _project(root, {"fit.py": DECORATED, "command.py": COMMAND, "raw.csv": RAW, "pyproject.toml": '[project]\nname = "study"\n'})
    (root / "capsula.toml").write_text(LATER.replace("FUNCTION", '{ type = "FunctionContext" },'))
    _run([python, "fit.py", "30"], root)
    _run([python, "fit.py", "-1"], root, 1)
    (root / "capsula.toml").write_text(LATER.replace("FUNCTION", ""))
    tool = [python, "-c", "from capsula._cli import app; app()"]
    _run([*tool, "run", "python3", "command.py"], root, 3)
    _run([*tool, "enc"], root)


def asimov(root: Path, module: str) -> None:
    """An environment as asimov's own module writes it."""
    code = (
        "import importlib.util as u, sys; s = u.spec_from_file_location('environment', sys.argv[1]);"
        "m = u.module_from_spec(s); s.loader.exec_module(m); m.capture_and_save_environment('prod0')"
    )
    root.mkdir(parents=True)
    _run([sys.executable, "-c", code, module], root)


def _project(root: Path, files: Mapping[str, str]) -> None:
    root.mkdir(parents=True)
    _run(["git", "init", "-q", "-b", "main", "."], root)
    for name, text in files.items():
        (root / name).write_text(text)
    _run(["git", "add", "-A"], root)
    _run(["git", "commit", "-qm", "x"], root)


def _run(words: list[str], root: Path, status: int | None = 0) -> str:
    who = {
        f"GIT_{one}_{what}": text
        for one in ("AUTHOR", "COMMITTER")
        for what, text in (("NAME", "Ada"), ("EMAIL", "a@example.org"))
    }
    done = subprocess.run(words, cwd=root, env={**os.environ, **who, "LR": "0.1"}, capture_output=True, text=True, check=False)
    assert status is None or done.returncode == status, done.stderr
    return done.stdout


# --- golden copies ---------------------------------------------------------------------------------------------------


def _keep(root: Path, name: str) -> None:
    """Keep a study without its repository, and without what tells of the machine that made it."""
    target = GOLDEN / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(root, target, ignore=shutil.ignore_patterns(".git", "__pycache__", ".gitignore"))
    for path in target.rglob("*"):
        if path.is_file() and path.suffix in (".json", ".txt", ".jsonl", ".diff", ".ntrk"):
            text = (
                path.read_text()
                .replace(str(root), ROOT)
                .replace(platform.release(), "6.1.0")
                .replace(platform.version(), "#1 SMP")
            )
            text = re.sub(rf'(?<=["\n]){re.escape(platform.node())}(?=["\n])', "node17", text)
            path.write_text(re.sub(r'/[^\s"\\]*/(bin/python[\d.]*|lib/python[\d.]+)', r"/usr/\1", text))


def main(words: list[str]) -> None:
    """Write the golden copies."""
    tools = dict(zip(("ntrk", "later", "first", "footsteps", "asimov"), words, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder).resolve()
        said = ntrk(top / "ntrk", tools["ntrk"])
        (top / "ntrk" / "trace.txt").write_text(said)
        footsteps(top / "footsteps", tools["footsteps"])
        capsula_first(top / "first", tools["first"])
        capsula_later(top / "later", tools["later"])
        asimov(top / "asimov", tools["asimov"])
        packages = top / "asimov" / "prod0" / "environment-pip.txt"
        packages.write_text(
            "".join(line for line in packages.read_text().splitlines(keepends=True) if line.startswith(("b", "p")))
        )
        for name in ("ntrk", "footsteps", "first", "later", "asimov"):
            _keep(top / name, name)


if __name__ == "__main__":
    main(sys.argv[1:])
