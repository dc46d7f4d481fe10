"""Canonical names: the same as the file system's own, with each folder asked about once."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from vestige.observe.lifecycle import Names
from vestige.observe.paths import Paths
from vestige.observe.roles import Rules, Setting

NAMES = ("a", "b", "c", "l", "m")
ENTRY = st.sampled_from([*NAMES, "..", "."])
PATHS = st.lists(ENTRY, min_size=1, max_size=6).map("/".join)
LINKS = st.dictionaries(st.tuples(st.sampled_from(["", "a/", "a/b/"]), st.sampled_from(["l", "m"])), PATHS, max_size=4)


def readlink(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def paths(root: str) -> Paths:
    return Paths(Names(), Rules(Setting(root, temporary=())), readlink)


@settings(max_examples=200, deadline=None)
@given(LINKS, PATHS)
def test_a_folder_is_where_the_file_system_has_it(links: dict[tuple[str, str], str], path: str) -> None:
    with tempfile.TemporaryDirectory() as made:
        root = os.path.realpath(made)
        os.makedirs(f"{root}/a/b/c")
        for (folder, name), target in links.items():
            os.symlink(target, f"{root}/{folder}{name}")
        named = f"{root}/{path}"
        if os.path.isdir(named):  # of a loop, and of what is not there, nothing is asked
            assert paths(root).name(named + "/file") == os.path.join(os.path.realpath(named), "file")


def test_each_folder_is_asked_about_once(tmp_path: Path) -> None:
    asked: list[str] = []
    found = Paths(Names(), Rules(Setting(str(tmp_path))), lambda path: asked.append(path))  # type: ignore[func-returns-value]
    for name in ("one", "two", "deep/three"):
        found.name(f"{tmp_path}/{name}")
    assert len(asked) == len(set(asked)) == str(tmp_path).count("/") + 1


def test_a_path_of_two_thousand_folders() -> None:
    assert paths("/").name("/x" * 2000) == "/x" * 2000
    assert paths("/").name("/x/.." * 800 + "/file") == "/file"


def test_a_link_to_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "l").symlink_to("l")
    assert paths(str(tmp_path)).name(f"{tmp_path}/l/file").endswith("/l/file")
