"""The format is a promise: what a record says today it says in ten years. `docs/format.md` describes it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vestige.errors import DamagedError, NewerFormatError
from vestige.model import wire
from vestige.model.code import Code, Repository
from vestige.model.environment import CondaPackage, Environment, Interpreter, Package
from vestige.model.files import FileUse, Moment, Signature
from vestige.model.machine import Machine
from vestige.model.run import (
    Collected,
    FileReference,
    Observation,
    Process,
    ProjectReference,
    Redaction,
    Reproduction,
    Run,
    Stdin,
    Stream,
    Verdict,
    label,
    summarise,
)
from vestige.model.values import fields_of, replace
from vestige.store import rows, words
from vestige.store.records import Note

GOLDEN = Path(__file__).parent / "golden"
READABLE = ("command", "private", "redacted", "failed", "reproduction", "future", "long")


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", READABLE)
def test_a_golden_record_is_written_as_it_was_read(name: str) -> None:
    assert wire.dump_run(wire.load_run(golden(name))) == golden(name)


@pytest.mark.parametrize("name", READABLE)
def test_the_index_takes_from_a_golden_record_what_the_model_says(name: str) -> None:
    document = json.loads(golden(name))
    run = wire.load_run(golden(name))
    row = rows.of(document)
    summary = summarise(run)
    assert (words.restored(row.run.label), row.run.inputs, row.run.outputs) == (summary.label, summary.inputs, summary.outputs)
    assert [use.path for use in row.uses] == [use.path for use in (*run.inputs, *run.outputs)]


def test_every_golden_record_is_read_or_refused_by_a_test() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == {*READABLE, "newer", "least"}


def test_a_command() -> None:
    run = wire.load_run(golden("command"))
    assert run.id == "019a9b3e-8f7b-7c41-9d3e-5a107f3a2c91"
    assert (run.name, run.tags, run.kind) == ("train", ("paper",), "command")
    assert (run.status, run.exit_code, run.signal) == ("finished", 0, None)
    assert run.command == ("python", "train.py", "--lr", "0.1")
    assert run.project == ProjectReference(id="6f1d0c3b2a494e5d8f7a6b5c4d3e2f10", root="/home/ada/p")
    assert (run.started, run.ended, run.duration, run.sequence) == (
        "2026-11-21T09:30:12.123456Z",
        "2026-11-21T09:30:24.533456Z",
        12.41,
        8123000000,
    )
    assert run.code is not None
    assert (run.code.branch, run.code.dirty, run.code.snapshot) == ("main", True, "git:5bd9fbd52bbd8b2a0f5c1c3a1fbd6f6f6c5a3a52")
    assert run.code.repositories == (Repository(path="vendor/lib", commit="1" * 40, branch=None, dirty=False),)
    train, params, script = run.inputs
    assert (train.path, train.role, train.access) == ("data/train.csv", "data", "read")
    assert (train.evidence, train.kept) == (("observed", "declared"), True)
    assert train.first == Moment(8123400000, "2026-11-21T09:30:12.523456Z")
    assert (params.role, script.role, script.by) == ("config", "code", (0, 1))
    model, log, scratch = run.outputs
    assert (model.before, model.access, log.access) == ("blake3:" + "e" * 64, "write", "append")
    assert (scratch.role, scratch.deleted, scratch.link, scratch.kind) == ("temporary", False, None, "directory")
    assert run.streams["stdout"] == Stream(digest="blake3:" + "7" * 64, size=812)
    assert run.stdin == Stdin(kind="file", path="in.txt", digest="blake3:" + "8" * 64)
    assert run.observation == Observation(method="notify", denied=("io_uring_setup",), events=5120, raw="blake3:" + "9" * 64)
    assert run.values == {"accuracy": [{"value": 0.91, "time": "2026-11-21T09:30:24.000000Z"}]}
    assert label(run) == "train.py"


def test_a_record_with_redactions_and_paths_that_are_not_utf8() -> None:
    run = wire.load_run(golden("redacted"))
    assert run.command[-1] == "«redacted:wandb»"
    assert run.redactions == (
        Redaction(at="command[4]", kind="wandb", variable="WANDB_API_KEY", hmac="c" * 64),
        Redaction(at="variables.SERVICE_URL", kind="url"),
    )
    assert run.command[1] == os.fsdecode(b"caf\xe9.py")
    first, second, third = run.inputs
    assert os.fsencode(first.path) == b"data/caf\xe9 100%.csv"
    assert os.fsencode(second.path) == b"links/plain"
    assert os.fsencode(second.link or "") == b"../data/caf\xe9 100%.csv"
    assert third.path == "data/caf%E9.csv"
    assert "encoding" not in third.extra
    text = golden("redacted").decode("utf-8")
    assert '"path": "data/caf%E9%20100%25.csv"' in text
    assert text.count('"encoding": "percent"') == 2


def test_a_record_of_code_with_secrets_in_it() -> None:
    run = wire.load_run(golden("private"))
    assert run.code is not None
    assert (run.code.private, run.code.withheld) == (("fetch.py", "src/settings.py"), (".env",))
    assert '"private"' not in golden("command").decode("utf-8")


def test_a_run_that_was_interrupted_outside_any_repository() -> None:
    run = wire.load_run(golden("failed"))
    assert (run.status, run.exit_code, run.signal, run.code, run.executable) == ("interrupted", None, 2, None, None)
    assert run.problems == ("git: no such program",)
    (checkpoint,) = run.outputs
    assert (checkpoint.digest, checkpoint.recovered, checkpoint.kept) == (None, True, False)
    assert checkpoint.signature == Signature(90210, 1795253425000000000, 1795253425000000001, 4711, 2049)
    assert run.observation is not None
    assert run.observation.gaps == ("a program gained privileges: sudo",)
    assert run.observation.lost == 3


def test_a_reproduction_says_of_what_and_with_what_verdicts() -> None:
    run = wire.load_run(golden("reproduction"))
    assert run.kind == "reproduction"
    assert run.parent == "019a9b40-0000-7000-8000-0000aaaa0001"
    assert run.reproduction == Reproduction(
        of="019a9b3e-8f7b-7c41-9d3e-5a107f3a2c91",
        environment="current",
        verdicts=(
            Verdict(path="models/clf.joblib", verdict="identical", expected="blake3:" + "a" * 64, actual="blake3:" + "a" * 64),
            Verdict(path="report.json", verdict="different", expected="blake3:" + "b" * 64, note="accuracy 0.913 → 0.915"),
        ),
    )


def test_keys_of_the_future_survive_at_every_level() -> None:
    run = wire.load_run(golden("future"))
    assert run.extra == {"mood": {"sunny": True}}
    assert run.inputs[0].extra == {"licence": "CC0"}
    assert run.code is not None
    assert run.code.extra == {"signed_by": "ada"}
    assert run.code.repositories[0].extra == {"depth": 1}
    assert run.processes[0].extra == {"nice": 10}
    assert run.streams["stdout"].extra == {"lines": 12}
    assert run.observation is not None
    assert run.observation.extra == {"kernel": "7.1"}
    assert run.project is not None
    assert run.project.extra == {"name": "p"}
    assert run.inputs[0].role == "model"
    changed = wire.dump_run(replace(run, name="renamed"))
    assert json.loads(changed) == {**json.loads(golden("future")), "name": "renamed"}


def test_of_a_long_list_the_first_hundred_stand_in_the_record() -> None:
    run = wire.load_run(golden("long"))
    assert (len(run.inputs), run.inputs_object) == (100, "blake3:" + "d" * 64)


def test_a_record_may_lack_every_key_but_its_id() -> None:
    run = wire.load_run(golden("least"))
    assert run == Run(id="019a9b3e-8f7b-7c41-9d3e-5a107f3a2c91")
    assert run.status == "finished"


def test_a_record_of_a_newer_format_is_refused() -> None:
    with pytest.raises(NewerFormatError, match=r"x\.json has format 2; this Vestige reads up to 1") as refused:
        wire.load_run(golden("newer"), "x.json")
    assert refused.value.hint is not None


@pytest.mark.parametrize("version", ["2", "1.1", '"1"', "null", "[]"])
def test_a_format_that_is_no_number_we_know_is_refused(version: str) -> None:
    with pytest.raises(NewerFormatError):
        wire.load_run(b'{"id": "x", "vestige": %s}' % version.encode())


NO_MOMENT = b'{"id": "x", "inputs": [{"path": "a", "digest": null, "first": 5}]}'


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"{}", b'{"id": null}', b"\xff", b"[" * 100_000, NO_MOMENT])
def test_what_is_no_record_is_damaged_and_the_message_names_it(data: bytes) -> None:
    with pytest.raises(DamagedError) as refused:
        wire.load_run(data, "runs/x.json")
    assert "x.json" in str(refused.value) or "FileUse" in str(refused.value) or "Moment" in str(refused.value)


def test_a_record_is_sorted_indented_and_ends_with_a_newline() -> None:
    data = wire.dump_run(Run(id="x", name="é«»"))
    keys = list(json.loads(data))
    assert keys == sorted(keys)
    assert data.startswith(b'{\n  "absent": null,\n')
    assert data.endswith(b"\n}\n")
    assert "é«»".encode() in data


def test_a_moment_never_gets_another_key() -> None:
    document = wire.encode(FileUse(path="a", digest=None, first=Moment(1, "t")))
    document["first"]["zone"] = "UTC"
    assert wire.decode(FileUse, document).first == Moment(1, "t")


def test_what_cannot_be_a_path_is_not_written() -> None:
    with pytest.raises(DamagedError, match="cannot be a path"):
        wire.encode(FileUse(path="\ud800", digest=None))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
paths = st.one_of(texts, st.binary(max_size=6).map(lambda name: name.decode("utf-8", "surrogateescape"))).map(
    lambda name: name.replace("\0", "")
)
digests = st.none() | st.binary(min_size=4, max_size=4).map(lambda raw: "blake3:" + raw.hex() * 8)
moments = st.none() | st.builds(Moment, st.integers(0, 2**50), texts)
plain = st.none() | st.integers() | texts | st.lists(st.booleans(), max_size=2)
extras = st.dictionaries(texts.map("x-{}".format), plain, max_size=2)


def some(of: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, max_size=2).map(tuple)


def made(cls: type, given: dict[str, Any], **more: Any) -> st.SearchStrategy[Any]:
    """Values of a class, with what it needs and some of what it may have."""
    names = {name for name, _ in fields_of(cls)}
    if "extra" in names:
        more.setdefault("extra", extras)
    return st.fixed_dictionaries(given, optional=more).map(lambda found: cls(**found))


uses = made(
    FileUse,
    {"path": paths, "digest": digests},
    size=st.none() | st.integers(0, 2**60),
    role=st.sampled_from(["data", "config", "code", "cache"]),
    access=st.sampled_from(["read", "write", "update"]),
    evidence=some(st.sampled_from(["observed", "declared"])),
    before=digests,
    first=moments,
    last=moments,
    by=some(st.integers(0, 9)),
    kept=st.booleans(),
    deleted=st.booleans(),
    recovered=st.booleans(),
    link=st.none() | paths.filter(bool),
    kind=st.none() | st.just("directory"),
    signature=st.none() | st.builds(Signature, *[st.integers(0, 2**60)] * 5),
)
codes = made(
    Code,
    {},
    commit=st.none() | texts,
    remotes=st.dictionaries(texts, texts, max_size=2),
    dirty=st.none() | st.booleans(),
    snapshot=st.none() | texts,
    withheld=some(texts),
    private=some(texts),
    repositories=some(made(Repository, {"path": texts, "commit": st.none() | texts})),
)
runs = made(
    Run,
    {"id": texts},
    name=st.none() | texts,
    tags=some(texts),
    duration=st.none() | st.floats(0, 1e9),
    command=some(paths),
    project=st.none() | made(ProjectReference, {"id": texts, "root": paths}),
    redactions=some(made(Redaction, {"at": texts, "kind": texts}, hmac=texts)),
    script=st.none() | made(FileReference, {"path": paths}, digest=digests, git_blob=texts),
    function=st.none() | st.dictionaries(texts, st.lists(st.integers(), max_size=2), max_size=2),
    exit_code=st.none() | st.integers(0, 255),
    code=st.none() | codes,
    variables=st.dictionaries(paths, paths, max_size=2),
    stdin=st.none() | made(Stdin, {"kind": texts}, path=st.none() | paths, digest=digests),
    inputs=some(uses),
    outputs=some(uses),
    streams=st.dictionaries(texts, made(Stream, {"digest": digests, "size": st.integers(0, 9)}), max_size=2),
    processes=st.lists(made(Process, {"pid": st.integers(1, 9)}, argv=some(paths)), max_size=2).map(tuple),
    observation=st.none() | made(Observation, {"method": texts}, gaps=some(texts)),
    network=some(st.dictionaries(texts, texts, max_size=2)),
    reproduction=st.none()
    | made(
        Reproduction,
        {"of": texts},
        verdicts=some(made(Verdict, {"path": texts, "verdict": texts})),
    ),
    problems=some(texts),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(runs)
def test_a_record_comes_back_as_it_was(run: Run) -> None:
    data = wire.dump_run(run)
    assert wire.load_run(data) == run
    assert wire.dump_run(wire.load_run(data)) == data
    json.loads(data.decode("utf-8"))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(runs, st.integers(0, 2**30))
def test_a_torn_record_is_damaged_and_nothing_else(run: Run, cut: int) -> None:
    data = wire.dump_run(run)
    with pytest.raises(DamagedError):
        wire.load_run(data[: cut % (len(data) - 2)])


environments = made(
    Environment,
    {},
    interpreters=st.lists(
        made(Interpreter, {"language": texts, "version": st.none() | texts, "executable": paths}), max_size=2
    ).map(tuple),
    packages=st.lists(
        made(Package, {"name": texts, "version": texts}, origin=st.none() | extras, tags=some(texts)),
        max_size=2,
    ).map(tuple),
    conda=some(made(CondaPackage, {"name": texts, "version": texts}, md5=texts)),
    system=st.dictionaries(texts, texts, max_size=2),
)
machines = made(
    Machine,
    {"host": texts, "system": texts, "kernel": texts, "architecture": texts},
    flags=some(texts),
    memory=st.none() | st.integers(0, 2**50),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(environments | machines)
def test_environments_and_machines_come_back_as_they_were(one: Environment | Machine) -> None:
    document = json.loads(wire.dump(wire.encode(one)))
    assert wire.decode(type(one), document) == one


def test_every_key_of_a_record_is_described() -> None:
    text = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
    of_run = (
        Run,
        Collected,
        ProjectReference,
        Redaction,
        FileReference,
        Stdin,
        Stream,
        Process,
        Observation,
        Reproduction,
        Verdict,
    )
    of_files = (FileUse, Moment, Signature, Code, Repository)
    of_surroundings = (Environment, Interpreter, Package, CondaPackage, Machine, Note)
    for cls in (*of_run, *of_files, *of_surroundings):
        missing = [name for name, _ in fields_of(cls) if name != "extra" and f"`{name}`" not in text]
        assert missing == [], cls.__name__
