"""git asked, and its plain files read by hand: both say the same."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.capture.repositories import STATES, commit, git, project, repository, write
from vestige.capture.git import GitError, Program, Repository, at, find, git_blob, head, status, untracked, without_credentials
from vestige.capture.gitconfig import Configuration, load, parse

PROGRAM = Program("git", 20.0, "/nowhere")


def found(folder: Path) -> Repository:
    there = find(str(folder))
    assert there is not None
    return there


def settings_of(there: Repository) -> Configuration:
    return load(there.common, there.git_dir)


@pytest.mark.parametrize("state", [name for name in STATES if name != "hooked"])
def test_commit_and_branch_read_by_hand_are_those_that_git_says(state: str, tmp_path: Path) -> None:
    STATES[state](tmp_path / "project")
    there = found(tmp_path / "project")
    said = status(PROGRAM, there, "", settings_of(there))
    assert head(there) == (said.commit, said.branch)
    git(tmp_path / "project", "pack-refs", "--all")
    assert head(there) == (said.commit, said.branch)


def test_a_branch_may_have_a_name_with_folders_and_other_letters(tmp_path: Path) -> None:
    here = project(tmp_path)
    git(here, "checkout", "-q", "-b", "feature/ünï/x")
    assert head(found(here))[1] == "feature/ünï/x"
    assert status(PROGRAM, found(here), "", Configuration()).branch == "feature/ünï/x"


def test_a_repository_is_found_from_a_folder_in_it_and_what_only_looks_like_one_is_not(tmp_path: Path) -> None:
    here = project(tmp_path / "p")
    assert found(here / "src/deep").top == str(here)
    assert at(str(here / "src")) is None
    (here / "src/.git").mkdir()
    assert found(here / "src").top == str(here)
    (here / "src/.git").rmdir()
    for text in ("", "gitdir: /nowhere", "nonsense"):
        write(here, "src/.git", text)
        assert found(here / "src").top == str(here)
    assert find(str(tmp_path)) is None


def test_what_git_cannot_do_is_one_line(tmp_path: Path) -> None:
    there = found(project(tmp_path))
    with pytest.raises(GitError, match="git does not start: No such file"):
        status(Program("/nowhere/git", 5, ""), there, "", Configuration())
    failing = write(tmp_path, "failing", "#!/bin/sh\necho first >&2\necho 'fatal: second' >&2\nexit 128\n")
    failing.chmod(0o755)
    with pytest.raises(GitError, match=r"^fatal: second$"):
        status(Program(str(failing), 5, ""), there, "", Configuration())
    silent = write(tmp_path, "silent", "#!/bin/sh\nexit 3\n")
    silent.chmod(0o755)
    with pytest.raises(GitError, match="status 3"):
        status(Program(str(silent), 5, ""), there, "", Configuration())


def test_a_git_that_hangs_is_ended(tmp_path: Path) -> None:
    there = found(project(tmp_path))
    hanging = write(tmp_path, "hanging", f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
    hanging.chmod(0o755)
    started = time.monotonic()
    with pytest.raises(GitError, match=r"longer than 0\.3 s"):
        status(Program(str(hanging), 0.3, ""), there, "", Configuration())
    assert time.monotonic() - started < 5
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_more_than_a_pipe_holds_is_read(tmp_path: Path) -> None:
    here = repository(tmp_path)
    for number in range(3000):
        write(here, f"a-rather-long-name-of-a-file-{number:05}.py", "")
    assert len(status(PROGRAM, found(here), "", Configuration()).untracked) == 3000


def test_a_filter_whose_name_cannot_be_told_to_git_is_not_run(tmp_path: Path) -> None:
    here = project(tmp_path)
    git(here, "config", "filter.a=b.clean", f"touch {tmp_path}/called; cat")
    there = found(here)
    with pytest.raises(GitError, match="a=b"):
        status(PROGRAM, there, "", settings_of(there))


def test_untracked_files_of_a_folder_without_repository(tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    git(tmp_path, "init", "-q", "--bare", str(bare))
    here = tmp_path / "folder"
    for name in ("a.py", "skip.log", "x/b.py", ".venv/c.py"):
        write(here, name)
    write(here, ".gitignore", "*.log\n")
    assert untracked(PROGRAM, str(here), str(bare), [".venv/"]).untracked == [b".gitignore", b"a.py", b"x/b.py"]


keys = st.from_regex(r"[a-zA-Z][a-zA-Z0-9-]{0,8}", fullmatch=True)
texts = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\x85\u2028\u2029"), max_size=20)


@settings(max_examples=40, deadline=None)
@given(keys, st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=10), keys, texts)
def test_a_setting_that_git_writes_is_read_as_git_reads_it(section: str, subsection: str, key: str, value: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "config"
        done = subprocess.run(["git", "config", "-f", str(file), f"{section}.{subsection}.{key}", value], check=False)
        if done.returncode == 0:
            assert parse(file.read_text()) == [(section.lower(), subsection, key.lower(), value)]


def test_every_way_of_writing_a_setting(tmp_path: Path) -> None:
    text = (
        '[core]\n\tbare = false ; no\n  autoCRLF\n[remote "o \\"x\\\\"] url = a # comment\n\turl = "b # no" comment\n'
        "[filter.Old]clean = x\\\ny\n; comment\n# comment\nempty =\n\ttabs = a\\tb\\nc\n[a]k=  v w  \n"
    )  # fmt: skip
    file = write(tmp_path, "config", text)
    told = subprocess.run(["git", "config", "-f", str(file), "-z", "--list"], capture_output=True, check=True).stdout.decode()
    mine = []
    for section, subsection, key, value in parse(text):
        name = ".".join(part for part in (section, subsection, key) if part)
        mine.append(f"{name}\n{value}" if key != "autocrlf" else name)
    assert mine == [line.replace("filter.old.", "filter.Old.") for line in told.split("\0")[:-1]]


@pytest.mark.parametrize("text", ["", "[", "[a", '[a "', '[a "b\\', "=", "key", "[a]\nk = \\", "\0\0", '[a "b"]', "]"])
def test_a_damaged_configuration_is_no_end(text: str) -> None:
    assert isinstance(parse(text), list)


def test_included_files_are_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = project(tmp_path / "p")
    write(tmp_path, "p/.git/more", '[remote "up"]\n\turl = https://example.org/up\n[include]\n\tpath = more\n')
    git(here, "config", "include.path", "more")
    user = write(tmp_path, "user", '[filter "mine"]\n\tclean = x\n[remote "no"]\n\turl = y\n[core]\n\tautocrlf = input\n')
    write(tmp_path, "other", '[filter "perhaps"]\n\tclean = x\n[core]\n\tattributesFile = /no\n')
    with user.open("a") as file:
        file.write(f'[includeIf "gitdir:/elsewhere/"]\n\tpath = {tmp_path}/other\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(user))
    there = settings_of(found(here))
    assert there.remotes == {"up": "https://example.org/up"}
    assert there.filters == {"lfs", "mine", "perhaps"}
    assert there.autocrlf is False  # the repository's own setting is the last
    assert there.attributes_file is None


URLS = {
    "https://example.org/p.git": "https://example.org/p.git",
    "https://ada@example.org/p.git": "https://example.org/p.git",
    "https://ada:secret@example.org/p.git": "https://example.org/p.git",
    "https://x-access-token:t0ken@example.org/p": "https://example.org/p",
    "https://a:b@c@example.org:8443/p?token=x": "https://example.org:8443/p",
    "ssh://git@example.org:22/p.git": "ssh://git@example.org:22/p.git",
    "ssh://git:secret@example.org/p.git": "ssh://example.org/p.git",
    "git@example.org:p.git": "git@example.org:p.git",
    "/srv/git/p.git": "/srv/git/p.git",
    "../p@q.git": "../p@q.git",
    "https://ada:secret@example.org": "https://example.org",
    "": "",
}


@pytest.mark.parametrize("url", URLS)
def test_credentials_are_taken_out_of_remotes(url: str) -> None:
    assert without_credentials(url) == URLS[url]


@given(st.binary(max_size=3000))
def test_the_id_of_a_file_is_that_of_git(data: bytes) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        import hashlib

        assert git_blob(file.name) == hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def test_the_id_of_a_script_is_the_one_in_the_commit(tmp_path: Path) -> None:
    here = project(tmp_path)
    write(here, "large.py", b"#" * (3 << 20))
    commit(here)
    for name in ("train.py", "large.py"):
        assert git_blob(str(here / name)) == git(here, "rev-parse", f"HEAD:{name}")
    with pytest.raises(FileNotFoundError):
        git_blob(str(here / "gone.py"))


def test_asking_git_needs_no_heavy_module() -> None:
    program = "import sys; before = set(sys.modules); import vestige.capture.git; print(*sorted(set(sys.modules) - before))"
    source = os.path.join(os.path.dirname(__file__), "..", "..", "src")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": source}
    )
    assert {name for name in done.stdout.split() if not name.startswith("vestige")} <= {"select", "__future__"}
