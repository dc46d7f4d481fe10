"""`[classify]` holds when somebody asks, for what was recorded long before, and changes no record."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from tests.ops.lab import Lab
from tests.ops.study import Study
from vestige.errors import ConfigError
from vestige.model.query import RunQuery
from vestige.model.run import Observation
from vestige.ops import find
from vestige.ops.hidden import hidden
from vestige.ops.log import log
from vestige.ops.show import show
from vestige.ops.status import status
from vestige.ops.trace import trace
from vestige.report.show import lines, page
from vestige.report.style import PLAIN


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """`in` → `__pycache__/part` → `out`, in two runs."""
    made = Lab(tmp_path / "p", git=False)
    monkeypatch.chdir(made.root)
    made.write("in", "what goes into it all\n" * 3)
    made.sh("run sh -c 'mkdir -p __pycache__; cat in in > __pycache__/part'")
    made.sh("run sh -c 'cat __pycache__/part in > out'")
    return made


def steps(lab: Lab) -> list[list[str]]:
    return [[file.path for file in step.inputs] for step in trace(lab.project, "out").lineage.steps]


def test_a_role_that_is_given_links_shows_and_counts_without_a_record_being_changed(lab: Lab) -> None:
    records = {path: Path(path).read_bytes() for path in lab.project.records.paths()}
    assert steps(lab) == [["in"]]
    assert [entry.path for entry in status(lab.project).entries] == ["out"]
    assert [entry.summary.outputs for entry in log(lab.project, RunQuery())] == [1, 0]
    lab.write("vestige.toml", '[classify]\n"__pycache__/*" = "data"\n')
    assert [sorted(inputs) for inputs in steps(lab)] == [["in"], ["__pycache__/part", "in"]]
    assert [entry.path for entry in status(lab.project).entries] == ["__pycache__/part", "out"]
    assert [entry.summary.outputs for entry in log(lab.project, RunQuery())] == [1, 1]
    assert {use.path: use.role for use in show(lab.project, "last").run.inputs}["__pycache__/part"] == "data"
    assert {path: Path(path).read_bytes() for path in lab.project.records.paths()} == records
    lab.write("vestige.toml", "")
    assert steps(lab) == [["in"]]


def test_a_role_can_be_taken_away(lab: Lab) -> None:
    lab.write("vestige.toml", '[classify]\n"in" = "system"\n')
    assert steps(lab) == [[]]
    assert [entry.summary.inputs for entry in log(lab.project, RunQuery())] == [0, 0]


def test_a_wrong_role_is_one_line_with_the_nearest_right_one(lab: Lab) -> None:
    lab.write("vestige.toml", '[classify]\n"in" = "confg"\n')
    with pytest.raises(ConfigError, match="did you mean 'config'"):
        status(lab.project)
    done = lab.vestige("status")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (64, "", 1)


def test_whatever_else_is_wrong_with_the_configuration_stops_no_question(lab: Lab) -> None:
    lab.write("vestige.toml", 'kep = 1\n[classify]\n"__pycache__/*" = "data"\n')
    assert [entry.path for entry in status(lab.project).entries] == ["__pycache__/part", "out"]
    lab.write("vestige.toml", "kep = ")
    assert [entry.path for entry in status(lab.project).entries] == ["out"]


def test_a_file_of_the_system_is_recorded_where_it_is_said_to_be_data(lab: Lab) -> None:
    lab.write("vestige.toml", '[classify]\n"/etc/passwd" = "data"\n')
    run = lab.sh("run cat /etc/passwd /etc/group")
    (use,) = [use for use in run.inputs if use.path.startswith("/etc/")]
    assert (use.path, use.role) == ("/etc/passwd", "data")
    assert use.digest is not None
    assert {use.role for use in lab.project.records.read(run.id).inputs} == {"system"}
    lab.write("vestige.toml", "")
    assert not any(use.role == "data" for use in lab.last().inputs)


def test_what_was_hidden_is_shown_with_the_rule(lab: Lab) -> None:
    lab.write(".git/HEAD", "ref: refs/heads/main\n")
    lab.sh("run sh -c 'cat in > gone; rm gone; cat .git/HEAD /etc/passwd; cat in > out2'")
    found = {one.path: (one.role, one.rule) for one in hidden(lab.project, lab.last())}
    assert found["gone"] == ("data", "removed, or not changed, or used by another name")
    assert found["/etc/passwd"] == ("system", "below /etc/")
    assert found[".git/HEAD"] == ("drop", "internals of version control, which the commit stands for")
    assert not {"in", "out2"} & set(found)
    shown = list(page(show(lab.project, "last", hidden=True), PLAIN, 0.0, everything=True))
    assert any(line.startswith("  system: below /etc/ (") for line in shown)
    assert "    /etc/passwd" in shown
    assert "  no file of the run: internals of version control, which the commit stands for (1)" in shown
    assert show(lab.project, "last").hidden == ()
    assert not any("hidden" in line for line in lines(show(lab.project, "last")))


def test_events_that_are_gone_or_damaged_hide_nothing_and_say_so(tmp_path: Path) -> None:
    study = Study(tmp_path / "p")
    gone = study.record(change={"observation": Observation(method="notify", raw="blake3:" + "0" * 64)})
    assert "what was hidden is not known" in show(study.project, gone.id, hidden=True).problems[0]
    for data in (b"no gzip", zlib.compress(b"[]\n", wbits=31), b""):
        raw = study.opened.objects.put(data)
        run = study.record(change={"observation": Observation(method="notify", raw=raw)})
        assert show(study.project, run.id, hidden=True).hidden == ()
    assert find.run(study.project, gone.id).id == gone.id
