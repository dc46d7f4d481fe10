"""Source that holds a secret: exact in the snapshot, and not in the repository that may be given away."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.capture.repositories import commit, contents, git, project, repository, write
from tests.capture.test_snapshot import NO_GIT, Bench
from tests.store.permissions import respected
from vestige.capture.sources import Rules
from vestige.errors import NotKeptError
from vestige.model.gitformat import object_id

TOKEN = "ghp_" + "0123456789abcdefghijklmnopqrstuvwxyz"
SECRET = f"token = '{TOKEN}'\n"
PROGRAMS = pytest.mark.parametrize("program", ["git", NO_GIT])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def shared(bench: Bench) -> bytes:
    """Everything that the repository of code holds, unpacked: what a clone or a push of it could give away."""
    listed = subprocess.run(
        ["git", "--git-dir", bench.store.path, "cat-file", "--batch", "--batch-all-objects", "--buffer"],
        capture_output=True,
        check=True,
    )
    return listed.stdout


def modes(bench: Bench) -> set[tuple[bool, int]]:
    """Whether each thing in the private part is a folder, and its mode."""
    private = Path(bench.store.private).parent
    return {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in (private, *private.rglob("*"))}


@PROGRAMS
def test_untracked_and_changed_source_with_a_secret_is_exact_and_private(bench: Bench, program: str) -> None:
    project(bench.root)
    write(bench.root, "train.py", SECRET)
    write(bench.root, "new/fetch.py", "#!/bin/sh\n" + SECRET).chmod(0o755)
    write(bench.root, "plain.py", "x = 1\n")
    expected = contents(bench.root)
    taken = bench.take(program)
    assert taken.problems == () or program == NO_GIT
    assert taken.code.private == ("new/fetch.py", "train.py")
    assert taken.code.withheld == ()
    assert bench.restored(taken.code.snapshot) == expected
    assert TOKEN.encode() not in shared(bench)
    assert b"x = 1\n" in shared(bench)
    assert modes(bench) == {(True, 0o700), (False, 0o600)}
    assert list(bench.store.verify()) == []
    again = bench.take(program)
    assert (again.state, again.code) == (taken.state, taken.code)


def test_the_tree_has_the_id_that_git_gives_it(bench: Bench) -> None:
    repository(bench.root)
    write(bench.root, "fetch.py", SECRET)
    taken = bench.take()
    git(bench.root, "add", "-A")
    assert taken.code.snapshot == "git:" + git(bench.root, "write-tree")


def test_a_pack_of_many_new_files_leaves_it_out(bench: Bench) -> None:
    repository(bench.root)
    for number in range(40):
        write(bench.root, f"m{number}.py", f"x = {number}\n")
    write(bench.root, "m40.py", SECRET)
    taken = bench.take()
    assert list((Path(bench.store.path) / "objects" / "pack").glob("*.pack"))
    assert taken.code.private == ("m40.py",)
    assert TOKEN.encode() not in shared(bench)
    assert len(bench.restored(taken.code.snapshot)) == 41


def test_nobody_gets_it_with_a_clone_or_a_push(bench: Bench, tmp_path: Path) -> None:
    repository(bench.root)
    write(bench.root, "fetch.py", SECRET)
    tree = (bench.take().code.snapshot or "").removeprefix("git:")
    blob = object_id(b"blob", SECRET.encode())
    subprocess.run(["git", "clone", "-q", "--bare", bench.store.path, tmp_path / "clone"], check=True, capture_output=True)
    done = subprocess.run(["git", "--git-dir", tmp_path / "clone", "cat-file", "-e", blob], check=False, capture_output=True)
    assert done.returncode != 0
    packed = subprocess.run(
        ["git", "--git-dir", bench.store.path, "pack-objects", "--revs", "--stdout"],
        input=f"{tree}\n".encode(),
        capture_output=True,
        check=False,
    )
    assert packed.returncode != 0
    assert subprocess.run(
        ["git", "--git-dir", bench.store.path, "archive", tree],
        env={**os.environ, "GIT_ALTERNATE_OBJECT_DIRECTORIES": bench.store.private},
        capture_output=True,
        check=True,
    ).stdout.count(TOKEN.encode())


@PROGRAMS
@pytest.mark.parametrize("borrows", [False, True])
def test_it_stays_private_when_it_is_committed(bench: Bench, tmp_path: Path, program: str, *, borrows: bool) -> None:
    project(tmp_path / "upstream" if borrows else bench.root)
    if borrows:
        git(tmp_path, "clone", "-q", "--shared", str(tmp_path / "upstream"), str(bench.root))
    write(bench.root, "fetch.py", SECRET + "# a comment\n" * 200)
    first = bench.take(program)
    assert first.code.private == ("fetch.py",)
    commit(bench.root)
    second = bench.take(program)
    assert second.code.dirty is False
    assert second.code.private == ("fetch.py",)
    assert TOKEN.encode() not in shared(bench)
    write(bench.root, "fetch.py", SECRET + "# a comment\n" * 199)  # a small change, such as git would keep as a delta
    commit(bench.root)
    write(bench.root, "other.py", "y = 2\n")
    third = bench.take(program)
    expected = contents(bench.root)
    shutil.rmtree(bench.root)
    bench.root.mkdir()
    assert bench.restored(third.code.snapshot) == expected
    assert list(bench.store.verify()) == []


@PROGRAMS
def test_withheld_it_is_left_out_and_said(bench: Bench, program: str) -> None:
    project(bench.root)
    write(bench.root, "train.py", SECRET)
    write(bench.root, "fetch.py", SECRET + "#\n")
    bench.rules = Rules(withhold=True)
    taken = bench.take(program)
    assert taken.code.withheld == ("fetch.py", "train.py")
    assert taken.code.private == ()
    assert taken.code.dirty in {True, None}
    assert {"run.sh", "src/model.py"} <= set(bench.restored(taken.code.snapshot))
    assert not {"fetch.py", "train.py"} & set(bench.restored(taken.code.snapshot))
    assert TOKEN.encode() not in shared(bench)
    assert not os.path.exists(bench.store.private)
    assert "fetch.py" in taken.uncommitted
    assert ("train.py" in taken.uncommitted) == (program == "git")  # without git nobody can tell
    again = bench.snapshots(program).take()
    assert (again.code.withheld, again.state) == (taken.code.withheld, taken.state)
    snapshots = bench.snapshots(program)
    os.utime(bench.root / "fetch.py")
    assert not snapshots.changed(taken, set())


def test_the_configuration_may_change_and_the_next_snapshot_follows(bench: Bench) -> None:
    repository(bench.root)
    write(bench.root, "fetch.py", SECRET)
    private = bench.take()
    bench.rules = Rules(withhold=True)
    withheld = bench.take()
    assert (withheld.code.withheld, withheld.code.private) == (("fetch.py",), ())
    bench.rules = Rules()
    assert bench.take().code == private.code


def test_without_its_private_part_the_store_says_what_is_missing(bench: Bench) -> None:
    repository(bench.root)
    write(bench.root, "fetch.py", SECRET)
    taken = bench.take()
    blob = object_id(b"blob", SECRET.encode())
    path = Path(bench.store.private, blob[:2], blob[2:])
    path.write_bytes(path.read_bytes()[:-4])
    assert [(one.path, blob in one.what) for one in bench.store.verify()] == [("fetch.py", True)]
    shutil.rmtree(bench.store.private)
    assert [(one.path, one.what) for one in bench.store.verify()] == [("fetch.py", f"object {blob} is missing")]
    with pytest.raises(NotKeptError):
        bench.restored(taken.code.snapshot)
    assert bench.take().code == taken.code
    assert bench.restored(taken.code.snapshot)["fetch.py"][1] == SECRET.encode()


def test_what_is_restored_of_it_is_for_its_user_alone(bench: Bench, tmp_path: Path) -> None:
    repository(bench.root)
    write(bench.root, "fetch.py", SECRET).chmod(0o755)
    write(bench.root, "plain.py", "x\n")
    bench.store.checkout(bench.take().code.snapshot or "", str(tmp_path / "out"))
    assert stat.S_IMODE((tmp_path / "out" / "fetch.py").stat().st_mode) == 0o700
    assert (tmp_path / "out" / "plain.py").stat().st_mode & 0o044


def test_a_patch_holds_it_for_whoever_may_read_the_private_part(bench: Bench) -> None:
    repository(bench.root)
    write(bench.root, "fetch.py", "token = None\n")
    before = bench.take()
    write(bench.root, "fetch.py", SECRET)
    after = bench.take()
    patch = bench.store.diff(before.code.snapshot, after.code.snapshot)
    assert f"+{SECRET}".encode() in patch
    assert [change.path for change in bench.store.changes(before.code.snapshot, after.code.snapshot)] == ["fetch.py"]


def test_it_goes_with_the_last_snapshot_that_needs_it(bench: Bench) -> None:
    repository(bench.root)
    write(bench.root, "fetch.py", SECRET)
    first = bench.take()
    write(bench.root, "fetch.py", "token = None\n")
    second = bench.take()
    bench.store.drop([first.code.snapshot or ""], spare_seconds=-1)
    assert bench.restored(first.code.snapshot)["fetch.py"][1] == SECRET.encode()
    write(bench.root, "fetch.py", "token = None\n")
    second = bench.take()
    assert bench.store.drop([second.code.snapshot or ""], spare_seconds=-1) > 0
    assert not [path for path in Path(bench.store.private).rglob("*") if path.is_file()]


def test_used_code_that_is_or_holds_a_secret_is_judged_too(bench: Bench) -> None:
    project(bench.root)
    used = write(bench.root, "ignored/helper.py", SECRET)
    key = write(bench.root, "ignored/server.pem", "x")
    snapshots = bench.snapshots()
    more = {"ignored/helper.py": str(used), "ignored/copy.py": SECRET.encode() + b"#", "ignored/alias.py": str(key)}
    added = snapshots.complete(snapshots.add(snapshots.take(), more))
    assert added.code.private == ("ignored/copy.py", "ignored/helper.py")
    assert added.code.withheld == ("ignored/alias.py",)
    assert TOKEN.encode() not in shared(bench)
    assert bench.restored(added.code.snapshot)["ignored/helper.py"][1] == SECRET.encode()


def test_in_a_group_where_another_owns_the_private_part_it_is_withheld(bench: Bench) -> None:
    repository(bench.root)
    write(bench.root, "plain.py", "x\n")
    write(bench.root, "fetch.py", SECRET)
    private = Path(bench.store.private).parent
    private.mkdir(parents=True)
    private.chmod(0)
    with respected():
        taken = bench.take()
    private.chmod(0o700)
    assert taken.code.withheld == ("fetch.py",)
    assert set(bench.restored(taken.code.snapshot)) == {"plain.py"}
