"""A repository for a step that asks git: at the commit of its run, with tags and remotes, borrowing all objects.

Nothing is written to the user's repository, and nothing copied from it but the names of its tags.
"""

from __future__ import annotations

import os
import subprocess

from vestige.capture import git
from vestige.model.run import Run

_SECONDS = 60


def is_asked(run: Run) -> bool:
    """Whether the run, or a program that it started, was git, or read from a repository."""
    words = [run.command[:1], *(process.argv[:1] for process in run.processes)]
    if any(os.path.basename(word[0]) in ("git", "git-lfs") for word in words if word):
        return True
    return any(use.path.startswith(".git/") for use in run.inputs)


def give(run: Run, top: str, project: str) -> str | None:
    """Make `.git` in a workspace, from the repository whose top is `top`; returns the folder of objects that it borrows.

    None where the repository does not have the commit, or there is no git program.
    """
    found = git.at(top)
    commit = run.code.commit if run.code is not None else None
    if found is None or commit is None:
        return None
    environ = _blind() | {"GIT_ALTERNATE_OBJECT_DIRECTORIES": found.objects, "GIT_CEILING_DIRECTORIES": project}
    try:
        _git(["cat-file", "-e", f"{commit}^{{commit}}"], top, environ)
        _git(["init", "-q", "--template=", "."], project, environ)
        tags = _git(["for-each-ref", "--format=create %(refname) %(objectname)", "refs/tags"], top, environ)
        branch = run.code.branch if run.code is not None else None
        if branch:
            _git(["symbolic-ref", "HEAD", f"refs/heads/{branch}"], project, environ)
        _git(["update-ref", *([] if branch else ["--no-deref"]), "HEAD", commit], project, environ)
        _git(["update-ref", "--stdin"], project, environ, feed=tags)
        _git(["read-tree", commit], project, environ)
        for name, url in (run.code.remotes if run.code is not None else {}).items():
            _git(["remote", "add", name, url], project, environ)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.objects


def borrow(project: str, objects: str) -> None:
    """Let the repository of a workspace find its objects in a folder."""
    information = os.path.join(project, ".git", "objects", "info")
    os.makedirs(information, exist_ok=True)
    with open(os.path.join(information, "alternates"), "wb") as file:
        file.write(os.fsencode(objects) + b"\n")


def _blind() -> dict[str, str]:
    """Variables with which no configuration, hook or network of the user's plays a part."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name == "GIT_EXEC_PATH"}
    blind = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C"}
    return kept | blind | {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none", "GIT_OPTIONAL_LOCKS": "0"}


def _git(arguments: list[str], folder: str, environ: dict[str, str], feed: bytes = b"") -> bytes:
    command = ["git", "-C", folder, "-c", f"safe.directory={folder}", "-c", "core.hooksPath=/dev/null", *arguments]
    return subprocess.run(command, input=feed, capture_output=True, env=environ, check=True, timeout=_SECONDS).stdout
