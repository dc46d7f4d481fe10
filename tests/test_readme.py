"""The README's transcript, line by line, from a real run of what it shows."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import vestige
from tests.script.scripts import settled

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks() -> list[str]:
    """Indented blocks that hold a prompt."""
    found = re.findall(r"(?:^    .*\n)+", README, flags=re.MULTILINE)
    return [block for block in found if "    $ " in block]


def plain(text: str) -> list[str]:
    """Lines without what differs from run to run: commits."""
    return re.sub(r"@ [0-9a-f]{7}\b", "@ COMMIT", text).strip().splitlines()


def test_the_readme_is_short_and_names_the_two_commands() -> None:
    assert len(README.splitlines()) <= 75
    assert "make demo" in README
    assert "make test" in README


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_script_is_recorded_as_it_says(tmp_path: Path) -> None:
    (source,) = [
        textwrap.dedent(block) for block in re.findall(r"^    import vestige\n(?:    .*\n|\n(?=    ))+", README, re.MULTILINE)
    ]
    (tmp_path / "fit.py").write_text(source)
    (tmp_path / "in.csv").write_text("1,2\n")
    (tmp_path / "vestige.toml").touch()
    done = subprocess.run([sys.executable, "fit.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    settled(tmp_path)
    said = re.search(r"Saving results to results/", source)
    assert said is not None
    assert done.stderr.startswith(said[0])
    condition = re.search(r"vestige log --where '(.*)'", source)
    assert condition is not None
    (run,) = vestige.open(project=tmp_path).runs(where=condition[1])
    assert (run.kind, [use.path for use in run.inputs if use.role == "data"]) == ("function", ["in.csv"])


@pytest.mark.programs
def test_the_transcript_is_what_happens(tmp_path: Path) -> None:
    study = tmp_path / "study"
    shutil.copytree(ROOT / "examples" / "cancer", study)
    (study / "data").mkdir()
    where = "import os, sklearn; print(os.path.join(os.path.dirname(sklearn.__file__), 'datasets', 'data', 'breast_cancer.csv'))"
    table = subprocess.run([sys.executable, "-c", where], capture_output=True, text=True, check=True).stdout.strip()
    shutil.copy(table, study / "data" / "raw.csv")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=study, check=True)
    shown, seen = [], []
    for block in blocks():
        for line in (line[4:] for line in block.splitlines()):
            shown.append(line)
            if line.startswith("$ vestige "):
                words = shlex.split(line[len("$ vestige ") :])
                words = [sys.executable if word == "python" else word for word in words]
                done = subprocess.run(
                    [sys.executable, "-m", "vestige", *words], cwd=study, capture_output=True, text=True, check=True
                )
                printed = "" if words[0] == "run" else done.stdout
                seen += [line, *[text for text in printed.splitlines() if not text.startswith("also") and "steps," not in text]]
    assert plain("\n".join(seen)) == plain("\n".join(shown))
