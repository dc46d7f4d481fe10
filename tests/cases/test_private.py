"""Secrets stay out: recorded for real, nothing of the store but its private part holds one."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.lab import Lab
from vestige.ops.check import check

TOKEN = "ghp_" + "0123456789abcdefghijklmnopqrstuvwxyz"
NAMED = "correct-horse-battery-7"  # looks like nothing; a variable that is named like a secret holds it
FILES = {
    ".env": "SOME=of the environment\n",
    "server.pem": "of the key\n",
    "conf/credentials.json": '{"of": "the credentials"}\n',
}
SCRIPT = f"""
import sys, used
for name in {sorted(FILES)!r}:
    open(name).read()
open("server.pem", "w").write("of another key")          # a pre-image
open("copy.txt", "w").write("token={TOKEN}")             # an output
open("in.txt").read()
print("said {TOKEN} and {NAMED}")
print("complained {TOKEN}", file=sys.stderr)
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path / "p")
    lab.write(".gitignore", "ignored/\n")
    lab.write("train.py", "x = 1\n")
    lab.commit()
    for name, text in FILES.items():
        lab.write(name, text)
    lab.write("ignored/used.py", f"key = '{TOKEN}'\n")
    lab.write("train.py", "import sys; sys.path.insert(0, 'ignored')\n" + SCRIPT)
    lab.write("in.txt", f"a line\n{NAMED}\n")
    return lab


def contents(store: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file of a store, and what packed ones hold."""
    for path in store.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            yield path, data
            for bits in (15, 31):
                try:
                    yield path, zlib.decompress(data, bits)
                except zlib.error:
                    continue
    packed = subprocess.run(
        ["git", "--git-dir", store / "code.git", "cat-file", "--batch", "--batch-all-objects"], capture_output=True, check=True
    )
    yield store / "code.git", packed.stdout


def leaks(store: Path) -> set[str]:
    """Where a secret is, outside the private part."""
    words = [TOKEN, NAMED, *FILES.values(), "of another key"]
    return {
        f"{path.relative_to(store)}: {word}"
        for path, data in contents(store)
        for word in words
        if word.encode() in data and store / "objects" / "private" not in path.parents
    }


def test_nothing_that_is_or_holds_a_secret_is_in_the_store(lab: Lab) -> None:
    run = lab.sh(f"run {sys.executable} train.py > /dev/null 2>&1 | cat", environ={"WANDB_API_KEY": NAMED})
    assert leaks(lab.root / ".vestige") == set()
    assert run.code is not None
    assert run.code.private == ("ignored/used.py", "train.py")
    assert set(FILES) <= set(run.code.withheld) | {use.path for use in run.inputs if not use.kept}
    uses = {use.path: use for use in (*run.inputs, *run.outputs)}
    assert not any(uses[name].kept for name in (*FILES, "copy.txt", "in.txt", "train.py"))
    piped = lab.sh(f"run {sys.executable} train.py 2>&1 | cat", environ={"WANDB_API_KEY": NAMED})
    assert piped.streams
    assert leaks(lab.root / ".vestige") == set()


def test_private_source_serves_every_verb(lab: Lab) -> None:
    lab.write("step.py", f"# {TOKEN}\nopen('out.csv', 'w').write(open('in.csv').read().upper())\n")
    lab.write("in.csv", "a,b\n1,2\n")
    source = lab.read("step.py")
    first = lab.sh("run python3 step.py")
    lab.write("step.py", source + "# changed\n")
    second = lab.sh("run python3 step.py")
    os.unlink(lab.root / "step.py")
    assert check(lab.project).damaged == ()
    restored = lab.vestige("restore", f"step.py@{first.id}", "-o", "was.py")
    assert (restored.returncode, lab.read("was.py")) == (0, source)
    assert (lab.root / "was.py").stat().st_mode & 0o777 == 0o600
    assert lab.vestige("reproduce", second.id).returncode == 0
    assert "step.py" in lab.vestige("diff", first.id, second.id).stdout
    assert "private\tstep.py\n" in lab.vestige("show", first.id).stdout
    assert lab.vestige("gc").returncode == 0
    assert lab.vestige("reproduce", first.id).returncode == 0
    assert leaks(lab.root / ".vestige") == set()


def test_withheld_source_is_said_to_be_missing(lab: Lab) -> None:
    lab.write("vestige.toml", 'secrets = "withhold"\n')
    lab.write("step.py", f"# {TOKEN}\nopen('out.csv', 'w').write('1')\n")
    run = lab.sh("run python3 step.py")
    assert run.code is not None
    assert "step.py" in run.code.withheld
    assert run.code.private == ()
    assert not (lab.root / ".vestige" / "objects" / "private").exists()
    assert "withheld\tstep.py\n" in lab.vestige("show", run.id).stdout
    assert leaks(lab.root / ".vestige") == set()


def test_the_limits_of_the_configuration_hold(lab: Lab) -> None:
    lab.write("vestige.toml", 'source_limit = "1 KiB"\n')
    lab.write("long.py", "# " * 600)
    run = lab.sh("run true")
    assert [line for line in run.problems if "'long.py' has 1200 bytes (source_limit is 1024 bytes" in line]
    run = lab.sh("run true", environ={"VESTIGE_SOURCE_LIMIT": "10 KiB", "VESTIGE_SNAPSHOT_LIMIT": "1 MiB"})
    assert not [line for line in run.problems if "long.py" in line]
