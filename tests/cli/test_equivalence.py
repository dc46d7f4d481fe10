"""The command line adds nothing: each verb, and the call of the library that does the same."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

import vestige
from tests.cli.calling import Caller, program
from tests.exchange.seeds import GOLDEN
from tests.ops.study import Study
from vestige.cli import verbs
from vestige.model import wire
from vestige.model.run import short
from vestige.ops.shell import shell
from vestige.report import diff as diff_report
from vestige.report import doctor as doctor_report
from vestige.report import keeping, style
from vestige.report import log as log_report
from vestige.report import reproduce as reproduce_report
from vestige.report import show as show_report
from vestige.report import status as status_report
from vestige.report import trace as trace_report
from vestige.report.dot import dot

#: Verbs about the command line itself, which have no counterpart.
OWN = {"help", "completion", "skill"}


def test_every_verb_is_shown_here() -> None:
    shown = [name.removeprefix("test_") + "_" for name in globals() if name.startswith("test_")]
    verb = {row.name: verbs.module(row.name).rstrip("_") + "_" for row in verbs.every() if row.name not in OWN}
    assert [name for name, beginning in verb.items() if not any(one.startswith(beginning) for one in shown)] == []


def test_run(study: Study, call: Caller) -> None:
    study.write("step.py", "import sys; open('out.csv', 'w').write(open('in.csv').read() * 2); print('done'); sys.exit(3)\n")
    study.write("in.csv", "some content\n")
    command = [sys.executable, "step.py"]
    called = call("run", "--name", "twice", "--tag", "a", "--note", "n", *command)
    assert (called.code, called.out, called.err) == (3, "done\n", "")
    mine = vestige.open().show("last").run
    theirs = vestige.open().run(command, name="twice", tags=["a"], note="n")
    assert theirs.id != mine.id
    for field in ("command", "name", "tags", "note", "exit_code", "status", "cwd", "kind", "environment", "machine"):
        assert getattr(mine, field) == getattr(theirs, field), field
    assert [(use.path, use.digest, use.role) for use in mine.inputs] == [
        (use.path, use.digest, use.role) for use in theirs.inputs
    ]
    assert [(use.path, use.digest) for use in mine.outputs] == [(use.path, use.digest) for use in theirs.outputs]


def test_capture(study: Study, call: Caller) -> None:
    study.write("step.py", "print(1)\n")
    document = json.loads(call("capture", "--name", "now", "--json").out)
    run = vestige.open().capture(name="now")
    assert (document["kind"], document["environment"], document["machine"]) == ("capture", run.environment, run.machine)
    assert run.code is not None
    assert document["code"]["snapshot"] == run.code.snapshot


def test_adopt(study: Study, call: Caller) -> None:
    study.write("raw.csv", "raw")
    study.write("clean.csv", "clean")
    document = json.loads(call("adopt", "--input", "raw.csv", "clean.csv", "--json", "--", "python", "clean.py").out)
    run = vestige.open().adopt(["clean.csv"], command=["python", "clean.py"], inputs=["raw.csv"])
    assert document["command"] == list(run.command) == ["python", "clean.py"]
    assert document["outputs"] == [wire.encode(use) for use in run.outputs]
    assert document["inputs"] == [wire.encode(use) for use in run.inputs]
    assert document["observation"]["gaps"] == list(run.observation.gaps if run.observation else ())


def test_export(study: Study, call: Caller) -> None:
    study.write("out.csv", "content")
    study.record(("python", "step.py"), writes=["out.csv"], streams={"stdout": b"hello\n"})
    assert call("export", "last", "-o", "one").out == f"{study.root / 'one'}\n"
    assert vestige.open().export("last", "capsule", "other").path == str(study.root / "other")
    assert sorted(os.listdir("one")) == sorted(os.listdir("other"))
    for name in os.listdir("one"):
        assert (study.root / "one" / name).read_bytes() == (study.root / "other" / name).read_bytes()
    assert call("export", "out.csv", "--format", "info").out.encode() == vestige.open().export("last", "info").data
    assert call("export", "last", "-o", "one").code == 1
    assert call("export", "last", "--format", "zip").code == 64


def test_sidecar(study: Study, call: Caller) -> None:
    study.write("out.csv", "content that is long enough")
    study.record(("python", "step.py"), writes=["out.csv"])
    assert call("sidecar", "out.csv").out == f"{study.root / '.out.csv.vestige'}\n"
    written = (study.root / ".out.csv.vestige").read_bytes()
    assert vestige.open().sidecar("out.csv") == str(study.root / ".out.csv.vestige")
    assert (study.root / ".out.csv.vestige").read_bytes() == written
    assert call("sidecar", "vestige.toml").code == 1


def test_import(study: Study, call: Caller) -> None:
    shutil.copytree(GOLDEN / "ntrk", study.root, dirs_exist_ok=True)
    document = json.loads(call("import", ".out.csv.ntrk", "--json").out)
    (known,) = vestige.open().import_records([".out.csv.ntrk"]).known
    assert document == {"imported": [{"run": known, "from": "ntrk"}], "known": [], "forgotten": [], "notes": []}
    assert call("import", ".out.csv.ntrk").out == "1 run already imported\n"
    called = call("import", ".ntrk", "--format", "ntrk")
    assert (called.code, called.err) == (0, "")
    assert called.out.startswith("imported 1 run of ntrk: ")
    nothing = call("import", "in.csv")
    assert (nothing.code, nothing.out) == (1, "")
    assert "in.csv holds no record that is known here" in nothing.err


def test_import_config(study: Study, call: Caller) -> None:
    study.write("capsula.toml", 'vault-dir = "v"\n[pre-run]\ncontexts = [{ type = "MyContext" }]\n')
    found = vestige.open().import_config("capsula.toml")
    printed = call("import-config", "capsula.toml")
    assert (printed.code, printed.out) == (0, found.text)
    assert printed.err.splitlines() == [f"vestige: {remark}" for remark in found.remarks]
    assert call("import-config", "capsula.toml", "-o", "new.toml").out == "wrote new.toml\n"
    assert (study.root / "new.toml").read_text() == found.text
    assert call("import-config", "capsula.toml", "-o", "new.toml").code == 1
    study.write("ntrk.toml", "[flags\n")
    wrong = call("import-config", "ntrk.toml")
    assert (wrong.code, wrong.out, wrong.err.count("\n")) == (64, "", 1)


def test_trace(study: Study, call: Caller) -> None:
    study.write("raw.csv", "raw data, long enough")
    study.write("out.csv", "a result, long enough")
    study.record(("python", "step.py"), reads=["raw.csv"], writes=["out.csv"])
    project = vestige.open()
    assert call("trace", "out.csv").out.splitlines() == list(trace_report.lines(project.trace("out.csv")))
    assert call("trace", "out.csv").out == "raw.csv -> python step.py @ - -> out.csv\n"
    assert call("trace", "--down", "raw.csv").out.splitlines() == list(trace_report.lines(project.trace("raw.csv", down=True)))
    assert json.loads(call("trace", "out.csv", "--json").out) == trace_report.document(project.trace("out.csv"))
    assert call("trace", "out.csv", "--dot").out.splitlines() == list(dot(project.trace("out.csv")))
    assert call("trace", "out.csv", "--depth", "0").out.splitlines() == list(
        trace_report.lines(project.trace("out.csv", depth=0))
    )
    unknown = call("trace", "step.py")
    assert (unknown.code, unknown.out) == (1, "")


def test_status(study: Study, call: Caller) -> None:
    study.write("raw.csv", "raw data, long enough")
    study.write("out.csv", "a result, long enough")
    study.write("more.csv", "nobody made this")
    study.record(("python", "step.py"), reads=["raw.csv"], writes=["out.csv"])
    study.write("raw.csv", "other data, long enough")
    project = vestige.open()
    called = call("status")
    assert called.out.splitlines() == list(status_report.lines(project.status()))
    assert "stale\tout.csv" in called.out
    assert json.loads(call("status", "--json", "out.csv").out) == status_report.document(project.status("out.csv"))
    assert call("status", "--unknown", ".").out.splitlines() == list(status_report.lines(project.status(unknown=".")))


def test_log(study: Study, call: Caller) -> None:
    study.record(change={"name": "a", "variables": {"LR": "0.1"}})
    study.record(change={"name": "b", "variables": {"LR": "0.5"}, "status": "failed", "exit_code": 1})
    project = vestige.open()
    assert call("log").out.splitlines() == list(log_report.lines(project.log(), log_report.PROGRAMS))
    assert json.loads(call("log", "--json").out) == [wire.encode(run) for run in project.runs()]
    assert json.loads(call("log", "--json", "--status", "failed").out) == [
        wire.encode(run) for run in project.runs(status="failed")
    ]
    assert call("log", "--where", "variables.LR=0.1", "--columns", "name").out == "a\n"
    assert [run.name for run in project.runs(where=["variables.LR=0.1"])] == ["a"]
    assert call("log", "--limit", "1", "--columns", "name,variables.LR").out == "b\t0.5\n"
    assert [run.name for run in project.runs(limit=1)] == ["b"]


def test_show(study: Study, call: Caller) -> None:
    study.write("out.csv", "content that is long enough")
    run = study.record(writes=["out.csv"], packages={"numpy": "1"}, streams={"stdout": b"\xffhello\n"})
    project = vestige.open()
    assert call("show", "last").out.splitlines() == list(show_report.lines(project.show("last")))
    assert call("show", "out.csv", "--json").out == wire.dump_run(project.show("out.csv").run).decode()
    assert json.loads(call("show", short(run.id), "--json").out) == wire.encode(run)


def test_reproduce(study: Study, call: Caller) -> None:
    study.write("step.py", "open('out.csv', 'w').write(open('in.csv').read() * 2)\n")
    study.write("in.csv", "some content\n")
    vestige.open().run([sys.executable, "step.py"], name="twice")
    called = call("reproduce", "twice", "--json")
    mine = json.loads(called.out)
    made = vestige.open().reproduce("twice")
    assert called.code == made.exit_code == 0, called.err
    theirs = reproduce_report.document(made)
    assert mine["verdicts"] == theirs["verdicts"]


def test_show_log(study: Study) -> None:
    study.record(streams={"stdout": b"\xff\x00hello\n", "stderr": b"oops\n"})
    assert program("show", "last", "--log", cwd=study.root).stdout == b"\xff\x00hello\noops\n"
    assert b"".join(data for _, data in vestige.open().streams("last")) == b"\xff\x00hello\noops\n"


def test_diff(study: Study, call: Caller) -> None:
    study.write("step.py", "print(1)\n")
    study.record(("python", "step.py", "1"), code=True)
    study.write("step.py", "print(2)\n")
    study.record(("python", "step.py", "2"), code=True)
    difference = vestige.open().diff("last~1", "last")
    assert call("diff", "last~1", "last").out.splitlines() == list(diff_report.lines(difference))
    assert json.loads(call("diff", "last~1", "last", "--json").out) == diff_report.document(difference)
    assert call("diff", "last~1", "last", "--patch").out == difference.patch.decode()
    assert call("diff", "last~1", "last", "--exit-code").code == int(not difference.identical) == 1
    assert call("diff", "last", "last", "--exit-code").code == 0


def test_restore(study: Study, call: Caller) -> None:
    study.write("out.csv", "first")
    study.record(writes=["out.csv"])
    study.write("out.csv", "second")
    project = vestige.open()
    assert call("restore", "out.csv@last").out.encode() == project.restore("out.csv@last") == b"first"
    assert call("restore", "out.csv@last", "-o", "a.csv").code == 0
    project.restore("out.csv@last", "b.csv")
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes() == b"first"
    assert call("restore", "out.csv@last", "-o", "a.csv").code == 1
    with pytest.raises(vestige.VestigeError):
        project.restore("out.csv@last", "b.csv")
    assert call("restore", "out.csv@last", "-o", "out.csv", "--force").code == 0


def test_check(study: Study, call: Caller) -> None:
    path = study.opened.records.write(study.record())
    called = call("check")
    assert called.code == 0
    assert called.out == keeping.verdict(vestige.open().check(), style.PLAIN) + "\n"
    Path(path).write_text("{")
    checked = vestige.open().check()
    called = call("check")
    assert called.code == 1
    assert called.out.splitlines() == [*keeping.damage(checked, style.PLAIN), keeping.verdict(checked, style.PLAIN)]


def test_gc(study: Study, call: Caller) -> None:
    study.write("out.csv", "content")
    study.record(writes=["out.csv"])
    collected = vestige.open().gc(budget="0", dry_run=True)
    expected = [*keeping.dropped(collected, style.PLAIN, dry_run=True), keeping.sum_of(collected, dry_run=True)]
    assert call("gc", "--budget", "0", "--dry-run").out.splitlines() == expected
    assert len(collected.dropped) == 1
    assert call("gc", "--budget", "0").code == 0
    assert vestige.open().gc(budget="0").dropped == ()


def test_forget(study: Study, call: Caller) -> None:
    one, other = study.record(), study.record()
    assert call("forget", short(one.id)).out == f"forgot run {short(one.id)}; a tombstone stays\n"
    assert vestige.open().forget(other.id).run == other.id
    assert list(vestige.open().runs()) == []


def test_doctor(study: Study, call: Caller) -> None:
    study.record()
    shown = call("doctor").out.splitlines()
    expected = list(doctor_report.lines(vestige.open().doctor()))
    assert [line.split("\t")[:3] for line in shown] == [line.split("\t")[:3] for line in expected]


def test_init(study: Study, call: Caller) -> None:
    os.unlink("vestige.toml")
    assert call("init").code == 0
    written = Path("vestige.toml").read_text()
    assert call("init").code == 1
    os.unlink("vestige.toml")
    assert vestige.open().init() == str(study.root / "vestige.toml")
    assert Path("vestige.toml").read_text() == written


def test_shell(call: Caller, tmp_path: Path) -> None:
    (tmp_path / "bash").write_text('#!/bin/sh\nprintf "%s" "${VESTIGE_SHELL_WORDS-gone}"; exit 3\n')
    (tmp_path / "bash").chmod(0o755)
    found = shell(str(tmp_path / "bash"))
    assert (found.words[0], found.environ["VESTIGE_SHELL"]) == ("bash", "0")
    assert program("shell", str(tmp_path / "bash"), cwd=tmp_path).returncode == 3
    assert call("shell", "nosuch").err == "vestige: there is no shell nosuch; vestige shell bash\n"
