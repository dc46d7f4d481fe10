"""What the configuration has done for a run beside its record: commands before, files collected, further repositories."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import vestige
from tests.ops.lab import Lab
from tests.record.running import records
from vestige.config import Config
from vestige.errors import UsageError
from vestige.model.run import Collected
from vestige.ops import restore
from vestige.ops.check import check
from vestige.ops.gc import collect
from vestige.record.collecting import Collection, matching
from vestige.store import project

STEP = "open('out.csv', 'w').write(open('in.csv').read().upper())\n"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path / "p")
    lab.write("step.py", STEP)
    lab.write("in.csv", "a,b\n1,2\n")
    lab.commit()
    return lab


def configure(lab: Lab, text: str) -> None:
    lab.write("vestige.toml", text)


def found(run_files: tuple[Collected, ...], path: str) -> Collected:
    (one,) = [one for one in run_files if one.path == path]
    return one


def hashed(data: str, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data.encode()).hexdigest()}"


# --- commands before -------------------------------------------------------------------------------------------------


def test_commands_run_in_order_in_the_root_before_the_code_is_captured(lab: Lab) -> None:
    lab.write("below/.keep", "")
    configure(lab, 'pre_capture = ["echo \'x = 1\' > made.py", "cat made.py > copy.py; echo said"]\n')
    run = lab.sh("run sh -c 'test -f copy.py'", cwd="below", status=1)
    assert lab.read("copy.py") == "x = 1\n"
    run = lab.sh("run sh -c 'test -f copy.py && echo mine'")
    assert run.code is not None
    assert {"made.py", "copy.py"} <= {one.path for one in lab.project.code.list_tree(run.code.snapshot or "")}
    assert lab.project.objects.read(run.streams["stdout"].digest or "") == b"mine\n"
    assert run.problems == ()


def test_a_command_that_fails_keeps_those_after_it_from_running_and_is_a_problem(lab: Lab) -> None:
    configure(lab, 'pre_capture = ["echo first > a", "echo out of luck >&2; exit 3", "echo third > c"]\n')
    run = lab.sh("run python3 step.py")
    assert (lab.root / "a").exists()
    assert not (lab.root / "c").exists()
    assert run.problems == ("pre_capture: 'echo out of luck >&2; exit 3' ended with 3: out of luck",)
    assert run.status == "finished"


def test_strictly_a_command_that_fails_is_a_refusal(lab: Lab) -> None:
    configure(lab, 'pre_capture = ["exit 3"]\n[collect]\n"in.csv" = { move = true }\n')
    lab.commit()
    done = lab.vestige("run", "--strict", "touch", "ran")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "vestige: refusing to run: pre_capture: 'exit 3' ended with 3\n"
    assert not (lab.root / "ran").exists()
    assert (lab.root / "in.csv").exists()


def test_a_command_does_not_take_what_is_on_standard_input(lab: Lab) -> None:
    configure(lab, 'pre_capture = ["cat > taken"]\n')
    run = lab.sh("run cat", feed=b"for the program\n")
    assert lab.project.objects.read(run.streams["stdout"].digest or "") == b"for the program\n"
    assert lab.read("taken") == ""


def test_a_secret_in_what_a_failing_command_says_stays_out(lab: Lab) -> None:
    configure(lab, 'pre_capture = ["echo no entry with $DB_PASSWORD; exit 1"]\n')
    run = lab.sh("run true", environ={"DB_PASSWORD": "hunter2-and-more"})
    assert "no entry with" in run.problems[0]
    assert "hunter2" not in run.problems[0]


def test_runs_inside_a_run_are_prepared_with_it(lab: Lab) -> None:
    configure(lab, 'pre_capture = ["echo x >> times"]\n')
    lab.sh(f"run sh -c '{sys.executable} -m vestige run true; {sys.executable} -m vestige run true'")
    assert lab.read("times") == "x\n"


def test_a_command_that_is_itself_recorded_is_not_prepared_for(lab: Lab) -> None:
    configure(lab, f'pre_capture = ["echo x >> times; {sys.executable} -m vestige run true"]\n')
    lab.sh("run python3 step.py")
    assert lab.read("times") == "x\n"
    assert len(list(lab.project.records.paths())) == 2


def test_asking_and_reproducing_run_no_command(lab: Lab) -> None:
    configure(lab, 'pre_capture = ["echo x >> times"]\n')
    run = lab.sh("run python3 step.py")
    for words in (
        ("log",),
        ("show", "last"),
        ("trace", "out.csv"),
        ("status",),
        ("reproduce", run.id),
        ("run", "--dry-run", "true"),
    ):
        lab.vestige(*words)
    assert lab.read("times") == "x\n"


def test_a_capture_and_a_script_that_records_itself_are_prepared(lab: Lab) -> None:
    configure(lab, 'pre_capture = ["echo x >> times"]\n')
    assert lab.vestige("capture").returncode == 0
    lab.write("own.py", "import vestige\nopen(vestige.output_dir + 'w.csv', 'w').write('w')\n")
    subprocess.run([sys.executable, "own.py"], cwd=lab.root, stdin=subprocess.DEVNULL, check=True)
    assert len(records(lab.root)) == 2
    assert lab.read("times") == "x\n" * 2


def test_a_rehearsal_says_what_would_be_done_before_and_does_nothing(lab: Lab) -> None:
    configure(lab, 'pre_capture = ["touch made"]\n[collect]\n"in.csv" = { move = true }\n')
    said = lab.vestige("run", "--dry-run", "true").stdout
    assert "before:       touch made\ncollected:    in.csv (move)\n" in said
    assert (lab.root / "in.csv").exists()
    assert not (lab.root / "made").exists()


# --- files -----------------------------------------------------------------------------------------------------------


def test_files_are_collected_by_digest_by_copy_and_by_move_as_they_are_when_the_run_begins(lab: Lab) -> None:
    lab.write("big.bin", "b" * 3000)
    lab.write("lock/requirements.txt", "numpy\n")
    lab.write("requirements.txt", "pandas\n")
    configure(
        lab,
        'keep = 1000\n[collect]\n"in.csv" = {}\n"big.bin" = { digest = "md5", copy = true }\n'
        '"requirements.txt" = { digest = "sha256", move = true }\n"lock/*.txt" = { copy = true }\n"gone.txt" = { copy = true }\n',
    )
    run = lab.sh("run sh -c 'test ! -e requirements.txt && echo changed > big.bin'")
    assert [(one.path, one.way, one.item) for one in run.collected] == [
        ("in.csv", "digest", None),
        ("big.bin", "copy", None),
        ("requirements.txt", "move", None),
        ("lock/requirements.txt", "copy", None),
    ]
    assert found(run.collected, "big.bin").other == hashed("b" * 3000, "md5")
    assert found(run.collected, "in.csv").other is None
    assert found(run.collected, "requirements.txt").size == 7
    assert not (lab.root / "requirements.txt").exists()
    assert run.problems == ("gone.txt was to be collected, and was not there",)
    objects = lab.project.objects
    assert objects.read(found(run.collected, "big.bin").digest or "") == b"b" * 3000
    assert not objects.has(found(run.collected, "in.csv").digest or "")
    assert check(lab.project).damaged == ()


def test_what_was_moved_can_be_restored_and_no_budget_drops_it(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.write("notes.txt", "n" * 100)
    configure(lab, '[collect]\n"notes.txt" = { move = true }\n')
    run = lab.sh("run true")
    assert run.inputs == ()
    monkeypatch.chdir(lab.root)
    collect(lab.project, budget=0, now=1e11)
    assert restore.content(lab.project, f"notes.txt@{run.id}") == b"n" * 100


def test_an_item_is_collected_when_the_run_has_ended(lab: Lab) -> None:
    configure(lab, '[items.tables.files]\n"*.csv" = { digest = "sha256" }\n"out.csv" = { digest = "sha512", move = true }\n')
    assert lab.sh("run python3 step.py").collected == ()
    os.unlink(lab.root / "out.csv")
    run = lab.sh("run -i tables python3 step.py")
    assert found(run.collected, "in.csv").other == hashed("a,b\n1,2\n")
    out = found(run.collected, "out.csv")
    assert (out.way, out.item, out.other) == ("move", "tables", hashed("A,B\n1,2\n", "sha512"))
    assert not (lab.root / "out.csv").exists()
    assert [use.path for use in run.outputs] == ["out.csv"]
    status = lab.vestige("status")
    assert "missing" not in status.stdout


def test_the_library_takes_items_along_too(lab: Lab) -> None:
    configure(lab, '[items.tables.files]\n"out.csv" = { copy = true }\n')
    opened = vestige.open(project=lab.root)
    run = opened.run(["python3", "step.py"], items=["tables"], cwd=lab.root)
    assert [(one.path, one.way) for one in run.collected] == [("out.csv", "copy")]
    with pytest.raises(UsageError, match="no item 'table' is configured"):
        opened.run(["python3", "step.py"], items=["table"], cwd=lab.root)


def test_items_that_are_lists_are_what_they_were(lab: Lab) -> None:
    configure(lab, '[items]\ntables = ["*.csv"]\n')
    run = lab.sh("run -i tables python3 step.py")
    assert run.collected == ()
    assert "declared" in next(use.evidence for use in run.outputs if use.path == "out.csv")


def test_nothing_is_collected_of_a_run_that_is_made_again(lab: Lab) -> None:
    run = lab.sh("run python3 step.py")
    lab.write("notes.txt", "n")
    configure(lab, '[collect]\n"notes.txt" = { move = true }\n[capsule]\nwrite = true\n')
    assert lab.vestige("reproduce", run.id).returncode == 0
    assert (lab.root / "notes.txt").exists()
    assert not (lab.root / "vault").exists()


@pytest.mark.parametrize(
    ("name", "text"), [(".env", "x"), ("keys.txt", "AKIA" + "Q7" * 8 + "\n-----BEGIN RSA PRIVATE KEY-----\nabc\n")]
)
def test_what_is_or_holds_a_secret_stays_where_it_is(lab: Lab, name: str, text: str) -> None:
    lab.write(name, text)
    configure(lab, f'[collect]\n"{name}" = {{ move = true }}\n')
    run = lab.sh("run true")
    assert lab.read(name) == text
    assert found(run.collected, name).way == "digest"
    assert any(problem.startswith(f"{name} was not moved: it ") for problem in run.problems)
    assert not lab.project.objects.has(found(run.collected, name).digest or "")


def test_folders_links_and_strange_names(lab: Lab) -> None:
    lab.write("data/a.csv", "a")
    lab.write("data/deep/b.csv", "b")
    (lab.root / "link.csv").symlink_to("data/a.csv")
    (lab.root / "broken").symlink_to("nowhere")
    lab.write("two\nlines.dat", "2")
    (Path(os.fsdecode(os.fsencode(lab.root) + b"/\xff.dat"))).write_bytes(b"ff")
    lab.write("[1].csv", "bracket")
    os.mkfifo(lab.root / "fifo")
    configure(
        lab,
        '[collect]\n"data" = {}\n"data/**" = { copy = true }\n"link.csv" = { move = true }\n"broken" = {}\n'
        '"*.dat" = { copy = true }\n'
        '"[1].csv" = {}\n"fifo" = { copy = true }\n"keep_me/*" = {}\n',
    )
    run = lab.sh("run true")
    assert {one.path for one in run.collected} == {
        "data/a.csv", "data/deep/b.csv", "link.csv", "two\nlines.dat", "\udcff.dat", "[1].csv",
    }  # fmt: skip
    assert not (lab.root / "link.csv").is_symlink()
    assert lab.read("data/a.csv") == "a"
    assert "data was not collected: it is a folder; data/** are the files in it" in run.problems
    assert "fifo was not collected: it is no regular file" in run.problems
    assert any(problem.startswith("broken was not collected") for problem in run.problems)
    assert "keep_me/* was to be collected, and was not there" in run.problems


def test_what_may_not_be_kept_by_its_size_or_name_is_copied_all_the_same_when_it_is_asked_for(lab: Lab) -> None:
    lab.write("w.ckpt", "weights")
    configure(lab, 'keep = 0\nkeep_exclude = ["*.ckpt"]\n[collect]\n"w.ckpt" = { copy = true }\n')
    run = lab.sh("run cat w.ckpt")
    assert lab.project.objects.read(run.collected[0].digest or "") == b"weights"


def test_a_file_that_changed_after_it_was_put_aside_is_not_removed(lab: Lab) -> None:
    lab.sh("run true")
    place = project.prepare(project.locate(str(lab.root)))
    folder = lab.root / ".vestige" / "active" / "x"
    folder.mkdir(parents=True)
    lab.write("log.txt", "one")
    collection = Collection(str(folder), {"collect_items": {"all": [["log.txt", "move", "blake3"]]}}, place, Config())
    collection.end()
    lab.write("log.txt", "another")
    assert collection.take_away() == []
    assert lab.read("log.txt") == "another"
    assert collection.problems == ["log.txt was not moved: it has changed meanwhile"]


def test_whoever_goes_on_for_a_recorder_that_was_killed_does_not_collect_again(lab: Lab) -> None:
    lab.sh("run true")
    place = project.prepare(project.locate(str(lab.root)))
    folder = lab.root / ".vestige" / "active" / "x"
    folder.mkdir(parents=True)
    lab.write("log.txt", "one")
    wanted = {"collect": [["log.txt", "move", "sha256"]]}
    Collection(str(folder), wanted, place, Config()).begin()
    again = Collection(str(folder), wanted, place, Config())
    again.begin()
    assert [(one.path, one.way, one.other) for one in again.files] == [("log.txt", "move", hashed("one"))]
    assert again.problems == []


def test_a_name_is_meant_as_it_is_where_there_is_such_a_file(tmp_path: Path) -> None:
    (tmp_path / "a*").touch()
    (tmp_path / "ab").touch()
    assert list(matching("a*", str(tmp_path))) == [str(tmp_path / "a*")]
    (tmp_path / "a*").unlink()
    assert list(matching("a*", str(tmp_path))) == [str(tmp_path / "ab")]


def test_a_recorder_that_is_killed_costs_nothing_of_what_is_configured(lab: Lab, library: Lab) -> None:
    lab.write("notes.txt", "notes")
    configure(
        lab,
        'sidecars = true\n[collect]\n"notes.txt" = { move = true }\n[items.tables.files]\n"out.csv" = { copy = true }\n'
        '[repositories]\nlibrary = "../library"\n[capsule]\nwrite = true\n',
    )
    lab.write(
        "kill.py",
        "import json, os, time\nfolder = os.environ['VESTIGE_RUN_DIR']\n"
        "while not os.path.exists(folder + '/repositories.json'):\n    time.sleep(0.01)\n"
        "os.kill(json.load(open(folder + '/started.json'))['processes_of_vestige']['recorder'][0], 9)\n" + STEP,
    )
    run = lab.sh("run -i tables python3 kill.py")
    assert [(one.path, one.way, one.item) for one in run.collected] == [
        ("notes.txt", "move", None),
        ("out.csv", "copy", "tables"),
    ]
    assert run.code is not None
    assert [one.name for one in run.code.repositories] == ["library"]
    assert (lab.root / ".out.csv.vestige").exists()
    assert len(list((lab.root / "vault").glob("2*/notes.txt"))) == 1


# --- repositories ----------------------------------------------------------------------------------------------------


@pytest.fixture
def library(lab: Lab, tmp_path: Path) -> Lab:
    library = Lab(tmp_path / "library")
    library.write("lib.py", "x = 1\n")
    library.commit()
    subprocess.run(["git", "-C", library.root, "remote", "add", "origin", "https://ada:secret@example.org/l.git"], check=True)
    library.write("lib.py", "x = 2\n")
    library.write("new.py", "y = 1\n")
    configure(lab, '[repositories]\nlibrary = "../library"\nmine = "."\nnone = "/"\n')
    return library


def test_a_further_repository_is_recorded_with_a_snapshot_that_can_be_restored(lab: Lab, library: Lab, tmp_path: Path) -> None:
    run = lab.sh("run python3 step.py")
    assert run.code is not None
    other, own = run.code.repositories
    assert (own.name, own.path, own.commit, own.snapshot) == ("mine", ".", run.code.commit, None)
    assert (other.name, other.path, other.branch, other.dirty) == ("library", str(library.root), "main", True)
    assert other.remotes == {"origin": "https://ada:«redacted:url»@example.org/l.git"}
    collect(lab.project, budget=0, now=1e11)
    lab.project.code.checkout(other.snapshot or "", str(tmp_path / "again"))
    assert (tmp_path / "again" / "lib.py").read_text() == "x = 2\n"
    assert (tmp_path / "again" / "new.py").read_text() == "y = 1\n"
    assert run.problems == ("repositories.none: / lies in no git repository",)
    assert lab.vestige("reproduce", run.id).returncode == 0


def test_a_repository_inside_the_project_only_gets_its_name(lab: Lab) -> None:
    inner = Lab(lab.root / "vendor" / "x")
    inner.write("x.py", "x = 1\n")
    inner.commit()
    configure(lab, '[repositories]\nvendored = "vendor/x"\n')
    run = lab.sh("run true")
    assert run.code is not None
    (one,) = run.code.repositories
    assert (one.name, one.path, one.snapshot) == ("vendored", "vendor/x", None)


@pytest.mark.parametrize(("rank", "times"), [("0", 1), ("3", 0)])
def test_of_the_tasks_of_a_step_the_first_runs_what_comes_before(tmp_path: Path, rank: str, times: int) -> None:
    (tmp_path / "vestige.toml").write_text('pre_capture = ["echo x >> before.txt"]\n')
    environ = {**os.environ, "SLURM_JOB_ID": "1", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": rank}
    subprocess.run([sys.executable, "-m", "vestige", "run", "true"], cwd=tmp_path, env=environ, check=True)
    assert (tmp_path / "before.txt").exists() == bool(times)
