"""Building the trees of a snapshot: what the commit holds, with what differs from it, in every repository of a project."""

from __future__ import annotations

import os
from contextlib import nullcontext

from vestige.capture import pinning, sources
from vestige.capture.blobs import Blobs
from vestige.capture.pinning import ABSENT, AS_COMMITTED, LARGE, NOT_SOURCE, OUTPUT, UNREADABLE, WITHHELD
from vestige.capture.remembered import Memory, Remembered
from vestige.capture.worktree import Part, Wanted, state
from vestige.errors import VestigeError
from vestige.model import gittree
from vestige.model.gitformat import FILE, TREE, TreeEntry, object_id, parse_tree, tree_of_commit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from vestige.capture.pinning import Database, Outputs
    from vestige.capture.worktree import Looking

    Sizes = Callable[[Part], list[tuple[bytes, int]]]
    Holds = Callable[[bytes], bool]
    Edits = dict[bytes, tuple[int, str] | None]

#: From this many new files on, one pack is better than a file for each.
_MANY = 32


class Pinned:
    """The trees of one part, None where they hold nothing; `dirty` is None where nobody can tell."""

    __slots__ = ("base", "dirty", "tree")

    def __init__(self, tree: str | None, base: str | None, *, dirty: bool | None) -> None:
        self.tree = tree
        self.base = base
        self.dirty = dirty


class Added:
    """What came of adding files to a tree."""

    __slots__ = ("large", "private", "problems", "tree", "withheld")

    def __init__(self) -> None:
        self.tree = ""
        self.withheld: list[str] = []
        self.private: list[str] = []
        self.large: list[tuple[str, int]] = []
        self.problems: list[str] = []


def pin(looking: Looking, memory: Memory, database: Database, outputs: Outputs, sizes: Sizes, holds_secret: Holds) -> Memory:
    """Store every file that has to be, and the trees; what is to be remembered. Raises OSError, KeyError, VestigeError."""
    blobs = Blobs(database, looking.rules, holds_secret)
    wanted = sum(
        part.at + path not in memory.files or memory.files[part.at + path].signature != part.signatures[path]
        for part in looking.parts
        for path in part.wanted
    )
    with database.batch() if wanted > _MANY else nullcontext():
        made = _build(looking, memory, blobs, outputs, sizes)
    made.private = private(made.tree, database)
    return made


def private(tree: str, database: Database) -> list[bytes]:
    """The paths of a tree whose contents lie in the private part of the store."""
    hidden = database.private()
    return [path for path, _, oid in gittree.walk(tree, database.tree) if oid in hidden] if hidden and tree else []


def compare(
    looking: Looking, memory: Memory, database: Database, outputs: Outputs, sizes: Sizes, holds_secret: Holds
) -> set[bytes]:
    """The paths about which the remembered tree and the one that would be built now differ. Nothing is stored."""
    overlay = _Overlay(database)
    now = _build(looking, memory, Blobs(overlay, looking.rules, holds_secret), outputs, sizes)
    found = gittree.differences(memory.tree or None, now.tree or None, overlay.tree)
    return {path for path, _, _ in found}


def add(tree: str, files: Mapping[str, str | bytes], blobs: Blobs, is_secret: Callable[[bytes], bool]) -> Added:
    """A tree with files added to it. Raises OSError, KeyError, VestigeError."""
    added, database = Added(), blobs.database
    edits = {}
    for name, content in files.items():
        path = os.fsencode(name)
        if any(part in {b"", b".", b".."} or part.lower() == b".git" for part in path.split(b"/")):
            added.problems.append(f"not in the snapshot: {name!r} is no path that a snapshot can hold")
        elif is_secret(path):
            added.withheld.append(name)
        elif isinstance(content, bytes):
            if (blob := blobs.put(content)) is None:
                added.withheld.append(name)
            else:
                edits[path] = FILE, blob
        else:
            place = os.path.realpath(os.fsencode(content))
            value = WITHHELD if is_secret(place) else pinning.pin(place, Wanted("u"), blobs)
            if value == WITHHELD:
                added.withheld.append(name)
            elif value == LARGE:
                added.large.append((name, os.stat(content).st_size))
            elif value[:1].isdigit():
                mode, _, oid = value.partition(b" ")
                edits[path] = int(mode, 8), oid.decode("ascii")
            else:
                added.problems.append(f"not in the snapshot: {name!r} cannot be read")
    made = gittree.edit(tree or None, edits, database.tree, lambda data: database.put(b"tree", data))
    added.tree = made or ""
    added.private = [os.fsdecode(path) for path in private(added.tree, database)]
    return added


class _Overlay:
    """A database that only works out what would be stored."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._made: dict[str, bytes] = {}

    def put(self, kind: bytes, data: bytes, *, private: bool = False) -> str:  # noqa: ARG002  # nothing is stored
        oid = object_id(kind, data)
        if kind == b"tree":
            self._made[oid] = data
        return oid

    def has(self, oid: str) -> bool:
        return self._database.has(oid)

    def touch(self, oid: str) -> bool:
        return self._database.has(oid)

    def private(self) -> set[str]:
        return self._database.private()

    def read(self, oid: str) -> tuple[bytes, bytes]:
        return self._database.read(oid)

    def tree(self, oid: str) -> list[TreeEntry]:
        return parse_tree(self._made[oid]) if oid in self._made else self._database.tree(oid)

    def batch(self) -> AbstractContextManager[None]:
        return nullcontext()

    def flush(self) -> None:
        return None


def _build(looking: Looking, memory: Memory, blobs: Blobs, outputs: Outputs, sizes: Sizes) -> Memory:
    made, database = Memory(), blobs.database
    now = state(looking.parts)
    over = beyond(looking.parts, sizes, looking.rules)
    pinned: dict[bytes, Pinned] = {}
    settled = True
    for part in reversed(looking.parts):  # those inside others come after them
        mine = frozenset(path[len(part.at) :] for path in over if path.startswith(part.at))
        found = pinning.values(part, memory.files, mine, outputs, blobs)
        settled = settled and all(one.signature for one in found.values())
        part.cut += [path for path in mine if path not in found]
        children = [(path, pinned[part.at + path + b"/"]) for path in part.inner if part.at + path + b"/" in pinned]
        pinned[part.at] = trees(part, found, children, database, looking.is_secret)
        made.files.update((part.at + path, one) for path, one in found.items())
        made.dirty[part.at] = pinned[part.at].dirty
        _note(made, part, pinned[part.at], found, over)
    whole = pinned[b""]
    made.tree = whole.tree or database.put(b"tree", b"")
    made.base = whole.base or (database.put(b"tree", b"") if looking.parts[0].on_commit and looking.parts[0].commit else "")
    made.bases = {part.at: base for part in looking.parts if (base := pinned[part.at].base) and part.repository}
    made.previous = memory.bases
    made.state = now if settled else b""
    return made


def _note(made: Memory, part: Part, pinned: Pinned, found: dict[bytes, Remembered], over: dict[bytes, int]) -> None:
    if part.study is not None:
        made.studies[part.at] = part.study
        made.large += [(part.at + path, size) for path, size in part.study.large if path not in part.wanted]
    if pinned.dirty:
        made.uncommitted += [part.at + path for path in part.gone]
        made.uncommitted += [part.at + path for path, one in found.items() if _is_uncommitted(one)]
    for path, one in found.items():
        if one.value == UNREADABLE:
            made.unreadable.append(part.at + path)
        elif one.value == WITHHELD:
            made.withheld.append(part.at + path)
        elif one.value == LARGE:
            made.large.append((part.at + path, int(part.signatures[path].partition(b" ")[0])))
    made.large += [(part.at + path, over[part.at + path]) for path in part.cut if part.at + path in over and path not in found]


def _is_uncommitted(one: Remembered) -> bool:
    if one.role == "m":
        return one.value != OUTPUT
    stored = one.value[:1].isdigit() and not one.value.endswith(AS_COMMITTED)
    return one.role in "u?psa" and (stored or one.value == WITHHELD)


def trees(
    part: Part,
    found: dict[bytes, Remembered],
    children: list[tuple[bytes, Pinned]],
    database: Database,
    is_secret: Callable[[bytes], bool],
) -> Pinned:
    """Build the snapshot's tree of a part and its commit's; `children` are the parts inside it.

    Raises KeyError, VestigeError where the repository lacks what its commit names.
    """
    snapshot: Edits = {}
    base: Edits = {}
    for path in part.cut:
        snapshot[path] = base[path] = None
    snapshot.update(dict.fromkeys(part.gone))
    for path, one in found.items():
        _edit(path, one, snapshot, base)
    for path, child in children:
        snapshot[path] = (TREE, child.tree) if child.tree else None
        base[path] = (TREE, child.base) if child.base else None

    def put(data: bytes) -> str:
        return database.put(b"tree", data)

    start = whole = None
    try:
        start = _tree_of_head(part, database)
        if start is not None and not part.on_commit:
            base |= {path: None for path, _, _ in gittree.walk(start, database.tree) if is_secret(path)}
        whole = gittree.edit(start, base, database.tree, put) if start else None
    except (KeyError, VestigeError):
        if part.on_commit:
            raise
    tree = gittree.edit(start if part.on_commit else None, snapshot, database.tree, put)
    return Pinned(tree, whole, dirty=_dirty(part, found, tree, whole))


def beyond(parts: list[Part], entries: Sizes, rules: sources.Rules) -> dict[bytes, int]:
    """Files that do not fit into a snapshot, by paths from the root, with their sizes: data before code, the largest first.

    `entries` lists a part's tracked files with their sizes; it is asked only where the limit is passed.
    """
    sizes: dict[bytes, int] = {}
    total = 0
    for part in parts:
        total += part.study.total if part.study and part.on_commit else 0
        for path, wanted in part.wanted.items():
            size = int(part.signatures[path].partition(b" ")[0].replace(b"-", b"0"))
            if wanted.role not in "?cf" and size <= rules.file:
                sizes[part.at + path] = size
                total += size
    if total <= rules.whole:
        return {}
    for part in parts:
        if part.on_commit:
            sizes |= {part.at + path: size for path, size in entries(part) if part.at + path not in sizes}
    over = {}
    total = sum(sizes.values())
    for path in sorted(sizes, key=lambda path: (sources.by_name(path) == sources.YES, -sizes[path], path)):
        if total <= rules.whole:
            break
        over[path] = sizes[path]
        total -= sizes[path]
    return over


def _dirty(part: Part, found: dict[bytes, Remembered], tree: str | None, base: str | None) -> bool | None:
    if part.repository is None:
        return None
    lost = {one.role for one in found.values() if one.value in {LARGE, UNREADABLE, WITHHELD}}
    if part.touched or lost & {"m", "p"} or any(one.role in "u?" and one.value == WITHHELD for one in found.values()):
        return True
    if base is not None or part.commit is None:
        return None if tree == base and "l" in lost else tree != base
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


def _edit(path: bytes, one: Remembered, snapshot: Edits, base: Edits) -> None:
    if one.value == ABSENT:
        snapshot[path] = None
        if one.role == "s":
            base[path] = None
    elif one.value in {LARGE, UNREADABLE, WITHHELD}:
        snapshot[path] = base[path] = None
    elif one.value == NOT_SOURCE:
        if one.role in "mplcfsa":
            snapshot[path] = None
    elif one.value[:1].isdigit():
        mode, oid, *_ = one.value.split(b" ")
        snapshot[path] = int(mode, 8), oid.decode("ascii")
        if one.role in "cf" or (one.role == "p" and one.value.endswith(AS_COMMITTED)):
            base[path] = snapshot[path]
