from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ops.lab import Lab
from tests.ops.study import Study
from vestige.errors import NotFoundError
from vestige.ops.project import Project, open_project, project_of
from vestige.ops.trace import Trace, trace
from vestige.report.trace import lines


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """`data/train.csv` → `models/clf` → `figures/roc.png`, recorded as they are now."""
    made = Study(tmp_path / "p")
    monkeypatch.chdir(made.root)
    made.write("data/train.csv", "some training data\n" * 3)
    made.write("data/test.csv", "some testing data\n" * 3)
    made.write("models/clf", "a classifier " * 3)
    made.record(("python", "train.py"), reads=["data/train.csv"], writes=["models/clf"])
    made.write("figures/roc.png", "a picture " * 3)
    made.record(("python", "plot.py"), reads=["models/clf", "data/test.csv"], writes=["figures/roc.png"])
    return made


def found(project: Project, path: str, *, down: bool = False) -> list[str]:
    return list(lines(trace(project, path, down=down)))


WHOLE = [
    "data/train.csv -> python train.py @ - -> models/clf",
    "data/test.csv, models/clf -> python plot.py @ - -> figures/roc.png",
]


def test_a_file_is_traced_by_its_content_and_path(study: Study) -> None:
    assert found(study.project, "figures/roc.png") == WHOLE
    result = trace(study.project, "figures/roc.png")
    assert {result.states.of(file).state for step in result.lineage.steps for file in step.inputs} == {"fresh"}
    assert not result.spans


def test_a_file_is_traced_from_subfolders_and_from_outside(study: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(study.root / "figures")
    assert found(study.project, "roc.png") == WHOLE
    assert found(study.project, "../figures/roc.png") == WHOLE
    monkeypatch.chdir(tmp_path)
    assert found(project_of("p/figures/roc.png"), "p/figures/roc.png") == WHOLE


def test_a_link_to_a_file_is_traced_as_the_file(study: Study) -> None:
    (study.root / "latest.png").symlink_to("figures/roc.png")
    assert found(study.project, "latest.png") == WHOLE


def test_renamed_and_deleted_intermediates_do_not_break_a_trace(study: Study) -> None:
    (study.root / "models/clf").rename(study.root / "models/renamed")
    expected = [WHOLE[0], WHOLE[1].replace("models/clf", "models/clf [missing]")]
    assert found(study.project, "figures/roc.png") == expected
    assert found(study.project, "models/renamed") == WHOLE[:1]


def test_a_modified_file_is_traced_by_what_was_recorded_last(study: Study) -> None:
    study.write("figures/roc.png", "touched up by hand in an editor\n")
    result = trace(study.project, "figures/roc.png")
    assert result.states.of(result.lineage.target).state == "modified"
    assert len(result.lineage.steps) == 2


def test_a_deleted_file_is_traced_by_what_was_recorded_last(study: Study) -> None:
    (study.root / "figures/roc.png").unlink()
    result = trace(study.project, "figures/roc.png")
    assert result.states.of(result.lineage.target).state == "missing"
    assert found(study.project, "figures/roc.png")[1].endswith("figures/roc.png [missing]")


def test_a_changed_input_makes_stale_however_little_is_asked_for(study: Study) -> None:
    study.write("data/train.csv", "other data\n" * 5)
    assert found(study.project, "figures/roc.png") == [
        WHOLE[0].replace("train.csv", "train.csv [modified]"),
        WHOLE[1].replace("models/clf", "models/clf [stale]") + " [stale]",
    ]
    shallow = trace(study.project, "figures/roc.png", depth=1)
    assert len(shallow.lineage.steps) == 1
    assert shallow.states.of(shallow.lineage.target).state == "stale"


def test_downstream_tells_states_by_all_that_a_file_was_made_from(study: Study) -> None:
    study.write("data/test.csv", "other data\n" * 5)
    assert found(study.project, "data/train.csv", down=True) == [WHOLE[0], WHOLE[1].replace("data/test.csv, ", "")]
    result = trace(study.project, "data/train.csv", down=True)
    assert [result.states.of(file).state for step in result.lineage.steps for file in step.outputs] == ["fresh", "stale"]


def test_a_modified_raw_input_is_traced_downwards_by_its_last_reader(study: Study) -> None:
    study.write("data/train.csv", "other data\n" * 5)
    written = found(study.project, "data/train.csv", down=True)
    assert written[0].startswith("data/train.csv [modified] -> ")
    assert len(written) == 2


@pytest.mark.parametrize(
    ("path", "down", "message", "hint"),
    [
        ("data/train.csv", False, "no run made data/train.csv; 1 run has read it", "vestige trace --down data/train.csv"),
        ("new.csv", False, "no run is known that made new.csv", "vestige adopt new.csv"),
        ("new.csv", True, "no run is known that made or read new.csv", "vestige adopt new.csv"),
        ("gone.csv", False, "gone.csv is not there, and no run is known that made it", "vestige log"),
        ("data", False, "data is a folder, not a file that a run made", "vestige status data"),
        (".", False, ". is a folder", "vestige status ."),
        ("..", False, ".. is a folder", "vestige status .."),
    ],
)
def test_nothing_known_says_what_to_type_next(study: Study, path: str, down: bool, message: str, hint: str) -> None:
    study.write("new.csv", "nobody made this, nobody read it\n")
    with pytest.raises(NotFoundError) as caught:
        trace(study.project, path, down=down)
    assert message in str(caught.value)
    assert hint in (caught.value.hint or "")


def test_a_project_in_which_nothing_was_recorded_knows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vestige.toml").touch()
    (tmp_path / "x").write_text("x")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError):
        trace(open_project(), "x")
    assert sorted(os.listdir(tmp_path)) == ["vestige.toml", "x"]


def test_tiny_copies_get_no_invented_ancestors(study: Study) -> None:
    study.write("a/__init__.py", "")
    study.record(("touch", "a/__init__.py"), writes=["a/__init__.py"])
    study.write("b/__init__.py", "")
    assert len(trace(study.project, "a/__init__.py").lineage.steps) == 1
    with pytest.raises(NotFoundError):
        trace(study.project, "b/__init__.py")


def test_names_that_are_not_utf_8_are_traced(study: Study) -> None:
    name = os.fsdecode(b"caf\xe9 \n.csv")
    study.write(name, "coffee, sugar, milk, and so on\n")
    study.record(("brew",), writes=[name])
    assert found(study.project, name) == ["(no inputs) -> brew @ - -> $'caf\\xe9 \\n.csv'"]


def test_an_older_version_that_was_put_back_is_traced_as_itself_and_stale(study: Study) -> None:
    old = (study.root / "models/clf").read_text()
    study.write("models/clf", "a better classifier " * 3)
    study.record(("python", "better.py"), reads=["data/train.csv"], writes=["models/clf"])
    study.write("models/clf", old)
    result = trace(study.project, "models/clf")
    assert [step.run.label for step in result.lineage.steps] == ["python train.py"]
    assert result.states.of(result.lineage.target).state == "stale"


# --- the catalogue ---------------------------------------------------------------------------------------------------


def catalogued(study: Study) -> None:
    for run in study.runs:
        study.opened.catalogue.append(run, study.place)


def elsewhere(tmp_path: Path) -> Project:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "vestige.toml").touch()
    return open_project(str(folder))


def test_a_copy_outside_of_the_project_is_traced_through_the_catalogue(study: Study, tmp_path: Path) -> None:
    catalogued(study)
    other = elsewhere(tmp_path)
    copy = tmp_path / "elsewhere" / "for-the-paper.png"
    shutil.copy(study.root / "figures/roc.png", copy)
    result = trace(other, str(copy))
    assert result.spans
    absolute = [re.sub("(data|models|figures)/", rf"{study.root}/\1/", line) for line in WHOLE]
    assert list(lines(result)) == absolute
    assert result.states.of(result.lineage.target).state == "fresh"


def test_a_project_that_is_gone_still_answers(study: Study, tmp_path: Path) -> None:
    catalogued(study)
    other = elsewhere(tmp_path)
    copy = tmp_path / "elsewhere" / "copy.png"
    shutil.copy(study.root / "figures/roc.png", copy)
    shutil.rmtree(study.root)
    os.chdir(tmp_path)
    result = trace(other, str(copy))
    assert [step.run.label for step in result.lineage.steps] == ["python train.py", "python plot.py"]
    assert result.states.of(result.lineage.target).state == "possibly stale"


def test_a_project_whose_store_was_cleaned_away_still_answers(study: Study) -> None:
    catalogued(study)
    shutil.rmtree(study.root / ".vestige")
    assert found(study.project, "figures/roc.png") == WHOLE
    (study.root / "figures/roc.png").unlink()
    assert found(study.project, "figures/roc.png") == [WHOLE[0], WHOLE[1] + " [missing]"]


def test_a_project_that_was_moved_answers_from_its_own_store(study: Study, tmp_path: Path) -> None:
    catalogued(study)
    study.root.rename(tmp_path / "moved")
    os.chdir(tmp_path / "moved")
    assert found(open_project(), "figures/roc.png") == WHOLE


def test_without_a_catalogue_other_projects_are_not_asked(study: Study, tmp_path: Path) -> None:
    catalogued(study)
    other = elsewhere(tmp_path)
    (tmp_path / "elsewhere" / "vestige.toml").write_text("catalogue = false\n")
    copy = tmp_path / "elsewhere" / "copy.png"
    shutil.copy(study.root / "figures/roc.png", copy)
    with pytest.raises(NotFoundError):
        trace(other, str(copy))


# --- with real programs ----------------------------------------------------------------------------------------------


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_files_of_a_run_that_is_still_running_are_traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(tmp_path / "p", git=False)
    monkeypatch.chdir(lab.root)
    lab.write("raw.txt", "raw data of some length\n")
    script = "cat raw.txt raw.txt > checkpoint; while [ ! -e stop ]; do sleep 0.05; done; date > end"
    running = subprocess.Popen(
        [sys.executable, "-m", "vestige", "run", "sh", "-c", script], cwd=lab.root, stdin=subprocess.DEVNULL
    )
    try:
        until((lab.root / "checkpoint").exists)

        def traced() -> Trace | None:
            try:
                return trace(lab.project, "checkpoint")
            except NotFoundError:
                return None

        until(lambda: traced() is not None)
        result = traced()
        assert result is not None
        assert [step.run.status for step in result.lineage.steps] == ["running"]
        assert "raw.txt" in [file.path for file in result.lineage.steps[0].inputs]
    finally:
        lab.write("stop", "")
        assert running.wait(30) == 0
    until(lambda: trace(lab.project, "checkpoint").lineage.steps[0].run.status == "finished")


def test_a_chain_of_real_programs_is_traced_through_a_move_and_a_program_that_was_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab(tmp_path / "p")
    monkeypatch.chdir(lab.root)
    lab.write("double.c", "#include <stdio.h>\nint main(void) { for (int c; (c = getchar()) != EOF; putchar(c)) putchar(c); }\n")
    lab.write("raw.txt", "raw data of some length\n")
    lab.commit()
    lab.sh("run gcc -o double double.c")
    lab.sh("run ./double < raw.txt > doubled.txt")
    (lab.root / "doubled.txt").rename(lab.root / "moved.txt")
    lab.sh("run sort -o sorted.txt moved.txt")
    written = found(lab.project, "sorted.txt")
    assert [line.split(" -> ")[0] for line in written] == ["(no inputs)", "raw.txt, double", "moved.txt"]
    assert written[1].endswith(" -> doubled.txt")
    assert written[2].endswith(" -> sorted.txt")
    down = trace(lab.project, "raw.txt", down=True)
    assert [file.path for step in down.lineage.steps for file in step.outputs] == ["doubled.txt", "sorted.txt"]
