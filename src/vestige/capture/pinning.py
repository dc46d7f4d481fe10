"""Pinning what lies in a work tree: files become blobs, and with what the commit holds, trees.

Nothing of this is needed while the state is one that was pinned before.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import nullcontext

from vestige.capture import sources
from vestige.capture.remembered import Memory, Remembered
from vestige.capture.worktree import Part, Wanted, signature, state
from vestige.model import gittree
from vestige.model.gitformat import EXECUTABLE, FILE, SYMLINK, TREE, TreeEntry, object_id, parse_tree, tree_of_commit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from typing import Protocol

    from vestige.capture.worktree import Looking

    Outputs = Callable[[list[str]], set[str]]
    Sizes = Callable[[Part], list[tuple[bytes, int]]]

    class Database(Protocol):
        """Objects that are read and written: `store.gitobjects.ObjectDatabase`."""

        def put(self, kind: bytes, data: bytes) -> str: ...
        def read(self, oid: str) -> tuple[bytes, bytes]: ...
        def tree(self, oid: str) -> list[TreeEntry]: ...
        def touch(self, oid: str) -> bool: ...
        def batch(self) -> AbstractContextManager[None]: ...
        def flush(self) -> None: ...


#: From this many new files on, one pack is better than a file for each.
_MANY = 32
#: What a file is that is not stored; else it is `MODE ID`, or, if the commit has it just so, `=MODE ID`.
NOT_SOURCE, OUTPUT, UNREADABLE, LARGE, ABSENT = b"-", b"o", b"x", b"big", b"gone"
#: A file changed less than this before it was read may change again without a new time stamp: a few ticks of the
#: kernel's clock, or, where a file system counts in whole seconds, two of those (FAT).
_TICK, _COARSE = 50_000_000, 2_000_000_000


class Pinned:
    """The trees of one part, None where they hold nothing; `dirty` is None where nobody can tell."""

    __slots__ = ("base", "dirty", "tree")

    def __init__(self, tree: str | None, base: str | None, *, dirty: bool | None) -> None:
        self.tree = tree
        self.base = base
        self.dirty = dirty


class Added:
    """What came of adding files to a tree."""

    __slots__ = ("large", "problems", "tree", "withheld")

    def __init__(self) -> None:
        self.tree = ""
        self.withheld: list[str] = []
        self.large: list[tuple[str, int]] = []
        self.problems: list[str] = []


def pin(looking: Looking, memory: Memory, database: Database, outputs: Outputs, sizes: Sizes) -> Memory:
    """Store every file that has to be, and the trees; what is to be remembered. Raises OSError, KeyError, VestigeError."""
    wanted = sum(
        part.at + path not in memory.files or memory.files[part.at + path].signature != part.signatures[path]
        for part in looking.parts
        for path in part.wanted
    )
    with database.batch() if wanted > _MANY else nullcontext():
        return _build(looking, memory, database, outputs, sizes)


def compare(looking: Looking, memory: Memory, database: Database, outputs: Outputs, sizes: Sizes) -> set[bytes]:
    """The paths about which the remembered tree and the one that would be built now differ. Nothing is stored."""
    overlay = _Overlay(database)
    now = _build(looking, memory, overlay, outputs, sizes)
    found = gittree.differences(memory.tree or None, now.tree or None, overlay.tree)
    return {path for path, _, _ in found}


def add(tree: str, files: Mapping[str, str | bytes], database: Database, is_secret: Callable[[bytes], bool]) -> Added:
    """A tree with files added to it. Raises OSError, KeyError, VestigeError."""
    added = Added()
    edits = {}
    for name, content in files.items():
        path = os.fsencode(name)
        if any(part in {b"", b".", b".."} or part.lower() == b".git" for part in path.split(b"/")):
            added.problems.append(f"not in the snapshot: {name!r} is no path that a snapshot can hold")
        elif is_secret(path):
            added.withheld.append(name)
        elif isinstance(content, bytes):
            edits[path] = FILE, database.put(b"blob", content)
        else:
            value = _pin(os.path.realpath(os.fsencode(content)), Wanted("u"), database.put)
            if value == LARGE:
                added.large.append((name, os.stat(content).st_size))
            elif value[:1].isdigit():
                mode, _, oid = value.partition(b" ")
                edits[path] = int(mode, 8), oid.decode("ascii")
            else:
                added.problems.append(f"not in the snapshot: {name!r} cannot be read")
    made = gittree.edit(tree or None, edits, database.tree, lambda data: database.put(b"tree", data))
    added.tree = made or ""
    return added


class _Overlay:
    """A database that only works out what would be stored."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._made: dict[str, bytes] = {}

    def put(self, kind: bytes, data: bytes) -> str:
        oid = object_id(kind, data)
        if kind == b"tree":
            self._made[oid] = data
        return oid

    def touch(self, oid: str) -> bool:
        return bool(oid)

    def read(self, oid: str) -> tuple[bytes, bytes]:
        return self._database.read(oid)

    def tree(self, oid: str) -> list[TreeEntry]:
        return parse_tree(self._made[oid]) if oid in self._made else self._database.tree(oid)

    def batch(self) -> AbstractContextManager[None]:
        return nullcontext()

    def flush(self) -> None:
        return None


def _build(looking: Looking, memory: Memory, database: Database, outputs: Outputs, sizes: Sizes) -> Memory:
    made = Memory()
    over = beyond(looking.parts, sizes)
    pinned: dict[bytes, Pinned] = {}
    settled = True
    for part in reversed(looking.parts):  # those inside others come after them
        mine = frozenset(path[len(part.at) :] for path in over if path.startswith(part.at))
        found = values(part, memory.files, mine, outputs, database.touch, database.put)
        settled = settled and all(one.signature for one in found.values())
        part.cut += [path for path in mine if path not in found]
        children = [(path, pinned[part.at + path + b"/"]) for path in part.inner if part.at + path + b"/" in pinned]
        pinned[part.at] = trees(part, found, children, database)
        made.files |= {part.at + path: one for path, one in found.items()}
        made.dirty[part.at] = pinned[part.at].dirty
        _note(made, part, found, over)
    whole = pinned[b""]
    made.tree = whole.tree or database.put(b"tree", b"")
    made.base = whole.base or (database.put(b"tree", b"") if looking.parts[0].on_commit and looking.parts[0].commit else "")
    made.bases = {part.at: base for part in looking.parts if (base := pinned[part.at].base) and part.repository}
    made.previous = memory.bases
    made.state = state(looking.parts) if settled else b""
    return made


def _note(made: Memory, part: Part, found: dict[bytes, Remembered], over: dict[bytes, int]) -> None:
    if part.study is not None:
        made.studies[part.at] = part.study
        made.large += [(part.at + path, size) for path, size in part.study.large if path not in part.wanted]
    for path, one in found.items():
        if one.value == UNREADABLE:
            made.unreadable.append(part.at + path)
        elif one.value == LARGE:
            made.large.append((part.at + path, int(part.signatures[path].partition(b" ")[0])))
    made.large += [(part.at + path, over[part.at + path]) for path in part.cut if part.at + path in over and path not in found]


def values(
    part: Part,
    known: dict[bytes, Remembered],
    over: frozenset[bytes],
    recorded: Callable[[list[str]], set[str]],
    has: Callable[[str], bool],
    put: Callable[[bytes, bytes], str],
) -> dict[bytes, Remembered]:
    """What every wanted file is; `known` is what was found earlier, by paths from the root of the project.

    Files in `over` are beyond the limits. `has` tells whether an object is still stored.
    """
    found: dict[bytes, Remembered] = {}
    fresh = []
    for path, wanted in part.wanted.items():
        old = known.get(part.at + path)
        if path in over:
            found[path] = Remembered(part.signatures[path], wanted.role, LARGE)
        elif old is not None and old.signature == part.signatures[path] and _answers(old, wanted, has):
            found[path] = old
        else:
            fresh.append(path)
    outputs = _recorded(part, fresh, recorded)
    folder = os.fsencode(part.folder)
    for path in fresh:
        wanted, before, now = part.wanted[path], part.signatures[path], time.time_ns()
        whole = os.path.join(folder, path)
        value = OUTPUT if path in outputs else _pin(whole, wanted, put)
        settled = before == signature(whole) and _is_settled(before, now)
        found[path] = Remembered(before if settled else b"", wanted.role, value)
    return found


def trees(
    part: Part,
    found: dict[bytes, Remembered],
    children: list[tuple[bytes, Pinned]],
    database: Database,
) -> Pinned:
    """Build the snapshot's tree of a part and its commit's; `children` are the parts inside it.

    Raises KeyError, VestigeError where the repository lacks what its commit names.
    """
    start = _tree_of_head(part, database)
    snapshot: dict[bytes, tuple[int, str] | None] = {}
    base: dict[bytes, tuple[int, str] | None] = {}
    for path in part.cut:
        snapshot[path] = base[path] = None
    snapshot.update(dict.fromkeys(part.gone))
    for path, one in found.items():
        _edit(path, one, snapshot, base)
    for path, child in children:
        snapshot[path] = (TREE, child.tree) if child.tree else None
        base[path] = (TREE, child.base) if child.base else None

    def put_tree(data: bytes) -> str:
        return database.put(b"tree", data)

    tree = gittree.edit(start if part.on_commit else None, snapshot, database.tree, put_tree)
    whole = gittree.edit(start, base, database.tree, put_tree) if start else None
    return Pinned(tree, whole, dirty=_dirty(part, found, tree, whole))


def beyond(parts: list[Part], entries: Callable[[Part], list[tuple[bytes, int]]]) -> dict[bytes, int]:
    """Files that do not fit into a snapshot, by paths from the root, with their sizes: data before code, the largest first.

    `entries` lists a part's tracked files with their sizes; it is asked only where the limit is passed.
    """
    sizes: dict[bytes, int] = {}
    total = 0
    for part in parts:
        total += part.study.total if part.study and part.on_commit else 0
        for path, wanted in part.wanted.items():
            size = int(part.signatures[path].partition(b" ")[0].replace(b"-", b"0"))
            if wanted.role not in "?c" and size <= sources.LARGEST_FILE:
                sizes[part.at + path] = size
                total += size
    if total <= sources.LARGEST_SNAPSHOT:
        return {}
    for part in parts:
        if part.on_commit:
            sizes |= {part.at + path: size for path, size in entries(part) if part.at + path not in sizes}
    over = {}
    total = sum(sizes.values())
    for path in sorted(sizes, key=lambda path: (sources.by_name(path) == sources.YES, -sizes[path], path)):
        if total <= sources.LARGEST_SNAPSHOT:
            break
        over[path] = sizes[path]
        total -= sizes[path]
    return over


def _dirty(part: Part, found: dict[bytes, Remembered], tree: str | None, base: str | None) -> bool | None:
    if part.repository is None:
        return None
    lost = any(one.value in {LARGE, UNREADABLE} and one.role == "m" for one in found.values())
    if part.touched or lost:
        return True
    if base is not None or part.commit is None:
        return tree != base
    if part.touched is None:
        return None
    return any(one.role in "u?" and one.value[:1].isdigit() for one in found.values())


def _tree_of_head(part: Part, database: Database) -> str | None:
    if part.commit is None or len(part.commit) != 40:
        return None
    tree = tree_of_commit(database.read(part.commit)[1])
    if not part.inside:
        return tree
    found = gittree.find(tree, part.inside, database.tree)
    return found[1] if found and found[0] == TREE else None


def _edit(
    path: bytes, one: Remembered, snapshot: dict[bytes, tuple[int, str] | None], base: dict[bytes, tuple[int, str] | None]
) -> None:
    if one.value == ABSENT:
        snapshot[path] = None
        if one.role == "s":
            base[path] = None
    elif one.value in {LARGE, UNREADABLE}:
        snapshot[path] = base[path] = None
    elif one.value == NOT_SOURCE:
        if one.role in "mlcsa":
            snapshot[path] = None
    elif one.value[:1].isdigit():
        mode, _, oid = one.value.partition(b" ")
        snapshot[path] = int(mode, 8), oid.decode("ascii")
        if one.role == "c":
            base[path] = snapshot[path]


def _answers(old: Remembered, wanted: Wanted, has: Callable[[str], bool]) -> bool:
    """Whether what was found earlier, of a file that has not changed, is what would be found now."""
    if old.role != wanted.role or not old.signature:
        return False
    if old.value.startswith(b"="):
        return old.value == _expected(wanted)
    if not old.value[:1].isdigit():
        return True
    mode, _, oid = old.value.partition(b" ")
    given = _given_mode(wanted)
    return (given is None or given == int(mode, 8)) and has(oid.decode("ascii"))


def _expected(wanted: Wanted) -> bytes:
    return b"=%o %s" % (wanted.mode or 0, wanted.oid.encode("ascii"))


def _given_mode(wanted: Wanted) -> int | None:
    """The mode that git gave: in a file system without modes it knows better."""
    return wanted.mode if wanted.role in "mc" and wanted.mode in {FILE, EXECUTABLE} else None


def _recorded(part: Part, paths: list[bytes], recorded: Callable[[list[str]], set[str]]) -> set[bytes]:
    """Which files a run made: data that is tracked, and whatever is not."""
    asked = {
        os.fsdecode(part.at + path): path
        for path in paths
        if (role := part.wanted[path].role) in "u?" or (role in "ml" and sources.by_name(path) != sources.YES)
    }
    return {asked[path] for path in recorded(list(asked)) if path in asked} if asked else set()


def _pin(path: bytes, wanted: Wanted, put: Callable[[bytes, bytes], str]) -> bytes:
    """Keep one file; what it is now."""
    try:
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            return NOT_SOURCE if wanted.role == "?" else _value(SYMLINK, os.fsencode(os.readlink(path)), wanted, put)
        if not stat.S_ISREG(found.st_mode) or (wanted.role == "?" and not _may_be_script(path, found.st_mode)):
            return NOT_SOURCE
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    except OSError:
        return NOT_SOURCE if wanted.role == "?" else UNREADABLE
    try:
        if wanted.role == "?" and os.pread(fd, 2, 0) != b"#!":
            return NOT_SOURCE
        data = _content(fd)
    except OSError:
        return UNREADABLE
    finally:
        os.close(fd)
    if data is None:
        return LARGE
    mode = _given_mode(wanted) or (EXECUTABLE if found.st_mode & 0o100 else FILE)
    return _value(mode, data, wanted, put)


def _may_be_script(path: bytes, mode: int) -> bool:
    """Whether a file of an unknown kind is worth opening: one without extension, or that can be executed."""
    return bool(mode & 0o100) or b"." not in path[path.rfind(b"/") + 2 :]


def _content(fd: int) -> bytes | None:
    """All of a file, unless it is too large."""
    parts, left = [], sources.LARGEST_FILE + 1
    while left and (part := os.read(fd, left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts) if left else None


def _value(mode: int, data: bytes, wanted: Wanted, put: Callable[[bytes, bytes], str]) -> bytes:
    if wanted.oid and _expected(wanted) == b"=%o %s" % (mode, object_id(b"blob", data).encode("ascii")):
        return _expected(wanted)
    return b"%o %s" % (mode, put(b"blob", data).encode("ascii"))


def _is_settled(found: bytes, now: int) -> bool:
    """Whether a file with this signature, read after `now`, cannot have changed since without a new signature."""
    if found == b"-":
        return True
    _, modified, changed, *_ = map(int, found.split(b" ")[:3])
    margin = _COARSE if modified % 1_000_000_000 == 0 else _TICK
    return max(modified, changed) < now - margin
