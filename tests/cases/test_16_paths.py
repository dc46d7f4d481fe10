"""Cases 16 to 27: which file a path leads to, and under which name it is recorded."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cases.programs import c, python
from tests.cases.stage import TEXT, digest, gaps, project, recorded, used
from tests.record.running import last, run, use

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
either = pytest.mark.either_watcher

__all__ = ["project"]  # the fixture

V0 = digest(TEXT)


@pytest.fixture
def folder(project: Path) -> Path:
    """A folder in the project, with a file in it."""
    found = project / "folder"
    found.mkdir()
    (found / "inside").write_text("inside")
    return found


@either
def test_case_16_what_is_opened_relative_to_a_descriptor(project: Path, folder: Path) -> None:
    script = """
    there = os.open('folder', os.O_RDONLY | os.O_DIRECTORY)
    os.read(os.open('inside', os.O_RDONLY, dir_fd=there), 10)
    os.write(os.open('new', os.O_WRONLY | os.O_CREAT, dir_fd=there), b'new')
    os.rename('new', 'out', src_dir_fd=there, dst_dir_fd=there)
    os.write(os.open('gone', os.O_WRONLY | os.O_CREAT, dir_fd=there), b'new')
    os.unlink('gone', dir_fd=there)
    os.read(os.open('../in', os.O_RDONLY, dir_fd=there), 10)
    """
    assert used(recorded(project, *python(script))) == ({"in", "folder/inside"}, {"folder/out"})


@pytest.mark.not_under("ptrace")
def test_case_16_programs_that_walk_by_descriptors(project: Path, folder: Path) -> None:
    (folder / "deeper").mkdir()
    (folder / "deeper" / "leaf").write_text("leaf")
    assert used(recorded(project, "cp", "-r", "folder", "copy")) == (
        {"folder/inside", "folder/deeper/leaf"},
        {"copy/inside", "copy/deeper/leaf"},
    )
    assert used(recorded(project, "tar", "-cf", "all.tar", "folder"))[1] == {"all.tar"}
    assert used(recorded(project, "tar", "-xf", "all.tar", "--one-top-level=x")) == (
        {"all.tar"},
        {"x/folder/inside", "x/folder/deeper/leaf"},
    )
    found = recorded(project, "find", "folder", "-type", "f", "-execdir", "cp", "{}", "{}.copy", ";")
    assert used(found) == ({"folder/inside", "folder/deeper/leaf"}, {"folder/inside.copy", "folder/deeper/leaf.copy"})


@either
def test_case_17_the_working_directory_that_a_program_has_changed_to(project: Path, folder: Path) -> None:
    script = """
    there, here = os.open('folder', os.O_RDONLY), os.open('.', os.O_RDONLY)
    os.chdir('folder'); open('inside').read(); open('by name', 'w')
    os.fchdir(here); open('in').read()
    os.fchdir(there); open('by descriptor', 'w')
    """
    assert used(recorded(project, *python(script))) == ({"in", "folder/inside"}, {"folder/by name", "folder/by descriptor"})


THREAD_OF_ITS_OWN = """
static void *elsewhere(void *ignored) {
    if (unshare(CLONE_FS) || chdir("folder"))
        exit(2);
    close(open("inside", O_RDONLY));
    close(open("out", O_WRONLY | O_CREAT, 0666));
    return NULL;
}
int main(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, elsewhere, NULL);
    pthread_join(thread, NULL);
    close(open("in", O_RDONLY));
    return 0;
}
"""


@either
def test_case_17_a_thread_with_a_working_directory_of_its_own(project: Path, folder: Path) -> None:
    record = recorded(project, *c(THREAD_OF_ITS_OWN, "-pthread"))
    assert used(record) == ({"in", "folder/inside"}, {"folder/out"})
    assert use(record, "outputs", "folder/out")["by"] == use(record, "inputs", "in")["by"]


def test_case_18_a_link_to_an_input_and_what_it_leads_to(project: Path) -> None:
    (project / "other").write_text("other")
    (project / "latest").symlink_to("in")
    record = recorded(project, *python("open('latest').read()"))
    assert used(record) == ({"latest", "in"}, set())
    assert use(record, "inputs", "latest")["link"] == "in"
    assert use(record, "inputs", "in")["digest"] == V0
    (project / "latest").unlink()
    (project / "latest").symlink_to(project / "other")
    record = recorded(project, *python("open('latest').read()"))
    assert used(record) == ({"latest", "other"}, set())
    assert use(record, "inputs", "latest")["link"] == str(project / "other")


def test_case_18_a_chain_of_links(project: Path) -> None:
    (project / "second").symlink_to("in")
    (project / "first").symlink_to("second")
    record = recorded(project, "cat", "first")
    assert used(record) == ({"first", "second", "in"}, set())


def test_case_18_writing_through_a_link_writes_what_it_leads_to(project: Path) -> None:
    (project / "latest").symlink_to("out")
    record = recorded(project, *python("open('latest', 'w').write('new')"))
    assert used(record)[1] == {"out"}
    assert use(record, "outputs", "out")["digest"] == digest("new")


def test_case_19_a_linked_folder_and_what_is_above_where_it_leads(project: Path) -> None:
    (project / "data" / "v1").mkdir(parents=True)
    (project / "data" / "v1" / "a").write_text("a")
    (project / "data" / "b").write_text("b")
    (project / "current").symlink_to("data/v1")
    (project / "b").write_text("not this one")
    script = "open('current/a').read(); open('current/../b').read(); open('current/../../in').read(); open('current/c', 'w')"
    record = recorded(project, *python(script))
    assert used(record) == ({"data/v1/a", "data/b", "in"}, {"data/v1/c"})
    assert use(record, "inputs", "data/b")["digest"] == digest("b")


@either
def test_case_19_a_folder_that_the_run_links_elsewhere(project: Path, folder: Path) -> None:
    (project / "next").mkdir()
    script = """
    os.symlink('folder', 'current'); open('current/inside').read(); open('current/one', 'w')
    os.symlink('next', 'new'); os.rename('new', 'current')
    open('current/two', 'w')
    """
    record = recorded(project, *python(script))
    read, written = used(record)
    assert read == {"folder/inside"}
    assert written == {"current", "folder/one", "next/two"}
    assert use(record, "outputs", "current")["link"] == "next"


def test_case_20_two_names_of_one_file_share_its_versions(project: Path) -> None:
    (project / "other").hardlink_to(project / "in")
    record = recorded(project, *python("open('in').read(); open('other', 'r+').write('x')"))
    changed = digest("x" + TEXT[1:])
    assert use(record, "inputs", "in")["digest"] == V0
    for name in ("in", "other"):
        written = use(record, "outputs", name)
        assert (written["before"], written["digest"], written["access"]) == (V0, changed, "update")
    assert used(record)[1] == {"in", "other"}


def test_case_20_written_under_one_name_and_read_under_another_is_no_input(project: Path) -> None:
    record = recorded(project, *python("open('a', 'w').write('new'); os.link('a', 'b'); open('b').read()"))
    assert used(record) == (set(), {"a", "b"})


def test_case_21_links_that_the_run_makes_are_outputs(project: Path) -> None:
    record = recorded(project, "sh", "-c", "ln in hard; ln -s in soft; ln -s /nowhere/at/all dangling")
    assert used(record)[1] == {"hard", "soft", "dangling"}
    hard, soft = use(record, "outputs", "hard"), use(record, "outputs", "soft")
    assert (hard["access"], hard["digest"]) == ("link", V0)
    assert (soft["access"], soft["link"]) == ("link", "in")
    assert use(record, "outputs", "dangling")["link"] == "/nowhere/at/all"


def test_case_21_a_link_in_place_of_another(project: Path) -> None:
    (project / "other").write_text("other")
    (project / "latest").symlink_to("other")
    record = recorded(project, "ln", "-sfn", "in", "latest")
    assert used(record)[1] == {"latest"}
    assert use(record, "outputs", "latest")["link"] == "in"


@either
def test_case_22_a_number_given_to_another_file_does_not_make_it_the_same(project: Path) -> None:
    script = """
    for _ in range(50):
        number = os.stat('in').st_ino
        open('in').read()
        os.unlink('in')
        descriptor = os.open('out', os.O_WRONLY | os.O_CREAT)
        os.write(descriptor, b'new')
        if os.fstat(descriptor).st_ino == number:
            print('the same number')
        break
    """
    record = recorded(project, *python(script))
    assert used(record) == ({"in"}, {"out"})
    read, written = use(record, "inputs", "in"), use(record, "outputs", "out")
    assert (read["digest"], read["deleted"]) == (V0, True)
    assert (written["digest"], written["access"]) == (digest("new"), "write")
    assert "before" not in written


def test_case_22_made_and_removed_again_and_again(project: Path) -> None:
    script = """
    for name in 'abcdefgh':
        open('scratch', 'w').write(name); open('scratch').read(); os.unlink('scratch')
        open(name, 'w').write(name)
    """
    record = recorded(project, *python(script))
    assert used(record) == (set(), set("abcdefgh"))
    assert all(use(record, "outputs", name)["digest"] == digest(name) for name in "abcdefgh")


BOUND = """
    mount --bind folder mnt
    cat mnt/inside > mnt/out
    cd mnt
    cat inside ../in > ./relative
    mv relative renamed
    mkdir made && echo text > made/text
    rm gone
"""


@either
def test_case_23_what_is_mounted_elsewhere_for_some_is_recorded_where_everybody_finds_it(project: Path, folder: Path) -> None:
    (project / "mnt").mkdir()
    (project / "mnt" / "inside").write_text("not this one")
    (folder / "gone").write_text("gone")
    record = recorded(project, "unshare", "-rm", "sh", "-e", "-c", BOUND)
    assert used(record) == ({"folder/inside", "in"}, {"folder/out", "folder/renamed", "folder/made/text"})
    assert use(record, "inputs", "folder/inside")["digest"] == use(record, "outputs", "folder/out")["digest"] == digest("inside")
    assert beyond(record) == []


def beyond(record: dict[str, Any]) -> list[str]:
    """The gaps that tell of files under other names; mount(8) is a setuid program, and has one of its own."""
    return [gap for gap in gaps(record) if "namespace" in gap or "other names" in gap]


@pytest.mark.also_under("preload")
def test_case_23_what_lies_where_nobody_else_finds_it_is_a_gap(project: Path, folder: Path, rung: str) -> None:
    script = "mount -t tmpfs none folder; echo text > folder/inside; cat folder/inside in > out"
    record = recorded(project, "unshare", "-rm", "sh", "-e", "-c", script)
    if rung == "preload":
        assert "mount mounted something: files may have other names there" in gaps(record)
        return
    assert used(record) == ({"in"}, {"out"})
    gap = beyond(record)[0]
    assert "in a mount namespace of its own" in gap
    assert f"{folder}/inside" in gap


CHANGED_ROOT = """
    if (argc == 1 && unshare(CLONE_NEWUSER))
        return 2;
    if (chroot("root") || chdir("/data"))
        return 3;
    char text[100];
    int length = read(open("/data/link", O_RDONLY), text, 100);
    write(open("out", O_WRONLY | O_CREAT, 0666), text, length);
    write(open("/absolute", O_WRONLY | O_CREAT, 0666), text, length);
    return length != 6;
"""


@pytest.mark.also_under("preload")
@either
def test_case_24_behind_another_root_files_are_recorded_by_their_names_before_it(project: Path, rung: str) -> None:
    data = project / "root" / "data"
    data.mkdir(parents=True)
    (data / "a").write_text("inside")
    (data / "link").symlink_to("/data/a")
    record = recorded(project, *c(CHANGED_ROOT))
    if rung == "preload":
        assert any("called chroot: files may have other names behind it" in gap for gap in gaps(record))
        return
    assert used(record) == ({"root/data/a"}, {"root/data/out", "root/absolute"})
    assert use(record, "outputs", "root/data/out")["digest"] == digest("inside")
    assert beyond(record) == []


def test_case_25_names_of_any_bytes_come_back_as_they_were(project: Path) -> None:
    names = [
        b"\xff\xfe",
        b"two\nlines",
        b"tab\there",
        b"-rf",
        b"%41",
        b" ",
        b'"quoted"\\',
        "\u00fcber \U0001f600".encode(),
        b"n" * 255,
    ]
    for name in names:
        with open(os.fsencode(project) + b"/" + name, "wb") as file:
            file.write(name)
    script = """
    for name in sorted(os.listdir(b'.')):
        if name not in (b'in', b'vestige.toml') and not os.path.isdir(name):
            open(b'out/' + name, 'wb').write(open(name, 'rb').read())
    """
    (project / "out").mkdir()
    record = recorded(project, *python(script))
    read, written = ({as_bytes(one): one["digest"] for one in record[which]} for which in ("inputs", "outputs"))
    assert read == {name: digest(name) for name in names}
    assert written == {b"out/" + name: digest(name) for name in names}


def as_bytes(found: dict[str, str]) -> bytes:
    """The name that a record tells."""
    if found.get("encoding") != "percent":
        return os.fsencode(found["path"])
    from urllib.parse import unquote_to_bytes

    return unquote_to_bytes(found["path"])


@either
def test_case_25_a_path_that_is_longer_than_any_call_takes_is_a_gap(project: Path) -> None:
    script = """
    for _ in range(25):
        os.mkdir('n' * 200); os.chdir('n' * 200)
    open('out', 'w').write('deep'); open('out').read()
    """
    assert run(project, *python(script)).returncode == 0
    record = last(project)
    assert all("could not open directory" in problem for problem in record["problems"]), "said by git, if it came late"
    assert "used a path of more than 4,096 bytes" in str(gaps(record))


def test_case_26_a_file_with_two_spellings_of_a_name_is_two_files_where_the_file_system_says_so(project: Path) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    record = recorded(project, *python(f"open({composed!r}, 'w').write('1'); open({decomposed!r}, 'w').write('2')"))
    assert used(record)[1] == {name for name in os.listdir(project) if name.startswith("caf")}
    assert len(record["outputs"]) == len(used(record)[1])


@either
def test_case_27_what_cannot_be_read_by_us_is_recorded_without_a_digest(project: Path) -> None:
    (project / "secret").write_text("secret")
    (project / "secret").chmod(0o000)
    script = "try: open('secret').read()\nexcept PermissionError: print('refused')\nopen('in').read(); os.chmod('in', 0)"
    record = recorded(project, *python(script))
    read = {one["path"]: one for one in record["inputs"]}
    assert "in" in read
    if os.geteuid():
        assert record["done"].stdout == b"refused\n"
        assert "digest" not in read.get("secret", {}) or read["secret"]["digest"] is None
    else:
        assert read["secret"]["digest"] == digest("secret")
    (project / "in").chmod(0o644)
