"""Ignore and attribute patterns mean what they mean to git."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.capture.repositories import git, write
from tests.store.permissions import respected
from vestige.capture import ignore
from vestige.capture.attributes import Attributes

PATHS = (
    "a", "b", "ab", "a.py", "b.log", "x/a", "x/b.log", "x/y/a", "x/y/z/a.py", "x/y/b.log", "foo/bar", "foo/baz/bar",
    "[a]", "a b", "a!", "#a", "!a", "back\\slash", "A.PY", "é.py", "-", "a]", "doc/frotz/x", "x/doc/frotz/x", "sp ",
    "q?", "star*",
)  # fmt: skip

PATTERNS = (
    "a", "/a", "a/", "*.log", "!x/b.log", "x/*", "x/**", "**/a", "**/bar", "foo/**/bar", "x/**/a.py", "/x/y/", "*",
    "!*/", "!*.py", "[ab]", "[!a]", "[^a]*", "[a-c].py", "[[:upper:]].PY", "[]]", "[]-]", "a]", "\\#a", "#a", "\\!a",
    "a\\ b", "a b", "sp\\ ", "sp ", "q\\?", "q?", "star\\*", "**", "x/**/", "/**/y", "x**y", "***/a", "doc/frotz",
    "doc/frotz/", "?", "??", ".", "", "/", "[a", "[z-a]", "[\\]]", "a\\", "back\\\\slash", "é.py", "[é].py", "x/y/z",
    "!x/y/z", "*/a", "/*/a", "foo/*", "!foo/bar",
)  # fmt: skip


def listed(top: Path) -> list[bytes]:
    out = subprocess.run(
        ["git", "-C", str(top), "ls-files", "-z", "--others", "--exclude-standard"], capture_output=True, check=True
    ).stdout
    return sorted(path for path in out.split(b"\0") if path)


def walked(top: Path) -> list[bytes]:
    closed: list[bytes] = []
    found = ignore.walk(str(top), [], keep_out=[], closed=closed)
    assert closed == []
    return found


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ignored")
    git(folder, "init", "-q")
    for path in PATHS:
        write(folder, path)
    return folder


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_ignores_what_git_ignores(top: Path, pattern: str) -> None:
    write(top, ".gitignore", pattern + "\n")
    assert walked(top) == listed(top)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(PATTERNS), max_size=5),
    st.lists(st.sampled_from(PATTERNS), max_size=4),
    st.sampled_from(["\n", "\r\n"]),
)
def test_several_files_of_rules_mean_what_they_mean_to_git(outer: list[str], inner: list[str], end: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        git(folder, "init", "-q")
        for path in PATHS:
            write(folder, path)
        write(folder, ".gitignore", "\ufeff" + end.join(outer) + end)
        write(folder, "x/.gitignore", end.join(inner))
        assert walked(folder) == listed(folder)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="abxy/*?[]!^-\\. #", min_size=1, max_size=8))
def test_any_pattern_means_what_it_means_to_git(pattern: str) -> None:
    paths = [b"a", b"x/a", b"x/y", b"b", b"ab", b"a.b", b"x/y-", b"!a", b"[a]"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        git(folder, "init", "-q")
        for path in paths:
            if not (folder / os.fsdecode(path)).exists():
                write(folder, path if path != b"x/y" else b"x/y/deep")
        write(folder, ".gitignore", pattern + "\n")
        assert walked(folder) == listed(folder)


def test_repositories_inside_are_listed_but_not_entered(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path, "a.py")
    (tmp_path / "sub/clone").mkdir(parents=True)
    git(tmp_path / "sub/clone", "init", "-q")
    write(tmp_path, "sub/clone/b.py")
    assert walked(tmp_path) == [b"a.py", b"sub/clone/"] == listed(tmp_path)


def test_folders_that_cannot_be_read_are_noted(tmp_path: Path) -> None:
    write(tmp_path, "a.py")
    write(tmp_path, "closed/b.py")
    (tmp_path / "closed").chmod(0)
    closed: list[bytes] = []
    with respected():
        assert ignore.walk(str(tmp_path), [], keep_out=[], closed=closed) == [b"a.py"]
    (tmp_path / "closed").chmod(0o755)
    assert closed == [b"closed/"]
    assert ignore.walk(str(tmp_path / "gone"), [], keep_out=[], closed=closed) == []


def test_what_is_kept_out_is_stronger_than_what_lies_in_the_tree(tmp_path: Path) -> None:
    write(tmp_path, "a.py")
    write(tmp_path, ".venv/b.py")
    write(tmp_path, ".gitignore", "!.venv/\n")
    found = ignore.walk(str(tmp_path), ignore.rules(b"a.py"), keep_out=ignore.rules(b".venv/"), closed=[])
    assert found == [b".gitignore"]


ATTRIBUTES = (
    ("*.dat filter=lfs diff=lfs -text", "f"),
    ("x/y.dat filter=lfs", "f"),
    ("* text=auto", "c"),
    ("*.dat eol=crlf", "c"),
    ("*.dat ident", "c"),
    ("*.dat working-tree-encoding=UTF-16", "c"),
    ("*.dat crlf", "c"),
    ("[attr]big filter=lfs -text\n*.dat big", "f"),
    ('"x/y.dat" filter=lfs', "f"),
    ("*.dat -text", None),
    ("*.dat binary", None),
    ("*.dat !filter", None),
    ("*.py filter=lfs", None),
    ("#*.dat filter=lfs", None),
    ("", None),
)


@pytest.mark.parametrize(("text", "kind"), ATTRIBUTES)
def test_attributes_tell_how_a_file_may_differ_from_its_commit(text: str, kind: str | None) -> None:
    attributes = Attributes(everything=False)
    attributes.add(text.encode())
    assert attributes.kind(b"x/y.dat") == kind


def test_attributes_of_a_folder_speak_of_that_folder_and_autocrlf_of_everything() -> None:
    attributes = Attributes(everything=False)
    attributes.add(b"*.dat filter=lfs", b"x/")
    assert (attributes.kind(b"x/y.dat"), attributes.kind(b"y.dat")) == ("f", None)
    assert Attributes(everything=True).kind(b"y.dat") == "c"
