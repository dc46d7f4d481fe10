"""Snapshots against real git: exact in every state a repository can be in, and the repository never notices."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.capture.repositories import (
    SOURCE,
    STATES,
    commit,
    contents,
    git,
    project,
    repository,
    untouched,
    write,
)
from tests.store.permissions import respected
from vestige.capture.snapshot import Snapshots, Taken
from vestige.capture.sources import Rules
from vestige.store.code import CodeStore

NO_GIT = "/nowhere/git"


class Bench:
    """A project folder, its store and its cache."""

    def __init__(self, base: Path) -> None:
        self.root = base / "project"
        self.store = CodeStore(str(base / "store" / "code.git"))
        self.cache = str(base / "cache")
        self.outputs: set[str] = set()
        self.rules = Rules()
        (base / "store").mkdir()

    def snapshots(self, program: str = "git", **more: object) -> Snapshots:
        store = CodeStore(self.store.path, git=program)
        asked = self.outputs.intersection
        return Snapshots(str(self.root), store, self.cache, asked, program=program, rules=self.rules, **more)  # type: ignore[arg-type]

    def take(self, program: str = "git") -> Taken:
        snapshots = self.snapshots(program)
        return snapshots.complete(snapshots.take())

    def restored(self, tree: str | None) -> dict[str, tuple[str, bytes, bool]]:
        assert tree is not None
        into = self.root.parent / f"restored-{time.monotonic_ns()}"
        self.store.checkout(tree, str(into))
        return contents(into)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("state", STATES)
def test_a_snapshot_restores_exactly_when_the_repository_is_gone(state: str, bench: Bench) -> None:
    STATES[state](bench.root)
    expected = contents(bench.root)
    before = untouched(bench.root.parent)
    first = bench.snapshots().take()
    taken = bench.snapshots().complete(first)
    after = untouched(bench.root.parent)
    assert _of_others(after) == _of_others(before)
    assert taken.problems == ()
    again = bench.snapshots().take()
    assert (again.code, again.state) == (taken.code, taken.state)
    for path in bench.root.parent.iterdir():
        if path.name not in {"store", "cache"}:
            shutil.rmtree(path)
    assert bench.restored(taken.code.snapshot) == expected
    assert list(bench.store.verify()) == []
    subprocess.run(
        ["git", "--git-dir", bench.store.path, "fsck", "--full", *bench.store.trees()], check=True, capture_output=True
    )


def _of_others(seen: Mapping[str, object]) -> dict[str, object]:
    """What is not ours; git marks the shared part of a split index as wanted whenever it reads it."""
    own = f"{os.sep}store", f"{os.sep}cache", f"{os.sep}sharedindex."
    return {path: what for path, what in seen.items() if not any(part in path for part in own)}


@pytest.mark.parametrize("state", STATES)
def test_without_a_git_program_the_snapshot_is_the_same(state: str, bench: Bench, tmp_path: Path) -> None:
    STATES[state](bench.root)
    expected = contents(bench.root)
    (tmp_path / "other").mkdir()
    other = Bench(tmp_path / "other")
    other.root = bench.root
    taken = other.take(NO_GIT)
    if state == "split_index":  # only git reads it: what is no source by its name is not known to be tracked
        assert any("index" in line for line in taken.problems)
        del expected["data/tracked.csv"]
    assert other.restored(taken.code.snapshot) == expected
    with_git = bench.take()
    assert (taken.code.commit, taken.code.branch) == (with_git.code.commit, with_git.code.branch)
    assert list(other.store.verify()) == []
    if with_git.code.base is not None:
        assert taken.code.dirty in {with_git.code.dirty, True}  # what a filter made cannot be told from a change


@pytest.mark.parametrize("state", STATES)
def test_the_difference_to_the_commit_applies_as_a_patch(state: str, bench: Bench, tmp_path: Path) -> None:
    STATES[state](bench.root)
    code = bench.take().code
    if code.base is None:
        assert code.commit is None or state == "sha256"
        return
    bench.store.checkout(code.base, str(tmp_path / "base"))
    patch = bench.store.diff(code.base, code.snapshot)
    assert (patch == b"") == (code.base == code.snapshot)
    if patch:
        git(tmp_path / "base", "init", "-q")
        git(tmp_path / "base", "-c", "core.autocrlf=false", "apply", "--whitespace=nowarn", feed=patch)
    assert contents(tmp_path / "base") == bench.restored(code.snapshot)


def test_dirty_means_that_source_differs_from_the_commit(bench: Bench) -> None:
    project(bench.root)
    assert bench.take().code.dirty is False
    write(bench.root, "figure.png", b"\x89PNG")
    write(bench.root, "out.csv", "1\n")
    assert bench.take().code.dirty is False
    write(bench.root, "new.py")
    assert bench.take().code.dirty is True
    commit(bench.root)
    assert bench.take().code.dirty is False
    (bench.root / "train.py").unlink()
    assert bench.take().code.dirty is True


@pytest.mark.parametrize(
    "state", ["ident_and_encoding", "submodule", "sparse_index", "without_blobs", "borrowing_clone", "packed"]
)
def test_what_git_calls_clean_is_not_dirty(state: str, bench: Bench) -> None:
    STATES[state](bench.root)
    git(bench.root, "checkout", "-q", "-f", "HEAD", "--", ".")
    assert git(bench.root, "status", "--porcelain") == ""
    code = bench.take().code
    assert code.dirty is False
    assert code.base == code.snapshot


def test_commit_branch_and_remotes_are_those_of_the_repository(bench: Bench) -> None:
    commit_id = git(project(bench.root), "rev-parse", "HEAD")
    git(bench.root, "remote", "add", "origin", "https://ada:s3cret@example.org/p.git")
    git(bench.root, "remote", "add", "other", "git@example.org:p.git")
    for program in ("git", NO_GIT):
        code = bench.take(program).code
        assert (code.commit, code.branch) == (commit_id, "main")
        assert code.remotes == {"origin": "https://example.org/p.git", "other": "git@example.org:p.git"}
    git(bench.root, "checkout", "-q", "--detach")
    git(bench.root, "pack-refs", "--all")
    for program in ("git", NO_GIT):
        assert (bench.take(program).code.commit, bench.take(program).code.branch) == (commit_id, None)


def test_repositories_inside_are_described_and_their_files_are_in_the_one_tree(bench: Bench) -> None:
    STATES["submodule_dirty_and_advanced"](bench.root)
    project(bench.root / "clone")
    code = bench.take().code
    inner = {one.path: one for one in code.repositories}
    assert set(inner) == {"vendor/lib", "clone"}
    assert inner["vendor/lib"].commit == git(bench.root / "vendor/lib", "rev-parse", "HEAD")
    assert inner["vendor/lib"].dirty is True
    assert inner["clone"].dirty is False
    assert inner["clone"].branch == "main"
    assert code.dirty is True
    assert bench.restored(code.snapshot)["vendor/lib/extra.py"] == ("file", SOURCE.encode(), False)


def test_a_submodule_that_is_not_checked_out_is_named_with_its_commit(bench: Bench) -> None:
    STATES["submodule"](bench.root)
    at = git(bench.root / "vendor/lib", "rev-parse", "HEAD")
    git(bench.root, "submodule", "--quiet", "deinit", "-f", "vendor/lib")
    code = bench.take().code
    assert [(one.path, one.commit) for one in code.repositories] == [("vendor/lib", at)]
    assert code.dirty is False
    assert bench.restored(code.snapshot) == contents(bench.root)


def test_untracked_data_outputs_caches_and_environments_are_no_source(bench: Bench) -> None:
    project(bench.root)
    for name in ("out.csv", "fig.png", "weights.pt", "notes", "venv2/lib/x.py", "__pycache__/a.py", "node_modules/a/b.js"):
        write(bench.root, name, "data\n")
    write(bench.root, "venv2/pyvenv.cfg", "home = /usr\n")
    write(bench.root, "made.py")
    write(bench.root, ".vestige/runs/x.py")
    os.mkfifo(bench.root / "pipe.py")
    bench.outputs = {"made.py"}
    taken = bench.take()
    assert taken.problems == ()
    assert taken.code.dirty is False
    assert taken.code.snapshot == taken.code.base


def test_a_tracked_result_that_a_run_rewrites_stays_as_committed_but_formatted_code_is_taken(bench: Bench) -> None:
    project(bench.root)
    before = bench.take().code
    write(bench.root, "data/tracked.csv", "new results\n")
    bench.outputs = {"data/tracked.csv", "train.py"}
    assert bench.take().code == before
    write(bench.root, "train.py", "formatted = True\n")
    assert bench.restored(bench.take().code.snapshot)["train.py"][1] == b"formatted = True\n"


@pytest.mark.parametrize("program", ["git", NO_GIT])
def test_secrets_are_named_and_never_read(bench: Bench, program: str) -> None:
    write(repository(bench.root), ".env", "KEY=hunter2-committed\n")
    write(bench.root, "a.py")
    write(bench.root, "certs/server.pem", "hunter2\n")
    commit(bench.root)
    write(bench.root, ".env.local", "hunter2\n")
    write(bench.root, "id_ed25519", "#!hunter2\n")
    write(bench.root, "certs/server.pem", "hunter2 changed\n")
    write(bench.root, ".env.example", "KEY=\n")
    taken = bench.take(program)
    assert taken.code.withheld == (".env", ".env.local", "certs/server.pem", "id_ed25519")
    assert set(bench.restored(taken.code.snapshot)) == {"a.py"}
    database = bench.store.database()
    for tree in bench.store.trees():
        for entry in bench.store.list_tree(tree):
            assert b"hunter2" not in database.read(entry.blob)[1]


@pytest.mark.parametrize("program", ["git", NO_GIT])
def test_files_beyond_the_limits_are_listed_with_their_size(bench: Bench, program: str) -> None:
    bench.rules = Rules(file=1000)
    project(bench.root)
    write(bench.root, "tracked.py", "#" * 2000)
    commit(bench.root)
    write(bench.root, "large.py", "#" * 1001)
    write(bench.root, "fits.py", "#" * 1000)
    taken = bench.take(program)
    assert sorted(taken.left_out) == [("large.py", 1001), ("tracked.py", 2000)]
    assert sum("large.py" in line and "1001" in line for line in taken.problems) == 1
    restored = bench.restored(taken.code.snapshot)
    assert "fits.py" in restored
    assert not {"large.py", "tracked.py"} & set(restored)


@pytest.mark.parametrize("program", ["git", NO_GIT])
def test_data_goes_before_code_when_all_is_too_much(bench: Bench, program: str) -> None:
    bench.rules = Rules(whole=5000)
    project(bench.root)
    write(bench.root, "data/large.csv", "1" * 4000)
    write(bench.root, "data/small.csv", "1" * 1000)
    commit(bench.root)
    write(bench.root, "code.py", "#" * 3000)
    taken = bench.take(program)
    assert taken.left_out == (("data/large.csv", 4000),)
    assert {"code.py", "data/small.csv", "train.py"} <= set(bench.restored(taken.code.snapshot))
    assert bench.snapshots(program).take().left_out == taken.left_out


def test_a_file_that_cannot_be_read_is_listed(bench: Bench) -> None:
    project(bench.root)
    write(bench.root, "closed.py").chmod(0)
    write(bench.root, "train.py", "changed and closed\n").chmod(0)
    with respected():
        for program in ("git", NO_GIT):
            taken = bench.take(program)
            assert {
                name for name in ("closed.py", "train.py") for line in taken.problems if f"'{name}' cannot be read" in line
            } == {
                "closed.py",
                "train.py",
            }
            assert taken.code.dirty in {True, None if program == NO_GIT else True}
            assert not {"closed.py", "train.py"} & set(bench.restored(taken.code.snapshot))


@pytest.mark.parametrize("program", ["git", NO_GIT])
@pytest.mark.parametrize("is_repository", [False, True])
def test_a_folder_that_cannot_be_read_is_listed(bench: Bench, program: str, *, is_repository: bool) -> None:
    if is_repository:
        project(bench.root)
    write(bench.root, "a.py")
    write(bench.root, "closed/b.py")
    (bench.root / "closed").chmod(0)
    with respected():
        taken = bench.take(program)
    (bench.root / "closed").chmod(0o755)
    assert any("closed/" in line for line in taken.problems)
    assert "a.py" in bench.restored(taken.code.snapshot)


@pytest.mark.parametrize("program", ["git", NO_GIT])
def test_a_folder_without_a_repository(bench: Bench, program: str) -> None:
    write(bench.root, "train.py")
    write(bench.root, "sub/tool", "#!/bin/sh\n").chmod(0o755)
    write(bench.root, "data.csv", "1\n")
    write(bench.root, "skip/me.py")
    write(bench.root, ".gitignore", "skip/\n")
    project(bench.root / "clone")
    code = bench.take(program).code
    assert (code.commit, code.branch, code.dirty, code.base) == (None, None, None, None)
    assert [one.path for one in code.repositories] == ["clone"]
    inner = {f"clone/{name}" for name in contents(bench.root / "clone")}
    assert set(bench.restored(code.snapshot)) == {"train.py", "sub/tool", ".gitignore", *inner}


@pytest.mark.parametrize("program", ["git", NO_GIT])
def test_a_project_may_be_a_folder_of_a_repository(bench: Bench, program: str) -> None:
    outer = project(bench.root.parent / "outer")
    write(outer, "inner/a.py")
    write(outer, "inner/pkg/b.py")
    commit_id = commit(outer)
    write(outer, "train.py", "changed outside\n")
    bench.root = outer / "inner"
    code = bench.take(program).code
    assert (code.commit, code.dirty) == (commit_id, False)
    write(bench.root, "pkg/b.py", "changed\n")
    code = bench.take(program).code
    assert code.dirty is True
    assert bench.restored(code.snapshot) == contents(bench.root)


@pytest.mark.parametrize("program", ["git", NO_GIT])
def test_a_folder_that_the_repository_around_it_ignores_is_a_folder_without_one(bench: Bench, program: str) -> None:
    outer = project(bench.root.parent / "outer")
    write(outer, "ignored/experiment.py")
    bench.root = outer / "ignored"
    code = bench.take(program).code
    assert (code.commit, code.remotes, code.dirty) == (None, {}, None)
    assert set(bench.restored(code.snapshot)) == {"experiment.py"}


def test_a_home_folder_gives_only_what_is_observed(bench: Bench) -> None:
    write(bench.root, "private.py")
    script = write(bench.root, "job.py")
    snapshots = bench.snapshots(observed_only=True)
    taken = snapshots.take()
    assert taken.code.snapshot is None
    added = snapshots.complete(snapshots.add(taken, {"job.py": str(script)}))
    assert set(bench.restored(added.code.snapshot)) == {"job.py"}


def test_code_that_was_used_is_added(bench: Bench) -> None:
    project(bench.root)
    helper = write(bench.root, "ignored/helper.py", "used = True\n")
    helper.chmod(0o755)
    snapshots = bench.snapshots()
    taken = snapshots.take()
    added = snapshots.complete(
        snapshots.add(
            taken, {"ignored/helper.py": str(helper), "vendored/one.py": b"as it was\n", "../escape.py": b"", ".env": b"k"}
        )
    )
    restored = bench.restored(added.code.snapshot)
    assert restored["ignored/helper.py"] == ("file", b"used = True\n", True)
    assert restored["vendored/one.py"] == ("file", b"as it was\n", False)
    assert "train.py" in restored
    assert added.code.withheld == (".env",)
    assert added.code.base == taken.code.base
    assert any("../escape.py" in line for line in added.problems)
    assert snapshots.add(added, {"ignored/helper.py": str(helper)}) is added
    assert not snapshots.changed(added, set())


def test_code_that_changes_during_a_run_is_noticed_but_not_the_runs_own_outputs(bench: Bench) -> None:
    project(bench.root)
    snapshots = bench.snapshots()
    taken = snapshots.complete(snapshots.take())
    write(bench.root, "generated.py")
    write(bench.root, "gen/two.py")
    write(bench.root, "data/tracked.csv", "rewritten\n")
    assert not snapshots.changed(taken, {"generated.py", "gen", "data/tracked.csv"})
    assert snapshots.changes(taken, {"generated.py"}) == ("data/tracked.csv", "gen/two.py")
    write(bench.root, "train.py", "edited while it ran\n")
    assert snapshots.changes(taken, {"generated.py", "gen", "data/tracked.csv"}) == ("train.py",)
    write(bench.root, "train.py")
    os.utime(bench.root / "train.py")
    assert not snapshots.changed(taken, {"generated.py", "gen", "data/tracked.csv"})


def test_a_commit_during_a_run_is_no_change_of_code(bench: Bench) -> None:
    write(project(bench.root), "train.py", "work\n")
    write(bench.root, "new.py")
    snapshots = bench.snapshots()
    taken = snapshots.take()
    commit(bench.root)
    assert not snapshots.changed(taken, set())
    (bench.root / "new.py").unlink()
    assert snapshots.changes(taken, set()) == ("new.py",)


@pytest.mark.parametrize("program", ["git", NO_GIT])
def test_a_change_of_same_size_right_after_a_snapshot_is_seen(bench: Bench, program: str) -> None:
    write(project(bench.root), "train.py", "a\n")
    for letter in "bcdefgh":
        snapshots = bench.snapshots(program)
        first = snapshots.take()
        write(bench.root, "train.py", f"{letter}\n")
        assert snapshots.changed(first, set())
        assert bench.restored(bench.take(program).code.snapshot)["train.py"][1] == f"{letter}\n".encode()


def counting_git(folder: Path, body: str = "") -> tuple[str, Path]:
    """A git that notes how it was called."""
    log = folder / "calls"
    program = write(folder, "counting-git", f'#!/bin/sh\necho "$*" >> {log}\n{body}\nexec git "$@"\n')
    program.chmod(0o755)
    return str(program), log


def settle(folder: Path) -> None:
    time.sleep(0.06)
    git(folder, "status")


def test_an_unchanged_state_costs_one_process_and_so_does_a_new_one(bench: Bench, tmp_path: Path) -> None:
    write(project(bench.root), "train.py", "changed\n")
    write(bench.root, "new.py")
    settle(bench.root)
    bench.take()
    program, log = counting_git(tmp_path)
    taken = bench.take(program)
    assert len(log.read_text().splitlines()) == 1
    write(bench.root, "src/model.py", "changed\n")
    assert bench.take(program).state != taken.state
    assert len(log.read_text().splitlines()) == 2


def test_the_unchanged_path_loads_nothing_heavy(bench: Bench) -> None:
    write(project(bench.root), "train.py", "changed\n")
    settle(bench.root)
    bench.take()
    program = (
        "import sys, vestige.model.code\n"
        "before = set(sys.modules)\n"
        "from vestige.capture.snapshot import Snapshots\n"
        "from vestige.store.code import CodeStore\n"
        f"taken = Snapshots({str(bench.root)!r}, CodeStore({bench.store.path!r}), {bench.cache!r}).take()\n"
        "assert taken.code.dirty, taken.problems\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=_with_source())
    loaded = set(done.stdout.split())
    assert not {name for name in loaded if not name.startswith("vestige")} - {"select", "_sha1", "errno"}
    assert not loaded & {"vestige.capture.pinning", "vestige.capture.index", "vestige.store.gitobjects"}


def _with_source() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.path.join(os.path.dirname(__file__), "..", "..", "src")}


def test_inherited_git_variables_change_nothing(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = project(tmp_path / "elsewhere")
    write(project(bench.root), "train.py", "changed\n")
    expected = bench.take().code
    for name, value in {
        "GIT_DIR": str(other / ".git"),
        "GIT_INDEX_FILE": str(other / ".git/index"),
        "GIT_WORK_TREE": str(other),
        "GIT_OBJECT_DIRECTORY": "/nowhere",
        "GIT_EXTERNAL_DIFF": "false",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "status.showUntrackedFiles",
        "GIT_CONFIG_VALUE_0": "no",
    }.items():
        monkeypatch.setenv(name, value)
    write(bench.root, "new.py")
    code = bench.take().code
    assert code.commit == expected.commit
    assert "new.py" in bench.restored(code.snapshot)
    assert b"train.py" in bench.store.diff(code.base, code.snapshot)


def test_a_repository_of_somebody_else_is_read_all_the_same(bench: Bench, tmp_path: Path) -> None:
    write(project(bench.root), "train.py", "changed\n")
    program, _ = counting_git(tmp_path, "export GIT_TEST_ASSUME_DIFFERENT_OWNER=1")
    refused = subprocess.run([program, "-C", str(bench.root), "status"], capture_output=True, text=True, check=False)
    assert "dubious ownership" in refused.stderr
    taken = bench.take(program)
    assert taken.problems == ()
    assert bench.restored(taken.code.snapshot) == contents(bench.root)


@pytest.mark.parametrize("body", ["echo broken >&2; exit 3", "sleep 5", "kill -9 $$"])
def test_a_git_that_fails_is_one_problem_and_the_snapshot_is_whole(bench: Bench, tmp_path: Path, body: str) -> None:
    write(project(bench.root), "train.py", "changed\n")
    program, _ = counting_git(tmp_path, body)
    snapshots = bench.snapshots(program, seconds=0.5)
    started = time.monotonic()
    taken = snapshots.complete(snapshots.take()) if "sleep" not in body else snapshots.take()
    assert time.monotonic() - started < 4
    assert len(taken.problems) == 1
    assert "git" in taken.problems[0]
    if "sleep" not in body:
        assert bench.restored(taken.code.snapshot) == contents(bench.root)
        assert taken.code.dirty is True


def test_a_damaged_index_is_no_end(bench: Bench) -> None:
    write(project(bench.root), "train.py", "changed\n")
    index = bench.root / ".git/index"
    index.write_bytes(b"DIRT" + index.read_bytes()[4:])
    taken = bench.take()
    assert taken.problems
    restored = bench.restored(taken.code.snapshot)
    assert restored["train.py"][1] == b"changed\n"
    assert "src/model.py" in restored


def test_a_commit_whose_objects_are_gone_is_no_end(bench: Bench) -> None:
    write(project(bench.root), "train.py", "changed\n")
    tree = git(bench.root, "rev-parse", "HEAD^{tree}")
    (bench.root / ".git/objects" / tree[:2] / tree[2:]).unlink()
    taken = bench.take()
    assert taken.problems
    assert bench.restored(taken.code.snapshot)["src/model.py"][1] == b"class Net: ...\n"


@pytest.mark.parametrize("damage", [b"", b"vestige code 1", b"\0" * 50, b"{}", None])
def test_a_damaged_cache_is_as_good_as_none(bench: Bench, damage: bytes | None) -> None:
    write(project(bench.root), "train.py", "changed\n")
    time.sleep(0.06)
    expected = bench.take().code
    (cache,) = Path(bench.cache).iterdir()
    cache.write_bytes(cache.read_bytes()[:-7] if damage is None else damage)
    assert bench.take().code == expected


def test_a_store_that_was_emptied_is_filled_again_whatever_the_cache_says(bench: Bench) -> None:
    write(project(bench.root), "train.py", "changed\n")
    write(bench.root, "new.py")
    settle(bench.root)
    code = bench.take().code
    shutil.rmtree(bench.store.path)
    assert bench.take().code == code
    assert bench.restored(code.snapshot) == contents(bench.root)
    bench.store.drop([], spare_seconds=-5)
    assert bench.take().code == code
    assert bench.restored(code.snapshot) == contents(bench.root)


def test_a_store_that_cannot_be_written_costs_the_snapshot_alone(bench: Bench) -> None:
    commit_id = git(project(bench.root), "rev-parse", "HEAD")
    write(bench.root, "train.py", "changed\n")
    os.chmod(os.path.dirname(bench.store.path), 0o555)
    try:
        with respected():
            taken = bench.take()
    finally:
        os.chmod(os.path.dirname(bench.store.path), 0o755)
    assert (taken.code.commit, taken.code.dirty, taken.code.snapshot) == (commit_id, True, None)
    assert len(taken.problems) == 1


def test_what_another_process_took_can_be_completed_later(bench: Bench) -> None:
    STATES["submodule_dirty_and_advanced"](bench.root)
    expected = contents(bench.root)
    code = bench.snapshots().take().code
    later = bench.snapshots()
    assert not bench.store.kept(code.snapshot or "")
    done = later.complete(later.resume(code))
    assert done.problems == ()
    shutil.rmtree(bench.root)
    assert bench.restored(code.snapshot) == expected


def test_two_states_share_what_they_have_in_common(bench: Bench) -> None:
    project(bench.root)
    for number in range(200):
        write(bench.root, f"many/f{number}.py", f"n = {number}\n" * 50)
    commit(bench.root)
    bench.take()
    before = bench.store.size()
    write(bench.root, "train.py", "changed\n")
    bench.take()
    commit(bench.root)
    bench.take()
    assert bench.store.size() - before < 4096


def test_snapshots_taken_at_once_do_not_disturb_each_other(bench: Bench) -> None:
    write(project(bench.root), "train.py", "changed\n")
    for number in range(60):
        write(bench.root, f"n{number}.py", f"{number}\n")
    program = (
        "from vestige.capture.snapshot import Snapshots\n"
        "from vestige.store.code import CodeStore\n"
        f"s = Snapshots({str(bench.root)!r}, CodeStore({bench.store.path!r}), {bench.cache!r})\n"
        "taken = s.complete(s.take())\n"
        "print(taken.code.snapshot, *taken.problems)\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=_with_source(), text=True) for _ in range(6)
    ]
    said = {one.communicate()[0].strip() for one in running}
    assert len(said) == 1
    assert bench.restored(said.pop()) == contents(bench.root)


def test_a_linked_work_tree_and_its_main_one_have_their_own_snapshots(bench: Bench) -> None:
    STATES["linked_work_tree"](bench.root)
    side = bench.take().code
    main = Bench.__new__(Bench)
    main.__dict__.update(bench.__dict__, root=bench.root.parent / "main-tree")
    code = main.take().code
    assert (code.branch, side.branch) == ("main", "side")
    assert code.dirty is False
    assert bench.take().code == side


def test_names_deeper_than_python_recurses(bench: Bench) -> None:
    project(bench.root)
    deep = "d/" * 600 + "x.py"  # git itself holds a descriptor for each folder on the way
    here = os.open(bench.root, os.O_RDONLY)
    for name in deep.split("/")[:-1]:
        os.mkdir(name, dir_fd=here)
        above, here = here, os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(above)
    os.close(os.open("x.py", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(500)
    try:
        for program in ("git", NO_GIT):
            taken = bench.take(program)
            assert taken.code.snapshot
            assert any(entry.path == deep for entry in bench.store.list_tree(taken.code.snapshot))
    finally:
        sys.setrecursionlimit(limit)


def test_a_file_of_lfs_that_was_only_touched_is_not_dirty(bench: Bench) -> None:
    content = bytes(range(200))
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(content).hexdigest()}\nsize 200\n"
    project(bench.root)
    write(bench.root, ".gitattributes", "*.dat filter=lfs diff=lfs merge=lfs -text\n")
    write(bench.root, "weights.dat", pointer)
    commit(bench.root)
    write(bench.root, "weights.dat", content)
    program, _ = counting_git(bench.root.parent)
    git(bench.root, "config", "filter.lfs.clean", f"{program} --version")
    taken = bench.take()
    assert taken.code.dirty is False
    assert taken.uncommitted == ()
    assert bench.restored(taken.code.snapshot)["weights.dat"][1] == content
    assert bench.snapshots().take().code == taken.code
    write(bench.root, "weights.dat", content[1:])
    taken = bench.take()
    assert taken.code.dirty is True
    assert taken.uncommitted == ("weights.dat",)


def test_the_paths_that_are_not_committed_are_named(bench: Bench) -> None:
    project(bench.root)
    assert bench.take().uncommitted == ()
    write(bench.root, "train.py", "changed\n")
    write(bench.root, "new.py")
    write(bench.root, "figure.png", "x")
    write(bench.root, "data/tracked.csv", "rewritten\n")
    (bench.root / "run.sh").unlink()
    project(bench.root / "clone")
    write(bench.root, "clone/train.py", "changed\n")
    bench.outputs = {"data/tracked.csv"}
    for _ in range(2):
        assert bench.take().uncommitted == ("clone/train.py", "new.py", "run.sh", "train.py")


@pytest.mark.parametrize(
    "name", ["a:b", 'quo"te', "line\nbreak", "blank  s", "-dash", "=equals", os.fsdecode(b"\xff\xfe"), "*[x]?"]
)
def test_a_project_may_lie_at_any_path(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    bench = Bench(tmp_path / name)
    write(project(bench.root), "src/model.py", "changed\n")
    project(bench.root / name)
    taken = bench.take()
    assert taken.problems == ()
    expected = contents(bench.root)
    shutil.rmtree(bench.root)
    assert bench.restored(taken.code.snapshot) == expected
    assert taken.code.base is not None
    assert taken.code.dirty is True


def test_a_name_that_is_a_pattern_means_itself(bench: Bench) -> None:
    outer = project(bench.root.parent / "outer")
    write(outer, "*/a.py")
    write(outer, "other/b.py")
    commit(outer)
    write(outer, "other/b.py", "changed\n")
    bench.root = outer / "*"
    code = bench.take().code
    assert code.dirty is False
    assert set(bench.restored(code.snapshot)) == {"a.py"}
