from __future__ import annotations

from pathlib import Path

from tests.ops.study import Study
from vestige.model.run import Observation
from vestige.ops.doctor import doctor
from vestige.ops.gaps import met


def seen(study: Study, *gaps: str) -> str:
    return study.record(change={"observation": Observation(method="notify", gaps=gaps)}).id


def test_gaps_are_gathered_by_what_they_are_about_with_what_helps(tmp_path: Path) -> None:
    study = Study(tmp_path / "p")
    seen(study)
    seen(study, "ssh: what ran on node17 was not seen", "docker: the container's files were not seen")
    last = seen(study, "ssh: what ran on node18 was not seen", "ssh: what ran on node19 was not seen")
    ssh, docker = met(study.project)
    assert (ssh.kind, ssh.gap, ssh.runs, ssh.last) == ("ssh", "ssh: what ran on node18 was not seen", 2, last)
    assert (docker.kind, docker.runs) == ("docker", 1)
    assert docker.advice == "run vestige inside the container, or name its files with --input and --output"


def test_the_doctor_tells_what_escaped_and_what_helps(tmp_path: Path) -> None:
    study = Study(tmp_path / "p")
    last = seen(study, "docker: the container's files were not seen")
    (found,) = dict(doctor(study.project).groups)["What escaped"]
    assert (found.name, found.state) == ("docker", "limited")
    assert found.found == f"docker: the container's files were not seen (1 run, the last {last[-8:]})"
    assert found.advice is not None


def test_where_nothing_escaped_the_doctor_says_so(tmp_path: Path) -> None:
    study = Study(tmp_path / "p")
    seen(study)
    (found,) = dict(doctor(study.project).groups)["What escaped"]
    assert (found.name, found.state) == ("gaps", "good")
