"""git's formats, against what git itself writes and reads."""

from __future__ import annotations

import subprocess
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.capture.repositories import STATES, git
from vestige.model.gitformat import (
    EMPTY_TREE,
    EXECUTABLE,
    FILE,
    SYMLINK,
    TREE,
    FormatError,
    TreeEntry,
    apply_delta,
    decode_loose,
    encode_loose,
    format_tree,
    object_id,
    pack_header,
    parse_index,
    parse_pack_header,
    parse_tree,
    result_size,
    tree_of_commit,
)

names = st.binary(min_size=1, max_size=12).filter(lambda name: not {0, 47} & set(name))
oids = st.binary(min_size=20, max_size=20).map(bytes.hex)
entries = st.lists(
    st.builds(TreeEntry, names, st.sampled_from([FILE, EXECUTABLE, SYMLINK, TREE]), oids), unique_by=lambda entry: entry.name
)


def test_ids_are_those_of_git() -> None:
    assert object_id(b"tree", b"") == EMPTY_TREE
    assert object_id(b"blob", b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    large = b"x" * (3 << 20)
    said = subprocess.run(["git", "hash-object", "--stdin"], input=large, capture_output=True, check=True).stdout
    assert object_id(b"blob", large) == said.decode().strip()


@given(entries)
def test_a_tree_survives_being_written_and_read(tree: list[TreeEntry]) -> None:
    assert sorted(parse_tree(format_tree(tree))) == sorted(tree)


def test_git_accepts_a_tree_with_folders_and_files_whose_names_begin_alike(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    blob = git(tmp_path, "hash-object", "-w", "--stdin", feed=b"x")
    data = format_tree([TreeEntry(b"a.b", FILE, blob), TreeEntry(b"a", TREE, EMPTY_TREE), TreeEntry(b"a-b", FILE, blob)])
    done = subprocess.run(
        ["git", "-C", str(tmp_path), "hash-object", "-w", "-t", "tree", "--stdin"], input=data, capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == object_id(b"tree", data)


@pytest.mark.parametrize("data", [b"100644", b"100644 a\0short", b"100644 a", b"x a\0" + bytes(20)])
def test_a_tree_that_is_cut_off_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse_tree(data)


@given(st.sampled_from([b"blob", b"tree", b"commit"]), st.binary())
def test_an_object_survives_being_written_and_read(kind: bytes, data: bytes) -> None:
    assert decode_loose(encode_loose(kind, data)) == (kind, data)


@pytest.mark.parametrize("raw", [b"", b"garbage", zlib.compress(b"blob 5\0four"), zlib.compress(b"no header")])
def test_a_damaged_object_is_refused(raw: bytes) -> None:
    with pytest.raises(FormatError):
        decode_loose(raw)


@given(st.integers(1, 4), st.integers(0, 1 << 40))
def test_the_header_of_an_object_in_a_pack(kind: int, size: int) -> None:
    header = pack_header(kind, size)
    assert parse_pack_header(header + b"\xff" * 8) == (kind, size, len(header))


def test_a_delta_copies_and_inserts() -> None:
    base = bytes(range(256)) * 300
    copy_all = b"\xb0\x00\x01"  # offset 0, size 0x100
    delta = b"\x80\xd8\x04" + b"\x83\x02" + copy_all + b"\x02hi"
    assert apply_delta(base, delta.replace(b"\x83\x02", b"\x82\x02", 1)) == base[:256] + b"hi"
    assert result_size(b"\x80\xd8\x04\x82\x02") == 258
    long = b"\x80\xd8\x04" + b"\x80\x80\x04" + b"\x80"  # a copy without a size takes 0x10000 bytes
    assert apply_delta(base, long) == base[:0x10000]


@pytest.mark.parametrize("delta", [b"\x04\x04\x00", b"\x04\x05\x04abcd"])
def test_a_delta_that_makes_no_sense_is_refused(delta: bytes) -> None:
    with pytest.raises(FormatError):
        apply_delta(b"base", delta)


def test_the_tree_of_a_commit() -> None:
    assert tree_of_commit(b"tree " + b"1" * 40 + b"\nauthor ") == "1" * 40
    with pytest.raises(FormatError):
        tree_of_commit(b"parent 1\n")


READABLE = [name for name in STATES if name not in {"split_index", "sparse_index", "sha256", "empty_repository"}]


@pytest.mark.parametrize("state", READABLE)
def test_an_index_is_read_as_git_reads_it(state: str, tmp_path: Path) -> None:
    STATES[state](tmp_path / "project")
    where = Path(git(tmp_path / "project", "rev-parse", "--git-path", "index"))
    index = parse_index((tmp_path / "project" / where).read_bytes())
    lines = [b"%06o %s %d\t%s" % (entry.mode, entry.oid.encode(), entry.stage, entry.path) for entry in index]
    told = subprocess.run(["git", "-C", str(tmp_path / "project"), "ls-files", "-z", "-s"], capture_output=True, check=True)
    assert lines == told.stdout.split(b"\0")[:-1]
    flags = subprocess.run(["git", "-C", str(tmp_path / "project"), "ls-files", "-z", "-v"], capture_output=True, check=True)
    hidden = {line[2:]: line[:1] for line in flags.stdout.split(b"\0") if line and line[:1] not in b"HM"}
    assert {entry.path: entry.hidden for entry in index if entry.hidden} == {
        path: "s" if tag in b"Ss" else "a" for path, tag in hidden.items()
    }


def test_an_index_of_another_kind_is_refused(tmp_path: Path) -> None:
    STATES["split_index"](tmp_path)
    with pytest.raises(FormatError, match="split"):
        parse_index((tmp_path / ".git/index").read_bytes())
    for data in (b"", b"DIRC\0\0\0\5" + bytes(50), b"DIRC\0\0\0\2\0\0\0\1"):
        with pytest.raises(FormatError):
            parse_index(data)


def test_a_sparse_index_names_the_folders_that_are_not_there(tmp_path: Path) -> None:
    STATES["sparse_index"](tmp_path)
    found = {entry.path: (entry.mode, entry.hidden) for entry in parse_index((tmp_path / ".git/index").read_bytes())}
    assert found[b"other"] == (TREE, "s")
