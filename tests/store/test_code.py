"""The store of code: git reads what we write, we read what git writes, and nothing needed is ever lost."""

from __future__ import annotations

import os
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.capture.repositories import commit, contents, git, repository, write
from tests.store.permissions import respected
from vestige.errors import CouldNotError, DamagedError, ExistsError, NotKeptError, StoreError
from vestige.model import gittree
from vestige.model.gitformat import EXECUTABLE, FILE, SYMLINK, TREE, TreeEntry, format_tree, object_id
from vestige.store.code import CodeStore


@pytest.fixture
def store(tmp_path: Path) -> CodeStore:
    made = CodeStore(str(tmp_path / ".vestige" / "code.git"))
    (tmp_path / ".vestige").mkdir()
    made.init()
    return made


def plant(store: CodeStore, files: dict[bytes, tuple[int, bytes]], *, packed: bool = False) -> str:
    """A complete tree with these files."""
    database = store.database()

    def put() -> str:
        edits = {path: (mode, database.put(b"blob", data)) for path, (mode, data) in files.items()}
        tree = gittree.edit(None, edits, database.tree, lambda data: database.put(b"tree", data))
        return tree or database.put(b"tree", b"")

    if packed:
        with database.batch():
            tree = put()
    else:
        tree = put()
    store.keep([tree])
    return tree


FILES = {
    b"run.sh": (EXECUTABLE, b"#!/bin/sh\n"),
    b"a/b.py": (FILE, b"x = 1"),
    b"a/\xff\n.bin": (FILE, bytes(range(256)) * 5000),
    b"a/link": (SYMLINK, b"../run.sh"),
    b"empty": (FILE, b""),
}


def asked(store: CodeStore, *arguments: str) -> bytes:
    return subprocess.run(["git", "--git-dir", store.path, *arguments], capture_output=True, check=True).stdout


@pytest.mark.parametrize("packed", [False, True])
def test_git_reads_what_python_wrote(store: CodeStore, *, packed: bool) -> None:
    tree = plant(store, FILES, packed=packed)
    assert asked(store, "fsck", "--strict", tree) == b""
    listed = asked(store, "ls-tree", "-r", "-z", "--long", tree)
    assert listed.count(b"\0") == len(FILES)
    for path, (mode, data) in FILES.items():
        blob = object_id(b"blob", data)
        assert b"%06o blob %s %7d\t%s\0" % (mode, blob.encode(), len(data), path) in listed
        assert asked(store, "cat-file", "blob", blob) == data
    assert bool(list((Path(store.path) / "objects/pack").iterdir())) == packed


@pytest.mark.parametrize("packed", [False, True])
def test_a_checkout_is_exact(store: CodeStore, tmp_path: Path, *, packed: bool) -> None:
    tree = plant(store, FILES, packed=packed)
    store.checkout(f"git:{tree}", str(tmp_path / "out"))
    assert contents(tmp_path / "out") == {
        os.fsdecode(path): ("link" if mode == SYMLINK else "file", data, mode == EXECUTABLE)
        for path, (mode, data) in FILES.items()
    }


def test_a_checkout_never_writes_into_a_folder_with_something_in_it(store: CodeStore, tmp_path: Path) -> None:
    tree = plant(store, FILES)
    write(tmp_path / "out", "mine.txt", "mine")
    with pytest.raises(ExistsError):
        store.checkout(tree, str(tmp_path / "out"))
    assert set(contents(tmp_path / "out")) == {"mine.txt"}


@pytest.mark.parametrize("name", [b"..", b".", b".git", b".GIT", b"a/../../x"])
def test_a_hostile_tree_does_not_get_out_of_its_folder(store: CodeStore, tmp_path: Path, name: bytes) -> None:
    database = store.database()
    blob = database.put(b"blob", b"evil")
    inner = database.put(b"tree", format_tree([TreeEntry(b"x", FILE, blob)]))
    for entry in (TreeEntry(name, FILE, blob), TreeEntry(name, TREE, inner)):
        tree = database.put(b"tree", format_tree([entry]))
        with pytest.raises(DamagedError):
            store.checkout(tree, str(tmp_path / f"deep/out-{entry.mode}"))
    assert not (tmp_path / "x").exists()
    assert not (tmp_path / "deep" / "x").exists()


def test_a_link_and_a_folder_of_one_name_do_not_lead_out(store: CodeStore, tmp_path: Path) -> None:
    database = store.database()
    target = database.put(b"blob", os.fsencode(tmp_path / "outside"))
    (tmp_path / "outside").mkdir()
    inner = database.put(b"tree", format_tree([TreeEntry(b"x", FILE, database.put(b"blob", b"evil"))]))
    tree = database.put(b"tree", format_tree([TreeEntry(b"a", SYMLINK, target), TreeEntry(b"a", TREE, inner)]))
    with pytest.raises(OSError, match="exists"):
        store.checkout(tree, str(tmp_path / "out"))
    assert list((tmp_path / "outside").iterdir()) == []


def test_entries_are_listed_with_their_sizes_wherever_they_lie(store: CodeStore, tmp_path: Path) -> None:
    source = repository(tmp_path / "source")
    for number in range(12):
        write(source, "long.py", "".join(f"line {line * number}\n" for line in range(300)))
        write(source, "b.bin", bytes(number + 1))
        commit(source)
    git(source, "repack", "-adq", "--depth=50")
    trees = git(source, "log", "--format=%T").split()
    store.absorb(trees, str(source / ".git"), [str(source / ".git/objects")])
    for tree in trees:
        for entry in store.list_tree(tree):
            data = store.read_blob(entry.blob)
            assert entry.size == len(data)
            assert data == asked(store, "cat-file", "blob", entry.blob)
    assert [entry.path for entry in store.list_tree(trees[0])] == ["b.bin", "long.py"]


@pytest.mark.parametrize("program", ["git", "/nowhere/git"])
def test_what_is_absorbed_is_complete_without_its_source(store: CodeStore, tmp_path: Path, program: str) -> None:
    source = repository(tmp_path / "source")
    write(source, "a/b.py")
    write(source, "c.py", "c\n" * 1000)
    first = git(source, "rev-parse", commit(source) + "^{tree}")
    write(source, "c.py", "c\n" * 1001)
    second = git(source, "rev-parse", commit(source) + "^{tree}")
    git(source, "gc", "-q")
    expected = contents(source)
    mine = CodeStore(store.path, git=program)
    for tree, known in ((first, []), (second, [first])):
        mine.absorb([tree], str(source / ".git"), [str(source / ".git/objects")], known)
        mine.keep([tree])
    size = mine.size()
    mine.absorb([second], str(source / ".git"), [str(source / ".git/objects")])
    assert mine.size() - size < 1200  # what is here already is not taken again; a pack without objects may be left
    subprocess.run(["rm", "-rf", str(source)], check=True)
    assert list(mine.verify()) == []
    mine.checkout(second, str(tmp_path / "out"))
    assert contents(tmp_path / "out") == expected


def test_what_no_repository_has_is_said(store: CodeStore, tmp_path: Path) -> None:
    source = repository(tmp_path / "source")
    with pytest.raises(StoreError, match="1" * 40):
        store.absorb(["1" * 40], str(source / ".git"), [str(source / ".git/objects")])


def test_a_patch_between_two_trees_applies(store: CodeStore, tmp_path: Path) -> None:
    renamed = b"".join(b"line %d\n" % number for number in range(50))
    old = plant(store, FILES | {b"old.py": (FILE, renamed), b"end": (FILE, b"no newline"), b"dos.py": (FILE, b"a\r\nb\r\n")})
    changed = {
        b"a/\xff\n.bin": (FILE, b"\0\1\2" * 999),
        b"new.py": (FILE, renamed + b"more"),
        b"end": (FILE, b"another end"),
        b"dos.py": (FILE, b"a\r\nc\r\n"),
        b"run.sh": (FILE, b"#!/bin/sh\n"),
        b"a/b.py": (SYMLINK, b"empty"),
    }
    new = plant(store, {path: what for path, what in FILES.items() if path != b"a/link"} | changed)
    patch = store.diff(old, new)
    assert b"rename from old.py" in patch
    store.checkout(old, str(tmp_path / "out"))
    git(tmp_path / "out", "init", "-q")
    git(tmp_path / "out", "apply", feed=patch)
    store.checkout(new, str(tmp_path / "expected"))
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")
    git(tmp_path / "out", "apply", "-R", feed=patch)


def test_no_setting_of_the_user_bears_on_a_patch(store: CodeStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old, new = plant(store, {b"a.py": (FILE, b"1\n")}), plant(store, {b"a.py": (FILE, b"2\n"), b"sub/b.py": (FILE, b"")})
    plain = store.diff(old, new)
    hostile = write(
        tmp_path,
        "gitconfig",
        "[diff]\nnoprefix = true\nexternal = false\nrenames = false\nmnemonicPrefix = true\n[color]\nui = always\ndiff = always\n"
        "[core]\nattributesFile = " + str(write(tmp_path, "attributes", "*.py diff=odd -text binary\n")) + "\n"
        '[diff "odd"]\ncommand = false\ntextconv = false\n',
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(hostile))
    write(tmp_path / "home", ".gitconfig", hostile.read_bytes())
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    monkeypatch.setenv("GIT_DIFF_OPTS", "-u0")
    assert store.diff(old, new) == plain
    assert b"--- a/a.py\n+++ b/a.py\n" in plain


def test_the_difference_to_nothing_is_everything(store: CodeStore) -> None:
    tree = plant(store, {b"a.py": (FILE, b"1\n")})
    assert b"new file mode 100644" in store.diff(None, tree)
    assert [(change.path, change.before) for change in store.changes(None, tree)] == [("a.py", None)]
    assert store.changes(tree, tree) == []


def test_changes_need_no_git(store: CodeStore) -> None:
    old = plant(store, {b"a.py": (FILE, b"1"), b"b/c.py": (FILE, b"1"), b"d": (FILE, b"1")})
    new = plant(store, {b"a.py": (FILE, b"2"), b"b": (FILE, b"1"), b"d": (FILE, b"1")})
    mine = CodeStore(store.path, git="/nowhere/git")
    assert [change.path for change in mine.changes(old, new)] == ["a.py", "b", "b/c.py"]
    with pytest.raises(CouldNotError):
        mine.diff(old, new)


@pytest.mark.parametrize("what", ["git:" + "0" * 40, "0" * 40, "git:", "nonsense", "../../etc", "git:--output=x"])
def test_what_is_not_kept_is_said_to_be(store: CodeStore, tmp_path: Path, what: str) -> None:
    for ask in (
        store.list_tree,
        store.read_blob,
        lambda tree: store.checkout(tree, str(tmp_path / "o")),
        lambda t: store.diff(t, t),
    ):
        with pytest.raises((NotKeptError, DamagedError)):
            ask(what)
    assert not store.has("0" * 40)


def test_a_tree_is_kept_once_it_was_said_to_be_complete(store: CodeStore) -> None:
    database = store.database()
    tree = database.put(b"tree", format_tree([TreeEntry(b"a", FILE, database.put(b"blob", b"1"))]))
    assert not store.kept(tree)
    assert not store.has(tree)
    store.keep([f"git:{tree}", tree])
    assert store.kept(tree, f"git:{tree}")
    assert store.has(tree)
    assert store.trees() == [tree]
    assert not store.kept(tree[:-1] + ("0" if tree[-1] != "0" else "1"))


def loose(store: CodeStore, oid: str) -> Path:
    return Path(store.path) / "objects" / oid[:2] / oid[2:]


def test_damage_is_found_and_named(store: CodeStore) -> None:
    tree = plant(store, FILES)
    assert list(store.verify()) == []
    wrong = object_id(b"blob", b"x = 1")
    loose(store, wrong).chmod(0o644)
    loose(store, wrong).write_bytes(loose(store, object_id(b"blob", b"")).read_bytes())
    loose(store, object_id(b"blob", b"#!/bin/sh\n")).unlink()
    found = {(damage.path, "missing" in damage.what) for damage in store.verify()}
    assert found == {("a/b.py", False), ("run.sh", True)}
    with pytest.raises(DamagedError):
        store.read_blob(wrong)
    loose(store, tree).chmod(0o644)
    loose(store, tree).write_bytes(b"\0")
    assert [damage.path for damage in store.verify()] == [""]
    assert not store.has(tree)


def test_an_object_that_a_crash_left_empty_is_written_again(store: CodeStore) -> None:
    tree = plant(store, FILES)
    empty = loose(store, object_id(b"blob", b"x = 1"))
    empty.chmod(0o644)
    empty.write_bytes(b"")
    assert plant(store, FILES) == tree
    assert list(store.verify()) == []


def test_dropping_removes_what_nothing_kept_needs(store: CodeStore, tmp_path: Path) -> None:
    source = repository(tmp_path / "source")
    write(source, "shared.py", os.urandom(5000))
    write(source, "old.bin", os.urandom(50_000))
    first = git(source, "rev-parse", commit(source) + "^{tree}")
    store.absorb([first], str(source / ".git"), [str(source / ".git/objects")])
    store.keep([first])
    loose_only = plant(store, {b"loose.bin": (FILE, os.urandom(40_000))})
    kept = plant(store, {b"shared.py": (FILE, (source / "shared.py").read_bytes()), b"mine.py": (FILE, b"mine\n")})
    packed = plant(store, {b"p%d.py" % n: (FILE, os.urandom(500)) for n in range(40)}, packed=True)
    assert store.drop([kept, packed, first, loose_only], spare_seconds=-5) == 0
    assert store.drop([kept], spare_seconds=3600) == 0  # everything is young
    assert store.trees() == [kept]
    freed = store.drop([kept], spare_seconds=-5)
    assert freed > 100_000
    assert store.size() < 20_000
    assert list(store.verify()) == []
    assert {entry.path for entry in store.list_tree(kept)} == {"shared.py", "mine.py"}
    with pytest.raises(NotKeptError):
        store.list_tree(loose_only)


def test_dropping_spares_what_was_wanted_again_meanwhile(store: CodeStore) -> None:
    tree = plant(store, FILES)
    long_ago = time.time() - 10_000
    for path in (Path(store.path) / "objects").rglob("*"):
        os.utime(path, (long_ago, long_ago))
    assert plant(store, FILES) == tree
    store.drop([], spare_seconds=3600)
    store.keep([tree])
    assert list(store.verify()) == []


def test_dropping_stops_before_a_damaged_tree(store: CodeStore) -> None:
    tree = plant(store, FILES)
    loose(store, tree).chmod(0o644)
    loose(store, tree).write_bytes(b"\0")
    with pytest.raises(DamagedError):
        store.drop([tree], spare_seconds=-5)
    assert loose(store, object_id(b"blob", b"x = 1")).exists()


def test_without_git_packs_stay_and_loose_objects_go(store: CodeStore) -> None:
    mine = CodeStore(store.path, git="/nowhere/git")
    kept = plant(store, {b"p%d.py" % n: (FILE, os.urandom(500)) for n in range(40)}, packed=True)
    both = plant(store, {b"q%d.py" % n: (FILE, os.urandom(500)) for n in range(40)} | {b"p": (FILE, b"1")}, packed=True)
    plant(store, {b"loose": (FILE, b"loose")})
    mine.drop([kept], spare_seconds=-5)
    assert not loose(store, object_id(b"blob", b"loose")).exists()
    assert list(mine.verify()) == []
    assert mine.trees() == [kept]
    assert both != kept


def test_a_batch_that_fails_leaves_nothing(store: CodeStore) -> None:
    database = store.database()

    def fail() -> None:
        with database.batch():
            database.put(b"blob", b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list((Path(store.path) / "objects/pack").iterdir()) == []
    assert not database.has(object_id(b"blob", b"half"))


def test_what_another_process_packs_meanwhile_is_found(store: CodeStore) -> None:
    database = store.database()
    assert not database.has(object_id(b"blob", b"late"))
    plant(store, {b"late": (FILE, b"late")}, packed=True)
    assert database.read(object_id(b"blob", b"late")) == (b"blob", b"late")
    plant(store, {b"later": (FILE, b"later")})
    asked(store, "repack", "-adq")
    assert database.read(object_id(b"blob", b"late")) == (b"blob", b"late")


def test_git_never_prunes_and_gives_the_bytes_as_they_are(store: CodeStore, tmp_path: Path) -> None:
    tree = plant(store, {b".gitattributes": (FILE, b"* text eol=crlf\n"), b"a.py": (FILE, b"1\n")})
    asked(store, "gc", "-q")
    assert list(store.verify()) == []
    (tmp_path / "out").mkdir()
    subprocess.run(
        ["git", "--git-dir", store.path, "--work-tree", str(tmp_path / "out"), "checkout", "-q", tree, "--", "."], check=True
    )
    assert (tmp_path / "out" / "a.py").read_bytes() == b"1\n"


def test_a_groups_folder_stays_usable_by_the_group(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2770)
    before = os.umask(0o077)
    try:
        made = CodeStore(str(shared / "code.git"))
        made.init()
        plant(made, FILES)
    finally:
        os.umask(before)
    for folder, _, _ in os.walk(shared):
        assert stat.S_IMODE(os.stat(folder).st_mode) & 0o070 == 0o070
    assert stat.S_IMODE(os.stat(shared / "code.git" / "snapshots").st_mode) & 0o060 == 0o060
    assert git(shared / "code.git", "config", "core.sharedRepository") == "group"


def test_a_folder_that_cannot_be_written_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o555)
    with respected(), pytest.raises(PermissionError):
        CodeStore(str(tmp_path / "closed" / "code.git")).init()


def test_many_may_note_their_trees_at_once(store: CodeStore) -> None:
    program = (
        "import sys\n"
        "from vestige.store.code import CodeStore\n"
        f"store = CodeStore({store.path!r})\n"
        "for number in range(12):\n"
        "    store.keep([format(int(sys.argv[1]) * 1000 + number, '040x')])\n"
        "    if int(sys.argv[1]) == 0: store.drop([format(n, '040x') for n in range(3500)])\n"
    )
    source = os.path.join(os.path.dirname(__file__), "..", "..", "src")
    running = [subprocess.Popen(["python3", "-c", program, str(n)], env=os.environ | {"PYTHONPATH": source}) for n in range(3)]
    assert [one.wait() for one in running] == [0] * 3
    assert len(store.trees()) == len(set(store.trees())) == 36
