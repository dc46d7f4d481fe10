"""The pages for those who come from another tool: what each of them tells to type is typed, and answers as it says.

A block whose first line ends in `before` is the other tool's. `console` blocks hold commands behind a `$`, and what they print; a
block of another language is the file that is named there. In what is printed, `…` stands for anything, and commits differ.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.script.scripts import settled

ROOT = Path(__file__).parent.parent
PAGES = {"footsteps": "footsteps", "ntrk": "ntrk", "capsula": "first", "asimov": "asimov/prod0"}
SCRIPTS = ROOT / "docs" / "how-to" / "scripts.md"
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def commands(block: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a block, and the lines that it prints."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *printed = part.splitlines()
        yield command, printed


def typed(project: Path, command: str) -> list[str]:
    """What a command prints that is typed in a project."""
    environ = {**os.environ, "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"], "MPLBACKEND": "agg"}
    environ["PYTHONUNBUFFERED"] = "1"  # what goes to a terminal is shown at once
    how = {"shell": True, "cwd": project, "env": environ, "stdin": subprocess.DEVNULL, "timeout": 60}
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **how)  # type: ignore[call-overload]
    settled(project)
    assert done.returncode == 0, (command, done.stdout)
    found: list[str] = done.stdout.decode().splitlines()
    return found


def is_as_shown(printed: list[str], shown: list[str]) -> bool:
    """Whether a command has printed what the page shows."""
    text, pattern = (re.sub(r"@ [0-9a-f]{7}\b", "@ COMMIT", "\n".join(lines)) for lines in (printed, shown))
    return re.fullmatch(".+".join(map(re.escape, pattern.split("…"))), text, flags=re.DOTALL) is not None


def follow(page: str, project: Path) -> int:
    """Do what a page says; returns how many commands that were."""
    count = 0
    for language, name, block in BLOCK.findall(page):
        if name == "before":
            continue
        if language != "console":
            (project / name).write_text(block)
            continue
        for command, shown in commands(block):
            printed = typed(project, command)
            assert is_as_shown(printed, shown), (command, printed)
            count += 1
    return count


def parts(page: str, *, draw: bool = False) -> str:
    """The sections of a page that need nothing but Python, or those that `draw`."""
    sections = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    return "".join(section for section in sections if ("matplotlib" in section) is draw)


def cells(page: str) -> list[str]:
    """The commands in the second column of tables."""
    return [command.replace("\\|", "|") for command in re.findall(r"^\| .* \| `(.*)` \|$", page, flags=re.MULTILINE)]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project."""
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "in.csv").write_text("3, three\n1, one\n2, two\n")
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize("seed", sorted(PAGES))
def test_everything_that_the_page_tells_to_type_works(seed: str, project: Path) -> None:
    page = (ROOT / "docs" / "moving" / f"{seed}.md").read_text()
    shutil.copytree(ROOT / "tests" / "exchange" / "golden" / PAGES[seed], project / "old")
    (project / ".git" / "info" / "exclude").write_text("old\n")
    assert follow(parts(page), project) >= 5
    for command in cells(page):
        typed(project, command)


def test_the_manual_for_scripts_says_what_happens(project: Path) -> None:
    assert follow(parts(SCRIPTS.read_text()), project) >= 10


@pytest.mark.programs
@pytest.mark.parametrize("path", ["moving/footsteps.md", "how-to/scripts.md"])
def test_figures_are_saved_as_the_page_shows(path: str, project: Path) -> None:
    assert follow(parts((ROOT / "docs" / path).read_text(), draw=True), project) == 1


def test_each_page_has_the_old_beside_the_new() -> None:
    for seed in PAGES:
        blocks = BLOCK.findall((ROOT / "docs" / "moving" / f"{seed}.md").read_text())
        assert any(name == "before" for _, name, _ in blocks), seed
        assert any(language == "console" and not name for language, name, _ in blocks), seed


@pytest.mark.parametrize(
    ("printed", "shown", "expected"),
    [
        (["a @ 1234567 b"], ["a @ 7654321 b"], True),
        (["wrote x"], ["wrote …"], True),
        (["wrote x"], ["wrote y"], False),
        (["one", "two"], ["one"], False),
        ([], ["…"], False),
    ],
)
def test_what_is_not_as_the_page_shows_is_noticed(printed: list[str], shown: list[str], expected: bool) -> None:
    assert is_as_shown(printed, shown) is expected
