"""Cases 28 to 41: files that are replaced, renamed, removed, or only touched."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

from tests.cases.programs import c, python
from tests.cases.stage import TEXT, digest, gaps, project, recorded, used
from tests.record.running import use

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
either = pytest.mark.either_watcher

__all__ = ["project"]  # the fixture

V0 = digest(TEXT)


@either
def test_case_28_what_is_renamed_to_its_name_in_the_end_is_the_output(project: Path) -> None:
    (project / "out").write_text("old")
    record = recorded(project, *python("open('out.tmp', 'w').write('new'); os.replace('out.tmp', 'out')"))
    assert used(record) == (set(), {"out"})
    written = use(record, "outputs", "out")
    assert (written["digest"], written["before"], written["access"]) == (digest("new"), digest("old"), "write")


RENAMED = "return syscall(SYS_renameat2, AT_FDCWD, {}, AT_FDCWD, {}, {}) != 0;"


@either
def test_case_29_two_files_that_are_exchanged(project: Path) -> None:
    (project / "other").write_text("other")
    record = recorded(project, *c(RENAMED.format('"in"', '"other"', 2)))
    assert (project / "other").read_text() == TEXT
    assert used(record)[1] == {"in", "other"}
    assert use(record, "outputs", "in")["digest"] == use(record, "outputs", "other")["before"] == digest("other")
    assert use(record, "outputs", "other")["digest"] == use(record, "outputs", "in")["before"] == V0
    assert used(record)[0] == {"in", "other"}


@either
def test_case_29_a_new_file_that_is_exchanged_for_an_old_one(project: Path) -> None:
    program = 'write(open("new", O_WRONLY | O_CREAT, 0666), "new", 3);' + RENAMED.format('"new"', '"in"', 2)
    record = recorded(project, *c(program))
    assert used(record)[1] == {"in", "new"}
    assert (use(record, "outputs", "in")["digest"], use(record, "outputs", "in")["before"]) == (digest("new"), V0)
    assert use(record, "outputs", "new")["digest"] == V0


@either
def test_case_29_a_rename_that_must_not_replace_and_would(project: Path) -> None:
    (project / "other").write_text("other")
    record = recorded(project, *c(RENAMED.format('"in"', '"other"', 1)), status=1)
    assert used(record) == (set(), set())


@either
def test_case_30_a_folder_of_outputs_that_is_renamed(project: Path) -> None:
    script = """
    os.makedirs('tmp/deeper')
    open('tmp/a', 'w').write('a'); open('tmp/deeper/b', 'w').write('b')
    os.symlink('a', 'tmp/c')
    os.rename('tmp', 'results')
    open('results/d', 'w').write('d')
    """
    record = recorded(project, *python(script))
    assert used(record) == (set(), {"results/a", "results/deeper/b", "results/c", "results/d"})
    assert use(record, "outputs", "results/deeper/b")["digest"] == digest("b")


def test_case_30_a_folder_of_inputs_that_is_renamed(project: Path) -> None:
    (project / "old").mkdir()
    (project / "old" / "a").write_text("a")
    (project / "old" / "unseen").write_text("unseen")
    record = recorded(project, *python("open('old/a').read(); os.rename('old', 'new'); open('new/a').read()"))
    assert used(record) == ({"old/a"}, {"new/a"})
    assert use(record, "inputs", "old/a")["digest"] == use(record, "outputs", "new/a")["digest"] == digest("a")


@either
def test_case_31_what_was_read_and_then_replaced_keeps_its_digest(project: Path) -> None:
    record = recorded(
        project, *python("open('in').read(); open('new', 'w').write('new'); os.rename('new', 'in'); open('in').read()")
    )
    assert used(record) == ({"in"}, {"in"})
    assert use(record, "inputs", "in")["digest"] == V0
    written = use(record, "outputs", "in")
    assert (written["before"], written["digest"], written["access"]) == (V0, digest("new"), "update")


def test_case_32_moved_to_another_file_system(project: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        assert os.stat(elsewhere).st_dev != os.stat(project).st_dev
        (project / "made").write_text("made")
        record = recorded(project, "mv", "made", f"{elsewhere}/moved")
        read, written = use(record, "inputs", "made"), use(record, "outputs", f"{elsewhere}/moved")
        assert (read["digest"], read["deleted"]) == (digest("made"), True)
        assert (written["digest"], written["access"], written["role"]) == (digest("made"), "write", "temporary")
        record = recorded(project, "mv", f"{elsewhere}/moved", "back")
        assert use(record, "inputs", f"{elsewhere}/moved")["deleted"] is True
        assert use(record, "outputs", "back")["digest"] == digest("made")


@either
@pytest.mark.parametrize(
    "script",
    [
        "old = open('in').read(); open('in', 'w').write('new' + old)",
        "f = open('in', 'r+'); old = f.read(); f.seek(0); f.write('new' + old)",
    ],
    ids=["twice", "once"],
)
def test_case_33_what_was_read_and_then_written_is_two_versions(project: Path, script: str) -> None:
    record = recorded(project, *python(script))
    assert used(record) == ({"in"}, {"in"})
    assert use(record, "inputs", "in")["digest"] == V0
    written = use(record, "outputs", "in")
    assert (written["before"], written["digest"], written["access"]) == (V0, digest("new" + TEXT), "update")


def test_case_33_sed_in_place(project: Path) -> None:
    record = recorded(project, "sed", "-i", "s/line/LINE/", "in")
    assert used(record) == ({"in"}, {"in"})
    assert use(record, "inputs", "in")["digest"] == use(record, "outputs", "in")["before"] == V0
    assert use(record, "outputs", "in")["digest"] == digest(TEXT.replace("line", "LINE"))


@either
def test_case_34_what_was_written_and_then_read_is_no_input(project: Path) -> None:
    script = "open('out', 'w').write('x'); open('out').read(); open('in', 'w').write('y'); open('in').read()"
    record = recorded(project, *python(script))
    assert used(record) == (set(), {"out", "in"})


def test_case_35_what_one_process_writes_and_another_reads_joins_them(project: Path) -> None:
    script = "echo made > between; cat between in > out"
    record = recorded(project, "sh", "-c", script)
    assert used(record) == ({"in"}, {"between", "out"})
    (maker,) = use(record, "outputs", "between")["by"]
    (reader,) = use(record, "outputs", "out")["by"]
    assert reader in use(record, "inputs", "in")["by"] or record["processes"][reader]["argv"][0] == "sh"
    assert maker != reader or record["processes"][maker]["argv"][0] == "sh"


def test_case_36_what_was_made_read_and_removed_is_no_output(project: Path) -> None:
    record = recorded(project, "sh", "-c", "cat in > scratch; sort scratch > out; rm scratch")
    assert used(record) == ({"in"}, {"out"})


@either
def test_case_37_an_input_that_the_run_removes(project: Path) -> None:
    record = recorded(project, *python("open('in').read(); os.unlink('in')"))
    assert used(record) == ({"in"}, set())
    read = use(record, "inputs", "in")
    assert (read["digest"], read["deleted"], read["kept"]) == (V0, True, True)


def test_case_37_what_was_removed_unread_is_no_input(project: Path) -> None:
    assert used(recorded(project, "rm", "in")) == (set(), set())


CHANGED = {
    "truncate": 'truncate("in", 5);',
    "ftruncate": 'ftruncate(open("in", O_WRONLY), 5);',
    "fallocate": 'fallocate(open("in", O_WRONLY), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 5);',
}


@either
@pytest.mark.parametrize("how", CHANGED)
def test_case_38_a_file_that_is_cut_off_or_given_a_hole_is_changed(project: Path, how: str) -> None:
    record = recorded(project, *c(CHANGED[how]))
    assert used(record) == ({"in"}, {"in"})
    after = TEXT[:5] if how != "fallocate" else "\0" * 5 + TEXT[5:]
    assert use(record, "inputs", "in")["digest"] == V0
    written = use(record, "outputs", "in")
    assert (written["before"], written["digest"], written["access"]) == (V0, digest(after), "update")


TOUCHED = {
    "touch": ["touch", "in"],
    "time": [*python("open('in').read(); os.utime('in', (1, 1))")],
    "mode": [*python("open('in').read(); os.chmod('in', 0o600)")],
    "attribute": [*python("open('in').read(); os.setxattr('in', 'user.origin', b'here')")],
    "opened": [*python("open('in').read(); open('in', 'r+').close()")],
}


@pytest.mark.parametrize("how", TOUCHED)
def test_case_39_other_times_and_modes_make_no_other_version(project: Path, how: str) -> None:
    record = recorded(project, *TOUCHED[how])
    assert used(record)[1] == set()
    if how == "touch":
        return
    read = use(record, "inputs", "in")["digest"]
    if how == "time" and read is None:  # times can be set to anything: nothing tells that the content is still the same
        assert "in changed before it could be hashed" in str(gaps(record))
    else:
        assert read == V0
        assert gaps(record) == []


def test_case_40_the_same_bytes_written_again_are_no_other_content(project: Path) -> None:
    record = recorded(project, *python(f"open('in', 'w').write({TEXT!r})"))
    assert used(record) == (set(), {"in"})
    written = use(record, "outputs", "in")
    assert written["digest"] == written["before"] == V0


def test_case_40_the_same_bytes_renamed_over_the_old(project: Path) -> None:
    record = recorded(project, "sh", "-c", "cat in > new; mv new in")
    written = use(record, "outputs", "in")
    assert written["digest"] == written["before"] == V0


@either
def test_case_41_of_two_writers_both_have_made_the_file(project: Path) -> None:
    script = """
    one = os.fork()
    two = one and os.fork()
    if not one or not two:
        with open('log', 'a') as log: log.write('one' if not one else 'two')
        os._exit(0)
    os.waitpid(one, 0); os.waitpid(two, 0)
    """
    record = recorded(project, *python(script))
    assert used(record) == (set(), {"log"})
    written = use(record, "outputs", "log")
    assert len(written["by"]) == 2
    assert {record["processes"][at]["parent"] for at in written["by"]} == {record["processes"][0]["pid"]}
    assert written["first"]["seq"] <= written["last"]["seq"]
