"""Repositories for steps that ask git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.store.samples import read, run
from vestige.model.code import Code
from vestige.model.run import Process, Run
from vestige.reproduce.repository import borrow, give, is_asked


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def users(tmp_path: Path) -> Path:
    top = tmp_path / "p"
    subprocess.run(["git", "init", "-q", "-b", "main", str(top)], check=True)
    (top / "a.txt").write_text("first")
    git(top, "add", "-A")
    git(top, "commit", "-qm", "first")
    git(top, "tag", "v1")
    return top


def recorded(users: Path, branch: str | None = "main") -> Run:
    return run(
        1, code=Code(commit=git(users, "rev-parse", "HEAD"), branch=branch, remotes={"origin": "https://example.org/p.git"})
    )


def later(users: Path) -> None:
    (users / "a.txt").write_text("second")
    git(users, "commit", "-qam", "second")


@pytest.mark.parametrize("branch", ["main", None], ids=["on a branch", "detached"])
def test_the_repository_is_at_the_recorded_commit(users: Path, tmp_path: Path, branch: str | None) -> None:
    one = recorded(users, branch)
    commit = git(users, "rev-parse", "HEAD")
    later(users)
    work = tmp_path / "work"
    work.mkdir()
    (work / "a.txt").write_text("first")
    before = sorted(path for path, _, _ in os.walk(users))
    objects = give(one, str(users), str(work))
    assert objects is not None
    borrow(str(work), objects)
    assert git(work, "rev-parse", "HEAD") == commit
    assert git(work, "describe", "--tags") == "v1"
    assert git(work, "status", "--short") == ""
    assert git(work, "branch", "--show-current") == (branch or "")
    assert git(work, "remote", "get-url", "origin") == "https://example.org/p.git"
    assert sorted(path for path, _, _ in os.walk(users)) == before


def test_uncommitted_changes_are_seen_as_such(users: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "a.txt").write_text("changed")
    objects = give(recorded(users), str(users), str(work))
    assert objects is not None
    borrow(str(work), objects)
    assert git(work, "status", "--short") == "M a.txt"


def test_a_commit_that_is_not_there_cannot_be_given(users: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    assert give(run(1, code=Code(commit="12" * 20)), str(users), str(tmp_path / "work")) is None
    assert give(run(1, code=Code()), str(users), str(tmp_path / "work")) is None
    assert give(recorded(users), str(tmp_path), str(tmp_path / "work")) is None


def test_who_asks_git_is_known() -> None:
    assert is_asked(run(1, command=("git", "log")))
    assert is_asked(run(1, command=("sh", "x"), processes=(Process(pid=1, argv=("/usr/bin/git", "describe")),)))
    assert is_asked(run(1, command=("python", "x"), inputs=(read(".git/HEAD"),)))
    assert not is_asked(run(1, command=("python", "git.py"), processes=(Process(pid=1),)))
