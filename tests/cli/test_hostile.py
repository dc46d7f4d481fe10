"""What a damaged store, strange names and broken surroundings do to those who ask: one line each, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.calling import Called, Caller, program
from tests.ops.study import Study
from vestige.model.run import Run, short

#: Every verb that reads records. SHORT is the damaged run's short id.
VERBS = (
    ("trace", "out.csv"),
    ("trace", "--down", "in.csv"),
    ("trace", "--json", "out.csv"),
    ("trace", "--dot", "out.csv"),
    ("log",),
    ("log", "--json"),
    ("log", "--where", "exit_code=0"),
    ("show", "SHORT"),
    ("show", "--all", "last"),
    ("show", "--json", "out.csv"),
    ("status",),
    ("status", "--json"),
    ("diff", "SHORT", "last"),
    ("check",),
    ("gc", "--dry-run"),
    ("gc", "--keep", "0d"),
    ("reproduce", "--dry-run", "out.csv"),
    ("reproduce", "out.csv"),
    ("restore", "out.csv@SHORT", "-o", "copy"),
    ("adopt", "in.csv"),
    ("capture",),
    ("forget", "SHORT"),
)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def changed(**keys: Any) -> Callable[[bytes], bytes]:
    return lambda data: json.dumps({**json.loads(data), **keys}).encode()


def outputs(**keys: Any) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        document = json.loads(data)
        return json.dumps({**document, "outputs": [{**use, **keys} for use in document["outputs"]]}).encode()

    return change


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut off in a text": lambda data: data[: data.index(b'"command"') + 4],
    "cut off between": lambda data: data[: data.index(b'"command"')],
    "binary": lambda _: bytes(range(256)) * 20,
    "another encoding": lambda data: data.decode().encode("utf-16"),
    "a list": lambda _: b"[]",
    "nested without end": lambda _: nested(100_000),
    "nested deeply": lambda data: data.replace(b"{", b'{"values": {"x": %s},' % nested(900), 1),
    "a number without end": lambda data: data.replace(b"{", b'{"sequence": %s,' % (b"9" * 6000), 1),
    "no command": changed(command=None),
    "a command that is a text": changed(command="ls -l"),
    "a command with a NUL": changed(command=["sh", "a\0b"]),
    "a folder with a NUL": changed(cwd="a\0b"),
    "an umask that is none": changed(umask="zz"),
    "variables in a list": changed(variables=["A"]),
    "a snapshot that is a number": changed(code={"snapshot": 4}),
    "a path that is a number": outputs(path=5),
    "a path with a NUL": outputs(path="out.csv\0"),
    "a path that leads out": outputs(path="../../etc/passwd"),
    "a digest that is a number": outputs(digest=5),
    "a digest that leads out": outputs(digest="blake3:../../../etc/passwd"),
    "a link that is a number": outputs(link=5),
    "a time that is a number": changed(started=5),
    "problems that are numbers": changed(problems=[3]),
}


def assert_answered(called: Called, what: object) -> None:
    assert "Traceback" not in called.err + called.out, what
    assert "defect" not in called.err, (what, called.err)
    if called.code and not called.out:
        assert called.err.startswith("vestige: "), (what, called)
        assert called.err.count("\n") == 1, (what, called.err)


@pytest.fixture
def history(study: Study) -> Run:
    """The run that made out.csv from what another had made, and a third."""
    study.write("in.csv", "some content, long enough")
    study.write("mid.csv", "the middle, long enough")
    study.write("out.csv", "the output, long enough")
    study.record(("cp", "in.csv", "mid.csv"), reads=["in.csv"], writes=["mid.csv"])
    made = study.record(("cp", "mid.csv", "out.csv"), reads=["mid.csv"], writes=["out.csv"])
    study.record(("true",))
    return made


def record_of(study: Study, run: Run) -> Path:
    (path,) = study.root.glob(f".vestige/runs/*/*/*-{short(run.id)}.json")
    return path


@pytest.mark.parametrize("damage", DAMAGE)
def test_next_to_a_damaged_record_every_verb_answers(study: Study, history: Run, call: Caller, damage: str) -> None:
    path = record_of(study, history)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    for verb in VERBS:
        assert_answered(call(*(word.replace("SHORT", short(history.id)) for word in verb)), (damage, verb))


@pytest.mark.parametrize(
    "damage", ["empty", "cut off in a text", "binary", "a command that is a text", "a path that is a number"]
)
def test_check_names_the_damaged_record_and_the_others_are_listed(study: Study, history: Run, call: Caller, damage: str) -> None:
    path = record_of(study, history)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    checked = call("check")
    assert checked.code == 1
    assert path.name in checked.out + checked.err
    assert "true" in call("log").out


def test_a_record_of_a_newer_format_is_told_by_name_with_what_to_do(study: Study, history: Run, call: Caller) -> None:
    path = record_of(study, history)
    path.write_bytes(changed(vestige=99)(path.read_bytes()))
    checked = call("check")
    assert (checked.code, "has format 99; this Vestige reads up to 1" in checked.out + checked.err) == (1, True)
    assert "pip install --upgrade vestige" in checked.out + checked.err
    for verb in VERBS:
        assert_answered(call(*(word.replace("SHORT", short(history.id)) for word in verb)), verb)
    assert path.exists()


def test_a_cut_off_record_is_damage_to_the_program_itself(study: Study, history: Run) -> None:
    """In a process which has loaded nothing that would make a better error of it."""
    path = record_of(study, history)
    path.write_bytes(DAMAGE["cut off in a text"](path.read_bytes()))
    done = program("log", cwd=study.root)
    assert (done.returncode, done.stderr) == (0, b"")
    checked = program("check", cwd=study.root)
    assert checked.returncode == 1
    assert b"is not JSON" in checked.stdout + checked.stderr


ESCAPE = "\x1b[2J\x1b]0;x\x07\n\ttail"


@pytest.mark.parametrize("verb", [("show", "--all", "last"), ("show", "last"), ("log",), ("trace", "out.csv"), ("status",)])
@pytest.mark.parametrize("colour", ["--color", "--no-color"])
def test_nothing_in_a_record_tells_a_terminal_anything(study: Study, call: Caller, verb: tuple[str, ...], colour: str) -> None:
    study.write("out.csv", "the output, long enough")
    run = study.record(("sh", ESCAPE), writes=["out.csv"])
    path = record_of(study, run)
    keys = ("name", "note", "user", "host", "boot", "kind", "status", "umask")
    strange = {
        **dict.fromkeys(keys, ESCAPE),
        "tags": [ESCAPE],
        "variables": {ESCAPE: ESCAPE},
        "values": {ESCAPE: [{"value": ESCAPE}]},
        "problems": [ESCAPE],
        "job": {ESCAPE: ESCAPE},
        "observation": {"method": ESCAPE, "gaps": [ESCAPE]},
        "code": {"commit": ESCAPE, "branch": ESCAPE, "remotes": {ESCAPE: ESCAPE}, "withheld": [ESCAPE]},
        "processes": [{"pid": 1, "argv": [ESCAPE]}],
    }
    path.write_bytes(changed(**strange)(path.read_bytes()))
    called = call(colour, *verb)
    text = called.out + called.err
    assert "\x1b[2J" not in text
    assert "\x07" not in text
    assert_answered(called, verb)


@pytest.mark.parametrize("part", ["", "runs", "notes", "objects", "active", "code.git"])
def test_where_a_part_of_the_store_is_a_file_check_says_so(study: Study, history: Run, call: Caller, part: str) -> None:
    path = study.root / ".vestige" / part
    if path.exists():
        path.rename(study.root / "moved")
    path.write_text("x")
    for verb in VERBS:
        assert_answered(call(*(word.replace("SHORT", short(history.id)) for word in verb)), (part, verb))
    checked = call("check")
    assert checked.code == 1
    assert f"{str(path).rstrip('/')}: no folder, so that nothing can be recorded" in checked.out + checked.err


@pytest.mark.parametrize("content", [b"junk\n", b"\xff" * 50 + b"\n", b"z" * 40 + b"\n", b""])
def test_a_damaged_list_of_snapshots_stops_nothing(study: Study, history: Run, call: Caller, content: bytes) -> None:
    (study.root / "new.py").write_text("print('new')\n")
    assert call("capture").code == 0
    with open(study.root / ".vestige" / "code.git" / "snapshots", "ab") as listed:
        listed.write(content)
    for verb in VERBS:
        assert_answered(call(*(word.replace("SHORT", short(history.id)) for word in verb)), verb)
    assert call("check").code == 0


def test_damaged_objects_of_code_are_named(study: Study, history: Run, call: Caller) -> None:
    (study.root / "new.py").write_text("print('new')\n")
    assert call("capture").code == 0
    for folder, _, names in os.walk(study.root / ".vestige" / "code.git" / "objects"):
        for name in names:
            os.chmod(os.path.join(folder, name), 0o600)
            Path(folder, name).write_bytes(b"junk")
    for verb in VERBS:
        assert_answered(call(*(word.replace("SHORT", short(history.id)) for word in verb)), verb)
    assert call("check").code == 1


def test_the_answer_of_a_question_that_cannot_be_written_is_one_line(study: Study, history: Run) -> None:
    for verb in ("log", "status", "check", "--version"):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [sys.executable, "-m", "vestige", verb], cwd=study.root, stdout=full, stderr=subprocess.PIPE, check=False
            )
        assert done.returncode == 1
        assert done.stderr == b"vestige: the answer cannot be written: No space left on device\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_reason_to_fail(study: Study, history: Run, closed: str) -> None:
    python = f"{sys.executable} -m vestige"
    script = "; ".join(
        f"{python} {verb} {closed}" for verb in ("log", "show last --all", "run -v true", "run nosuch", "nonsense")
    )
    done = subprocess.run(["sh", "-c", script], cwd=study.root, capture_output=True, check=False)
    for word in (b"Traceback", b"defect", b"Exception"):
        assert word not in done.stdout + done.stderr


def test_nothing_known_is_exit_1_and_an_empty_standard_output(study: Study, tmp_path: Path) -> None:
    for verb in (("trace", "nothing"), ("trace", "--json", "nothing"), ("trace", "--dot", "no\nthing"), ("show", "nothing")):
        for folder in (study.root, tmp_path):
            done = program(*verb, cwd=folder)
            assert (done.returncode, done.stdout) == (1, b"")
            assert done.stderr.startswith(b"vestige: ")
            assert done.stderr.count(b"\n") == 1
