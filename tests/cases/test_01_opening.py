"""Cases 1 to 15: how a file was opened says what the run did to it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.cases.programs import c, python
from tests.cases.stage import TEXT, digest, gaps, project, recorded, used
from tests.record.running import use
from vestige.store.objects import Objects

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
either = pytest.mark.either_watcher

__all__ = ["project"]  # the fixture

V0, V1 = digest(TEXT), digest("x" + TEXT[1:])


def test_case_01_what_is_only_read_is_an_input_with_its_digest(project: Path) -> None:
    record = recorded(project, *python("open('in').read()"))
    assert used(record) == ({"in"}, set())
    read = use(record, "inputs", "in")
    assert (read["digest"], read["size"], read["access"], read["role"]) == (V0, len(TEXT), "read", "data")
    assert read["evidence"] == ["observed"]
    assert gaps(record) == []


def test_case_01_the_digest_of_an_input_is_of_what_was_read(project: Path) -> None:
    script = "import time; open('in').read(); time.sleep(0.3); open('in', 'w').write('later')"
    assert use(recorded(project, *python(script)), "inputs", "in")["digest"] == V0


def test_case_02_a_new_file_is_an_output_as_it_is_in_the_end(project: Path) -> None:
    record = recorded(project, *python("f = open('out', 'w'); f.write('first'); f.flush(); f.seek(0); f.write('final')"))
    assert used(record) == (set(), {"out"})
    written = use(record, "outputs", "out")
    assert (written["digest"], written["size"], written["access"], written["role"]) == (digest("final"), 5, "write", "data")
    assert "before" not in written


@either
def test_case_03_an_overwritten_file_is_an_output_and_what_it_was_is_known(project: Path) -> None:
    record = recorded(project, *python("open('in', 'w').write('new')"))
    assert used(record) == (set(), {"in"})
    written = use(record, "outputs", "in")
    assert (written["before"], written["digest"], written["access"]) == (V0, digest("new"), "write")


AS_HDF5 = """
for flags in (os.O_RDWR, os.O_RDWR | os.O_CREAT | os.O_TRUNC):
    descriptor = os.open('in', flags)
    {}
    os.close(descriptor)
"""


@pytest.mark.also_under("preload")
@either
@pytest.mark.parametrize("once_more", ["pass", "os.write(descriptor, b'new')"])
def test_case_04_a_file_that_is_truncated_before_anything_was_read_is_no_input(project: Path, rung: str, once_more: str) -> None:
    step = AS_HDF5.format(f"if flags != os.O_RDWR: {once_more}")
    record = recorded(project, *python(step))
    if rung == "preload":  # nothing is known but that it was opened for both
        assert used(record) == ({"in"}, {"in"})
        return
    assert used(record) == (set(), {"in"})
    written = use(record, "outputs", "in")
    assert (written["before"], written["access"]) == (V0, "write")
    assert written["digest"] == digest("" if once_more == "pass" else "new")


def test_case_04_opened_once_for_both_and_truncated(project: Path) -> None:
    record = recorded(project, *python("os.write(os.open('in', os.O_RDWR | os.O_CREAT | os.O_TRUNC), b'new')"))
    assert used(record) == (set(), {"in"})


@either
@pytest.mark.parametrize("use_of_it", ["os.read(descriptor, 1)", "import mmap; mmap.mmap(descriptor, 0)[0]"])
def test_case_04_a_file_that_was_read_before_it_was_truncated_is_an_input(project: Path, use_of_it: str) -> None:
    record = recorded(project, *python(AS_HDF5.format(f"if flags == os.O_RDWR: {use_of_it}")))
    assert used(record) == ({"in"}, {"in"})
    assert use(record, "inputs", "in")["digest"] == V0


def test_case_05_opened_for_both_and_not_written_is_an_input_only(project: Path) -> None:
    record = recorded(project, *python("os.read(os.open('in', os.O_RDWR), 10)"))
    assert used(record) == ({"in"}, set())
    assert (use(record, "inputs", "in")["digest"], use(record, "inputs", "in")["access"]) == (V0, "read")


@pytest.mark.parametrize(
    ("case", "step", "access"),
    [
        (6, "os.write(os.open('in', os.O_RDWR), b'x')", "update"),
        (7, "os.write(os.open('in', os.O_WRONLY), b'x')", "append"),
    ],
    ids=["06", "07"],
)
def test_case_06_and_07_changed_in_place_is_one_version_in_and_another_out(
    project: Path, case: int, step: str, access: str
) -> None:
    record = recorded(project, *python(step))
    assert used(record) == ({"in"}, {"in"})
    read, written = use(record, "inputs", "in"), use(record, "outputs", "in")
    assert (read["digest"], read["access"]) == (V0, access)
    assert (written["before"], written["digest"], written["access"]) == (V0, V1, "update")


def test_case_07_dd_that_does_not_truncate(project: Path) -> None:
    (project / "block").write_text("x")
    record = recorded(project, "dd", "if=block", "of=in", "conv=notrunc", "status=none")
    assert used(record) == ({"block", "in"}, {"in"})
    assert (use(record, "outputs", "in")["before"], use(record, "outputs", "in")["digest"]) == (V0, V1)


def test_case_08_what_is_appended_to_is_an_input_of_itself(project: Path) -> None:
    record = recorded(project, *python("open('in', 'a').write('more')"))
    assert used(record) == ({"in"}, {"in"})
    read, written = use(record, "inputs", "in"), use(record, "outputs", "in")
    assert (read["digest"], read["access"]) == (V0, "append")
    assert (written["before"], written["digest"], written["access"]) == (V0, digest(TEXT + "more"), "append")


def test_case_09_appending_that_creates_is_an_output_only(project: Path) -> None:
    record = recorded(project, *python("open('log', 'a').write('more')"))
    assert used(record) == (set(), {"log"})
    assert use(record, "outputs", "log")["access"] == "write"


def test_case_10_what_was_looked_for_in_vain_is_absent_and_no_input(project: Path) -> None:
    record = recorded(
        project, *python("import contextlib\nwith contextlib.suppress(FileNotFoundError): open('settings.toml').read()")
    )
    assert used(record) == (set(), set())
    assert "settings.toml" in {os.path.basename(path) for path in listed(project, record["absent"])}


REFUSED = {
    "EISDIR": "os.open('folder', os.O_WRONLY)",
    "ENOENT": "os.open('nowhere/out', os.O_WRONLY | os.O_CREAT)",
    "ENOTDIR": "os.open('in/out', os.O_WRONLY | os.O_CREAT)",
    "ELOOP": "os.open('link', os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW)",
    "EEXIST": "os.open('in', os.O_WRONLY | os.O_CREAT | os.O_EXCL)",
    "ETXTBSY": "os.open('/proc/self/exe', os.O_WRONLY)",
    "EROFS": "os.open('/sys/kernel/notes', os.O_WRONLY)",
    "EACCES": "os.open('mine', os.O_WRONLY | os.O_TRUNC)",
    "EACCES in a folder": "os.open('locked/out', os.O_WRONLY | os.O_CREAT)",
}


def test_case_11_what_could_not_be_opened_to_write_is_no_output(project: Path) -> None:
    (project / "folder").mkdir()
    (project / "locked").mkdir(mode=0o555)
    (project / "link").symlink_to("in")
    (project / "mine").write_text("mine")
    (project / "mine").chmod(0o444)
    script = "if os.geteuid() == 0: os.chmod('.', 0o755); os.seteuid(65534)\n"
    for attempt in REFUSED.values():
        script += f"try: {attempt}; print('opened')\nexcept OSError: pass\n"
    record = recorded(project, *python(script))
    assert record["done"].stdout == b""
    assert used(record) == (set(), set())
    assert (project / "mine").read_text() == "mine"


@either
def test_case_12_of_two_that_create_exclusively_one_has_made_the_file(project: Path) -> None:
    script = """
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    try:
        os.write(os.open('lock', os.O_WRONLY | os.O_CREAT | os.O_EXCL), b'first' if not pid else b'second')
    except FileExistsError:
        print('there is one')
    """
    record = recorded(project, *python(script))
    assert record["done"].stdout == b"there is one\n"
    assert used(record) == (set(), {"lock"})
    written = use(record, "outputs", "lock")
    assert written["digest"] == digest("first")
    (by,) = written["by"]
    assert record["processes"][by]["parent"] == record["processes"][0]["pid"]


LINKED = """
    char name[64];
    int file = open(".", O_TMPFILE | O_RDWR, 0644);
    write(file, "text", 4);
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    return linkat(AT_FDCWD, name, AT_FDCWD, "out", AT_SYMLINK_FOLLOW) != 0;
"""
LINKED_BY_ITSELF = """
    int file = open(".", O_TMPFILE | O_WRONLY, 0644);
    write(file, "text", 4);
    return linkat(file, "", AT_FDCWD, "out", AT_EMPTY_PATH) != 0;
"""


@either
@pytest.mark.parametrize("source", [LINKED, LINKED_BY_ITSELF], ids=["proc", "itself"])
def test_case_13_a_file_without_a_name_is_an_output_under_the_one_it_is_given(project: Path, source: str) -> None:
    record = recorded(project, *c(source))
    assert used(record) == (set(), {"out"})
    written = use(record, "outputs", "out")
    assert (written["digest"], written["access"]) == (digest("text"), "write")
    assert "before" not in written


def test_case_13_a_file_without_a_name_that_is_given_none_is_nothing(project: Path) -> None:
    assert used(recorded(project, *c('write(open(".", O_TMPFILE | O_RDWR, 0644), "text", 4);'))) == (set(), set())


def test_case_14_a_descriptor_that_is_only_a_path_reads_nothing(project: Path) -> None:
    (project / "folder").mkdir()
    (project / "folder" / "inside").write_text("inside")
    script = """
    os.fstat(os.open('in', os.O_PATH))
    folder = os.open('folder', os.O_PATH)
    os.close(os.open('inside', os.O_RDONLY, dir_fd=folder))
    """
    record = recorded(project, *python(script))
    assert used(record) == ({"folder/inside"}, set())


def test_case_14_a_path_that_is_opened_through_its_descriptor_is_read(project: Path) -> None:
    script = "file = os.open('in', os.O_PATH); open(f'/proc/self/fd/{file}').read()"
    record = recorded(project, *python(script))
    assert used(record) == ({"in"}, set())
    assert use(record, "inputs", "in")["digest"] == V0


@either
def test_case_15_names_of_descriptors_lead_to_the_files_themselves(project: Path) -> None:
    (project / "other").write_text("other")
    (project / "third").write_text("third")
    script = """
    exec 3< other 4> out 5>> log
    cat /dev/stdin < in > /dev/null
    cat /dev/fd/3 > /dev/fd/4
    cat /proc/self/fd/0 < third > /dev/null
    echo more > /proc/$$/fd/5
    echo text > /dev/stdout
    """
    record = recorded(project, "sh", "-c", script)
    assert record["done"].stdout == b"text\n"
    assert used(record) == ({"in", "other", "third"}, {"out", "log"})
    every = {one["path"] for one in record["inputs"] + record["outputs"]}
    assert not [path for path in every if path.startswith(("/dev", "/proc"))]
    assert use(record, "outputs", "out")["digest"] == digest("other")


def test_case_15_a_pipe_behind_such_a_name_is_no_file(project: Path) -> None:
    record = recorded(project, "sh", "-c", "cat in | cat /dev/stdin | cat /proc/self/fd/0 > out")
    assert used(record) == ({"in"}, {"out"})
    assert len(record["inputs"]) == 1


def listed(project: Path, digest: str | None) -> list[str]:
    """A long list of a record."""
    assert digest is not None
    found: list[str] = json.loads(Objects(str(project / ".vestige")).read(digest))
    return found
