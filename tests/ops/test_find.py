"""Which run, and which file version, the words of a user mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ops.study import Study
from vestige.errors import AmbiguousError, NotFoundError
from vestige.model.run import short
from vestige.ops import find


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    study = Study(tmp_path / "p")
    monkeypatch.chdir(study.root)
    return study


def test_a_run_is_known_by_its_full_id_and_by_the_beginning_of_its_short_one(study: Study) -> None:
    run = study.record()
    for word in (run.id, short(run.id), short(run.id)[:4]):
        assert find.run_id(study.project, word) == run.id


def test_a_run_is_known_by_its_name(study: Study) -> None:
    run = study.record(change={"name": "train"})
    study.record()
    assert find.run(study.project, "train") == run


def test_two_runs_of_one_name_are_listed_with_their_ids(study: Study) -> None:
    runs = [study.record(change={"name": "train"}) for _ in range(2)]
    with pytest.raises(AmbiguousError) as caught:
        find.run_id(study.project, "train")
    assert all(short(run.id) in str(caught.value) for run in runs)
    assert "\n" not in str(caught.value)


def test_many_candidates_are_cut_short(study: Study) -> None:
    for _ in range(12):
        study.record(change={"name": "train"})
    with pytest.raises(AmbiguousError, match=r"fits 12 runs: .*and 4 more"):
        find.run_id(study.project, "train")


@pytest.mark.parametrize(("word", "back"), [("last", 0), ("last~", 1), ("last~1", 1), ("last~2", 2)])
def test_runs_are_counted_back_from_the_last(study: Study, word: str, back: int) -> None:
    runs = [study.record() for _ in range(3)]
    assert find.run_id(study.project, word) == runs[-1 - back].id


def test_what_happened_inside_another_run_is_not_the_last(study: Study) -> None:
    outer = study.record(("make",))
    study.record(change={"parent": outer.id})
    assert find.run_id(study.project, "last") == outer.id


def test_a_run_whose_parent_is_of_another_store_is_counted(study: Study) -> None:
    run = study.record(change={"parent": "0193aaaa-0000-7000-8000-000000000000"})
    assert find.run_id(study.project, "last") == run.id


def test_counting_back_too_far_says_so(study: Study) -> None:
    study.record()
    with pytest.raises(NotFoundError, match="no 4 runs"):
        find.run_id(study.project, "last~3")


def test_in_an_empty_project_there_is_no_last(study: Study) -> None:
    with pytest.raises(NotFoundError, match="nothing is recorded"):
        find.run_id(study.project, "last")


def test_of_a_file_it_is_the_run_that_made_it_as_it_is_now(study: Study) -> None:
    study.write("out.csv", "the first content of this file")
    first = study.record(writes=["out.csv"])
    study.write("out.csv", "the second content of this file")
    study.record(writes=["out.csv"])
    study.write("out.csv", "the first content of this file")
    assert find.run_id(study.project, "out.csv") == first.id


def test_a_modified_file_leads_to_the_last_run_that_wrote_it(study: Study) -> None:
    study.write("out.csv", "the first content of this file")
    study.record(writes=["out.csv"])
    second = study.record(writes=["out.csv"])
    study.write("out.csv", "edited by hand")
    assert find.run_id(study.project, "out.csv") == second.id


def test_a_deleted_file_leads_to_the_run_that_wrote_it(study: Study) -> None:
    path = study.write("out.csv", "content")
    run = study.record(writes=["out.csv"])
    path.unlink()
    assert find.run_id(study.project, "out.csv") == run.id


def test_a_renamed_file_leads_to_the_run_that_wrote_its_content(study: Study) -> None:
    path = study.write("out.csv", "some content that is long enough")
    run = study.record(writes=["out.csv"])
    path.rename(study.root / "new.csv")
    assert find.run_id(study.project, "new.csv") == run.id


def test_a_name_is_the_run_and_a_path_the_file(study: Study) -> None:
    study.write("train", "a file that is called as the run is")
    maker = study.record(writes=["train"])
    named = study.record(change={"name": "train"})
    assert find.run_id(study.project, "train") == named.id
    assert find.run_id(study.project, "./train") == maker.id


def test_paths_are_from_the_working_directory(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    study.write("sub/out.csv", "content of the file below")
    run = study.record(writes=["sub/out.csv"])
    monkeypatch.chdir(study.root / "sub")
    assert find.run_id(study.project, "out.csv") == run.id
    assert find.run_id(study.project, "../sub/out.csv") == run.id


def test_what_is_unknown_is_named(study: Study) -> None:
    study.record()
    with pytest.raises(NotFoundError, match="no run and no file is known as 'nonsense'"):
        find.run_id(study.project, "nonsense")
    with pytest.raises(NotFoundError, match="no run is known that made"):
        find.run_id(study.project, "./nonsense")


def test_a_file_version_names_file_and_run(study: Study) -> None:
    study.write("out.csv", "first")
    first = study.record(writes=["out.csv"])
    study.write("out.csv", "second")
    second = study.record(writes=["out.csv"])
    project = study.project
    assert find.file_version(project, f"out.csv@{short(first.id)}").digest == first.outputs[0].digest
    assert find.file_version(project, "out.csv@last~1").run == first.id
    assert find.file_version(project, "out.csv").run == second.id


def test_an_input_is_a_file_version_too(study: Study) -> None:
    study.write("in.csv", "raw")
    run = study.record(reads=["in.csv"])
    assert find.file_version(study.project, "in.csv@last").digest == run.inputs[0].digest


def test_a_name_with_an_at_sign_that_exists_is_the_file(study: Study) -> None:
    study.write("a@last", "content")
    run = study.record(writes=["a@last"])
    assert find.file_version(study.project, "a@last").path == "a@last"
    assert find.file_version(study.project, "a@last@last").run == run.id


def test_a_file_that_the_run_did_not_use_is_not_found(study: Study) -> None:
    study.record()
    with pytest.raises(NotFoundError, match=r"neither wrote nor read other\.csv"):
        find.file_version(study.project, "other.csv@last")
