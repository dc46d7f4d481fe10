"""Trees that are walked, compared and edited in memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vestige.model import gittree
from vestige.model.gitformat import FILE, TreeEntry, object_id, parse_tree


class Shelf:
    """Trees by their ids."""

    def __init__(self) -> None:
        self.trees: dict[str, bytes] = {}
        self.reads: list[str] = []

    def put(self, data: bytes) -> str:
        oid = object_id(b"tree", data)
        self.trees[oid] = data
        return oid

    def read(self, oid: str) -> list[TreeEntry]:
        self.reads.append(oid)
        return parse_tree(self.trees[oid])

    def plant(self, files: dict[bytes, str]) -> str | None:
        return gittree.edit(None, {path: (FILE, blob(text)) for path, text in files.items()}, self.read, self.put)

    def files(self, tree: str | None) -> dict[bytes, str]:
        return {} if tree is None else {path: oid for path, _, oid in gittree.walk(tree, self.read)}


def blob(text: str) -> str:
    return object_id(b"blob", text.encode())


names = st.sampled_from([b"a", b"b", b"a-b", b"a.b", b"c"])
paths = st.lists(names, min_size=1, max_size=4).map(b"/".join)


@st.composite
def folders(draw: st.DrawFn) -> dict[bytes, str]:
    """Files such as can lie in one folder: none is a folder, too."""
    found = draw(st.dictionaries(paths, st.sampled_from(["1", "2", "3"]), max_size=8))
    return {path: text for path, text in found.items() if not any(other.startswith(path + b"/") for other in found)}


@given(folders(), folders())
def test_editing_one_state_into_another_gives_the_tree_of_the_other(old: dict[bytes, str], new: dict[bytes, str]) -> None:
    shelf = Shelf()
    start, goal = shelf.plant(old), shelf.plant(new)
    edits: dict[bytes, tuple[int, str] | None] = dict.fromkeys(old.keys() - new.keys())
    edits |= {path: (FILE, blob(text)) for path, text in new.items() if old.get(path) != text}
    assert gittree.edit(start, edits, shelf.read, shelf.put) == goal


@given(folders(), folders())
def test_differences_are_what_two_states_do_not_share(old: dict[bytes, str], new: dict[bytes, str]) -> None:
    shelf = Shelf()
    found = list(gittree.differences(shelf.plant(old), shelf.plant(new), shelf.read))
    expected = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
    assert {path for path, _, _ in found} == expected
    for path, was, now in found:
        assert (was and was[1]) == (blob(old[path]) if path in old else None)
        assert (now and now[1]) == (blob(new[path]) if path in new else None)


@given(folders())
def test_everything_a_tree_needs_is_reachable_and_what_is_known_is_not_named(files: dict[bytes, str]) -> None:
    shelf = Shelf()
    tree = shelf.plant(files)
    if tree is None:
        return
    found = list(gittree.reachable([tree, tree], shelf.read))
    assert len(found) == len(set(found))
    assert {oid for oid, is_tree in found if not is_tree} == set(map(blob, files.values()))
    assert list(gittree.reachable([tree], shelf.read, [tree])) == []


def test_only_folders_on_the_way_are_read() -> None:
    shelf = Shelf()
    tree = shelf.plant({b"a/b/c": "1", b"d/e": "1", b"f/g/h": "1"})
    shelf.reads.clear()
    gittree.edit(tree, {b"a/b/c": (FILE, blob("2"))}, shelf.read, shelf.put)
    assert len(shelf.reads) == 3


def test_removing_the_last_file_leaves_no_empty_folder() -> None:
    shelf = Shelf()
    tree = shelf.plant({b"a/b/c": "1", b"d": "1"})
    assert shelf.files(gittree.edit(tree, {b"a/b/c": None}, shelf.read, shelf.put)) == {b"d": blob("1")}
    assert gittree.edit(tree, {b"a/b/c": None, b"d": None}, shelf.read, shelf.put) is None


def test_a_whole_folder_can_be_removed_or_set() -> None:
    shelf = Shelf()
    tree = shelf.plant({b"a/b/c": "1", b"d": "1"})
    inner = shelf.plant({b"x": "2"})
    assert inner
    assert shelf.files(gittree.edit(tree, {b"a": None}, shelf.read, shelf.put)) == {b"d": blob("1")}
    grafted = gittree.edit(tree, {b"a/b": (0o040000, inner)}, shelf.read, shelf.put)
    assert shelf.files(grafted) == {b"a/b/x": blob("2"), b"d": blob("1")}


def test_what_lies_at_a_path() -> None:
    shelf = Shelf()
    tree = shelf.plant({b"a/b/c": "1"})
    assert tree
    assert gittree.find(tree, b"a/b/c", shelf.read) == (FILE, blob("1"))
    assert gittree.find(tree, b"a/x", shelf.read) is None
    assert gittree.find(tree, b"a/b/c/d", shelf.read) is None
    assert gittree.find(tree, b"", shelf.read) == (0o040000, tree)


def test_folders_deeper_than_python_recurses() -> None:
    shelf = Shelf()
    path = b"/".join([b"d"] * 1500) + b"/f"
    tree = shelf.plant({path: "1"})
    assert shelf.files(tree) == {path: blob("1")}
