"""Bad input that only root can make: full disks, other mounts, another /proc."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cases.stage import TEXT, digest, used
from tests.cases.test_hostile import FILL, MANY, WAYS, project
from tests.record.running import VESTIGE, last, run, use

pytestmark = pytest.mark.root

__all__ = ["project"]  # the fixture


@pytest.fixture(autouse=True)
def as_root() -> None:
    assert os.geteuid() == 0, "make test-root is for root"


@pytest.mark.parametrize("way", [*WAYS, "audit"])
@pytest.mark.parametrize("ballast", [0, 20_000])
def test_of_a_disk_that_fills_the_record_says_that_something_is_missing(project: Path, way: str, ballast: int) -> None:
    store = project / ".vestige"
    store.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(store)], check=True)
    try:
        (store / "ballast").write_bytes(b"x" * ballast)
        done = run(project, "sh", "-c", FILL, options=["--observe", way])
        assert (done.returncode, done.stdout) == (3, TEXT.encode())
        assert done.stderr.endswith(b"said\n")
        assert len(list(project.glob("g*"))) == MANY
        (store / "ballast").unlink()
        subprocess.run(["mount", "-o", "remount,size=10m", str(store)], check=True)
        for _ in range(2):  # the recorder may be at its end while it is asked first
            subprocess.run([*VESTIGE, "log"], cwd=project, capture_output=True, check=False)
        record = last(project)
    finally:
        subprocess.run(["umount", "-l", str(store)], check=True)
    seen = record["observation"]
    assert (record["status"], record["exit_code"]) == ("failed", 3)
    # There is no room for the page that the library shares with the watcher.
    assert seen["method"] == ("audit" if way == "preload" else way)
    if seen["method"] == "audit":  # it compares folders in the end
        assert len(used(record)[1]) == MANY
        assert "only Python programs were observed" in seen["gaps"][0]
    else:
        assert seen["lost"] > 0
        assert [gap for gap in seen["gaps"] if gap.startswith("there was no room to write down")]


HIDING = {
    "an empty file system over /proc": "mount -t tmpfs none /proc; cat in > out; cat /proc/self/status; true",
    "a /proc of its own": "mount -t proc proc /proc; cat in > out",
    "other processes alone": "exec unshare --pid --fork --mount-proc sh -c 'cat in > out; true'",
    "no /proc at all": "umount -l /proc; cat in > out",
}


@pytest.mark.parametrize("way", ["notify", "notify-python", "ptrace"])
@pytest.mark.parametrize("name", HIDING)
def test_whoever_has_another_proc_is_seen_all_the_same(
    project: Path, name: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    way, _, watcher = way.partition("-")
    if watcher:
        monkeypatch.setenv("VESTIGE_WATCHER", watcher)
    words = ("unshare", "--mount", "sh", "-c", HIDING[name])
    done = run(project, *words, options=["--observe", way])
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
    record = last(project)
    assert record["observation"]["method"] == way
    assert used(record) == ({"in"}, {"out"})
    assert record["observation"]["unreadable"] == 0
    assert use(record, "inputs", "in")["digest"] == use(record, "outputs", "out")["digest"] == digest(TEXT)


def test_what_a_program_mounts_over_its_own_files_is_what_it_reads(project: Path) -> None:
    (project / "other").write_text("other\n")
    (project / "folder").mkdir()
    (project / "folder" / "data").write_text("below\n")
    script = """
        mount --bind other in; cat in > out
        mount -t tmpfs none folder; cat folder/data; echo new > folder/fresh; cat folder/fresh; true
    """
    done = run(project, "unshare", "--mount", "sh", "-c", script)
    assert (done.returncode, done.stdout) == (0, b"new\n"), done.stderr
    record = last(project)
    assert (project / "out").read_text() == "other\n"
    inputs, outputs = used(record)
    assert outputs == {"out"}
    assert "other" in inputs
    assert "folder/data" not in inputs
    assert [gap for gap in record["observation"]["gaps"] if "mount namespace of its own" in gap]
