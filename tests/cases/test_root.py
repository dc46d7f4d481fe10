"""What only root can show."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cases.slow import SlowMount
from tests.record.running import last, paths, run

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def as_root() -> None:
    assert os.geteuid() == 0, "make test-root is for root"


def test_a_program_that_changes_its_user_is_observed_to_the_end(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "in").write_text("x")
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    done = run(
        tmp_path, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", "cat /etc/hostname > shared/out"
    )
    assert done.returncode == 0, done.stderr
    assert (shared / "out").stat().st_uid == 65534
    assert paths(last(tmp_path), "outputs") == {"shared/out"}


def test_root_needs_no_no_new_privs_so_that_setuid_programs_keep_working(tmp_path: Path) -> None:
    done = run(tmp_path, "grep", "NoNewPrivs", "/proc/self/status")
    assert done.stdout.split() == [b"NoNewPrivs:", b"0"]


def test_a_full_disk_loses_no_output_of_the_command(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    project = tmp_path / "project"
    store = project / ".vestige"
    store.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(store)], check=True)
    try:
        (store / "ballast").write_bytes(b"x" * 40_000)
        script = "i=0; while [ $i -lt 300 ]; do echo $i > f$i; cat f$i; i=$((i+1)); done; echo done > end"
        done = run(project, "sh", "-c", script)
        assert done.returncode == 0
        assert done.stdout == b"".join(b"%d\n" % i for i in range(300))
        assert (project / "end").read_text() == "done\n"
    finally:
        subprocess.run(["umount", "-l", str(store)], check=True)


def test_a_slow_file_system_holds_up_only_who_uses_it(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("x")
    slow = tmp_path / "slow"
    slow.mkdir()
    mounted = SlowMount(slow, 3)
    script = """
        for i in 1 2; do cat slow/$i 2>/dev/null & done
        sleep 0.3
        date +%s%N > before
        for i in 1 2 3 4 5 6 7 8 9; do cat in; done
        date +%s%N > after
        wait
        date +%s%N > end
    """
    try:
        done = run(tmp_path, "sh", "-c", script)
    finally:
        mounted.close()
    assert done.stdout == b"x" * 9
    before, after, end = (int((tmp_path / name).read_text()) / 1e9 for name in ("before", "after", "end"))
    assert after - before < 1
    assert end - before > 2
    assert "in" in paths(last(tmp_path), "inputs")
