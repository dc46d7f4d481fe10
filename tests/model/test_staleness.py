from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.history import History, file
from tests.model.test_lineage import ask, histories, versions
from vestige.model.lineage import Version, upstream, upstream_of
from vestige.model.staleness import Cause, Current, FileState, State, States, judge


def disk(**contents: str | None) -> dict[str, Current]:
    """What lies on disk: digests by path, `__` for a slash and `_` for a dot; None for what cannot be read."""
    return {
        path.replace("__", "/").replace("_", "."): Current(exists=True, digest=None if digest is None else f"b:{digest}")
        for path, digest in contents.items()
    }


def states(history: History, what: str, found: dict[str, Current]) -> dict[str, FileState]:
    lineage = upstream(history, ask(what))
    judged = judge(lineage, lambda path: found.get(path, Current(exists=False)), lambda path: history.uses_at(path, written=True))
    files = [*(file for step in lineage.steps for file in step.inputs), lineage.target]
    return {file.path: judged.of(file) for file in files}


def state(history: History, what: str, found: dict[str, Current]) -> FileState:
    return states(history, what, found)[what.partition("@")[0]]


def pipeline() -> History:
    return (
        History()
        .run("train", 10, ["train.csv@d", file("train.py@s", role="code")], ["clf@m"])
        .run("plot", 20, ["clf@m", "test.csv@t", file("plot.toml@c", role="config")], ["roc.png@p"])
    )


AS_IT_WAS = {"train_csv": "d", "train_py": "s", "clf": "m", "test_csv": "t", "plot_toml": "c", "roc_png": "p"}


def test_all_is_fresh_where_nothing_has_changed() -> None:
    found = states(pipeline(), "roc.png@p", disk(**AS_IT_WAS))
    assert {one.state for one in found.values()} == {"fresh"}
    assert found.keys() == {"train.csv", "train.py", "clf", "test.csv", "plot.toml", "roc.png"}


@pytest.mark.parametrize(
    ("change", "expected", "cause"),
    [
        ({"train_csv": "other"}, "stale", Cause("train.csv", "modified")),
        ({"train_py": "other"}, "stale", Cause("train.py", "modified")),
        ({"plot_toml": "other"}, "stale", Cause("plot.toml", "modified")),
        ({"clf": "other"}, "stale", Cause("clf", "modified")),
        ({"test_csv": ""}, "stale", Cause("test.csv", "modified")),
        ({"train_csv": None}, "possibly stale", Cause("train.csv", "unknown", sure=False)),
    ],
)
def test_a_change_upstream_makes_stale_and_is_named(change: dict[str, str | None], expected: State, cause: Cause) -> None:
    assert state(pipeline(), "roc.png@p", disk(**(AS_IT_WAS | change))) == FileState(expected, (cause,))


def test_what_lies_between_a_change_and_a_file_is_stale_too() -> None:
    found = states(pipeline(), "roc.png@p", disk(**(AS_IT_WAS | {"train_csv": "other"})))
    assert {path: one.state for path, one in found.items()} == {
        "train.csv": "modified",
        "train.py": "fresh",
        "clf": "stale",
        "test.csv": "fresh",
        "plot.toml": "fresh",
        "roc.png": "stale",
    }


def test_a_file_that_was_changed_or_is_gone_says_so_whatever_lies_upstream() -> None:
    contents = AS_IT_WAS | {"train_csv": "other"}
    assert state(pipeline(), "roc.png@p", disk(**(contents | {"roc_png": "x"}))) == FileState("modified")
    del contents["roc_png"]
    assert state(pipeline(), "roc.png@p", disk(**contents)) == FileState("missing")


def test_an_intermediate_file_that_is_gone_makes_nothing_stale() -> None:
    contents = {key: value for key, value in AS_IT_WAS.items() if key != "clf"}
    found = states(pipeline(), "roc.png@p", disk(**contents))
    assert found["clf"].state == "missing"
    assert found["roc.png"].state == "fresh"
    assert states(pipeline(), "roc.png@p", disk(**(contents | {"train_csv": "x"})))["roc.png"].state == "stale"


def test_a_raw_input_that_is_gone_makes_possibly_stale() -> None:
    contents = {key: value for key, value in AS_IT_WAS.items() if key != "train_csv"}
    found = state(pipeline(), "roc.png@p", disk(**contents))
    assert found == FileState("possibly stale", (Cause("train.csv", "missing", sure=False),))


def test_a_newer_version_of_an_input_by_a_later_run_is_named_with_the_run() -> None:
    history = pipeline().run("again", 30, ["train.csv@d"], ["clf@m2<m"])
    expected = FileState("stale", (Cause("clf", "replaced", "again"),))
    assert state(history, "roc.png@p", disk(**(AS_IT_WAS | {"clf": "m2"}))) == expected
    gone = {key: value for key, value in AS_IT_WAS.items() if key != "clf"}
    assert state(history, "roc.png@p", disk(**gone)) == expected
    assert state(history, "roc.png@p", disk(**AS_IT_WAS)).state == "fresh"
    found = states(history, "roc.png@p", disk(**(AS_IT_WAS | {"clf": "m2"})))
    assert found["clf"] == FileState("modified", (Cause("clf", "replaced", "again"),))


def test_an_old_version_that_was_put_back_is_stale() -> None:
    history = History().run("a1", 10, ["raw@1"], ["x@1"]).run("a2", 20, ["raw@1"], ["x@2<1"])
    assert state(history, "x@1", disk(x="1", raw="1")) == FileState("stale", (Cause("x", "replaced", "a2"),))
    assert state(history, "x@2", disk(x="2", raw="1")) == FileState("fresh")


def test_what_a_step_rewrote_itself_is_no_reason() -> None:
    update = (
        History()
        .run("make", 5, [], ["db@0"])
        .run("u1", 10, [file("db@0", access="update")], [file("db@1<0", access="update"), "side@s"])
        .run("u2", 20, [file("db@1", access="update")], [file("db@2<1", access="update")])
    )
    assert state(update, "db@2", disk(db="2")).state == "fresh"
    assert state(update, "side@s", disk(db="2", side="s")).state == "fresh"
    lineage = upstream(update, ask("db@2"))
    judged = judge(lineage, lambda _: Current(exists=True, digest="b:2"), lambda path: update.uses_at(path, written=True))
    read = lineage.by_run()["u1"].inputs[0]
    assert (judged.of(read).state, judged.of(read, "u1").state) == ("modified", "fresh")
    removal = History().run("a", 10, [file("in@i", deleted=True)], ["out@o"])
    assert state(removal, "out@o", disk(out="o")).state == "fresh"
    log = History().run("a", 10, [], [file("log@1", access="append")]).run("b", 20, [], [file("log@2<1", access="append")])
    assert state(log, "log@2", disk(log="2")).state == "fresh"


def test_what_a_later_run_updated_makes_its_earlier_readers_stale() -> None:
    history = History().run("read", 10, ["db@1"], ["out@o"]).run("update", 20, ["db@1"], ["db@2<1"])
    assert state(history, "out@o", disk(db="2", out="o")) == FileState("stale", (Cause("db", "replaced", "update"),))


def test_a_file_that_may_come_from_several_runs_is_possibly_stale() -> None:
    history = History().run("a", 10, ["raw@a"], ["a/x@x"]).run("b", 20, ["other@b"], ["b/x@x"])
    assert state(history, "moved@x", disk(moved="x", raw="changed", other="b")).state == "possibly stale"
    assert state(history, "moved@x", disk(moved="x", raw="a", other="b")).state == "fresh"


def test_a_change_of_what_was_read_hides_changes_behind_it() -> None:
    found = state(pipeline(), "roc.png@p", disk(**(AS_IT_WAS | {"train_csv": "other", "clf": "by hand"})))
    assert found.causes == (Cause("clf", "modified"),)


def test_a_file_without_a_digest_is_unknown_and_what_was_made_from_it_possibly_stale() -> None:
    history = History().run("a", 10, ["big@?"], ["out@o"])
    assert state(history, "out@o", disk(big="1", out="o")) == FileState("possibly stale", (Cause("big", "unknown", sure=False),))


def test_members_of_a_directory_that_is_one_thing_are_one_cause() -> None:
    members = [f"x.zarr/{number}@{number}" for number in range(10)]
    history = History().run("a", 10, [], [*members, file("x.zarr@d", kind="directory")]).run("b", 20, members, ["out@o"])
    assert state(history, "out@o", disk(out="o", **{f"x_zarr__{n}": "changed" for n in range(10)})) == FileState(
        "stale", (Cause("x.zarr", "modified"),)
    )


def test_of_very_many_causes_some_are_named_sure_ones_first() -> None:
    history = History().run("a", 10, [f"in{n}@{n}" for n in range(100)], ["out@o"])
    found = state(history, "out@o", disk(out="o", in99="changed"))
    assert found.state == "stale"
    assert found.causes[0] == Cause("in99", "modified")
    assert len(found.causes) == 4
    assert found.more


def test_ten_thousand_steps_are_judged_in_linear_time_and_each_path_is_looked_at_once() -> None:
    history = History()
    for i in range(10_000):
        history.run(f"r{i:05}", 10 * i + 10, [f"f{i}@{i}", "common@c"], [f"f{i + 1}@{i + 1}"])
    lineage = upstream(history, ask("f10000@10000"))
    looked: list[str] = []

    def current(path: str) -> Current:
        looked.append(path)
        return Current(exists=True, digest="b:c" if path == "common" else f"b:{path[1:]}" if path != "f0" else "b:changed")

    started = time.process_time()
    judged = judge(lineage, current, lambda path: history.uses_at(path, written=True))
    assert judged.of(lineage.target) == FileState("stale", (Cause("f0", "modified"),))
    assert len(looked) == len(set(looked)) == 10_002
    assert time.process_time() - started < 5


def test_a_file_of_another_lineage_is_unknown() -> None:
    lineage = upstream(pipeline(), ask("roc.png@p"))
    assert States({}, {}).of(lineage.target) == FileState("unknown")


lying = st.dictionaries(st.sampled_from("pqst"), st.sampled_from("0123"))


@settings(deadline=None)
@given(histories(), st.lists(versions, min_size=1, max_size=4, unique=True), lying)
def test_what_lies_as_recorded_is_never_called_modified_and_stale_names_a_cause(
    history: History, asked: list[str], contents: dict[str, str]
) -> None:
    targets: list[Version] = [ask(what) for what in asked]
    lineage = upstream_of(history, targets)
    found = disk(**contents)
    judged = judge(lineage, lambda path: found.get(path, Current(exists=False)), lambda path: history.uses_at(path, written=True))
    for one in [*lineage.targets, *(used for step in lineage.steps for used in step.inputs)]:
        result = judged.of(one)
        if one.path not in found:
            assert result.state == "missing"
        elif found[one.path].digest != one.digest:
            assert result.state == "modified"
            assert all(cause.by is not None for cause in result.causes)
        else:
            assert result.state in ("fresh", "stale", "possibly stale")
            assert bool(result.causes) == (result.state != "fresh")
            assert any(cause.sure for cause in result.causes) == (result.state == "stale")


def test_what_a_step_would_find_otherwise_makes_what_it_made_and_what_follows_possibly_stale() -> None:
    found = disk(train_csv="d", train_py="s", clf="m", test_csv="t", plot_toml="c", roc_png="p")
    lineage = upstream(pipeline(), ask("roc.png@p"))
    listing = Cause("data", "added", names=("data.csv",), count=1)
    judged = judge(lineage, lambda path: found[path], lambda _: [], lambda run: [listing] if run.id == "train" else [])
    unsure = FileState("possibly stale", (Cause("data", "added", sure=False, names=("data.csv",), count=1),))
    assert {file.path: judged.of(file) for step in lineage.steps for file in step.outputs} == {"clf": unsure, "roc.png": unsure}


def test_a_sure_cause_stands_before_what_a_step_would_find_otherwise() -> None:
    found = disk(train_csv="other", train_py="s", clf="m", test_csv="t", plot_toml="c", roc_png="p")
    lineage = upstream(pipeline(), ask("roc.png@p"))
    judged = judge(lineage, lambda path: found[path], lambda _: [], lambda _: [Cause("conf", "appeared")])
    state = judged.of(lineage.target)
    assert (state.state, [cause.path for cause in state.causes]) == ("stale", ["train.csv", "conf"])
