"""The git program at work on the repository of code: blind to the user's configuration, and without a network."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from vestige.errors import CouldNotError, StoreError
from vestige.model.values import value

#: Packing a large repository for the first time, on a slow disk.
_SECONDS = 1800


def run(git: str, repository: str, arguments: list[str], feed: bytes = b"", borrowed: Sequence[str] = ()) -> bytes:
    """What git prints, reading objects in folders `borrowed` as well.

    Raises CouldNotError where it does not run, StoreError where it fails.
    """
    command = [git, f"--git-dir={repository}", *arguments]
    environ = _environment() | _borrowing(borrowed)
    try:
        done = subprocess.run(command, input=feed, capture_output=True, env=environ, check=False, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CouldNotError(f"git {arguments[0]} did not run: {error}", hint="install git") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise StoreError(f"git {arguments[0]} failed: {said[-1] if said else done.returncode}")
    return done.stdout


@value
class Transfer:
    """What is to come: all that `trees` need and neither the trees in `known` nor the blobs `private` in a `folder` are."""

    trees: Sequence[str]
    known: Sequence[str]
    private: Sequence[str]
    folder: str


def transfer(git: str, repository: str, source: str, objects: str, wanted: Transfer) -> bool:
    """Pack in `source` what is wanted and `repository` lacks, and take it in there; False where git cannot.

    `objects` is the folder of the source's objects.
    """
    borrowing = _environment() | _borrowing([os.path.join(repository, "objects"), wanted.folder])
    pack = [git, f"--git-dir={source}", "pack-objects", "--revs", "--thin", "--stdout", "-q", "--delta-base-offset"]
    if not os.path.exists(os.path.join(objects, "info", "alternates")):
        pack.append("--local")  # leaves out what is borrowed: what lies in `repository`, if the source borrows nothing itself
    take = [git, f"--git-dir={repository}", "index-pack", "--stdin", "--fix-thin"]
    without = [f"^{oid}\n" for oid in (*wanted.known, *wanted.private)]
    feed = "".join([*(f"{tree}\n" for tree in wanted.trees), *without]).encode("ascii")
    quiet, pipe = subprocess.DEVNULL, subprocess.PIPE
    try:
        with (
            subprocess.Popen(pack, stdin=pipe, stdout=pipe, stderr=quiet, env=borrowing) as packer,
            subprocess.Popen(take, stdin=packer.stdout, stdout=quiet, stderr=quiet, env=_environment()) as taker,
        ):
            assert packer.stdin is not None
            assert packer.stdout is not None
            packer.stdout.close()
            try:
                packer.stdin.write(feed)
                packer.stdin.close()
                return packer.wait(_SECONDS) == 0 and taker.wait(_SECONDS) == 0
            except (subprocess.TimeoutExpired, BrokenPipeError):
                packer.kill()
                taker.kill()
                return False
    except OSError:
        return False


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name == "GIT_EXEC_PATH"}
    nowhere = {"HOME": os.devnull, "XDG_CONFIG_HOME": os.devnull, "GIT_CONFIG_GLOBAL": os.devnull}
    closed = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_ATTR_NOSYSTEM": "1", "GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C"}
    offline = {"GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"}
    return kept | nowhere | closed | offline


def _borrowing(folders: Sequence[str]) -> dict[str, str]:
    there = [_quoted(folder) for folder in folders if os.path.isdir(folder)]
    return {"GIT_ALTERNATE_OBJECT_DIRECTORIES": ":".join(there)} if there else {}


def _quoted(path: str) -> str:
    """A path as git reads it in a list separated by colons."""
    if ":" not in path and not path.startswith('"'):
        return path
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
