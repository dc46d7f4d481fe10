"""What every index promises, asked of each of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store.samples import digest, moment, read, run, run_id, wrote
from vestige.model.code import Code
from vestige.model.files import FileUse, Moment
from vestige.model.query import RunQuery
from vestige.model.run import FileReference, Observation, Run, summarise
from vestige.store import sqlite
from vestige.store.interface import Index
from vestige.store.layers import Layers
from vestige.store.memory import MemoryIndex

BYTES = os.fsdecode(b"caf\xe9\n.csv")


@pytest.fixture(params=["memory", "tables", "file", "layers"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    kind = request.param
    if kind == "memory":
        yield MemoryIndex()
    elif kind == "tables":
        yield sqlite.in_memory()
    elif kind == "file":
        (tmp_path / "store").mkdir()
        with sqlite.open_index(str(tmp_path / "store"), str(tmp_path / "cache")) as opened:
            yield opened
            assert opened.notes == []
    else:
        yield Layers(MemoryIndex(), sqlite.in_memory())


def test_a_run_is_summed_up_as_the_model_does(index: Index) -> None:
    one = run(
        1,
        name="train é",
        tags=("a", "b"),
        note="x\ny",
        parent=run_id(9),
        script=FileReference(path="src/train.py"),
        cwd=BYTES,
        observation=Observation(method="notify", gaps=("one",)),
        inputs=(read("a", "1"), read("lib", "2", role="library")),
        outputs=(wrote("b", "3"), wrote("c", None, role="cache"), wrote("d", "4", role="config")),
        command=("python", "train.py", BYTES),
        status="failed",
        exit_code=3,
    )
    bare = Run(id=run_id(2), started=moment(1).time)
    index.add(one)
    index.add(bare)
    assert index.summary(one.id) == summarise(one)
    assert index.summary(bare.id) == summarise(bare)
    assert index.summary(run_id(3)) is None


def test_the_uses_of_a_run_come_back_in_its_order_and_in_the_roles_that_are_linked(index: Index) -> None:
    one = run(
        1,
        inputs=(
            read("z", "1", kept=True),
            read(BYTES, "2", role="code"),
            read("lib.so", "3", role="library"),
            read("usr", "4", role="system"),
            read("x.pyc", "5", role="cache"),
            read("/tmp/t", "6", role="temporary"),
        ),
        outputs=(
            wrote("a", "7", before=digest("6"), access="update", recovered=True),
            wrote("gone", None, deleted=True),
            wrote("set.zarr", "8", kind="directory", role="config"),
        ),
    )
    index.add(one)
    inputs = index.uses_by(one.id, written=False)
    assert [(use.path, use.role, use.kept) for use in inputs] == [
        ("z", "data", True),
        (BYTES, "code", False),
        ("/tmp/t", "temporary", False),
    ]
    every = index.uses_by(one.id, written=False, every=True)
    assert [use for use in every if use.role not in ("cache", "library", "system")] == list(inputs)
    assert "x.pyc" in [use.path for use in every]
    outputs = index.uses_by(one.id, written=True)
    assert [(use.path, use.digest) for use in outputs] == [("a", digest("7")), ("gone", None), ("set.zarr", digest("8"))]
    first = outputs[0]
    assert (first.before, first.access, first.recovered, first.deleted, first.size) == (digest("6"), "update", True, False, 100)
    assert (first.seq, first.time, first.run, first.written) == (20_000_000, moment(20).time, one.id, True)
    assert outputs[1].deleted
    assert outputs[2].kind == "directory"
    assert index.uses_by(run_id(2), written=True) == []


def test_the_moment_of_a_use_is_its_first_read_or_last_write_or_else_the_runs(index: Index) -> None:
    first, last = moment(13), moment(14)
    one = run(
        1,
        inputs=(FileUse(path="a", digest=None, first=first, last=last), FileUse(path="b", digest=None)),
        outputs=(FileUse(path="c", digest=None, first=first, last=last), FileUse(path="d", digest=None)),
    )
    index.add(one)
    found = [*index.uses_by(one.id, written=False), *index.uses_by(one.id, written=True)]
    assert [(use.path, use.seq, use.time) for use in found] == [
        ("a", 13_000_000, moment(13).time),
        ("b", 12_000_000, moment(12).time),
        ("c", 14_000_000, moment(14).time),
        ("d", 17_000_000, moment(17).time),
    ]


def test_uses_are_found_by_content_and_by_path_the_newest_first(index: Index) -> None:
    index.add(run(1, second=1, outputs=(wrote("a", "x", 1),)))
    index.add(run(3, second=3, inputs=(read("a", "x", 3),), outputs=(wrote("a", "y", 3), wrote("b", "x", 3))))
    index.add(run(2, second=2, inputs=(read("copy", "x", 2),), outputs=(wrote("a", "x", 2),)))
    index.add(run(4, second=4, inputs=(read("nothing", None, 4),), outputs=(wrote("nothing", None, 4),)))

    def found(uses: object) -> list[tuple[str, str]]:
        return [(use.run[-1], use.path) for use in uses]  # type: ignore[attr-defined]

    assert found(index.uses_of(digest("x"), written=True)) == [("3", "b"), ("2", "a"), ("1", "a")]
    assert found(index.uses_of(digest("x"), written=False)) == [("3", "a"), ("2", "copy")]
    assert found(index.uses_at("a", written=True)) == [("3", "a"), ("2", "a"), ("1", "a")]
    assert found(index.uses_at("a", written=False)) == [("3", "a")]
    assert index.uses_of(digest("z"), written=True) == []
    assert index.uses_at("none", written=True) == []


def test_digests_of_any_algorithm_and_strange_ones_are_found(index: Index) -> None:
    names = ["md5:5d41402abc4b2a76b9719d911017c592", "blake3:" + "AB" * 32, "blake3:zz", "", "git:" + "a" * 40, "é\udce9"]
    index.add(run(1, outputs=tuple(FileUse(path=f"p{n}", digest=name) for n, name in enumerate(names))))
    for n, name in enumerate(names):
        assert [(use.path, use.digest) for use in index.uses_of(name, written=True)] == [(f"p{n}", name)]


def test_a_run_can_be_replaced_and_removed(index: Index) -> None:
    index.add(run(1, name="old", outputs=(wrote("a", "1"),)))
    index.add(run(1, name="new", outputs=(wrote("b", "2"),)))
    assert [one.name for one in index.runs(RunQuery())] == ["new"]
    assert index.uses_at("a", written=True) == []
    assert len(index.uses_at("b", written=True)) == 1
    index.remove(run_id(1))
    index.remove(run_id(1))
    assert index.summary(run_id(1)) is None
    assert list(index.outputs()) == []
    assert index.uses_of(digest("2"), written=True) == []


def test_a_run_is_called_by_its_id_the_beginning_of_its_short_id_or_its_name(index: Index) -> None:
    same_end = "01a20000-0000-7000-8000-abcd7f3a2c91"
    ids = [run_id(0x7F3A2C91), run_id(0x7F3A0000), run_id(0x11112222), same_end]
    names = [None, "train", "7f3a", "other"]
    for second, (one, name) in enumerate(zip(ids, names, strict=True)):
        index.add(replace(run(1, second=second), id=one, name=name))

    def found(prefix: str) -> list[str]:
        return [one.id for one in index.matching(prefix)]

    assert found(ids[0]) == [ids[0]]
    assert found("7f3a2c91") == [same_end, ids[0]]
    assert found("7F3A2C") == [same_end, ids[0]]
    assert found("7f3a") == [same_end, ids[2], ids[1], ids[0]]
    assert found("abcd7f3a2c91") == [same_end]
    assert found("00007f3a2c91") == [ids[0]]
    assert found("train") == [ids[1]]
    assert found("tra") == []
    assert found("") == []
    assert found("2c91") == []
    assert found("~") == []


def test_runs_are_listed_the_newest_first_by_what_is_asked(index: Index) -> None:
    index.add(run(2, second=2, name="train", tags=("a",), status="failed", user="bob", kind="script"))
    index.add(run(1, second=1, name="train-2", tags=("a", "b"), parent=run_id(2)))
    index.add(run(3, second=3, name=None))
    index.add(run(4, second=4, name="[x]*"))

    def found(**question: object) -> list[int]:
        return [int(one.id[-8:], 16) for one in index.runs(RunQuery(**question))]  # type: ignore[arg-type]

    assert found() == [4, 3, 2, 1]
    assert found(limit=2) == [4, 3]
    assert found(limit=0) == []
    assert found(name="train") == [2]
    assert found(name="train*") == [2, 1]
    assert found(name="trai?") == [2]
    assert found(name="*") == [4, 2, 1]
    assert found(name="[x]?") == [4]
    assert found(status="failed") == [2]
    assert found(user="bob") == [2]
    assert found(kind="script") == [2]
    assert found(tag="a") == [2, 1]
    assert found(tag="a", limit=1) == [2]
    assert found(tag="b") == [1]
    assert found(parent=run_id(2)) == [1]
    assert found(since=moment(3).time) == [4, 3]
    assert found(name="nothing") == []


def test_children_come_in_the_order_in_which_they_started(index: Index) -> None:
    for number in (3, 1, 2):
        index.add(run(number, second=number, parent=run_id(9)))
    index.add(run(4, parent=run_id(1)))
    assert [one.id for one in index.children(run_id(9))] == [run_id(1), run_id(2), run_id(3)]
    assert index.children(run_id(2)) == []


def test_what_a_reproduction_made_is_no_output_of_the_project(index: Index) -> None:
    index.add(run(1, outputs=(wrote("a", "real", 3),)))
    index.add(run(2, kind="reproduction", outputs=(wrote("a", "again", 9), wrote("b", "only", 9))))
    assert [(use.path, use.digest) for use in index.outputs()] == [("a", digest("real"))]


def test_outputs_are_the_newest_at_every_path(index: Index) -> None:
    index.add(run(2, outputs=(wrote("a", "new", 9), wrote("b", "only", 1))))
    index.add(run(1, inputs=(read("c", "x", 20),), outputs=(wrote("a", "old", 3), wrote("d", None, 4, deleted=True))))
    found = {(use.path, use.digest, use.run, use.deleted) for use in index.outputs()}
    assert found == {
        ("a", digest("new"), run_id(2), False),
        ("b", digest("only"), run_id(2), False),
        ("d", None, run_id(1), True),
    }


def test_a_role_or_access_of_the_future_is_kept_by_its_name(index: Index) -> None:
    index.add(run(1, outputs=(wrote("a", "1", role="model", access="dream"),)))
    (use,) = index.uses_at("a", written=True)
    assert (use.role, use.access) == ("model", "dream")
    assert index.uses_by(run_id(1), written=True) == []


def test_two_texts_with_one_key_are_kept_apart(index: Index) -> None:
    head = "blake3:" + "0123456789abcdef"
    for number, tail in enumerate(("a" * 48, "b" * 48, "c" * 48)):
        index.add(run(number, outputs=(FileUse(path=f"p{number}", digest=head + tail),)))
    one_call = run(7, outputs=(FileUse(path="x", digest=head + "d" * 48), FileUse(path="y", digest=head + "e" * 48)))
    index.add(one_call)
    for path, tail in (("p0", "a"), ("p1", "b"), ("p2", "c"), ("x", "d"), ("y", "e")):
        assert [use.path for use in index.uses_of(head + tail * 48, written=True)] == [path]
        assert index.uses_at(path, written=True)[0].digest == head + tail * 48
    assert index.uses_of(head + "f" * 48, written=True) == []


paths = st.one_of(
    st.sampled_from(["a", "b", "c"]),
    st.binary(min_size=1, max_size=8).filter(lambda name: b"\0" not in name).map(os.fsdecode),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8),
)
uses = st.builds(
    FileUse,
    path=paths,
    digest=st.none() | st.sampled_from([digest("x"), digest("y")]),
    before=st.none() | st.just(digest("z")),
    size=st.none() | st.integers(0, 2**60),
    role=st.sampled_from(["data", "config", "code", "cache", "temporary", "library"]),
    access=st.sampled_from(["read", "write", "append", "execute"]),
    kept=st.booleans(),
    deleted=st.booleans(),
    first=st.none(),
    last=st.none() | st.integers(0, 59).map(moment),
)
histories = st.lists(
    st.builds(
        lambda number, second, name, code, inputs, outputs: run(
            number, second=second, name=name, code=code, inputs=tuple(inputs), outputs=tuple(outputs)
        ),
        st.integers(0, 5),
        st.integers(0, 59),
        st.none() | st.text(max_size=4),
        st.none() | st.builds(Code, commit=st.none() | st.text(max_size=4), dirty=st.none() | st.booleans()),
        st.lists(uses, max_size=3),
        st.lists(uses, max_size=3),
    ),
    max_size=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories)
def test_sqlite_answers_whatever_memory_answers(history: list[Run]) -> None:
    plain, tables = MemoryIndex(), sqlite.in_memory()
    for one in history:
        plain.add(one)
        tables.add(one)
    for one in history:
        assert tables.summary(one.id) == plain.summary(one.id)
        for written in (False, True):
            assert list(tables.uses_by(one.id, written=written)) == list(plain.uses_by(one.id, written=written))
            for use in (*one.inputs, *one.outputs):
                assert set(tables.uses_at(use.path, written=written)) == set(plain.uses_at(use.path, written=written))
                if use.digest is not None:
                    assert set(tables.uses_of(use.digest, written=written)) == set(plain.uses_of(use.digest, written=written))
    key = [(use.path, use.time) for use in plain.outputs()]
    assert sorted((use.path, use.time) for use in tables.outputs()) == sorted(key)


def test_moments_of_another_form_are_the_same_moment(index: Index) -> None:
    index.add(run(1, outputs=(FileUse(path="a", digest=None, last=Moment(5, "2026-11-21T09:30:12.000000Z")),)))
    assert index.uses_at("a", written=True)[0].time == "2026-11-21T09:30:12.000000Z"
