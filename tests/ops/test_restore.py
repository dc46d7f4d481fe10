"""The bytes of a file version, checked before they are given."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.ops.study import Study
from vestige.errors import DamagedError, ExistsError, NotKeptError
from vestige.ops import restore


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    study = Study(tmp_path / "p", git=True)
    monkeypatch.chdir(study.root)
    return study


def test_an_overwritten_output_comes_from_the_store(study: Study) -> None:
    study.write("out.csv", "first")
    study.record(writes=["out.csv"])
    study.write("out.csv", "second")
    study.record(writes=["out.csv"])
    assert restore.content(study.project, "out.csv@last~1") == b"first"
    assert restore.content(study.project, "out.csv") == b"second"


def test_source_comes_from_the_snapshot(study: Study) -> None:
    study.write("step.py", "print(1)\n")
    study.record(reads=["step.py"], code=True, keep=False)
    study.write("step.py", "print(2)\n")
    assert restore.content(study.project, "step.py@last") == b"print(1)\n"


def test_what_was_not_kept_comes_from_a_file_that_still_holds_it(study: Study) -> None:
    path = study.write("big.csv", "some content that is long enough")
    study.record(writes=["big.csv"], keep=False)
    path.rename(study.root / "moved.csv")
    study.record(reads=["moved.csv"], keep=False)
    assert restore.content(study.project, "big.csv@last~1") == b"some content that is long enough"


def test_what_is_nowhere_is_not_invented(study: Study) -> None:
    study.write("big.csv", "first")
    study.record(writes=["big.csv"], keep=False)
    study.write("big.csv", "other")
    with pytest.raises(NotKeptError, match=r"big\.csv as of run .* were not kept"):
        restore.content(study.project, "big.csv@last")


def test_damaged_bytes_are_not_given(study: Study) -> None:
    study.write("out.csv", "first")
    run = study.record(writes=["out.csv"])
    path = study.opened.objects.path(run.outputs[0].digest or "")
    assert path is not None
    Path(path).write_bytes(b"firzt")
    with pytest.raises(DamagedError):
        restore.content(study.project, "out.csv@last")


def test_an_existing_file_is_replaced_only_by_force(study: Study) -> None:
    study.write("out.csv", "first")
    study.record(writes=["out.csv"])
    there = study.write("there.csv", "mine")
    with pytest.raises(ExistsError):
        restore.write(study.project, "out.csv", "there.csv")
    assert there.read_text() == "mine"
    restore.write(study.project, "out.csv", "there.csv", force=True)
    assert there.read_text() == "first"


def test_a_dangling_link_counts_as_existing(study: Study) -> None:
    study.write("out.csv", "first")
    study.record(writes=["out.csv"])
    (study.root / "link").symlink_to("elsewhere")
    with pytest.raises(ExistsError):
        restore.write(study.project, "out.csv", "link")
    assert not (study.root / "elsewhere").exists()


def test_the_umask_is_honoured_and_private_bytes_stay_private(study: Study) -> None:
    study.write("out.csv", "first")
    run = study.record(writes=["out.csv"], keep=False)
    study.opened.objects.put(b"first", private=True)
    old = os.umask(0o027)
    try:
        restore.write(study.project, "out.csv", "private.csv")
        study.opened.objects.remove(run.outputs[0].digest or "")
        study.opened.objects.put(b"first")
        restore.write(study.project, "out.csv", "open.csv")
    finally:
        os.umask(old)
    assert (study.root / "private.csv").stat().st_mode & 0o777 == 0o600
    assert (study.root / "open.csv").stat().st_mode & 0o777 == 0o640
