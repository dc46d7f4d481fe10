from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import vestige
from vestige.errors import UsageError
from vestige.store import project


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    top = tmp_path / "repo"
    top.mkdir()
    git(top, "init", "-q", "-b", "main")
    (top / "a").write_text("a")
    git(top, "add", "a")
    git(top, "commit", "-q", "-m", "one")
    return top


def test_the_nearest_marked_folder_is_the_root(tmp_path: Path) -> None:
    (tmp_path / "outer" / ".vestige").mkdir(parents=True)
    deep = tmp_path / "outer" / "inner" / "x"
    deep.mkdir(parents=True)
    (tmp_path / "outer" / "inner" / "vestige.toml").touch()
    place = project.locate(str(deep))
    assert place.root == str(tmp_path / "outer" / "inner")
    assert place.store == str(tmp_path / "outer" / "inner" / ".vestige")
    assert (place.id, place.detached, place.git_top) == (None, False, None)


def test_without_a_mark_the_top_of_the_repository_is_the_root(repository: Path) -> None:
    (repository / "sub").mkdir()
    place = project.locate(str(repository / "sub"))
    assert (place.root, place.git_top) == (str(repository), str(repository))


def test_a_mark_above_a_repository_beats_its_top(repository: Path) -> None:
    (repository.parent / "vestige.toml").touch()
    place = project.locate(str(repository))
    assert (place.root, place.git_top) == (str(repository.parent), None)


def test_without_anything_the_folder_itself_is_the_root(tmp_path: Path) -> None:
    assert project.locate(str(tmp_path)).root == str(tmp_path)


def test_a_file_and_what_is_not_there_yet_belong_to_the_folder_above(tmp_path: Path) -> None:
    (tmp_path / "vestige.toml").touch()
    (tmp_path / "file").touch()
    assert project.locate(str(tmp_path / "file")).root == str(tmp_path)
    assert project.locate(str(tmp_path / "no" / "such" / "file")).root == str(tmp_path)


def test_a_symlink_leads_to_the_project_it_points_into(tmp_path: Path) -> None:
    (tmp_path / "real" / ".vestige").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert project.locate(str(tmp_path / "link")).root == str(tmp_path / "real")


def test_an_explicit_root_settles_it(tmp_path: Path) -> None:
    (tmp_path / ".vestige").mkdir()
    (tmp_path / "sub").mkdir()
    assert project.locate(str(tmp_path), str(tmp_path / "sub")).root == str(tmp_path / "sub")
    with pytest.raises(UsageError, match="is not a folder"):
        project.locate(str(tmp_path), str(tmp_path / "none"))


@pytest.mark.parametrize("which", ["home", "/", "/tmp", "TMPDIR"])
def test_home_root_and_temporary_roots_are_never_projects(
    which: str, own_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if which == "TMPDIR":
        monkeypatch.setenv("TMPDIR", str(tmp_path))
    folder = {"home": str(own_folders), "TMPDIR": str(tmp_path)}.get(which, which)
    place = project.locate(folder)
    assert place.detached
    assert place.root == folder
    assert place.store.startswith(os.path.join(project.state_dir(), "detached") + "/")
    assert project.locate(folder, folder).detached


def test_a_mark_in_the_home_folder_is_passed_over(own_folders: Path) -> None:
    (own_folders / ".vestige").mkdir()
    git(own_folders, "init", "-q")
    work = own_folders / "work"
    work.mkdir()
    place = project.locate(str(work))
    assert (place.root, place.git_top, place.detached) == (str(work), str(own_folders), False)


def test_linked_work_trees_share_the_store_of_the_main_one(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", str(tmp_path / "linked"))
    place = project.locate(str(tmp_path / "linked"))
    assert place.root == str(tmp_path / "linked")
    assert place.store == str(repository / ".vestige")
    (repository / "part").mkdir()
    (repository / "part" / "vestige.toml").touch()
    (tmp_path / "linked" / "part").mkdir()
    (tmp_path / "linked" / "part" / "vestige.toml").touch()
    place = project.locate(str(tmp_path / "linked" / "part"))
    assert place.root == str(tmp_path / "linked" / "part")
    assert place.store == str(repository / "part" / ".vestige")


def test_a_linked_work_tree_inside_its_main_one_is_a_root(repository: Path) -> None:
    git(repository, "worktree", "add", "-q", str(repository / "trees" / "x"))
    project.prepare(project.locate(str(repository)))
    place = project.locate(str(repository / "trees" / "x"))
    assert place.root == str(repository / "trees" / "x")
    assert place.store == str(repository / ".vestige")
    assert place.id == project.locate(str(repository)).id is not None


def test_a_submodule_is_a_repository_of_its_own(repository: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(repository), "sub")
    assert project.locate(str(outer / "sub")).store == str(outer / "sub" / ".vestige")


def test_preparing_makes_a_store_that_git_does_not_see(repository: Path) -> None:
    place = project.prepare(project.locate(str(repository)))
    assert place.id is not None
    status = subprocess.run(["git", "-C", str(repository), "status", "--porcelain"], capture_output=True, check=True)
    assert status.stdout == b""
    again = project.prepare(project.locate(str(repository)))
    assert again.id == place.id


def test_preparing_twice_at_once_gives_one_id(tmp_path: Path) -> None:
    stale = [project.locate(str(tmp_path)) for _ in range(2)]
    assert project.prepare(stale[0]).id == project.prepare(stale[1]).id


def test_a_damaged_project_file_gets_a_new_id(tmp_path: Path) -> None:
    (tmp_path / ".vestige").mkdir()
    for content in (b"", b"../../etc\n", b"\xff\xfe"):
        (tmp_path / ".vestige" / "project").write_bytes(content)
        place = project.locate(str(tmp_path))
        assert place.id is None
        assert project.prepare(place).id == project.locate(str(tmp_path)).id is not None


@pytest.mark.parametrize("mode", [0o755, 0o2775, 0o700, 0o770])
def test_the_store_is_as_open_as_the_root_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    root = tmp_path / "p"
    root.mkdir()
    root.chmod(mode)
    before = os.umask(0o077)
    try:
        place = project.prepare(project.locate(str(root)))
    finally:
        os.umask(before)
    for name in ("", "runs", "objects", "active", "notes"):
        assert os.stat(os.path.join(place.store, name)).st_mode & 0o2777 == mode
    assert os.stat(os.path.join(place.store, "project")).st_mode & 0o777 == mode & 0o666


def test_a_detached_store_is_private(own_folders: Path) -> None:
    place = project.prepare(project.locate(str(own_folders)))
    assert place.id is not None
    assert os.stat(place.store).st_mode & 0o777 == 0o700


def test_a_root_that_cannot_be_written_raises_an_os_error(tmp_path: Path) -> None:
    (tmp_path / ".vestige").touch()
    with pytest.raises(OSError, match="vestige"):
        project.prepare(project.locate(str(tmp_path)))


def test_a_root_whose_name_is_not_utf8_has_a_store(tmp_path: Path) -> None:
    root = os.path.join(str(tmp_path), os.fsdecode(b"caf\xe9\n"))
    os.mkdir(root)
    place = project.prepare(project.locate(root))
    assert place.root == root
    assert os.path.isdir(place.store)


def test_caches_and_state_follow_the_users_settings(own_folders: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert project.state_dir() == str(own_folders / "state" / "vestige")
    assert project.cache_home() == str(own_folders / "cache" / "vestige")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert project.state_dir() == str(own_folders / ".local" / "state" / "vestige")
    assert project.cache_home() == str(own_folders / ".cache" / "vestige")
    place = project.prepare(project.locate(str(tmp_path)))
    assert project.cache_dir(place) == os.path.join(project.cache_home(), str(place.id))


def test_a_project_without_an_id_has_a_cache_of_its_own(tmp_path: Path) -> None:
    first = project.cache_dir(project.Place("/a", "/a/.vestige"))
    assert first != project.cache_dir(project.Place("/b", "/b/.vestige"))
    assert os.path.dirname(first) == project.cache_home()


def test_files_of_vestige_are_told_from_those_of_the_project(tmp_path: Path) -> None:
    place = project.locate(str(tmp_path))
    assert project.is_own(place, place.store)
    assert project.is_own(place, place.store + "/runs/x")
    assert project.is_own(place, project.cache_home() + "/x")
    assert not project.is_own(place, place.store + "2/x")
    assert not project.is_own(place, str(tmp_path / "data.csv"))


def test_long_paths_become_names_that_fit_and_differ() -> None:
    names = {project.name_from("/" + "x" * 300 + end) for end in "ab"}
    assert len(names) == 2
    assert all(len(name) < 200 for name in names)


def test_what_the_kernel_mounts_from_the_network_is_not_local() -> None:
    assert not project._is_shared("/")
    assert not project._is_shared("/no/such/folder")


def test_the_modules_of_the_start_path_import_nothing_heavy() -> None:
    heavy = {"dataclasses", "typing", "pathlib", "json", "re", "enum", "subprocess", "logging", "shutil", "tempfile"}
    source = os.path.dirname(os.path.dirname(vestige.__file__))
    code = f"import sys; sys.path.insert(0, {source!r}); import vestige.store.project, vestige.store.objects; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert set(out.stdout.split()) & heavy == set()
