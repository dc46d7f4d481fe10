"""Journals as literal tables: what happened, what is there in the end, and what it must come to."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.observe.journals import (
    APPEND,
    EXCL,
    HDF5,
    NEW,
    RDWR,
    ROOT,
    SETTING,
    WRONLY,
    at,
    conclude,
    event,
    follow,
    h,
    i,
    k,
    ln,
    m,
    r,
    s,
    shown,
    t,
    u,
    unknown,
    v,
    w,
    x,
)
from vestige.observe.classify import Follower
from vestige.observe.interface import Event, Stat

TMPFILE = getattr(os, "O_TMPFILE", 0) | os.O_RDWR
O_PATH = getattr(os, "O_PATH", 0)

Case = tuple[list[Event], Mapping[str, Stat], list[str]]

OPENING: dict[str, Case] = {
    "A1 a file that is read is an input": ([r("in", v(1))], {"in": v(1)}, ["in read in 1.0"]),
    "A2 a file that is created is an output": ([w("out")], {"out": v(2, 1)}, ["out write out 2.1"]),
    "A3 a file that is overwritten unread is an output only": (
        [w("out", v(1))], {"out": v(1, 1)}, ["out write out 1.1 over 1.0"],
    ),
    "A4 truncated while opened for both is an output only": (
        [w("a.h5", v(1), HDF5)], {"a.h5": v(1, 1)}, ["out write a.h5 1.1 over 1.0"],
    ),
    "A4b opened for both, and emptied before it was read": (
        [w("a.h5", v(1), RDWR), event("n", "a.h5", flags=1), w("a.h5", v(1), HDF5)], {"a.h5": v(1, 1)},
        ["out write a.h5 1.1 over 1.0"],
    ),
    "A4c opened twice for both, and read the first time": (
        [w("a.h5", v(1), RDWR), w("a.h5", v(1), RDWR), event("n", "a.h5", flags=1), w("a.h5", v(1), HDF5)], {"a.h5": v(1, 1)},
        ["in update a.h5 1.0", "out update a.h5 1.1 over 1.0"],
    ),
    "A5 opened for both and left alone is an input only": ([w("a.h5", v(1), RDWR)], {"a.h5": v(1)}, ["in read a.h5 1.0"]),
    "A6 changed in place is both": (
        [w("a.h5", v(1), RDWR)], {"a.h5": v(1, 1)}, ["in update a.h5 1.0", "out update a.h5 1.1 over 1.0"],
    ),
    "A7 overwritten in part is both": (
        [w("disk", v(1), WRONLY)], {"disk": v(1, 1)}, ["in append disk 1.0", "out update disk 1.1 over 1.0"],
    ),
    "A7b opened for writing in part, and left alone, is nothing": ([w("disk", v(1), WRONLY)], {"disk": v(1)}, []),
    "A8 appended to is both": (
        [w("log", v(1), APPEND)], {"log": v(1, 1)}, ["in append log 1.0", "out append log 1.1 over 1.0"],
    ),
    "A8b opened for appending, and left alone, is nothing": ([w("log", v(1), APPEND)], {"log": v(1)}, []),
    "A8c read and appended to is an input that was read": (
        [r("log", v(1)), w("log", v(1), APPEND)], {"log": v(1, 1)}, ["in read log 1.0", "out append log 1.1 over 1.0"],
    ),
    "A9 created by appending is an output": ([w("log", None, APPEND)], {"log": v(1, 1)}, ["out write log 1.1"]),
    "A10 looked for and absent is nothing": ([event("a", "conf")], {}, []),
    "A10b opened for update and absent is nothing": ([w("conf", None, RDWR)], {}, []),
    "A11 a write that was refused is nothing": ([w("ro", v(1))], {"ro": v(1)}, []),
    "A11b a creation that was refused is nothing": ([w("nowhere/out")], {}, []),
    "A11c refused, then read, is an input": ([w("ro", v(1)), r("ro", v(1))], {"ro": v(1)}, ["in read ro 1.0"]),
    "A12 created exclusively is an output": ([w("lock", None, EXCL)], {"lock": v(1, 1)}, ["out write lock 1.1"]),
    "A12b the second who creates exclusively has done nothing": ([w("lock", v(1), EXCL)], {"lock": v(1)}, []),
    "A13 an unnamed file that gets a name is an output": (
        [w(".", None, TMPFILE), ln("/proc/self/fd/5", "out", None)], {"out": v(1, 1)}, ["out write out 1.1"],
    ),
    "A13b the same, as the link in /proc says it": (
        [w(".", None, TMPFILE), ln("/p/#123 (deleted)", "out", v(1, 1))], {"out": v(1, 1)}, ["out write out 1.1"],
    ),
    "A14 opened as a mere path is nothing": ([event("r", "in", signature=v(1), flags=O_PATH)], {"in": v(1)}, []),
    "A15 names in /dev and /proc are nothing": (
        [r("/dev/stdin", v(1)), r("/proc/self/fd/0", v(1)), w("/dev/fd/3", v(2)), w("/dev/null", None), r("/sys/x", v(3))],
        {}, [],
    ),
}  # fmt: skip

IDENTITY: dict[str, Case] = {
    "B16 a path through .. is one file": (
        [r("a/../in", v(1)), r("./in", v(1)), r("/p//in", v(1))], {"in": v(1)}, ["in read in 1.0"],
    ),
    "B20 read by one name, written by another": (
        [r("a", v(1)), w("b", v(1), RDWR)], {"a": v(1, 1), "b": v(1, 1)},
        ["in read a 1.0", "out update a 1.1 over 1.0", "out update b 1.1 over 1.0"],
    ),
    "B21 a hard link is an output, what it leads to an input": (
        [ln("a", "b", v(1))], {"a": v(1), "b": v(1)}, ["in link a 1.0", "out link b 1.0"],
    ),
    "B21b a hard link to what the run made": (
        [w("a"), ln("a", "b", v(1, 1))], {"a": v(1, 1), "b": v(1, 1)}, ["out write a 1.1", "out link b 1.1"],
    ),
    "B21c made under a temporary name, linked to its last, and unlinked": (
        [w("tmp"), ln("tmp", "out", v(1, 1)), u("tmp", v(1, 1))], {"out": v(1, 1)}, ["out write out 1.1"],
    ),
    "B21d a symbolic link is an output": ([s("latest", "run1")], {"latest": v(9)}, ["out link latest -> run1"]),
    "B21e a symbolic link that was removed again is nothing": ([s("latest", "run1"), u("latest", v(9))], {}, []),
    "B21f a link over what is there fails": (
        [r("b", v(2)), ln("a", "b", v(1)), s("b", "a")], {"a": v(1), "b": v(2)}, ["in read b 2.0"],
    ),
    "B22 the inode of a removed file, given out again": (
        [r("a", v(1)), u("a", v(1)), w("b"), r("b", v(1, 1))], {"b": v(1, 1)},
        ["in read a 1.0 deleted", "out write b 1.1"],
    ),
    "B22b the same, when the first was never more than written": (
        [w("a"), u("a", v(1, 1)), w("b"), w("b", v(1, 2))], {"b": v(1, 3)}, ["out write b 1.3"],
    ),
    "B22c removed, and made anew under the same number": (
        [r("a", v(1)), u("a", v(1)), w("a")], {"a": v(1, 1)}, ["in read a 1.0", "out update a 1.1 over 1.0"],
    ),
    "B25 names of any bytes": (
        [r("in\n\udce9\t-", v(1)), w("out\udcff")], {"in\n\udce9\t-": v(1), "out\udcff": v(2, 1)},
        ["in read in\n\udce9\t- 1.0", "out write out\udcff 2.1"],
    ),
    "B27 a file that cannot be looked at is read": ([r("nfs", None)], {"nfs": v(1)}, ["in read nfs 1.0"]),
    "B27b and is nothing when there is none": ([r("fifo", None)], {}, []),
    "B27c a file system that numbers its files anew": (
        [r("a", v(1)), r("a", v(7))], {"a": v(1)}, ["in read a 1.0"],
    ),
    "B27d a file that is copied up when it is written": (
        [r("a", v(1)), w("a", v(1), RDWR), r("a", v(7, 1))], {"a": v(7, 1)}, ["in read a 1.0", "out update a 7.1 over 1.0"],
    ),
}  # fmt: skip

REPLACEMENT: dict[str, Case] = {
    "C28 written under a temporary name": (
        [w("tmp"), m("tmp", "out", v(2, 1))], {"out": v(2, 1)}, ["out write out 2.1"],
    ),
    "C28b over a file of before": (
        [w("tmp"), m("tmp", "out", v(2, 1), v(1))], {"out": v(2, 1)}, ["out write out 2.1 over 1.0"],
    ),
    "C28c a hundred times": (
        [one for n in range(100) for one in (w("tmp"), m("tmp", "out", v(n, 1), v(n - 1, 1) if n else None))],
        {"out": v(99, 1)}, ["out write out 99.1"],
    ),
    "C28d with a copy of the old one kept": (
        [r("f", v(1)), w("f.new"), m("f", "f~", v(1)), m("f.new", "f", v(2, 1))], {"f": v(2, 1), "f~": v(1)},
        ["in read f 1.0", "out update f 2.1 over 1.0", "out write f~ 1.0"],
    ),
    "C29 two files of before exchanged": (
        [m("a", "b", v(1), v(2), 1)], {"a": v(2), "b": v(1)},
        ["in read a 1.0", "in read b 2.0", "out write a 2.0 over 1.0", "out write b 1.0 over 2.0"],
    ),
    "C29b a new one exchanged for an old one, which is removed": (
        [w("tmp"), m("tmp", "out", v(2, 1), v(1), 1), u("tmp", v(1))], {"out": v(2, 1)}, ["out write out 2.1 over 1.0"],
    ),
    "C29c a rename that must not replace, and would": (
        [w("tmp"), m("tmp", "out", v(2, 1), v(1), 4)], {"tmp": v(2, 1), "out": v(1)}, ["out write tmp 2.1"],
    ),
    "C29d a rename that failed, as the end shows": (
        [w("tmp"), m("tmp", "out", v(2, 1), v(1))], {"tmp": v(2, 1), "out": v(1)}, ["out write tmp 2.1"],
    ),
    "C29e a rename that failed, as the next read shows": (
        [w("tmp"), m("tmp", "out", v(2, 1), v(1)), r("out", v(1))], {"tmp": v(2, 1), "out": v(1)},
        ["in read out 1.0", "out write tmp 2.1"],
    ),
    "C29f a rename of what is not there": ([m("no", "out", None)], {"out": v(1)}, []),
    "C30 a folder of outputs": (
        [k("tmp"), w("tmp/a"), k("tmp/d"), w("tmp/d/b"), m("tmp", "out", v(9), None, 2), w("out/d/c")],
        {"out/a": v(1, 1), "out/d/b": v(2, 1), "out/d/c": v(3, 1)},
        ["out write out/a 1.1", "out write out/d/b 2.1", "out write out/d/c 3.1"],
    ),
    "C30b a folder of inputs": (
        [r("d/a", v(1)), m("d", "e", v(9), None, 2), r("e/a", v(1))], {"e/a": v(1)},
        ["in read d/a 1.0 deleted", "out write e/a 1.0"],
    ),
    "C30c two folders exchanged": (
        [w("new/a"), r("cur/a", v(1)), m("new", "cur", v(8), v(9), 3)], {"cur/a": v(2, 1), "new/a": v(1)},
        ["in read cur/a 1.0", "out update cur/a 2.1 over 1.0", "out write new/a 1.0"],
    ),
    "C31 renamed over what was read": (
        [r("f", v(1)), h("f", v(1), "before", 1), w("tmp"), m("tmp", "f", v(2, 1), v(1))], {"f": v(2, 1)},
        ["in read f before kept", "out update f 2.1 over before kept"],
    ),
    "C32 moved to another device": (
        [m("/scratch/a", "b", v(1)), r("/scratch/a", v(1)), w("b", None, EXCL), u("/scratch/a", v(1))], {"b": v(2, 1)},
        ["in read /scratch/a 1.0 deleted", "out write b 2.1"],
    ),
    "C32b over a file of before": (
        [m("/scratch/a", "b", v(1), v(5)), r("/scratch/a", v(1)), w("b", v(5)), u("/scratch/a", v(1))], {"b": v(5, 1)},
        ["in read /scratch/a 1.0 deleted", "out write b 5.1 over 5.0"],
    ),
    "C32c moved on the same device": (
        [m("a", "b", v(1))], {"b": v(1, ctime=10**18 + 5)}, ["in read a 1.0 deleted", "out write b 1.0"],
    ),
    "C32d moved there and back": ([m("a", "b", v(1)), m("b", "a", v(1))], {"a": v(1)}, []),
    "C33 read, then overwritten": (
        [r("n", v(1)), h("n", v(1), "one"), w("n", v(1))], {"n": v(1, 1)}, ["in read n one", "out update n 1.1 over one"],
    ),
    "C34 written, then read": ([w("f"), r("f", v(1, 1))], {"f": v(1, 1)}, ["out write f 1.1"]),
    "C34b overwritten, then read": (
        [w("f", v(1)), r("f", v(1, 1))], {"f": v(1, 2)}, ["out write f 1.2 over 1.0"],
    ),
    "C34c written, renamed, then read and updated": (
        [w("t"), m("t", "f", v(1, 1)), r("f", v(1, 1)), w("f", v(1, 1), RDWR)], {"f": v(1, 2)}, ["out write f 1.2"],
    ),
    "C35 written by one process, read by another": ([w("f", pid=1), r("f", v(1, 1), pid=2)], {"f": v(1, 1)}, ["out write f 1.1"]),
    "C36 made, read and removed": ([w("t"), r("t", v(1, 1)), u("t", v(1, 1))], {}, []),
    "C36b made and removed again and again": (
        [one for n in range(9) for one in (w("t"), w("t", v(1, n)), u("t", v(1, n)))], {}, [],
    ),
    "C37 read and removed": ([r("f", v(1)), u("f", v(1))], {}, ["in read f 1.0 deleted"]),
    "C37b removed unread is nothing": ([u("f", v(1))], {}, []),
    "C37c a removal that was refused": ([r("f", v(1)), u("f", v(1))], {"f": v(1)}, ["in read f 1.0"]),
    "C37d refused, then read once more": ([r("f", v(1)), u("f", v(1)), r("f", v(1))], {"f": v(1)}, ["in read f 1.0"]),
    "C37e overwritten and removed is nothing": ([w("f", v(1)), u("f", v(1, 1))], {}, []),
    "C38 cut short": ([t("f", v(1))], {"f": v(1, 1)}, ["in append f 1.0", "out update f 1.1 over 1.0"]),
    "C38b cut short after it was made": ([w("f"), t("f", v(1, 1))], {"f": v(1, 2)}, ["out write f 1.2"]),
    "C38c cut to the length that it has": ([t("f", v(1))], {"f": v(1)}, []),
    "C39 other rights only": (
        [w("f", v(1), RDWR)], {"f": v(1, ctime=10**18 + 10**9)}, ["in read f 1.0"],
    ),
    "C41 two writers": ([w("f", pid=1), w("f", v(1, 1), pid=2)], {"f": v(1, 2)}, ["out write f 1.2"]),
}  # fmt: skip

DATA: dict[str, Case] = {
    "D42 mapped and changed": (
        [w("m.npy", v(1), RDWR)], {"m.npy": v(1, 1)}, ["in update m.npy 1.0", "out update m.npy 1.1 over 1.0"],
    ),
    "D44 copied": ([r("a", v(1)), w("b")], {"a": v(1), "b": v(2, 1)}, ["in read a 1.0", "out write b 2.1"]),
    "D48 shared memory and nameless files": (
        [w("/dev/shm/psm_1", None, HDF5), r("/dev/shm/psm_1", v(1, 1)), u("/dev/shm/psm_1", v(1, 1)),
         r("/memfd:x (deleted)", v(2))],
        {}, [],
    ),
    "D51 standard streams that are files": (
        [i("in", v(1), os.O_RDONLY, 0), i("out", v(2, size=0), WRONLY, 1), i("log", v(3), WRONLY | os.O_APPEND, 2)],
        {"in": v(1), "out": v(2, 1), "log": v(3, 1)},
        ["in read in 1.0", "in append log 3.0", "out write out 2.1", "out append log 3.1 over 3.0"],
    ),
    "D51b a log to which nothing was written": (
        [i("out", v(2, size=0), WRONLY, 1), i("err", v(3, size=0), WRONLY, 2), i("log", v(4), WRONLY | os.O_APPEND, 3)],
        {"out": v(2, size=0), "err": v(3, size=0), "log": v(4)}, ["out write out 2.0"],
    ),
    "D51c output that goes on where an earlier command's ended": (
        [i("out", v(2), WRONLY, 1)], {"out": v(2, 1)}, ["in append out 2.0", "out append out 2.1 over 2.0"],
    ),
    "D51d a descriptor for both": (
        [i("f", v(1), RDWR, 3)], {"f": v(1, 1)}, ["in update f 1.0", "out update f 1.1 over 1.0"],
    ),
    "D51e an input that was not read": (
        [i("list", v(1), os.O_RDONLY, 0), event("n", "list", text="0")], {"list": v(1)}, [],
    ),
    "D51f unless it was read by its name": (
        [i("list", v(1), os.O_RDONLY, 0), r("list", v(1)), event("n", "list", text="0")], {"list": v(1)}, ["in read list 1.0"],
    ),
    "D51g sort -o out in": ([r("in", v(1)), w("out")], {"in": v(1), "out": v(2, 1)}, ["in read in 1.0", "out write out 2.1"]),
    "D51h sort -o in in": (
        [r("in", v(1)), w("in", v(1))], {"in": v(1, 1)}, ["in read in 1.0", "out update in 1.1 over 1.0"],
    ),
    "D53 a database with its journal": (
        [w("a.db", v(1), RDWR | os.O_CREAT), w("a.db-journal", None, RDWR | os.O_CREAT), u("a.db-journal", v(2, 1))],
        {"a.db": v(1, 1)}, ["in update a.db 1.0", "out update a.db 1.1 over 1.0"],
    ),
    "D54 a member of an archive": ([r("a.zip", v(1))], {"a.zip": v(1)}, ["in read a.zip 1.0"]),
}  # fmt: skip

CASES = OPENING | IDENTITY | REPLACEMENT | DATA


@pytest.mark.parametrize(("events", "end", "expected"), CASES.values(), ids=CASES)
def test_a_journal_comes_to_these_inputs_and_outputs(events: list[Event], end: Mapping[str, Stat], expected: list[str]) -> None:
    assert sorted(shown(conclude(events, end))) == sorted(expected)


@pytest.mark.parametrize(("events", "end", "expected"), CASES.values(), ids=CASES)
def test_without_digests_the_same_files_are_found(events: list[Event], end: Mapping[str, Stat], expected: list[str]) -> None:
    names = [(line.split()[0], line.split(" ")[2]) for line in expected]
    found = [(line.split()[0], line.split(" ")[2]) for line in shown(conclude(events, end, known=unknown))]
    assert sorted(found) == sorted(names)


@pytest.mark.parametrize(("events", "end", "expected"), CASES.values(), ids=CASES)
def test_a_conclusion_can_be_asked_for_twice(events: list[Event], end: Mapping[str, Stat], expected: list[str]) -> None:
    follower = follow(events)
    final = {at(name): signature for name, signature in end.items()}
    first = follower.conclude(final.get, unknown)
    assert follower.conclude(final.get, unknown) == first


# -- what the tables cannot show -------------------------------------------------------------------------------------------


def test_identical_bytes_leave_before_and_digest_equal() -> None:
    events = [r("f", v(1)), h("f", v(1), "same"), w("f", v(1))]
    found = conclude(events, {"f": v(1, 1)}, known=lambda _, signature: "same")
    assert shown(found) == ["in read f same", "out update f same over same"]


def test_touch_makes_no_new_version() -> None:
    events = [h("f", v(1), "same"), w("f", v(1), os.O_WRONLY | os.O_CREAT)]
    found = conclude(events, {"f": v(1, 1)}, known=lambda _, signature: "same")
    assert shown(found) == []
    assert [hidden.reason for hidden in found.hidden] == ["opened for writing, and not changed"]


def test_opened_for_both_and_only_its_times_changed_is_an_input() -> None:
    events = [h("f", v(1), "same"), w("f", v(1), RDWR)]
    assert shown(conclude(events, {"f": v(1, 1)}, known=lambda _, signature: "same")) == ["in read f same"]


def test_a_copy_that_keeps_times_is_an_output_although_only_the_change_time_tells() -> None:
    end = v(1, ctime=10**18 + 10**9)
    assert shown(conclude([w("f", v(1))], {"f": end}, known=unknown)) == ["out write f ? over ?"]


def test_a_write_within_a_tick_of_the_clock_is_decided_by_digest() -> None:
    now = 2 * 10**18 + 5_000_000  # the clock of the journal says this at sequence 5,000
    young = Stat(3, now, now, 1, 1)
    write = Event("w", 5_000, 1, at("f"), flags=NEW, signature=young)
    taken = Event("h", 4_990, 0, at("f"), flags=0, signature=young, text="old")
    assert shown(conclude([taken, write], {"f": young}, known=lambda *_: "new")) == ["out write f new over old"]
    assert shown(conclude([taken, write], {"f": young}, known=lambda *_: "old")) == []


def test_a_file_that_somebody_else_changes_before_it_is_hashed_has_no_digest() -> None:
    found = conclude([r("in", v(1))], {"in": v(1, 1)}, known=lambda _, s: "now" if s == v(1, 1) else None)
    assert shown(found) == ["in read in ?"]


def test_two_versions_of_a_path_that_somebody_else_replaces_are_two_inputs() -> None:
    found = conclude([r("in", v(1)), r("in", v(2, 5))], {"in": v(2, 5)})
    assert shown(found) == ["in read in 1.0", "in read in 2.5"]


def test_a_link_to_an_input_stands_beside_what_it_leads_to() -> None:
    found = conclude([r("latest.csv", v(1))], {"latest.csv": v(9), "d/1.csv": v(1)}, links={"latest.csv": "d/1.csv"})
    assert shown(found) == ["in read d/1.csv 1.0", "in link latest.csv -> d/1.csv"]


def test_a_chain_of_links_is_followed_to_its_end() -> None:
    found = conclude([r("a", v(1))], {"a": v(8), "b": v(9), "c": v(1)}, links={"a": "b", "b": "/p/c"})
    assert [use.path for use in found.inputs] == [at("a"), at("b"), at("c")]


def test_links_in_a_circle_are_nothing() -> None:
    assert shown(conclude([r("a", v(1))], {}, links={"a": "b", "b": "a"})) == []


def test_what_is_written_through_a_link_is_the_file() -> None:
    found = conclude([w("latest", v(1))], {"latest": v(9), "f": v(1, 1)}, links={"latest": "f"})
    assert shown(found) == ["out write f 1.1 over 1.0"]


def test_what_is_read_through_a_link_that_the_run_made_has_no_link_as_input() -> None:
    found = conclude([s("l", "in"), r("l", v(1))], {"in": v(1), "l": v(9)})
    assert shown(found) == ["in read in 1.0", "out link l -> in"]


def test_a_link_that_is_pointed_elsewhere_leads_elsewhere_from_then_on() -> None:
    events = [s("l", "a"), w("l/x"), s("t", "b"), m("t", "l", v(8), v(9)), w("l/x")]
    found = conclude(events, {"a/x": v(1, 1), "b/x": v(2, 1), "l": v(8)})
    assert [use.path for use in found.outputs if use.link is None] == [at("a/x"), at("b/x")]
    assert [(use.path, use.link) for use in found.outputs if use.link is not None] == [(at("l"), "b")]


def test_a_link_of_before_that_is_renamed_stays_a_link() -> None:
    found = conclude([m("old", "new", Stat(4, 1, 1, 9, 1))], {"new": v(9)}, links={"old": "data"})
    assert [(use.path, use.link) for use in found.outputs] == [(at("new"), "data")]


def test_processes_keep_their_place_when_a_number_is_given_out_again() -> None:
    events = [
        Event("p", 1, 7, flags=1, text="sh"),
        Event("p", 2, 8, flags=7, text="sh"),
        x("/usr/bin/sort", v(50), "sort", "in", pid=8),
        r("in", v(1), pid=8),
        Event("p", 5, 8, flags=7, text="sort"),
        x("/usr/bin/uniq", v(51), "uniq", "in", pid=8),
        Event("p", 6, 8, None, "again", flags=7, text="sh"),
        r("in", v(1), pid=8),
    ]
    found = conclude(events, {"in": v(1)})
    assert [(one.pid, one.parent, one.argv) for one in found.processes] == [
        (7, None, ()),
        (8, 0, ("uniq", "in")),
        (8, 0, ()),
    ]
    assert found.inputs[0].by == (1, 2)
    assert [one.argv for one in found.executions] == [("sort", "in"), ("uniq", "in")]


def test_bytecode_stands_for_its_source() -> None:
    found = conclude(
        [r("pkg/__pycache__/mod.cpython-311.pyc", v(1))], {"pkg/__pycache__/mod.cpython-311.pyc": v(1), "pkg/mod.py": v(2)}
    )
    assert shown(found) == ["in read pkg/__pycache__/mod.cpython-311.pyc 1.0 (cache)", "in read pkg/mod.py 2.0 (code)"]


def test_bytecode_of_a_source_that_the_run_made_stands_for_nothing() -> None:
    events = [w("mod.py"), w("__pycache__/mod.cpython-311.pyc"), r("__pycache__/mod.cpython-311.pyc", v(2, 1))]
    found = conclude(events, {"mod.py": v(1, 1), "__pycache__/mod.cpython-311.pyc": v(2, 1)})
    assert found.inputs == ()


def test_the_script_of_an_interpreter_is_code_whatever_its_name() -> None:
    events = [x("/usr/bin/python3", v(9), "python3", "analyse"), r("analyse", v(1)), r("table", v(2))]
    found = conclude(events, {"analyse": v(1), "table": v(2)})
    assert shown(found) == ["in read analyse 1.0 (code)", "in read table 2.0"]
    assert [(use.path, use.access, use.role) for use in found.software] == [("/usr/bin/python3", "execute", "system")]


def test_a_program_of_the_project_that_is_executed_is_code() -> None:
    found = conclude([x("a.out", v(1), "./a.out")], {"a.out": v(1)})
    assert shown(found) == ["in execute a.out 1.0 (code)"]


def test_a_program_that_the_run_built_is_no_input() -> None:
    found = conclude([w("a.out"), x("a.out", v(1, 1), "./a.out")], {"a.out": v(1, 1)})
    assert shown(found) == ["out write a.out 1.1 (code)"]


def test_a_virtual_environments_python_keeps_its_name_as_an_execution() -> None:
    found = conclude([x("env/bin/python", v(9), "python")], {}, links={"env/bin/python": "/usr/bin/python3"})
    assert [one.path for one in found.executions] == [at("env/bin/python")]
    assert found.processes[0].executable == at("env/bin/python")
    assert [use.path for use in found.software] == ["/usr/bin/python3"]


def test_a_search_for_a_program_is_no_execution() -> None:
    assert conclude([x("/usr/local/bin/ls", None, "ls")], {}).executions == ()


def test_what_a_run_made_is_wanted_by_nobody_and_inputs_are_wanted_once() -> None:
    follower = follow([r("in", v(1)), r("in", v(1)), w("out"), r("out", v(2, 1)), r("/usr/lib/x.so", v(3))])
    assert [tuple(one) for one in follower.wanted()] == [(at("in"), v(1))]
    assert follower.wanted() == []
    follower.feed(r("more", v(4)))
    assert [one.path for one in follower.wanted()] == [at("more")]


def test_what_was_written_is_told_under_its_last_name_with_all_writers() -> None:
    follower = follow([w("tmp", pid=3), w("tmp", v(1, 1), pid=4)])
    assert [tuple(one) for one in follower.written()] == [(at("tmp"), (3, 4))]
    assert follower.written() == []
    follower.feed(m("tmp", "out", v(1, 2)))
    assert [tuple(one) for one in follower.written()] == [(at("out"), (1, 3, 4))]
    follower.feed(w("gone"))
    follower.feed(u("gone", v(5)))
    assert follower.written() == []


def test_absent_files_listings_endpoints_and_gaps_are_told_once() -> None:
    events = [event("a", "c.yaml"), event("a", "c.yaml"), event("a", "made"), w("made"), event("a", "/usr/lib/x")]
    events += [event("d", "data"), event("d", "data"), event("d", "/usr/lib"), k("new"), event("d", "new")]
    events += [event("c", text="tcp:192.0.2.1:443"), event("g", text="lost"), event("g", text="lost"), event("e", flags=256)]
    found = conclude(events, {"made": v(1)})
    assert [one.what for one in found.absent] == [at("c.yaml")]
    assert [one.what for one in found.listings] == [at("data")]
    assert [one.what for one in found.network] == ["tcp:192.0.2.1:443"]
    assert (found.gaps, found.status) == (("lost",), 256)


def test_reading_the_internals_of_version_control_is_told_but_not_listed() -> None:
    found = conclude([r(".git/HEAD", v(1)), r(".vestige/project", v(2)), r("/home/ada/.cache/vestige/x", v(3))], {})
    assert (found.inputs, found.versions_read) == ((), True)
    assert dict(found.dropped) == {"versions": 1, "store": 1, "own": 1}


def test_a_renaming_out_of_what_is_not_the_runs_makes_a_file() -> None:
    assert shown(conclude([m(".git/tmp", "f", v(1), None)], {"f": v(1)})) == ["out write f 1.0"]


def test_what_was_made_and_removed_is_hidden_with_its_reason() -> None:
    found = conclude([w("t"), u("t", v(1, 1)), u("old", v(2)), w("ro", v(3)), w("no/where")], {"ro": v(3)})
    assert {(hidden.path.removeprefix("/p/"), hidden.reason) for hidden in found.hidden} == {
        ("t", "written and removed"),
        ("old", "removed, and not read"),
        ("ro", "opened for writing, and not changed"),
        ("no/where", "was to be written, and is not there"),
    }


def test_a_comparison_of_folders_adds_to_what_was_observed_and_takes_nothing_from_it() -> None:
    events = [w("out", pid=5), w("out", None, NEW, pid=0), w("other", None, NEW, pid=0)]
    found = conclude(events, {"out": v(1, 1), "other": v(2, 1)})
    assert [(use.path, len(use.by)) for use in found.outputs] == [(at("out"), 1), (at("other"), 0)]


# -- directories that are one thing ----------------------------------------------------------------------------------------


def _directories(events: list[Event], names: list[str]) -> list[str]:
    found = conclude(events, {name: v(number, 1) for number, name in enumerate(names, 1)})
    assert len([use for use in found.outputs if use.kind is None]) == len(names)
    return [f"{use.path.removeprefix('/p/')} {use.digest}" for use in found.outputs if use.kind == "directory"]


@pytest.mark.parametrize(
    ("made", "names", "things"),
    [
        (["a.zarr", "a.zarr/x"], ["a.zarr/.zgroup", "a.zarr/x/.zarray", "a.zarr/x/0.0"], ["a.zarr tree:3"]),
        (["z"], ["z/zarr.json", "z/c"], ["z tree:2"]),
        (["m", "m/variables"], ["m/saved_model.pb", "m/variables/v.index"], ["m tree:2"]),
        (["t", "t/y=1", "t/y=2"], ["t/y=1/part-0.parquet", "t/y=2/part-0.parquet"], ["t tree:2"]),
        (["d", "d/_delta_log"], ["d/_delta_log/0.json", "d/a.parquet"], ["d tree:2"]),
        (["out"], ["out/a.csv", "out/b.csv"], []),
        ([], ["a.zarr/.zgroup"], []),
        (["many"], [f"many/{n}" for n in range(501)], ["many tree:501"]),
        (["few"], [f"few/{n}" for n in range(500)], []),
        (
            ["out", "out/a.zarr"],
            ["out/a.zarr/.zgroup", *(f"out/a.zarr/{n}" for n in range(600)), "out/b"],
            ["out/a.zarr tree:601"],
        ),
    ],
    ids=["zarr", "zarr 3", "saved model", "partitions", "delta", "plain", "not made by the run", "501", "500", "one in another"],
)
def test_a_directory_is_one_thing_if_the_run_made_it_and_it_is_marked_or_large(
    made: list[str], names: list[str], things: list[str]
) -> None:
    assert _directories([*map(k, made), *map(w, names)], names) == things


def test_a_directory_that_was_renamed_is_one_thing_under_its_new_name() -> None:
    events = [k("tmp"), w("tmp/.zgroup"), w("tmp/0"), m("tmp", "out.zarr", v(9), None, 2)]
    assert _directories(events, ["out.zarr/.zgroup", "out.zarr/0"]) == ["out.zarr tree:2"]


def test_a_directory_that_was_removed_and_made_by_others_is_none_of_the_runs() -> None:
    assert _directories([k("d"), u("d", v(9), 1), w("d/.zgroup")], ["d/.zgroup"]) == []


# -- properties ------------------------------------------------------------------------------------------------------------


class Disk:
    """A file system of a few names, which tells its events as the watcher would, and knows the truth.

    Inodes are given out again as soon as they are free, and calls may fail after their event was told.
    """

    def __init__(self) -> None:
        self.at: dict[str, int] = {"a": 1, "b": 2, "c": 3}  # name → file
        self.inode = {1: 1, 2: 2, 3: 3}
        self.version = {1: 0, 2: 0, 3: 0}
        self.changed: set[int] = set()
        self.first = dict(self.at)
        self.events: list[Event] = []
        self.read: set[int] = set()
        self.kept: set[int] = set()
        self.clock = 0

    def signature(self, name: str) -> Stat | None:
        file = self.at.get(name)
        return None if file is None else v(self.inode[file], self.version[file])

    def change(self, file: int) -> None:
        self.clock += 1
        self.version[file] = self.clock
        self.changed.add(file)

    def create(self, name: str) -> None:
        file = len(self.inode) + 1
        used = {self.inode[other] for other in self.at.values()}
        self.inode[file] = next(number for number in range(1, 99) if number not in used)
        self.at[name] = file
        self.change(file)

    def do(self, what: str, name: str, other: str, *, fails: bool) -> None:
        found = self.signature(name)
        file = self.at.get(name, 0)
        if what == "read" and found is not None:
            self.events.append(r(name, found))
            if file not in self.changed:
                self.read.add(file)
        elif what in ("new", "append", "update") and (found is not None or what != "update"):
            self.events.append(w(name, found, {"new": NEW, "append": APPEND, "update": RDWR}[what]))
            if found is None and not fails:
                self.create(name)
            elif not fails:
                if what != "new" and file not in self.changed:
                    self.kept.add(file)
                self.change(file)
        elif what == "rename" and found is not None and name != other and self.at.get(other) != file:
            self.events.append(m(name, other, found, self.signature(other)))
            if not fails:
                self.at[other] = self.at.pop(name)
        elif what == "unlink" and found is not None:
            self.events.append(u(name, found))
            if not fails:
                del self.at[name]
        elif what == "link" and found is not None and other not in self.at:
            self.events.append(ln(name, other, found))
            self.at[other] = file

    def end(self) -> dict[str, Stat]:
        return {name: v(self.inode[file], self.version[file]) for name, file in self.at.items()}

    def outputs(self) -> set[str]:
        """Names that hold another content than when it began."""
        return {name for name, file in self.at.items() if self.first.get(name) != file or file in self.changed}


_NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
_STEPS = st.lists(
    st.tuples(st.sampled_from(["read", "new", "append", "update", "rename", "unlink", "link"]), _NAMES, _NAMES, st.just(False)),
    max_size=25,
)
_STEPS_THAT_MAY_FAIL = st.lists(
    st.tuples(
        st.sampled_from(["read", "new", "append", "update", "rename", "unlink"]),
        _NAMES,
        _NAMES,
        st.sampled_from([False, False, True]),
    ),
    max_size=12,
)


@settings(max_examples=500)
@given(_STEPS)
def test_outputs_are_the_names_that_hold_something_new_and_inputs_are_what_was_read_of_before(
    steps: list[tuple[str, str, str, bool]],
) -> None:
    disk = Disk()
    for what, name, other, fails in steps:
        disk.do(what, name, other, fails=fails)
    found = conclude(disk.events, disk.end())
    assert {use.path.removeprefix("/p/") for use in found.outputs} == disk.outputs()
    end = disk.end()
    for use in found.outputs:
        assert use.signature == end[use.path.removeprefix("/p/")]
        first = disk.first.get(use.path.removeprefix("/p/"))
        assert use.before == (None if first is None else f"{first}.0")
    inputs = {use.path.removeprefix("/p/"): use for use in found.inputs}
    assert inputs.keys() <= disk.first.keys()
    assert {disk.first[name] for name in inputs} >= disk.read
    for name, use in inputs.items():
        assert use.digest == f"{disk.first[name]}.0"
        assert use.deleted == (name not in disk.at)
    assert {disk.first[name] for name in inputs} >= disk.kept & set(disk.at.values())


@settings(max_examples=500)
@given(_STEPS_THAT_MAY_FAIL)
def test_calls_that_fail_make_no_outputs_and_hide_none(steps: list[tuple[str, str, str, bool]]) -> None:
    disk = Disk()
    for what, name, other, fails in steps:
        disk.do(what, name, other, fails=fails)
    found = conclude(disk.events, disk.end())
    assert {use.path.removeprefix("/p/") for use in found.outputs} == disk.outputs()
    inputs = {use.path.removeprefix("/p/"): use for use in found.inputs}
    assert inputs.keys() <= disk.first.keys()
    assert {disk.first[name] for name in inputs} >= disk.read
    assert all(use.digest == f"{disk.first[name]}.0" for name, use in inputs.items())


@given(st.permutations(range(6)), st.randoms())
def test_the_order_of_independent_files_does_not_matter(order: list[int], chance: random.Random) -> None:
    lives = [
        [r("f0", v(10))],
        [w("f1"), r("f1", v(11, 1))],
        [w("t2"), m("t2", "f2", v(12, 1), v(22))],
        [r("f3", v(13)), w("f3", v(13))],
        [w("f4", v(14), APPEND)],
        [r("f5", v(15)), u("f5", v(15))],
    ]
    end = {"f0": v(10), "f1": v(11, 1), "f2": v(12, 1), "f3": v(13, 1), "f4": v(14, 1)}
    straight = conclude([one for life in lives for one in life], end)
    mixed: list[Event] = []
    waiting = [list(lives[number]) for number in order]
    while waiting:
        life = chance.choice(waiting)
        mixed.append(life.pop(0))
        waiting = [life for life in waiting if life]
    assert sorted(shown(conclude(mixed, end))) == sorted(shown(straight))


@given(st.lists(st.sampled_from(["n0", "n1", "n2", "n3", "n4", "n5"]), min_size=1, max_size=12))
def test_a_chain_of_renamings_ends_in_one_output(names: list[str]) -> None:
    events = [w(names[0])]
    events += [m(old, new, v(1, 1)) for old, new in itertools.pairwise(names) if old != new]
    assert shown(conclude(events, {names[-1]: v(1, 1)})) == [f"out write {names[-1]} 1.1"]


@given(st.lists(st.sampled_from(["x", "y", "x/s", "y/s", "z"]), min_size=1, max_size=8))
def test_files_follow_their_folder_through_any_renamings(folders: list[str]) -> None:
    events, here = [k("start"), w("start/f")], "start"
    for folder in folders:
        if not folder.startswith(here) and not here.startswith(folder):
            events.append(m(here, folder, v(9), None, 2))
            here = folder
    assert shown(conclude(events, {f"{here}/f": v(1, 1)})) == [f"out write {here}/f 1.1"]


_ANY = st.builds(
    Event,
    st.sampled_from("vpxrwtmlsukdahincge"),
    st.integers(0, 10**6),
    st.integers(0, 3),
    st.none() | st.sampled_from([at("a"), at("b"), at("d/a"), at("d"), "/", "", "x", "/p/../p/a", "/p/d/.."]),
    st.none() | st.sampled_from([at("a"), at("b"), at("d/b"), at("d"), "/", "", "a"]),
    st.sampled_from([0, 1, 2, 3, 4, NEW, RDWR, APPEND, EXCL]),
    st.none() | st.builds(v, st.integers(1, 4), st.integers(0, 2)),
    st.none() | st.sampled_from(["", "[]", "[1,2,3,4,5]", "{", '["python","a"]', "1.5"]),
)


@settings(max_examples=500)
@given(st.lists(_ANY, max_size=30), st.dictionaries(st.sampled_from(["a", "b", "d/a", "d/b"]), st.builds(v, st.integers(1, 4))))
def test_no_journal_however_wild_breaks_the_rules(events: list[Event], end: dict[str, Stat]) -> None:
    found = conclude(events, end)
    alive = {at(name) for name in end}
    for use in found.outputs:
        assert use.path in alive or use.kind == "directory"
        assert all(0 <= process < len(found.processes) for process in use.by)
    created: set[str] = set()
    for one in events:
        if one.op == "r" and one.path in created:
            assert not any(use.path == one.path and use.first == one.seq for use in found.inputs)
        created = {one.path} if one.op == "w" and one.signature is None and one.path and one.flags == NEW and one.pid else set()


def test_a_process_known_by_what_it_inherited_is_the_one_that_is_seen_later() -> None:
    follower = Follower(SETTING)
    inherited = Event("i", 10, 7, f"{ROOT}/in", None, os.O_RDONLY, Stat(1, 1, 1, 1, 1), "0")
    for one in (Event("v", 0, text="1.0"), inherited, Event("p", 20, 7, flags=1, text="sort"), Event("r", 30, 7, f"{ROOT}/x")):
        follower.feed(one)
    conclusion = follower.conclude(lambda _: None, lambda *_: None)
    assert [(process.pid, process.parent_pid, process.name) for process in conclusion.processes] == [(7, 1, "sort")]
