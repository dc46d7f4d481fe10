"""What can be done with trees when something reads and something keeps them: walk, compare, and edit.

Nothing recurses: a path may have more folders than Python has frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from vestige.model.gitformat import TREE, TreeEntry, format_tree

Read = Callable[[str], list[TreeEntry]]
#: What an edit leaves at a path: mode and id, or nothing.
Edits = Mapping[bytes, tuple[int, str] | None]


def walk(tree: str, read: Read) -> Iterator[tuple[bytes, int, str]]:
    """Path, mode and id of everything in a tree that is not itself a tree."""
    pending = [(b"", tree)]
    while pending:
        prefix, oid = pending.pop()
        for name, mode, child in read(oid):
            if mode == TREE:
                pending.append((prefix + name + b"/", child))
            else:
                yield prefix + name, mode, child


def reachable(trees: Iterable[str], read: Read, known: Iterable[str] = ()) -> Iterator[tuple[str, bool]]:
    """Every object that trees need, once, the trees among them marked; `known` and what lies in those left out."""
    seen = {oid for oid, _ in reachable(known, read)} if known else set()
    pending = list(trees)
    while pending:
        tree = pending.pop()
        if tree in seen:
            continue
        seen.add(tree)
        yield tree, True
        for entry in read(tree):
            if entry.mode == TREE:
                pending.append(entry.oid)
            elif entry.oid not in seen:
                seen.add(entry.oid)
                yield entry.oid, False


def differences(
    old: str | None, new: str | None, read: Read
) -> Iterator[tuple[bytes, tuple[int, str] | None, tuple[int, str] | None]]:
    """Every path that two trees do not agree about, with what each has there."""
    pending = [(b"", old, new)]
    while pending:
        prefix, one, other = pending.pop()
        if one == other:
            continue
        before = {entry.name: (entry.mode, entry.oid) for entry in read(one)} if one else {}
        after = {entry.name: (entry.mode, entry.oid) for entry in read(other)} if other else {}
        for name in before.keys() | after.keys():
            was, now = before.get(name), after.get(name)
            if was == now:
                continue
            folder_before = was[1] if was and was[0] == TREE else None
            folder_after = now[1] if now and now[0] == TREE else None
            if folder_before or folder_after:
                pending.append((prefix + name + b"/", folder_before, folder_after))
            was, now = (None if folder_before else was), (None if folder_after else now)
            if was or now:
                yield prefix + name, was, now


def find(tree: str, path: bytes, read: Read) -> tuple[int, str] | None:
    """Mode and id of what lies at a path."""
    found: tuple[int, str] | None = (TREE, tree)
    for name in filter(None, path.split(b"/")):
        if found is None or found[0] != TREE:
            return None
        found = next(((entry.mode, entry.oid) for entry in read(found[1]) if entry.name == name), None)
    return found


def edit(tree: str | None, edits: Edits, read: Read, put: Callable[[bytes], str]) -> str | None:
    """The tree with some paths set or removed; None where nothing is left. Only folders on the way are read and put.

    Where a file became a folder or a folder a file, what is set wins over what is removed.
    """
    by_folder: dict[bytes, dict[bytes, tuple[int, str] | None]] = {b"": {}}
    for path, value in edits.items():
        folder, _, name = path.rpartition(b"/")
        _with_parents(by_folder, folder)[name] = value
    order = sorted(by_folder, key=lambda folder: folder.count(b"/") + bool(folder))
    present = {b"": {entry.name: entry for entry in read(tree)} if tree else {}}
    for folder in order[1:]:
        parent, _, name = folder.rpartition(b"/")
        entry = present[parent].get(name)
        present[folder] = {one.name: one for one in read(entry.oid)} if entry and entry.mode == TREE else {}
    made: dict[bytes, dict[bytes, str | None]] = {folder: {} for folder in order}
    for folder in reversed(order):
        content = present[folder]
        _apply(content, by_folder[folder], made[folder])
        oid = put(format_tree(content.values())) if content else None
        if not folder:
            return oid
        parent, _, name = folder.rpartition(b"/")
        made[parent][name] = oid
    return None


def _with_parents(
    by_folder: dict[bytes, dict[bytes, tuple[int, str] | None]], folder: bytes
) -> dict[bytes, tuple[int, str] | None]:
    head = folder
    while head not in by_folder:
        by_folder[head] = {}
        head = head.rpartition(b"/")[0]
    return by_folder[folder]


def _apply(content: dict[bytes, TreeEntry], leaves: dict[bytes, tuple[int, str] | None], made: dict[bytes, str | None]) -> None:
    for name, value in leaves.items():
        if value is None:
            content.pop(name, None)
        else:
            content[name] = TreeEntry(name, *value)
    for name, oid in made.items():
        if leaves.get(name) is not None:
            continue
        if oid is not None:
            content[name] = TreeEntry(name, TREE, oid)
        elif name in content and content[name].mode == TREE:
            del content[name]
