from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.ops.lab import Lab
from tests.ops.study import Study
from vestige.model.run import Reproduction
from vestige.model.staleness import State
from vestige.ops.forget import forget
from vestige.ops.status import Entry, Status, status


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """`data/train.csv` → `models/clf` → `figures/roc.png`, recorded as they are now."""
    made = Study(tmp_path / "p")
    monkeypatch.chdir(made.root)
    made.write("data/train.csv", "some training data\n" * 3)
    made.write("models/clf", "a classifier " * 3)
    made.record(("python", "train.py"), reads=["data/train.csv"], writes=["models/clf"])
    made.write("figures/roc.png", "a picture " * 3)
    made.record(("python", "plot.py"), reads=["models/clf"], writes=["figures/roc.png"])
    return made


def found(study: Study, *paths: str) -> dict[str, State]:
    return {entry.path: entry.state.state for entry in status(study.project, paths).entries}


def entry(result: Status, path: str) -> Entry:
    (one,) = (entry for entry in result.entries if entry.path == path)
    return one


def test_files_as_recorded_are_fresh(study: Study) -> None:
    assert found(study) == {"models/clf": "fresh", "figures/roc.png": "fresh"}


def test_a_changed_input_is_listed_and_what_was_made_from_it_is_stale(study: Study) -> None:
    study.write("data/train.csv", "other\n")
    result = status(study.project)
    assert [(one.path, one.state.state) for one in result.entries] == [
        ("data/train.csv", "modified"),
        ("figures/roc.png", "stale"),
        ("models/clf", "stale"),
    ]
    assert entry(result, "data/train.csv").input
    assert [cause.path for cause in entry(result, "figures/roc.png").state.causes] == ["data/train.csv"]
    made = entry(result, "figures/roc.png").run
    assert made is not None
    assert made.label == "python plot.py"


def test_a_changed_output_is_modified_and_what_was_made_from_it_is_stale(study: Study) -> None:
    study.write("models/clf", "by hand")
    assert found(study) == {"models/clf": "modified", "figures/roc.png": "stale"}


def test_a_missing_output_is_missing_and_nothing_else(study: Study) -> None:
    (study.root / "models/clf").unlink()
    assert found(study) == {"models/clf": "missing", "figures/roc.png": "fresh"}


def test_a_missing_raw_input_leaves_possibly_stale_files(study: Study) -> None:
    (study.root / "data/train.csv").unlink()
    assert found(study) == {"data/train.csv": "missing", "models/clf": "possibly stale", "figures/roc.png": "possibly stale"}


def test_making_again_makes_fresh_and_what_follows_stale(study: Study) -> None:
    study.write("data/train.csv", "other data\n" * 4)
    study.write("models/clf", "another classifier " * 3)
    again = study.record(("python", "train.py"), reads=["data/train.csv"], writes=["models/clf"])
    result = status(study.project)
    assert {one.path: one.state.state for one in result.entries} == {"models/clf": "fresh", "figures/roc.png": "stale"}
    (cause,) = entry(result, "figures/roc.png").state.causes
    assert (cause.path, cause.wrong, cause.by) == ("models/clf", "replaced", again.id)


def test_paths_choose_files_and_folders(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    study.write("data/train.csv", "other\n")
    assert found(study, "figures") == {"figures/roc.png": "stale"}
    assert found(study, "figures/roc.png", "data") == {"figures/roc.png": "stale", "data/train.csv": "modified"}
    assert len(found(study, ".")) == 3
    assert found(study, "fig") == {}
    monkeypatch.chdir(study.root / "figures")
    assert found(study, "roc.png") == {"figures/roc.png": "stale"}
    assert found(study, ".") == {"figures/roc.png": "stale"}


def test_what_was_removed_on_purpose_is_not_asked_for(study: Study) -> None:
    (study.root / "models/clf").unlink()
    forget(study.project, "models/clf")
    assert found(study) == {"figures/roc.png": "fresh"}


def test_what_a_run_removed_is_not_missing(study: Study) -> None:
    study.write("scratch", "scratch " * 5)
    study.record(("write",), writes=["scratch"])
    removal = study.use("scratch", written=False)
    (study.root / "scratch").unlink()
    assert found(study)["scratch"] == "missing"
    study.record(("rm", "scratch"), change={"inputs": (replace(removal, deleted=True),)})
    assert "scratch" not in found(study)


def test_what_a_reproduction_wrote_is_nobodys_result(study: Study, tmp_path: Path) -> None:
    copy = study.write("work/roc.png", "a picture " * 3)
    study.record(
        ("python", "plot.py"),
        writes=["work/roc.png"],
        change={"kind": "reproduction", "reproduction": Reproduction(of=study.runs[1].id)},
    )
    copy.unlink()
    assert "work/roc.png" not in found(study)


def test_a_directory_that_is_one_thing_is_one_entry(study: Study) -> None:
    members = []
    for number in range(20):
        study.write(f"x.zarr/{number}", f"chunk {number} " * 4)
        members.append(study.use(f"x.zarr/{number}", written=True))
    thing = replace(members[0], path="x.zarr", kind="directory")
    study.record(("zarr",), change={"outputs": (*members, thing)})
    study.write("x.zarr/7", "changed")
    one = entry(status(study.project), "x.zarr")
    assert (one.state.state, one.members) == ("modified", 20)


def test_files_without_a_known_origin_are_found_by_content_and_path(study: Study) -> None:
    study.write("results/copy.png", "a picture " * 3)
    study.write("results/mystery.csv", "where does this come from?\n")
    study.write("results/.git/config", "of no interest to anybody")
    (study.root / "results" / "link").symlink_to("mystery.csv")
    result = status(study.project, unknown=str(study.root / "results"))
    assert result.unknown == ("results/mystery.csv",)
    study.write("models/clf", "changed by hand, yet known")
    assert status(study.project, unknown="models").unknown == ()


def test_a_project_without_records_has_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = Study(tmp_path / "empty")
    monkeypatch.chdir(empty.root)
    assert status(empty.project) == Status((), str(empty.root))


def test_names_that_are_not_utf_8_have_a_state(study: Study) -> None:
    name = os.fsdecode(b"caf\xe9\n.csv")
    study.write(name, "coffee, sugar, milk, and so on\n")
    study.record(("brew",), writes=[name])
    assert found(study)[name] == "fresh"


def test_code_that_has_changed_makes_stale_what_it_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(tmp_path / "p")
    monkeypatch.chdir(lab.root)
    lab.write("lib.py", "WORDS = 'some words to be written'\n")
    lab.write("step.py", "import lib\nopen('out.txt', 'w').write(lib.WORDS)\n")
    lab.write("other.py", "print('not used')\n")
    lab.commit()
    lab.sh("run python3 step.py")
    assert entry(status(lab.project), "out.txt").state.state == "fresh"
    lab.write("other.py", "print('still not used')\n")
    assert entry(status(lab.project), "out.txt").state.state == "fresh"
    lab.write("lib.py", "WORDS = 'other words'\n")
    result = status(lab.project)
    assert [(cause.path, cause.wrong) for cause in entry(result, "out.txt").state.causes] == [("lib.py", "modified")]
    assert [one.path for one in result.entries] == ["out.txt"]
