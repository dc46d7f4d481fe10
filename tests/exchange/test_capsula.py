"""Capsules of both generations, as Capsula left them and as they may have become since."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.exchange.studies import copied, imported, project, runs, traced
from vestige.errors import UnreadableError
from vestige.model import plain
from vestige.model.run import Run


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return copied("first", tmp_path)


@pytest.fixture
def later(tmp_path: Path) -> Path:
    return copied("later", tmp_path)


def capsule(root: Path, beginning: str = "") -> Path:
    """The first capsule whose name begins so."""
    return min(path for path in (root / "vault").iterdir() if path.name.startswith(beginning))


def kept(root: Path, digest: str | None) -> bytes:
    assert digest is not None
    return project(root)._opened.objects.read(digest)


def by_kind(found: list[Run], kind: str) -> list[Run]:
    return [run for run in found if run.kind == kind]


def change(path: Path, **keys: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


# --- the first generation --------------------------------------------------------------------------------------------


def test_a_vault_of_the_first_generation_becomes_runs(first: Path) -> None:
    done = imported(first, "vault")
    assert (len(done.runs), done.notes) == (4, ())
    assert [(run.kind, run.status) for run in runs(first)] == [
        ("function", "finished"),
        ("function", "failed"),
        ("command", "failed"),
        ("capture", "finished"),
    ]
    assert {run.cwd for run in done.runs} == {"."}
    assert {run.variables["LR"] for run in done.runs} == {"0.1"}
    assert {run.host for run in done.runs} == {"node17"}
    assert all(run.code and run.code.commit and run.code.branch == "main" and run.code.dirty for run in done.runs)


def test_a_command_keeps_its_words_its_code_its_streams_and_its_time(first: Path) -> None:
    imported(first, "vault")
    (run,) = by_kind(runs(first), "command")
    folder = capsule(first, "20261121_114805")
    before = json.loads((folder / "pre-run-info.json").read_text())
    assert (run.name, run.command, run.exit_code) == (folder.name, ("python3", "command.py"), 3)
    assert run.started[:26] == before["timestamp"].rstrip("Z")[:26]
    assert run.duration == float(json.loads((folder / "post-run-info.json").read_text())["run_time"][2:-1])
    assert kept(first, run.streams["stdout"].digest) == b"fitted\n"
    assert run.streams["stderr"].size == 0


def test_a_function_keeps_its_arguments_its_result_and_its_exception(first: Path) -> None:
    imported(first, "vault")
    fine, raised = by_kind(runs(first), "function")
    assert fine.function is not None
    assert (fine.function["name"], fine.function["module"], fine.function["result"]) == ("fit", "fit", 30)
    assert (fine.function["arguments"], fine.function["exception"]) == ({"[0]": 30}, None)
    assert raised.function is not None
    assert raised.function["exception"]["type"] == "ValueError"
    assert raised.function["exception"]["message"] == "negative"


def test_the_files_that_it_collected_are_inputs_and_outputs_with_their_digests(first: Path) -> None:
    imported(first, "vault")
    fine = runs(first)[0]
    assert [(use.path, use.evidence) for use in fine.inputs] == [("raw.csv", ("declared",)), ("requirements.txt", ("declared",))]
    assert [use.path for use in fine.outputs] == ["out.csv"]
    assert [use.extra["stated"].partition(":")[0] for use in fine.inputs] == ["sha256", "md5"]
    assert all(use.digest and use.digest.startswith("blake3:") for use in (*fine.inputs, *fine.outputs))
    assert "gone.csv was to be collected, and was not there" in fine.problems


def test_a_trace_leads_through_a_capsule_to_what_it_read(first: Path) -> None:
    imported(first, "vault")
    assert traced(first, "vault/20261121_114805/out.csv")[-1].startswith("raw.csv, requirements.txt [missing] -> command.py @ ")


def test_the_diff_is_kept_and_survives_a_collection_of_what_nothing_needs(first: Path) -> None:
    imported(first, "vault")
    run = runs(first)[0]
    assert run.code is not None
    digest = run.code.extra["diffs"]["study.diff"]
    assert kept(first, digest) == (capsule(first) / "study.diff").read_bytes()
    assert project(first).check().damaged == ()
    from vestige.ops.gc import collect

    assert digest not in {one.digest for one in collect(project(first)._opened, now=1e11, dry_run=True).dropped}


def test_machine_and_interpreter_are_those_of_the_capsule(first: Path) -> None:
    imported(first, "vault")
    run = runs(first)[0]
    machine = plain.loads(kept(first, run.machine))
    environment = plain.loads(kept(first, run.environment))
    assert (machine["host"], machine["system"], machine["kernel"]) == ("node17", "Linux", "6.1.0 #1 SMP")
    assert environment["interpreters"][0]["version"] == "3.11.7"
    assert environment["problems"] == ["the packages were not recorded"]


def test_the_cpu_is_that_of_the_capsule_and_a_time_zone_is_heeded(first: Path) -> None:
    folder = capsule(first, "20261121_114805")
    change(folder / "context.json", cpu={"brand_raw": "Intel(R) Core(TM) i5-10400 CPU", "count": 12, "flags": ["aes", "avx2"]})
    change(folder / "pre-run-info.json", timestamp="2023-07-12T18:09:29.490877+09:00")
    change(folder / "post-run-info.json", timestamp="2023-07-12T18:09:31.977784+09:00", run_time="PT2.486653S")
    (run,) = imported(first, "vault/20261121_114805").runs
    machine = plain.loads(kept(first, run.machine))
    assert (machine["cpu"], machine["cpus"], machine["flags"]) == ("Intel(R) Core(TM) i5-10400 CPU", 12, ["aes", "avx2"])
    assert (run.started, run.ended, run.duration) == ("2023-07-12T09:09:29.490877Z", "2023-07-12T09:09:31.977784Z", 2.486653)


def test_further_repositories_stand_beside_the_project_s_own(first: Path) -> None:
    folder = capsule(first, "20261121_114805")
    context = json.loads((folder / "context.json").read_text())
    context["git"]["lib"] = {"path": "../lib", "sha": "b" * 40, "branch": "dev", "remotes": [{"name": "up", "url": "git@x:lib"}]}
    context["git"] = dict(reversed(context["git"].items()))
    (folder / "context.json").write_text(json.dumps(context))
    (run,) = imported(first, "vault/20261121_114805").runs
    assert run.code is not None
    assert (run.code.commit, run.code.branch) == (context["git"]["study"]["sha"], "main")
    (other,) = run.code.repositories
    assert (other.commit, other.branch, dict(other.remotes)) == ("b" * 40, "dev", {"up": "git@x:lib"})


def test_a_project_that_was_moved_has_its_paths_where_it_is_now(first: Path) -> None:
    """The golden copies name `/home/ada/study`, which is not there."""
    imported(first, "vault/20261121_114802")
    (run,) = runs(first)
    assert {use.path for use in (*run.inputs, *run.outputs)} == {"raw.csv", "requirements.txt", "out.csv"}


def test_importing_a_vault_twice_changes_nothing_even_where_a_capsule_with_a_time_was_renamed(first: Path) -> None:
    done = imported(first, "vault")
    capsule(first, "20261121_114805").rename(first / "vault" / "renamed")
    again = imported(first, "vault")
    assert (again.runs, len(again.known)) == ((), len(done.runs))


def test_one_document_of_a_capsule_stands_for_the_capsule(first: Path) -> None:
    name = capsule(first, "20261121_114805").name
    assert imported(first, f"vault/{name}/pre-run-info.json").runs[0].kind == "command"


def test_a_damaged_document_is_a_note_and_a_problem_of_the_run(first: Path) -> None:
    folder = capsule(first, "20261121_114805")
    (folder / "post-run-info.json").write_text("{")
    done = imported(first, "vault")
    assert len(done.runs) == 4
    assert len(done.notes) == 1
    (run,) = by_kind(list(done.runs), "command")
    assert run.status == "interrupted"
    assert any("post-run-info.json is not JSON" in problem for problem in run.problems)
    assert any("nothing tells how the run ended" in problem for problem in run.problems)


def test_a_capsule_with_nothing_but_damage_keeps_no_other_out(first: Path) -> None:
    folder = capsule(first, "20261121_114807")
    (folder / "context.json").write_bytes(b"\xff\xfe")
    done = imported(first, "vault")
    assert (len(done.runs), len(done.notes)) == (3, 1)
    with pytest.raises(UnreadableError, match=r"context\.json is not JSON"):
        imported(first, f"vault/{folder.name}")


@pytest.mark.parametrize("wrong", [None, 7, "text", [1], {"a": {"b": 1}}, True], ids=repr)
@pytest.mark.parametrize(
    ("document", "key"),
    [
        *[("context.json", key) for key in ("root_directory", "cwd", "platform", "environment_variables", "git", "files", "cpu")],
        *[("pre-run-info.json", key) for key in ("root_directory", "cwd", "timestamp", "args", "kwargs", "source_line")],
        *[("post-run-info.json", key) for key in ("timestamp", "run_time", "files", "stdout", "exit_code", "exception_info")],
    ],
)
def test_no_key_of_a_wrong_kind_keeps_a_capsule_out(first: Path, document: str, key: str, wrong: object) -> None:
    change(capsule(first, "20261121_114805") / document, **{key: wrong})
    done = imported(first, "vault/20261121_114805")
    assert (len(done.runs), len(runs(first))) == (1, 1)


def test_secrets_in_variables_arguments_streams_and_remotes_stay_out(first: Path) -> None:
    folder = capsule(first, "20261121_114805")
    secret = "hunter2-and-more-of-it"
    change(folder / "context.json", environment_variables={"DB_PASSWORD": secret, "LR": "0.1"})
    context = json.loads((folder / "context.json").read_text())
    context["git"]["study"]["remotes"] = [{"name": "origin", "url": f"https://ada:{secret}@example.org/x.git"}]
    (folder / "context.json").write_text(json.dumps(context))
    change(folder / "pre-run-info.json", args=["x", "--password", secret])
    change(folder / "post-run-info.json", stdout=f"connecting with {secret}\n")
    other = capsule(first, "20261121_114802")
    change(other / "pre-run-info.json", kwargs={"password": secret, "n": 3})
    imported(first, "vault")
    stored = b"".join(path.read_bytes() for path in (first / ".vestige").rglob("*") if path.is_file())
    assert secret.encode() not in stored
    assert b'"LR": "0.1"' in stored


def test_a_view_of_a_record_that_is_here_is_that_record(first: Path, tmp_path: Path) -> None:
    done = imported(first, "vault/20261121_114805")
    folder = capsule(first, "20261121_114805")
    change(folder / "context.json", vestige={"id": done.runs[0].id}, more="changed")
    assert imported(first, "vault/20261121_114805").known == (done.runs[0].id,)
    (tmp_path / "other").mkdir()
    shutil.copytree(first / "vault", tmp_path / "other" / "vault")
    (tmp_path / "other" / "vestige.toml").touch()
    (run,) = imported(tmp_path / "other", "vault/20261121_114805").runs
    assert run.id == done.runs[0].id


def test_a_capsule_of_ours_tells_its_files_by_blake3_and_one_that_is_being_written_is_passed_over(first: Path) -> None:
    folder = capsule(first, "20261121_114805")
    content = project(first)._opened.digest_of(str(first / "raw.csv"))
    assert content is not None
    digits = content.partition(":")[2]
    files = {
        "raw.csv": {"hash_algorithm": "blake3", "file_hash": digits},
        "caf\udce9.csv": {"hash_algorithm": None, "file_hash": None},
    }
    change(folder / "context.json", files=files, vestige={"id": "0193a0b1-0000-7000-8000-00007f3a2c91"})
    shutil.copytree(folder, first / "vault" / ".tmp-17-abc")
    shutil.rmtree(capsule(first, "20261121_114802"))
    run = next(one for one in imported(first, "vault").runs if one.kind == "command")
    assert run.id == "0193a0b1-0000-7000-8000-00007f3a2c91"
    assert [(use.path, use.digest) for use in run.inputs] == [("raw.csv", content), ("caf\udce9.csv", None)]
    assert len(runs(first)) == 3


# --- the later generation --------------------------------------------------------------------------------------------


def test_a_vault_of_the_later_generation_becomes_runs(later: Path) -> None:
    done = imported(later, "vault")
    assert (len(done.runs), done.notes) == (4, ())
    functions = by_kind(list(done.runs), "function")
    assert sorted(run.status for run in functions) == ["failed", "finished"]
    fine = next(run for run in functions if run.status == "finished")
    assert fine.function is not None
    assert fine.function["arguments"] == {"n": 30, "seed": None}
    assert fine.values["accuracy"][0]["value"] == 0.9
    assert fine.duration is not None
    assert fine.extra["commands"]["echo hello"]["stdout"] == "hello\n"
    assert {use.path for use in (*fine.inputs, *fine.outputs)} == {"raw.csv", "out.csv"}
    assert {run.kind for run in done.runs if run.kind != "function"} == {"command", "capture"}


def test_what_the_later_generation_did_not_write_down_is_said(later: Path) -> None:
    imported(later, "vault")
    (run,) = by_kind(runs(later), "command")
    assert (run.command, run.exit_code) == ((), None)
    assert "Capsula recorded neither the command, which began with 'python3', nor its exit code" in run.problems
    assert any("taken as local time" in problem for problem in run.problems)
    raised = next(run for run in runs(later) if run.status == "failed")
    assert any("an exception ended the run" in problem for problem in raised.problems)
    assert any(problem.startswith("file out.csv: ") for problem in raised.problems)


def test_the_time_in_a_name_is_local(later: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        (run,) = imported(later, f"vault/{capsule(later, 'python3').name}").runs
    finally:
        monkeypatch.undo()
        time.tzset()
    stamp = capsule(later, "python3").name.split("_")[2]
    assert run.started[11:13] == f"{(int(stamp[:2]) - 9) % 24:02}"


def test_a_file_that_was_moved_into_the_capsule_is_found_there(later: Path) -> None:
    name = capsule(later, "python3").name
    imported(later, "vault")
    assert traced(later, f"vault/{name}/out.csv")[0].startswith("raw.csv -> ")


@pytest.mark.parametrize("wrong", [None, 7, "text", [1], {"a": {"b": 1}}], ids=repr)
@pytest.mark.parametrize("key", ["cwd", "platform", "git", "env", "command", "file", "function", "cpu", "__fails"])
def test_no_part_of_a_wrong_kind_keeps_a_report_out(later: Path, key: str, wrong: object) -> None:
    folder = next(path for path in (later / "vault").iterdir() if (path / "in-run-report.json").exists() and "fit" in path.name)
    change(folder / "pre-run-report.json", **{key: wrong})
    assert len(imported(later, f"vault/{folder.name}").runs) == 1


def test_a_value_that_nests_too_deeply_is_a_note(later: Path) -> None:
    deep: object = 1
    for _ in range(200):
        deep = [deep]
    folder = capsule(later, "python3")
    change(folder / "in-run-report.json", deep=deep)
    done = imported(later, "vault")
    assert (len(done.runs), len(done.notes)) == (3, 1)
    assert "no sound record" in done.notes[0]
