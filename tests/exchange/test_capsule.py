"""Capsules that Vestige writes: the fields and files that people's scripts read, and that they come back as they were."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import vestige
from tests.exchange.seeds import GOLDEN
from tests.ops.lab import Lab
from tests.record.running import records
from vestige.errors import ExistsError, StoreError

STEP = "import sys\nopen('out.csv', 'w').write(open('in.csv').read().upper())\nprint('höre')\nsys.stderr.write('oops\\n')\n"
CONFIGURATION = """
variables = ["LR"]
[collect]
"lock.txt" = { digest = "sha256", copy = true }
"deep/lock.txt" = { digest = "md5", copy = true }
[items.results.files]
"out.csv" = { digest = "sha256", move = true }
[repositories]
study = "."
[capsule]
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path / "p")
    lab.write("step.py", STEP)
    lab.write("in.csv", "a,b and enough of it\n")
    lab.write("lock.txt", "numpy==1\n")
    lab.write("deep/lock.txt", "pandas==2\n")
    lab.write("vestige.toml", CONFIGURATION)
    lab.commit()
    lab.write("step.py", STEP + "# changed\n")
    return lab


def read(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / name).read_text())
    return found


def exported(lab: Lab, run: str = "last", name: str = "capsule") -> Path:
    return Path(vestige.open(project=lab.root).export(run, "capsule", lab.root / name).path or "")


def test_a_command_has_the_files_and_fields_of_a_capsule(lab: Lab) -> None:
    run = lab.sh("run -i results python3 step.py", environ={"LR": "0.1"})
    folder = exported(lab)
    assert sorted(path.name for path in folder.iterdir()) == [
        "context.json", "lock.txt", "lock_1.txt", "out.csv", "post-run-info.json", "pre-run-info.json", "study.diff",
    ]  # fmt: skip
    golden = next((GOLDEN / "first" / "vault").glob("*_114805"))
    for name in ("context.json", "pre-run-info.json", "post-run-info.json"):
        ours, theirs = read(folder, name), read(golden, name)
        assert [key for key in ours if key != "vestige"] == list(theirs), name
    context = read(folder, "context.json")
    golden_platform = read(golden, "context.json")["platform"]
    assert list(context["platform"]) == list(golden_platform)
    assert list(context["platform"]["python"]) == list(golden_platform["python"])
    assert context["root_directory"] == context["cwd"] == str(lab.root)
    assert context["platform"]["python"]["version"].startswith("3.")
    assert context["platform"]["python"]["implementation"] == "CPython"
    assert context["environment_variables"]["LR"] == "0.1"
    assert run.code is not None
    assert context["git"]["study"]["sha"] == run.code.commit
    assert context["cpu"]["count"] >= 1
    md5 = hashlib.md5(b"pandas==2\n").hexdigest()
    assert context["files"]["deep/lock.txt"] == {"hash_algorithm": "md5", "file_hash": md5}
    assert context["vestige"] == {"id": run.id}


def test_times_are_local_and_the_run_time_is_a_span(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    run = lab.sh("run python3 step.py")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        folder = exported(lab)
    finally:
        monkeypatch.undo()
        time.tzset()
    stamp = read(folder, "pre-run-info.json")["timestamp"]
    assert stamp.endswith("+09:00")
    assert datetime.fromisoformat(stamp) == datetime.fromisoformat(run.started)
    span = read(folder, "post-run-info.json")["run_time"]
    assert float(span.removeprefix("PT").removesuffix("S")) == run.duration


def test_a_command_has_its_words_its_output_and_its_exit_code(lab: Lab) -> None:
    lab.sh("run sh -c 'python3 step.py; exit 3'", status=3)
    folder = exported(lab)
    assert read(folder, "pre-run-info.json")["args"] == ["sh", "-c", "python3 step.py; exit 3"]
    after = read(folder, "post-run-info.json")
    assert (after["stdout"], after["stderr"], after["exit_code"]) == ("höre\n", "oops\n", 3)
    assert list(after["files"]) == ["out.csv"]


def test_the_changes_can_be_applied(lab: Lab, tmp_path: Path) -> None:
    lab.write("new.py", "print(1)")
    lab.sh("run python3 step.py")
    folder = exported(lab)
    subprocess.run(["git", "clone", "-q", lab.root, tmp_path / "clone"], check=True)
    subprocess.run(["git", "apply", folder / "study.diff"], cwd=tmp_path / "clone", check=True)
    assert (tmp_path / "clone" / "step.py").read_text() == STEP + "# changed\n"
    assert (tmp_path / "clone" / "new.py").read_text() == "print(1)"


def test_the_changes_of_a_file_with_a_secret_are_left_out(lab: Lab) -> None:
    lab.write("conn\téct.py", 'password = "' + "hunter2-and-more" + '"\n')
    run = lab.sh("run python3 step.py", environ={"DB_PASSWORD": "hunter2-and-more"})
    assert run.code is not None
    assert run.code.private == ("conn\téct.py",)
    text = (exported(lab) / "study.diff").read_text()
    assert "hunter2" not in text
    assert "# changed" in text
    assert "are left out: they hold a secret" in text


def test_a_capture_is_its_context(lab: Lab) -> None:
    assert lab.vestige("capture").returncode == 0
    assert sorted(path.name for path in exported(lab).iterdir()) == ["context.json", "lock.txt", "lock_1.txt", "study.diff"]


def test_a_function_has_its_arguments_its_result_and_its_exception(lab: Lab) -> None:
    lab.write(
        "fit.py",
        "import vestige\n@vestige.monitor(items=('results',))\ndef fit(n, seed=None):\n    open('out.csv', 'w').write('x' * n)\n"
        "    if seed: raise ValueError('bad seed')\n    return n / 2\n"
        "fit(30)\ntry:\n    fit(3, seed=1)\nexcept ValueError:\n    pass\n",
    )
    subprocess.run([sys.executable, "fit.py"], cwd=lab.root, stdin=subprocess.DEVNULL, check=True)
    good, bad = [record["id"] for record in records(lab.root)]
    folder = exported(lab, good)
    before, after = read(folder, "pre-run-info.json"), read(folder, "post-run-info.json")
    assert (before["function_name"], before["source_line"], before["args"]) == ("fit", 2, [])
    assert before["source_file"] == str(lab.root / "fit.py")
    assert before["kwargs"] == {"n": 30, "seed": None}
    assert (after["return_value"], after["exception_info"]) == (15.0, None)
    assert after["files"]["out.csv"]["hash_algorithm"] == "sha256"
    raised = read(exported(lab, bad, "other"), "post-run-info.json")["exception_info"]
    assert (raised["error_type"], raised["error_message"]) == ("ValueError", "bad seed")


def test_a_capsule_comes_back_as_the_run_that_it_shows(lab: Lab, tmp_path: Path) -> None:
    run = lab.sh("run -i results python3 step.py", environ={"LR": "0.1"})
    folder = exported(lab)
    assert vestige.open(project=lab.root).import_records([folder]).known == (run.id,)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "vestige.toml").touch()
    other = vestige.open(project=tmp_path / "other")
    (again,) = other.import_records([folder]).runs
    assert (again.id, again.command, again.exit_code, again.started) == (run.id, run.command, 0, run.started)
    assert again.duration == run.duration
    assert again.code is not None
    assert run.code is not None
    assert (again.code.commit, again.code.dirty) == (run.code.commit, True)
    assert {use.path.rpartition("/")[2] for use in again.outputs} == {"out.csv"}


def test_every_run_writes_one_where_that_is_configured(lab: Lab) -> None:
    lab.write("vestige.toml", CONFIGURATION + 'write = true\nvault = "runs"\ntemplate = "%Y/x"\ncpu = false\n')
    lab.sh("run python3 step.py")
    lab.sh("run python3 step.py")
    lab.vestige("capture")
    lab.write("fit.py", "import vestige\n@vestige.monitor\ndef fit():\n    return 1\nfit()\n")
    subprocess.run([sys.executable, "fit.py"], cwd=lab.root, stdin=subprocess.DEVNULL, check=True)
    kinds = {record["id"]: record["kind"] for record in records(lab.root)}
    (year,) = [path for path in (lab.root / "runs").iterdir() if path.is_dir()]
    assert sorted(path.name for path in year.iterdir()) == ["x", "x_1", "x_2", "x_3"]
    of_runs = [read(folder, "context.json") for folder in year.iterdir()]
    assert {context["vestige"]["id"] for context in of_runs} == set(kinds)
    assert {context["cpu"] for context in of_runs} == {None}
    assert sorted(kinds.values()) == ["capture", "command", "command", "function"]


def test_a_vault_makes_no_tree_dirty(lab: Lab) -> None:
    lab.write("vestige.toml", CONFIGURATION + "write = true\n")
    lab.commit()
    lab.sh("run --strict true")
    lab.sh("run --strict true")
    assert len(list((lab.root / "vault").glob("2*"))) == 2


def test_a_vault_that_cannot_be_written_costs_the_run_nothing(lab: Lab) -> None:
    lab.write("taken", "a file")
    lab.write("vestige.toml", CONFIGURATION + 'write = true\nvault = "taken/vault"\n')
    run = lab.sh("run python3 step.py")
    assert run.status == "finished"
    assert run.problems == (f"capsule: File exists ({lab.root / 'taken'})",)


def test_an_export_overwrites_nothing(lab: Lab) -> None:
    lab.sh("run python3 step.py")
    lab.write("full/mine.txt", "mine")
    (lab.root / "empty").mkdir()
    with pytest.raises(ExistsError, match="is there, and not empty"):
        exported(lab, name="full")
    assert [path.name for path in (lab.root / "full").iterdir()] == ["mine.txt"]
    assert (exported(lab, name="empty") / "context.json").exists()
    with pytest.raises(StoreError, match="cannot be written: File exists"):
        exported(lab, name="full/mine.txt/below")
    project = vestige.open(project=lab.root)
    assert project.export("last", "info", lab.root / "full").path == str(lab.root / "full")
    with pytest.raises(ExistsError, match=r"info\.txt is there already"):
        project.export("last", "info", lab.root / "full")


def test_an_info_says_of_a_run_what_footsteps_would(lab: Lab, tmp_path: Path) -> None:
    run = lab.sh("run python3 step.py --lr '0.1 x'")
    found = vestige.open(project=lab.root).export("last", "info", lab.root / "info").path
    sections = Path(found or "").joinpath("info.txt").read_text().split("\n")
    assert run.code is not None
    assert sections[:2] == ["Command:", "python3 step.py --lr '0.1 x'"]
    assert sections[sections.index("Git Hash:") + 1] == (run.code.commit or "")[:7]
    assert sections[-3:-1] == ["Current working dir:", str(lab.root)]
    assert "+# changed" in sections
    assert (lab.root / "info" / "package_versions.txt").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "vestige.toml").touch()
    (again,) = vestige.open(project=tmp_path / "other").import_records([lab.root / "info"]).runs
    assert again.command == ("python3", "step.py", "--lr", "0.1 x")


def test_a_run_without_git_and_without_python_is_rendered_too(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "q", git=False)
    lab.sh("run sh -c 'echo a'")
    context = read(exported(lab), "context.json")
    assert (context["git"], context["platform"]["python"]) == ({}, None)
    assert b"Git Hash:\n(no git repository)\n" in (vestige.open(project=lab.root).export("last", "info").data or b"")


def test_names_of_repositories_cannot_lead_out_of_the_folder(lab: Lab, tmp_path: Path) -> None:
    other = Lab(tmp_path / "library")
    other.write("x.py", "1")
    other.commit()
    lab.write("vestige.toml", '[repositories]\n"../../up" = "../library"\n"' + "n" * 300 + '" = "."\n')
    lab.sh("run true")
    names = {path.name for path in exported(lab).iterdir()}
    assert ".._.._up.diff" in names
    assert not (tmp_path / "up.diff").exists()
