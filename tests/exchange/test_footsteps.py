"""What footsteps left beside results."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.exchange.studies import copied, imported, project, runs, traced
from vestige.errors import NotFoundError, UnreadableError
from vestige.model import plain


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copied("footsteps", tmp_path)


def info(root: Path, old: str = "", new: str = "") -> Path:
    """The `info.txt`, changed."""
    path = root / "results" / "fold-1" / "info.txt"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_a_folder_of_results_becomes_a_run_of_the_script(root: Path) -> None:
    done = imported(root, "results")
    assert done.notes == ()
    (run,) = done.runs
    assert (run.kind, run.name, run.host, run.cwd) == ("script", "fold-1", "node17", ".")
    assert run.command == ("/usr/bin/python", "train.py", "fold-1")
    assert run.code is not None
    assert (run.code.commit, run.code.dirty) == ("26f2e52", True)
    assert [use.path for use in run.outputs] == ["results/fold-1/weights.csv"]
    assert traced(root, "results/fold-1/weights.csv") == [
        "(no inputs) -> train.py @ 26f2e52+ [partial] -> results/fold-1/weights.csv"
    ]


def test_the_script_is_known_as_it_was_copied_then(root: Path) -> None:
    (root / "train.py").write_text("print('another one')\n")
    (run,) = imported(root, "results").runs
    copy = root / "results" / "fold-1" / "train.py"
    assert run.script is not None
    assert (run.script.path, run.script.digest) == ("train.py", project(root)._opened.digest_of(str(copy)))


def test_the_packages_are_those_that_pip_listed(root: Path) -> None:
    (run,) = imported(root, "results").runs
    assert run.environment is not None
    environment = plain.loads(project(root)._opened.objects.read(run.environment))
    named = {one["name"]: one["version"] for one in environment["packages"]}
    assert named == {"footsteps": "0.1.9", "pip": "23.2.1", "setuptools": "65.5.0"}
    assert environment["interpreters"][0]["executable"] == "/usr/bin/python"


def test_the_changes_are_kept_as_they_stand_and_can_be_applied(root: Path) -> None:
    (run,) = imported(root, "results").runs
    assert run.code is not None
    kept = project(root)._opened.objects.read(run.code.extra["diffs"]["uncommitted changes"])
    assert kept in (root / "results" / "fold-1" / "info.txt").read_bytes()
    assert kept.startswith(b"diff --git a/train.py b/train.py\n")
    assert kept.endswith(b"+# changed\n")


def test_a_password_in_the_address_of_the_origin_stays_out(root: Path) -> None:
    (run,) = imported(root, "results").runs
    assert run.code is not None
    assert run.code.remotes["origin"].endswith("github.com/ada/study.git")
    for path in (root / ".vestige").rglob("*"):
        assert not path.is_file() or b"pa55w0rdOfAda99" not in path.read_bytes()


def test_importing_twice_changes_nothing_even_where_the_file_has_another_time(root: Path) -> None:
    (run,) = imported(root, "results").runs
    os.utime(root / "results" / "fold-1" / "info.txt", (1e9, 1e9))
    assert imported(root, "results").known == (run.id,)


def test_a_command_that_is_quoted_is_taken_word_by_word(root: Path) -> None:
    info(root, "train.py fold-1\n", "python train.py 'fold 1' --name='a b'\n".replace("--name='a b'", "'--name=a b'"))
    (run,) = imported(root, "results").runs
    assert run.command == ("python", "train.py", "fold 1", "--name=a b")


def test_a_command_without_quotes_says_that_blanks_are_lost(root: Path) -> None:
    (run,) = imported(root, "results").runs
    assert "the command stands without quotes: a word that held a blank is taken apart" in run.problems


def test_a_command_of_several_lines_is_one(root: Path) -> None:
    info(root, "train.py fold-1\n", "train.py 'a\nSystem of two\nb'\n")
    (run,) = imported(root, "results").runs
    assert run.command[-1] == "a\nSystem of two\nb"
    assert run.host == "node17"


@pytest.mark.parametrize("hash_line", ["v1.2-3-g26f2e52", "26f2e52"])
def test_a_described_commit_is_a_commit(root: Path, hash_line: str) -> None:
    info(root, "26f2e52\n", hash_line + "\n")
    (run,) = imported(root, "results").runs
    assert run.code is not None
    assert run.code.commit == "26f2e52"


def test_a_commit_that_is_known_by_a_tag_alone_says_so(root: Path) -> None:
    info(root, "26f2e52\n", "v1.2\n")
    (run,) = imported(root, "results").runs
    assert run.code is not None
    assert run.code.commit is None
    assert "the commit is known by the name 'v1.2' alone" in run.problems


def test_what_was_run_without_git_has_no_code(root: Path) -> None:
    path = info(root)
    text = path.read_text()
    path.write_text(text[: text.index("Git Hash:")] + "Current working dir:\n/home/ada/study\n")
    (run,) = imported(root, "results").runs
    assert run.code is None


def test_lines_that_end_as_on_windows_are_read(root: Path) -> None:
    path = info(root)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    (run,) = imported(root, "results").runs
    assert run.host == "node17"


def test_names_and_changes_that_are_not_utf8_are_kept(root: Path) -> None:
    path = info(root)
    path.write_bytes(
        path.read_bytes().replace(b"+# changed", b"+# chang\xe9d").replace(b"/home/ada/study", b"/home/ad\xe9/study")
    )
    (root / "results" / "fold-1" / os.fsdecode(b"caf\xe9.csv")).write_text("coffee, and more of it")
    (run,) = imported(root, "results").runs
    assert run.code is not None
    assert b"chang\xe9d" in project(root)._opened.objects.read(run.code.extra["diffs"]["uncommitted changes"])
    assert os.fsdecode(b"results/fold-1/caf\xe9.csv") in {use.path for use in run.outputs}


def test_a_run_inside_the_folder_of_another_keeps_its_own_results(root: Path) -> None:
    inner = root / "results" / "fold-1" / "again"
    inner.mkdir()
    (inner / "info.txt").write_bytes((root / "results" / "fold-1" / "info.txt").read_bytes())
    (inner / "more.csv").write_text("more of the same kind")
    imported(root, "results")
    found = {run.name: [use.path for use in run.outputs] for run in runs(root)}
    assert found == {
        "fold-1": ["results/fold-1/weights.csv"],
        "fold-1/again": ["results/fold-1/again/more.csv"],
    }


def test_a_file_that_is_cut_off_is_a_note(root: Path) -> None:
    other = root / "results" / "fold-2"
    other.mkdir()
    (other / "info.txt").write_text("Command:\ntrain.py fold-2\nSystem:\nnode17\n")
    done = imported(root, "results")
    assert len(done.runs) == 1
    assert "fold-2/info.txt is no info.txt of footsteps: it has no section 'Python:'" in done.notes[0]
    with pytest.raises(UnreadableError):
        imported(root, "results/fold-2")


def test_an_info_txt_of_somebody_else_is_not_taken(root: Path) -> None:
    info(root).write_text("some notes\n")
    with pytest.raises(NotFoundError, match="holds no record that is known here"):
        imported(root, "results")
    with pytest.raises(UnreadableError, match="no section 'Command:'"):
        imported(root, "results/fold-1/info.txt", system="footsteps")


def test_what_our_own_scripts_leave_is_read_as_well(root: Path) -> None:
    from vestige.record import info as own

    said = own.Info(command=["python", "train.py", "a b"], system="node17", python="/usr/bin/python", commit=None,
                    changes=b"", cwd=str(root), note="(no git repository)")  # fmt: skip
    folder = root / "results" / "own"
    folder.mkdir()
    (folder / "info.txt").write_bytes(own.render(said))
    (folder / "package_versions.txt").write_text("numpy==2.1.0\n")
    (run,) = imported(root, "results/own").runs
    assert (run.command, run.code, run.cwd) == (("python", "train.py", "a b"), None, ".")
