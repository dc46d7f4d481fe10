"""The README's transcript, line by line, from a real run of what it shows."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
