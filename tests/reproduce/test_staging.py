"""What a step sees, and with which words it is called."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from tests.store.samples import run
from vestige.config import Config
from vestige.model.run import ProjectReference, Redaction, Run
from vestige.reproduce import staging
from vestige.reproduce.confine import Bind, Ways
from vestige.reproduce.execute import Ending, Job, Serial
from vestige.reproduce.plan import Step
from vestige.reproduce.workspace import Layout, UnpreparedError
from vestige.store.project import Place

VIEW = Ways(view=True)


def laid(root: Path | str, top: Path | str, ways: Ways = VIEW) -> Layout:
    one = run(1, project=ProjectReference(id="p", root=str(root)))
    return staging.layout(Step(run=one), str(top), ways, "/somewhere/else")


def test_the_workspace_is_seen_where_the_project_was(tmp_path: Path) -> None:
    found = laid(tmp_path, "/cache/work/1")
    assert found.bound
    assert found.seen == str(tmp_path)
    assert found.cwd("sub/deep") == ("/cache/work/1/project/sub/deep", f"{tmp_path}/sub/deep")
    assert found.cwd(".") == ("/cache/work/1/project", str(tmp_path))
    assert found.cwd("/else") == ("/else", "/else")


def test_without_a_view_it_is_seen_where_it_is(tmp_path: Path) -> None:
    found = laid(tmp_path, "/cache/work/1", Ways(landlock=7))
    assert not found.bound
    assert found.seen == "/cache/work/1/project"
    assert found.temporary == ()


@pytest.mark.parametrize("root", ["/", "/tmp", "~", "/no/such/folder"])
def test_a_root_that_holds_more_than_a_project_or_is_gone_is_not_covered(root: str) -> None:
    assert not laid(os.path.expanduser(root), "/cache/work/1").bound


def test_a_root_that_holds_the_workspace_is_not_covered(tmp_path: Path) -> None:
    assert not laid(tmp_path, tmp_path / "cache/work/1").bound


def test_a_temporary_folder_is_private_unless_the_workspace_lies_in_it(tmp_path: Path) -> None:
    assert "/tmp" in laid(tmp_path, "/cache/work/1").temporary
    found = laid(tmp_path, "/tmp/cache/work/1")
    assert "/tmp" not in found.temporary
    assert found.place("/tmp/x") == "/tmp/cache/work/1/outside/tmp/x"
    assert laid(tmp_path, "/cache/work/1").place("/tmp/a/x") == "/cache/work/1/tmp/a/x"


def secretive(*redactions: Redaction) -> Run:
    return run(1, command=("train", "--key=«redacted:key»", "«redacted:key»:«redacted:token»"), redactions=redactions)


def test_secrets_are_filled_in_where_they_were() -> None:
    one = secretive(
        Redaction(at="command[1]", kind="key"),
        Redaction(at="command[2]", kind="key"),
        Redaction(at="command[2]", kind="token"),
        Redaction(at="variables.X", kind="key"),
    )
    assert staging.refilled(one, lambda redaction: f"<{redaction.kind} {redaction.at}>") == (
        "train",
        "--key=<key command[1]>",
        "<key command[2]>:<token command[2]>",
    )


def test_a_secret_that_is_not_to_be_had_is_asked_for() -> None:
    with pytest.raises(UnpreparedError, match=r"--secret command\[1\]=…"):
        staging.refilled(secretive(Redaction(at="command[1]", kind="key")), lambda _: None)


def test_a_job_and_its_ending_can_be_sent_to_another_process(tmp_path: Path) -> None:
    job = Job(
        of="r",
        argv=("a",),
        environ={"A": "b"},
        cwd="/",
        umask=0o22,
        stdin=None,
        stdout=None,
        stderr=None,
        binds=(Bind("/a", "/b", read_only=True),),
        folders=("/a",),
        ways=Ways(landlock=7, view=True),
        place=Place(str(tmp_path), str(tmp_path / ".vestige"), id="p"),
        config=Config(),
        store="/s",
    )
    sent = pickle.loads(pickle.dumps(job))
    assert (sent.argv, sent.environ, sent.binds[0].target, sent.ways.landlock) == (("a",), {"A": "b"}, "/b", 7)
    assert (sent.place.root, sent.config.keep) == (str(tmp_path), Config().keep)
    assert pickle.loads(pickle.dumps(Ending(exit_code=3))) == Ending(exit_code=3)


def test_the_serial_executor_does_each_thing_at_once() -> None:
    done: list[int] = []
    with Serial() as executor:
        assert executor.submit(lambda: done.append(1)).done()
        assert done == [1]
        assert isinstance(executor.submit(int, "x").exception(), ValueError)
