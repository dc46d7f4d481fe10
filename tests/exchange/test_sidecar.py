"""Sidecars: a file that carries its lineage with it, and is believed only for the content that it was written for."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import vestige
from tests.ops.lab import Lab
from vestige.errors import NotFoundError, StoreError
from vestige.record.sidecar import path_for
from vestige.report.trace import lines

FIRST = "open('mid.csv', 'w').write(open('in.csv').read().upper())\n"
SECOND = "open('out.csv', 'w').write(open('mid.csv').read() * 2)\n"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path / "p")
    lab.write("first.py", FIRST)
    lab.write("second.py", SECOND)
    lab.write("in.csv", "some data that is long enough\n")
    lab.commit()
    return lab


def made(lab: Lab) -> Path:
    """A file of two steps, with a sidecar that was asked for."""
    lab.sh("run python3 first.py")
    lab.sh("run python3 second.py")
    return Path(vestige.open(project=lab.root).sidecar(lab.root / "out.csv"))


def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *files: Path) -> Path:
    """A folder of another user, on a machine that knows nothing of the project."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "nothing"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "nothing"))
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for file in files:
        shutil.copy(file, folder)
    return folder


def document(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_a_sidecar_holds_all_that_is_upstream_in_the_order_of_the_steps(lab: Lab) -> None:
    lab.sh("run python3 first.py")
    lab.sh("run sh -c 'echo unrelated > other.csv'")
    sidecar = made(lab)
    assert sidecar == lab.root / ".out.csv.vestige"
    found = document(sidecar)
    assert found["sidecar_for"] == "out.csv"
    assert [record["script"]["path"] for record in found["records"]] == ["first.py", "second.py"]
    assert found["records"][-1]["id"] == found["run"]
    assert found["size"] == (lab.root / "out.csv").stat().st_size


@pytest.mark.parametrize("project", [False, True])
def test_a_file_that_came_with_its_sidecar_is_traced_where_nothing_is_known(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: bool
) -> None:
    folder = elsewhere(tmp_path, monkeypatch, made(lab), lab.root / "out.csv")
    if project:
        (folder / "vestige.toml").touch()
    trace = vestige.open(folder).trace(folder / "out.csv")
    assert trace.sidecar == str(folder / ".out.csv.vestige")
    commit = (lab.last().code.commit or "")[:7]  # type: ignore[union-attr]
    root = lab.root
    shown = list(lines(trace))
    assert shown == [
        f"{root}/in.csv -> first.py @ {commit} -> {root}/mid.csv",
        f"{root}/mid.csv -> second.py @ {commit} -> {root}/out.csv",
    ]


def test_a_trace_says_that_it_comes_from_a_sidecar(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = elsewhere(tmp_path, monkeypatch, made(lab), lab.root / "out.csv")
    other = Lab(folder, git=False)
    done = other.vestige("trace", "out.csv")
    assert done.stdout.count("\n") == 2
    assert done.stderr == f"vestige: from its sidecar, {folder}/.out.csv.vestige\n"
    assert json.loads(other.vestige("trace", "--json", "out.csv").stdout)["sidecar"] == f"{folder}/.out.csv.vestige"
    assert "sidecar" not in lab.vestige("trace", "out.csv").stderr


def test_a_tiny_file_is_traced_by_its_sidecar_and_by_nothing_else(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.sh("run sh -c 'printf 1 > tiny'")
    sidecar = Path(vestige.open(project=lab.root).sidecar(lab.root / "tiny"))
    folder = elsewhere(tmp_path, monkeypatch, sidecar, lab.root / "tiny")
    assert len(vestige.open(folder).trace(folder / "tiny").lineage.steps) == 1
    (folder / ".tiny.vestige").unlink()
    with pytest.raises(NotFoundError):
        vestige.open(folder).trace(folder / "tiny")


def test_a_sidecar_is_not_believed_of_another_content(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = elsewhere(tmp_path, monkeypatch, made(lab), lab.root / "out.csv")
    (folder / "out.csv").write_text("something else that is long enough")
    with pytest.raises(NotFoundError) as caught:
        vestige.open(folder).trace(folder / "out.csv")
    assert caught.value.hint is not None
    assert "tells of another content than out.csv has now" in caught.value.hint


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "{",
        lambda text: "[]",
        lambda text: json.dumps(json.loads(text) | {"records": []}),
        lambda text: json.dumps(json.loads(text) | {"records": [7, {"id": 3}]}),
        lambda text: json.dumps(json.loads(text) | {"run": "x"}),
        lambda text: json.dumps(json.loads(text) | {"run": ["x"], "records": {"a": 1}}),
    ],
    ids=["torn", "a list", "empty", "no records", "another run", "wrong kinds"],
)
def test_a_sidecar_that_is_damaged_is_not_believed_and_breaks_nothing(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any
) -> None:
    folder = elsewhere(tmp_path, monkeypatch, made(lab), lab.root / "out.csv")
    (folder / ".out.csv.vestige").write_text(spoil((folder / ".out.csv.vestige").read_text()))
    with pytest.raises(NotFoundError) as caught:
        vestige.open(folder).trace(folder / "out.csv")
    assert ".out.csv.vestige" in (caught.value.hint or "")


def test_a_record_in_a_sidecar_that_is_damaged_takes_none_of_the_others_with_it(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = elsewhere(tmp_path, monkeypatch, made(lab), lab.root / "out.csv")
    found = document(folder / ".out.csv.vestige")
    found["records"][0] = {"vestige": 99, "id": "x"}
    (folder / ".out.csv.vestige").write_text(json.dumps(found))
    trace = vestige.open(folder).trace(folder / "out.csv")
    assert [step.run.label for step in trace.lineage.steps] == ["second.py"]


def test_a_sidecar_can_be_imported(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = elsewhere(tmp_path, monkeypatch, made(lab), lab.root / "out.csv")
    (folder / "vestige.toml").touch()
    assert len(vestige.open(project=folder).import_records([folder / "out.csv"]).runs) == 2
    (folder / ".out.csv.vestige").unlink()
    assert len(vestige.open(project=folder).trace(folder / "out.csv").lineage.steps) == 2


def test_what_a_raw_input_brought_with_it_goes_on_with_what_is_made_of_it(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = elsewhere(tmp_path, monkeypatch, made(lab), lab.root / "out.csv")
    other = Lab(folder)
    other.write("third.py", "open('end.csv', 'w').write(open('out.csv').read() * 2)\n")
    other.sh("run python3 third.py")
    sidecar = Path(vestige.open(project=folder).sidecar(folder / "end.csv"))
    assert [one["script"]["path"] for one in document(sidecar)["records"]] == ["first.py", "second.py", "third.py"]
    (tmp_path / "third").mkdir()
    for name in ("end.csv", ".end.csv.vestige"):
        shutil.copy(folder / name, tmp_path / "third")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "nothing more"))
    trace = vestige.open(tmp_path / "third").trace(tmp_path / "third" / "end.csv")
    assert [step.run.label for step in trace.lineage.steps] == ["first.py", "second.py", "third.py"]


def test_each_output_gets_one_where_that_is_configured(lab: Lab) -> None:
    lab.write("vestige.toml", "sidecars = true\n")
    lab.sh("run python3 first.py")
    lab.sh("run sh -c 'python3 second.py; mkdir sub; cp out.csv sub; touch gone; rm gone'")
    assert len(document(lab.root / ".mid.csv.vestige")["records"]) == 1
    assert [one["command"][0] for one in document(lab.root / "sub" / ".out.csv.vestige")["records"]] == ["python3", "sh"]
    assert not (lab.root / ".gone.vestige").exists()
    assert not (lab.root / ".in.csv.vestige").exists()


def test_sidecars_make_no_tree_dirty(lab: Lab) -> None:
    lab.write("vestige.toml", "sidecars = true\n")
    lab.write(".gitignore", "*.csv\n")
    lab.commit()
    lab.sh("run python3 first.py")
    assert (lab.root / ".mid.csv.vestige").exists()
    assert lab.vestige("run", "--strict", "python3", "second.py").returncode == 0


def test_a_run_around_another_leaves_the_sidecars_of_that(lab: Lab) -> None:
    lab.write("vestige.toml", "sidecars = true\n")
    lab.sh(f"run sh -c '{sys.executable} -m vestige run python3 first.py'")
    assert document(lab.root / ".mid.csv.vestige")["records"][-1]["command"] == ["python3", "first.py"]


def test_a_folder_in_which_no_sidecar_can_be_written_costs_the_run_nothing(lab: Lab) -> None:
    lab.write("vestige.toml", "sidecars = true\n")
    (lab.root / ".mid.csv.vestige").mkdir()
    run = lab.sh("run python3 first.py")
    assert run.status == "finished"
    with pytest.raises(StoreError, match=r"\.mid\.csv\.vestige cannot be written"):
        vestige.open(project=lab.root).sidecar(lab.root / "mid.csv")


def test_no_sidecar_is_written_of_a_file_that_no_run_made_or_that_was_changed_since(lab: Lab) -> None:
    made(lab)
    project = vestige.open(project=lab.root)
    with pytest.raises(NotFoundError, match="no run is known that made"):
        project.sidecar(lab.root / "in.csv")
    lab.write("mid.csv", "changed since, and long enough")
    with pytest.raises(NotFoundError, match="as it is now"):
        project.sidecar(lab.root / "mid.csv")
    with pytest.raises(NotFoundError, match="is not there"):
        project.sidecar(lab.root / "nothing.csv")


def test_a_copy_outside_of_the_project_gets_one_from_the_catalogue(lab: Lab, tmp_path: Path) -> None:
    made(lab)
    (tmp_path / "copies").mkdir()
    shutil.copy(lab.root / "out.csv", tmp_path / "copies" / "renamed.csv")
    sidecar = Path(vestige.open(tmp_path / "copies").sidecar(tmp_path / "copies" / "renamed.csv"))
    assert len(document(sidecar)["records"]) == 2
    assert document(sidecar)["sidecar_for"] == "renamed.csv"


def test_a_name_that_is_not_utf_8_and_has_two_lines(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.sh('run sh -c \'cat in.csv > "$(printf "a\\377\\nb.csv")"\'')
    name = os.fsdecode(b"a\xff\nb.csv")
    sidecar = Path(vestige.open(project=lab.root).sidecar(lab.root / name))
    folder = elsewhere(tmp_path, monkeypatch, sidecar, lab.root / name)
    trace = vestige.open(folder).trace(folder / name)
    assert trace.lineage.steps[0].outputs[0].path == str(lab.root / name)


@pytest.mark.parametrize(
    ("path", "sidecar"), [("/a/b.csv", "/a/.b.csv.vestige"), ("b", ".b.vestige"), ("a/.hidden", "a/..hidden.vestige")]
)
def test_where_the_sidecar_of_a_file_lies(path: str, sidecar: str) -> None:
    assert path_for(path) == sidecar
