"""What `git status` does not tell of tracked files, found in the index: studied once for each state of the index.

Files that git was told to believe unchanged, that may look different in a commit, that are secrets or too large,
and submodules.
"""

from __future__ import annotations

import os

from vestige.capture import git, gitconfig
from vestige.capture.attributes import Attributes
from vestige.capture.worktree import Part, Study, Wanted
from vestige.model.gitformat import GITLINK, SYMLINK, TREE, FormatError, IndexEntry, parse_index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_EMPTY = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def entries(program: git.Program, repository: git.Repository, *, sha256: bool) -> list[IndexEntry]:
    """Every file in the index, with conflicting ones once a side. Raises GitError."""
    try:
        with open(repository.index, "rb") as file:
            return parse_index(file.read(), 32 if sha256 else 20)
    except FileNotFoundError:
        return []
    except (OSError, FormatError, ValueError):
        found = git.listed(program, repository)
        return [IndexEntry(path, mode, oid, 0, stage, hidden) for path, mode, oid, stage, hidden in found]


def study(
    program: git.Program,
    repository: git.Repository,
    inside: bytes,
    configuration: gitconfig.Configuration,
    outer: list[str],
    untracked: list[bytes],
    is_secret: Callable[[bytes], bool],
    largest: int,
) -> Study:
    """Look through the index. `outer` are attribute files outside the tree, `untracked` those in it that git does not track;
    a file of more than `largest` bytes is too large."""
    found = Study()
    all_entries = entries(program, repository, sha256=configuration.sha256)
    top = os.fsencode(repository.top)
    tracked = [entry.path for entry in all_entries if entry.path.endswith(b".gitattributes")]
    found.attribute_files = [path for path in tracked if path.rpartition(b"/")[2] == b".gitattributes"]
    attributes = Attributes(everything=configuration.autocrlf)
    for name in outer:
        attributes.add(_read(os.fsencode(name)))
    for path in {*found.attribute_files, *untracked, b".gitattributes"}:
        attributes.add(_read(os.path.join(top, path)), path[: -len(b".gitattributes")])
    for entry in all_entries:
        if entry.path.startswith(inside) and entry.stage == 0:
            _judge(found, entry, entry.path[len(inside) :], top, attributes, is_secret, largest)
    return found


def sizes(program: git.Program, part: Part, largest: int) -> list[tuple[bytes, int]]:
    """Tracked files of a part that have at most `largest` bytes, with their sizes. Raises GitError."""
    if part.repository is None or part.configuration is None:
        return []
    top = os.fsencode(part.repository.top)
    found = []
    for entry in entries(program, part.repository, sha256=part.configuration.sha256):
        if entry.path.startswith(part.inside) and entry.mode not in {GITLINK, TREE}:
            size = entry.size or _size(os.path.join(top, entry.path))
            if size <= largest:
                found.append((entry.path[len(part.inside) :], size))
    return found


def _judge(
    found: Study,
    entry: IndexEntry,
    path: bytes,
    top: bytes,
    attributes: Attributes,
    is_secret: Callable[[bytes], bool],
    largest: int,
) -> None:
    found.count += 1
    if entry.mode == GITLINK:
        found.submodules.append((path, entry.oid))
        return
    if is_secret(path):
        found.secrets.append(path)
        return
    if entry.hidden:
        found.watched[path] = Wanted(entry.hidden, entry.mode, entry.oid)
        return
    size = entry.size
    if size == 0 and entry.oid != _EMPTY:
        size = _size(os.path.join(top, entry.path))
    if size > largest:
        found.large.append((path, size))
        return
    found.total += size
    if entry.mode != SYMLINK and (kind := attributes.kind(entry.path)):
        found.watched[path] = Wanted(kind, entry.mode, entry.oid)


def _size(path: bytes) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0


def _read(path: bytes) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20)
    except OSError:
        return b""
