"""What the shells are told, and what bash makes of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ops.study import Study
from vestige.cli.completion import answers
from vestige.model.run import short


def words(*typed: str) -> list[str]:
    return [answer.partition("\t")[0] for answer in answers(list(typed))]


def test_verbs_by_their_beginning_other_names_included() -> None:
    assert words("re")[-1:] == ["restore"]
    assert words("tr")[:1] == ["track"]
    assert "doctor" in words("")


def test_options_of_the_verb_and_of_every_verb() -> None:
    assert words("log", "--st") == ["--status"]
    assert "--project" in words("log", "--")
    assert "--project" in words("--")


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        (("log", "--status", "fin"), ["finished", "finishing"]),
        (("log", "--status=fin"), ["--status=finished", "--status=finishing"]),
        (("run", "--input", ""), [":files"]),
        (("--project", ""), [":folders"]),
        (("log", "--project", ""), [":folders"]),
        (("log", "--note", ""), []),
        (("nonsense", ""), []),
        (("completion", "z"), ["zsh"]),
        (("help", "sho"), ["show"]),
        (("check", ""), []),
    ],
)
def test_values(typed: tuple[str, ...], wanted: list[str]) -> None:
    assert words(*typed) == wanted


@pytest.mark.parametrize(
    ("typed", "where"),
    [
        (("run", ""), 1),
        (("run", "py"), 1),
        (("run", "--name", "x", "-v", "py"), 4),
        (("run", "--", "py"), 2),
        (("run", "a", "b"), 1),
    ],
)
def test_after_run_the_words_are_the_commands(typed: tuple[str, ...], where: int) -> None:
    assert words(*typed) == [f":command {where}"]


def test_runs_by_name_and_id(study: Study) -> None:
    run = study.record(change={"name": "train"})
    assert words("show", "") == ["last", "train", short(run.id), ":files"]
    assert words("show", "tr") == ["train", ":files"]
    assert words("show", short(run.id)[:3]) == [short(run.id), ":files"]
    assert words("restore", "out.csv@tr") == ["out.csv@train", ":files"]
    assert words("run", "--parent", "tr") == ["train"]


def test_where_nothing_is_recorded_only_files_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert words("show", "") == [":files"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts_are_read_by_their_shells(shell: str) -> None:
    from vestige.cli.completion import _SCRIPTS

    program = shutil.which(shell)
    if program is None:
        assert shell != "bash"
        return
    subprocess.run([program, "-n"], input=_SCRIPTS[shell].encode(), check=True)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("vestige sho", ["show"]),
        ("vestige show trai", ["train"]),
        ("vestige log --status=fail", ["failed"]),
        ("vestige restore out.csv@trai", ["train"]),
        ("vestige restore out.c", ["out.csv"]),
    ],
)
def test_bash_completes(study: Study, line: str, wanted: list[str]) -> None:
    study.write("out.csv", "x")
    study.record(change={"name": "train"})
    script = f"""
        vestige() {{ {sys.executable} -m vestige "$@"; }}
        compopt() {{ :; }}
        eval "$(vestige completion bash)"
        COMP_LINE={line!r} COMP_POINT={len(line)} COMP_WORDS=({line}) COMP_CWORD=1
        _vestige
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, check=True, cwd=study.root, env=os.environ)
    assert done.stdout.decode().split() == wanted, done.stderr
