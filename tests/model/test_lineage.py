from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.history import History, file
from vestige.model.files import Use
from vestige.model.lineage import File, Lineage, Version, downstream, upstream, upstream_of
from vestige.model.run import Kind, Status


def ask(what: str) -> Version:
    path, _, digest = what.partition("@")
    return Version(path, f"b:{digest}", len(digest) if digest in {"", "tiny"} else 1000)


def made_by(history: History, what: str) -> list[str]:
    """The steps upstream of a file, in order."""
    return [step.run.id for step in upstream(history, ask(what)).steps]


def made_from(history: History, what: str) -> list[str]:
    return [step.run.id for step in downstream(history, ask(what)).steps]


def origins(file: File) -> list[str]:
    return [origin.run for origin in file.origins]


def inputs_of(lineage: Lineage, run: str) -> dict[str, list[str]]:
    return {file.path: origins(file) for file in lineage.by_run()[run].inputs}


# --- the plain cases -------------------------------------------------------------------------------------------------


def test_a_file_is_traced_to_its_raw_inputs_in_an_order_that_could_be_executed() -> None:
    history = (
        History()
        .run("plot", 30, ["models/clf@m", "data/test.csv@t"], ["roc.png@p"])
        .run("train", 20, ["data/train.csv@d"], ["models/clf@m"])
        .run("other", 10, ["data/train.csv@d"], ["other.txt@o"])
    )
    lineage = upstream(history, ask("roc.png@p"))
    assert [step.run.id for step in lineage.steps] == ["train", "plot"]
    assert inputs_of(lineage, "plot") == {"data/test.csv": [], "models/clf": ["train"]}
    assert [file.path for file in lineage.raw] == ["data/train.csv", "data/test.csv"]
    assert origins(lineage.target) == ["plot"]
    assert [file.path for file in lineage.by_run()["train"].outputs] == ["models/clf"]


def test_what_was_made_from_a_file_is_traced_downwards() -> None:
    history = (
        History()
        .run("train", 20, ["data/train.csv@d"], ["models/clf@m", "log.txt@l"])
        .run("plot", 30, ["models/clf@m", "data/test.csv@t"], ["roc.png@p"])
        .run("unrelated", 40, ["data/test.csv@t"], ["u@u"])
    )
    lineage = downstream(history, ask("data/train.csv@d"))
    assert lineage.down
    assert [step.run.id for step in lineage.steps] == ["train", "plot"]
    assert [file.path for file in lineage.steps[0].outputs] == ["log.txt", "models/clf"]
    assert [file.path for file in lineage.steps[1].inputs] == ["models/clf"]
    assert made_from(history, "data/test.csv@t") == ["plot", "unrelated"]
    assert made_from(history, "roc.png@p") == []


def test_a_file_that_nobody_made_has_no_steps() -> None:
    lineage = upstream(History().run("a", 1, ["raw@r"], ["out@o"]), ask("raw@r"))
    assert lineage.steps == ()
    assert lineage.target.origins == ()


def test_code_that_one_run_built_and_another_executed_is_an_edge() -> None:
    history = (
        History()
        .run("make", 10, [file("prog.c@c", role="code")], [file("prog@x", role="code")])
        .run("use", 20, [file("prog@x", role="code", access="execute")], ["out@o"])
    )
    assert made_by(history, "out@o") == ["make", "use"]


def test_depth_cuts_the_walk_and_says_where() -> None:
    history = History().run("a", 10, ["raw@r"], ["1@1"]).run("b", 20, ["1@1"], ["2@2"]).run("c", 30, ["2@2"], ["3@3"])
    lineage = upstream(history, ask("3@3"), depth=2)
    assert [step.run.id for step in lineage.steps] == ["b", "c"]
    assert lineage.cut == {"a"}
    assert origins(lineage.steps[0].inputs[0]) == ["a"]
    down = downstream(history, ask("raw@r"), depth=2)
    assert [step.run.id for step in down.steps] == ["a", "b"]
    assert down.cut == {"c"}


@pytest.mark.parametrize("status", ["finished", "failed", "interrupted", "running", "finishing", "lost"])
def test_files_of_runs_in_every_status_are_linked(status: Status) -> None:
    assert made_by(History().run("a", 10, ["raw@r"], ["out@o"], status=status), "out@o") == ["a"]


# --- rule 1: candidates ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "expected"), [("command", ["a"]), ("adopted", ["a"]), ("notebook", ["a"]), ("reproduction", [])]
)
def test_reproductions_are_never_the_makers(kind: Kind, expected: list[str]) -> None:
    assert made_by(History().run("a", 10, ["raw@r"], ["out@o"], kind=kind), "out@o") == expected


def test_reproductions_are_not_what_was_made_from_a_file() -> None:
    history = History().run("a", 10, ["raw@r"], ["out@o"]).run("again", 20, ["raw@r"], ["/work/out@o"], kind="reproduction")
    assert made_from(history, "raw@r") == ["a"]


def test_a_formatter_that_rewrites_the_same_bytes_is_not_the_maker() -> None:
    history = History().run("write", 10, ["raw@r"], ["a.py@a"]).run("format", 20, ["a.py@a"], ["a.py@a<a"])
    assert made_by(history, "a.py@a") == ["write"]
    assert made_by(History().run("format", 20, ["a.py@a"], ["a.py@a<a"]), "a.py@a") == []
    assert made_from(history, "raw@r") == ["write", "format"]


def test_what_a_run_removed_is_not_what_it_made() -> None:
    history = History().run("a", 10, ["raw@r"], ["x@x"]).run("rm", 20, [], [file("x@x", deleted=True)])
    assert made_by(history, "x@x") == ["a"]


def test_libraries_and_caches_are_not_linked() -> None:
    for role in ("library", "system", "cache"):
        assert made_by(History().run("pip", 10, [], [file("lib.py@l", role=role)]), "lib.py@l") == []
    assert made_by(History().run("tmp", 10, [], [file("/tmp/x@l", role="temporary")]), "/tmp/x@l") == ["tmp"]


def test_a_file_that_could_not_be_hashed_has_no_maker() -> None:
    history = History().run("a", 10, [], ["big@?"]).run("b", 20, ["big@?"], ["out@o"])
    lineage = upstream(history, ask("out@o"))
    assert [step.run.id for step in lineage.steps] == ["b"]
    assert lineage.raw[0].digest is None


def test_a_run_that_is_known_to_have_made_a_file_without_a_digest_is_walked() -> None:
    history = History().run("a", 10, ["raw@r"], ["big@?"])
    write = history.uses_at("big", written=True)[0]
    assert [step.run.id for step in upstream(history, Version("big", None, written=write)).steps] == ["a"]


def nested() -> History:
    """`make` holds `cook` and `eat`; what they do, it is seen to do."""
    return (
        History()
        .run("farm", 5, [], ["seed@s"])
        .run("make", 10, ["seed@s", "salt@n"], [file("dish@d", seq=12_000_001), file("done@e", seq=22_000_500), "log@g"])
        .run("cook", 11, ["seed@s", "salt@n"], [file("dish@d", seq=12_000_000)], parent="make")
        .run("eat", 21, ["dish@d"], ["done@e"], parent="make")
    )


def test_a_file_made_by_a_step_under_make_was_made_by_the_step() -> None:
    lineage = upstream(nested(), ask("done@e"))
    assert [step.run.id for step in lineage.steps] == ["farm", "cook", "eat"]
    assert inputs_of(lineage, "eat") == {"dish": ["cook"]}


def test_what_the_outer_run_made_itself_is_its_own() -> None:
    assert made_by(nested(), "log@g") == ["farm", "make"]


def test_the_outer_run_is_downstream_only_with_what_it_made_itself() -> None:
    lineage = downstream(nested(), ask("seed@s"))
    assert [step.run.id for step in lineage.steps] == ["make", "cook", "eat"]
    assert [file.path for file in lineage.by_run()["make"].outputs] == ["log"]
    history = History().run("make", 10, ["seed@s"], ["dish@d"]).run("cook", 11, ["seed@s"], ["dish@d"], parent="make")
    assert made_from(history, "seed@s") == ["cook"]


def test_the_innermost_of_three_runs_is_the_maker() -> None:
    history = (
        History()
        .run("outer", 10, [], [file("x@x", seq=13_000_002)])
        .run("middle", 11, [], [file("x@x", seq=13_000_001)], parent="outer")
        .run("inner", 12, ["raw@r"], [file("x@x", seq=13_000_000)], parent="middle")
    )
    assert made_by(history, "x@x") == ["inner"]


def test_of_two_inner_runs_that_wrote_the_same_the_later_is_the_maker() -> None:
    history = (
        History()
        .run("outer", 10, [], [file("x@x", seq=30_000_000)])
        .run("early", 11, [], ["x@x<0"], parent="outer")
        .run("late", 25, [], ["x@x<1"], parent="outer")
    )
    assert made_by(history, "x@x") == ["late"]


def test_no_run_made_the_inputs_of_its_ancestors_or_descendants() -> None:
    history = (
        History()
        .run("outer", 10, ["x@x"], ["out@o"])
        .run("inner", 5, ["y@y"], ["x@x"], parent="outer")
        .run("outer2", 5, [], ["y2@y2"])
        .run("inner2", 20, ["y2@y2"], ["z@z"], parent="outer2")
    )
    assert inputs_of(upstream(history, ask("out@o")), "outer") == {"x": []}
    assert inputs_of(upstream(history, ask("z@z")), "inner2") == {"y2": []}


def test_runs_that_claim_to_be_each_others_parents_do_no_harm() -> None:
    history = History().run("a", 10, ["r@r"], ["x@x"], parent="b").run("b", 10, ["r@r"], ["x@x"], parent="a")
    assert len(made_by(history, "x@x")) == 1
    assert len(made_by(history, "moved@x")) == 2


# --- rule 2: order ---------------------------------------------------------------------------------------------------


def test_a_write_after_the_read_is_not_its_origin() -> None:
    history = History().run("b", 10, ["x@x"], ["y@y"]).run("a", 20, ["raw@r"], ["x@x"])
    assert made_by(history, "y@y") == ["b"]
    assert made_from(history, "raw@r") == ["a"]


def test_on_one_host_and_boot_the_sequence_orders_even_when_the_clock_was_set() -> None:
    history = History().run("a", 10, ["raw@r"], ["x@x"], skew=7200).run("b", 20, ["x@x"], ["y@y"])
    assert made_by(history, "y@y") == ["a", "b"]
    history = History().run("a", 30, ["raw@r"], ["x@x"], skew=-7200).run("b", 20, ["x@x"], ["y@y"])
    assert made_by(history, "y@y") == ["b"]


def test_across_boots_of_one_host_the_clock_orders() -> None:
    before = History().run("a", 10_000, ["raw@r"], [file("x@x", seq=10_000_000_000)], boot="1")
    before.run("b", 20_000, [file("x@x", seq=5_000_000)], ["y@y"], boot="2")
    assert made_by(before, "y@y") == ["a", "b"]
    after = History().run("a", 20_010, ["raw@r"], [file("x@x", seq=1_000_000)], boot="2")
    after.run("b", 20_000, [file("x@x", seq=20_000_000_000)], ["y@y"], boot="1")
    assert made_by(after, "y@y") == ["b"]


@pytest.mark.parametrize(
    ("late", "host", "expected", "marked"),
    [
        (-60, "other", ["a", "b"], False),
        (120, "other", ["b", "a"], True),
        (590, "other", ["b", "a"], True),
        (700, "other", ["b"], False),
        (120, "h", ["b"], False),
    ],
)
def test_a_wrong_order_of_two_hosts_within_ten_minutes_is_kept_and_marked(
    late: float, host: str, expected: list[str], marked: bool
) -> None:
    history = History().run("b", 1000, ["x@x"], ["y@y"]).run("a", 1000 + late, ["raw@r"], ["x@x"], host=host, boot="other")
    lineage = upstream(history, ask("y@y"))
    assert {step.run.id for step in lineage.steps} == set(expected)
    assert lineage.by_run()["b"].inputs[0].clock is marked
    if "a" in expected:
        assert [step.run.id for step in lineage.steps] == ["a", "b"]


def test_a_write_in_time_is_preferred_to_one_that_needs_a_wrong_clock() -> None:
    history = History().run("b", 1000, ["x@x"], ["y@y"]).run("early", 900, ["raw@r"], ["x@x"], host="other")
    history.run("late", 1060, ["raw@r"], ["x@x<1"], host="other")
    assert made_by(history, "y@y") == ["early", "b"]


def test_a_wrong_clock_is_not_believed_where_it_closes_a_circle() -> None:
    history = (
        History()
        .run("a", 1000, ["y@y"], ["x@x"], host="one")
        .run("b", 1060, ["x@x"], ["y@y"], host="two")
        .run("c", 2000, ["x@x"], ["end@e"])
    )
    lineage = upstream(history, ask("end@e"))
    assert [step.run.id for step in lineage.steps] == ["a", "c"]
    assert inputs_of(lineage, "a") == {"y": []}
    assert not lineage.by_run()["a"].inputs[0].clock


def test_the_next_candidate_answers_where_a_wrong_clock_would_close_a_circle() -> None:
    history = (
        History()
        .run("a", 1000, ["y@y"], ["x@x"], host="one")
        .run("b", 1060, ["x@x"], ["y@y"], host="two")
        .run("older", 2000, ["raw@r"], ["y@y"], kind="adopted")
    )
    assert made_by(history, "x@x") == ["older", "a"]


def test_a_record_without_times_is_still_linked() -> None:
    history = History().run("a", 10, ["raw@r"], [file("x@x", time="?")], boot=None).run("b", 20, ["x@x"], ["y@y"])
    assert made_by(history, "y@y") == ["a", "b"]


# --- rule 3: the same path -------------------------------------------------------------------------------------------


def test_the_same_step_run_twice_links_each_reader_to_the_run_before_it() -> None:
    history = (
        History()
        .run("a1", 10, ["raw@1"], ["x@x"], command="a")
        .run("b1", 20, ["x@x"], ["y@1"])
        .run("a2", 30, ["raw@2"], ["x@x<0"], command="a")
        .run("b2", 40, ["x@x"], ["y@2"])
    )
    assert made_by(history, "y@1") == ["a1", "b1"]
    assert made_by(history, "y@2") == ["a2", "b2"]
    assert made_by(history, "x@x") == ["a2"]
    assert made_from(history, "raw@1") == ["a1", "b1"]
    assert made_from(history, "x@x") == ["b1", "b2"]


def test_chains_of_changes_in_place_are_followed_version_by_version() -> None:
    history = History().run("make", 10, ["raw@r"], ["db@0"])
    for number in range(1, 50):
        history.run(
            f"u{number}",
            10 * number + 10,
            [file(f"db@{number - 1}", access="update")],
            [file(f"db@{number}<{number - 1}", access="update")],
        )
    assert made_by(history, "db@49") == ["make", *(f"u{number}" for number in range(1, 50))]
    assert made_by(history, "db@3") == ["make", "u1", "u2", "u3"]
    assert made_from(history, "db@47") == ["u48", "u49"]


def test_content_that_comes_back_is_told_apart_by_time() -> None:
    history = History().run("on", 10, ["f@0"], ["f@1<0"]).run("off", 20, ["f@1"], ["f@0<1"]).run("on2", 30, ["f@0"], ["f@1<0"])
    assert made_by(history, "f@1") == ["on", "off", "on2"]
    assert made_by(history, "f@0") == ["on", "off"]


def test_content_that_comes_back_ten_thousand_times_is_found_fast() -> None:
    history = History()
    for number in range(10_000):
        history.run(f"r{number:05}", 10 * number + 10, [f"f@{number % 2}"], [f"f@{1 - number % 2}<{number % 2}"])
    started = time.process_time()
    lineage = upstream(history, ask("f@0"))
    assert len(lineage.steps) == 10_000
    assert time.process_time() - started < 10


def test_empty_and_tiny_files_are_linked_at_their_own_path() -> None:
    for content in ("", "tiny"):
        assert made_by(History().run("a", 10, [], [f"x@{content}"]), f"x@{content}") == ["a"]


# --- rule 4: other paths ---------------------------------------------------------------------------------------------


def test_a_moved_file_is_traced_to_its_maker() -> None:
    history = History().run("a", 10, ["raw@r"], ["x@x"]).run("b", 20, ["elsewhere/x@x"], ["y@y"])
    lineage = upstream(history, ask("y@y"))
    assert inputs_of(lineage, "b") == {"elsewhere/x": ["a"]}
    assert lineage.by_run()["b"].inputs[0].origins[0].path == "x"
    assert made_from(history, "raw@r") == ["a", "b"]
    assert made_by(history, "/somewhere/else@y") == ["a", "b"]


def test_a_copy_is_not_the_maker_of_its_source() -> None:
    history = History().run("copy", 10, ["raw.csv@r"], ["copy.csv@r"]).run("use", 20, ["raw.csv@r"], ["out@o"])
    assert made_by(history, "raw.csv@r") == []
    assert made_by(history, "out@o") == ["use"]
    assert made_by(history, "copy.csv@r") == ["copy"]
    assert made_from(history, "raw.csv@r") == ["copy", "use"]
    assert made_from(history, "copy.csv@r") == []


def test_a_copy_whose_target_was_opened_before_its_source_is_not_the_maker() -> None:
    history = History().run("cat", 10, ["raw@r"], [file("copy@r", seq=9_000_000)])
    assert made_by(history, "raw@r") == []


def test_a_copy_is_not_the_maker_where_somebody_else_read_the_source_before() -> None:
    history = (
        History().run("first", 5, ["raw@r"], ["o@o"]).run("fetch", 10, [], ["copy@r"]).run("last", 20, ["raw@r"], ["out@o2"])
    )
    assert made_by(history, "out@o2") == ["last"]
    assert made_by(history, "raw@r") == []


def test_a_copy_outside_of_the_project_is_traced_through_the_copier() -> None:
    history = History().run("a", 10, ["raw@r"], ["x@x"]).run("cp", 20, ["x@x"], ["/usb/x@x"])
    assert made_by(history, "/usb/x@x") == ["a", "cp"]
    assert made_by(history, "x@x") == ["a"]


def test_several_possible_makers_are_all_shown() -> None:
    history = History().run("a", 10, ["raw@a"], ["a/x@x"]).run("b", 20, ["raw@b"], ["b/x@x"]).run("c", 30, ["moved/x@x"], ["y@y"])
    lineage = upstream(history, ask("y@y"))
    moved = lineage.by_run()["c"].inputs[0]
    assert moved.ambiguous
    assert origins(moved) == ["b", "a"]
    assert [step.run.id for step in lineage.steps] == ["a", "b", "c"]
    assert upstream(history, ask("/mnt/x@x")).target.ambiguous
    assert not upstream(history, ask("a/x@x")).target.ambiguous
    assert made_from(history, "raw@a") == ["a", "c"]


@pytest.mark.parametrize(
    ("command", "snapshot", "expected"),
    [("a", "git:1", ["a2"]), ("other", "git:1", ["a2", "a1"]), ("a", "git:2", ["a2", "a1"])],
)
def test_equal_commands_on_equal_code_are_one_candidate(command: str, snapshot: str, expected: list[str]) -> None:
    history = (
        History()
        .run("a1", 10, ["raw@r"], ["1/x@x"], command="a")
        .run("a2", 20, ["raw@r"], ["2/x@x"], command=command, snapshot=snapshot)
    )
    assert origins(upstream(history, ask("moved@x")).target) == expected


def test_a_moved_file_made_under_make_was_made_by_the_step() -> None:
    history = History().run("make", 10, ["r@r"], ["x@x"]).run("step", 11, ["r@r"], ["x@x"], parent="make", command="s")
    assert origins(upstream(history, ask("moved@x")).target) == ["step"]


@pytest.mark.parametrize("content", ["", "tiny"])
def test_empty_and_tiny_files_are_never_linked_across_names(content: str) -> None:
    history = History().run("a", 10, ["raw@r"], [f"a/__init__.py@{content}"]).run("b", 20, [f"b/__init__.py@{content}"], ["y@y"])
    assert made_by(history, "y@y") == ["b"]
    assert made_by(history, f"moved@{content}") == []
    assert made_from(history, "raw@r") == ["a"]


def test_a_moved_raw_file_has_the_same_downstream() -> None:
    history = History().run("a", 10, ["old/raw@r"], ["x@x"])
    assert made_from(history, "new/raw@r") == ["a"]
    assert made_from(History().run("a", 10, ["old/raw@tiny"], ["x@x"]), "new/raw@tiny") == []


# --- rule 5: appending -----------------------------------------------------------------------------------------------


def appends(number: int) -> History:
    history = History()
    for i in range(number):
        history.run(
            f"r{i:05}",
            10 * i + 10,
            [f"in{i}@i{i}", *([file(f"log@l{i - 1}", access="append")] if i else [])],
            [f"out{i}@o{i}", file(f"log@l{i}<l{i - 1}" if i else "log@l0", access="append")],
        )
    return history


def test_a_thousand_appends_to_one_log_tie_no_other_outputs_together() -> None:
    history = appends(1000)
    assert made_by(history, "out999@o999") == ["r00999"]
    assert made_by(history, "log@l999") == [f"r{i:05}" for i in range(1000)]
    lineage = upstream(history, ask("log@l2"))
    assert inputs_of(lineage, "r00002") == {"in2": [], "log": ["r00001"]}
    assert made_from(history, "in998@i998") == ["r00998", "r00999"]
    down = downstream(history, ask("in998@i998"))
    assert [file.path for file in down.by_run()["r00999"].outputs] == ["log"]
    assert [file.path for file in down.by_run()["r00998"].outputs] == ["log", "out998"]


def test_the_time_for_appends_grows_with_their_number_alone() -> None:
    asked = []
    for number in (500, 5000):
        history = appends(number)
        upstream(history, ask(f"log@l{number - 1}"))
        asked.append(history.asked)
    assert asked[1] < 10.5 * asked[0]


def test_an_append_that_is_not_listed_as_an_input_is_followed_by_what_was_there_before() -> None:
    history = (
        History()
        .run("a", 10, [], [file("log@1", access="append")])
        .run("b", 20, ["r@r"], [file("log@2<1", access="append"), "o@o"])
    )
    assert made_by(history, "log@2") == ["a", "b"]
    assert made_by(history, "o@o") == ["b"]


def test_a_log_that_is_also_read_is_upstream_of_everything() -> None:
    history = History().run("a", 10, [], ["log@1"]).run("b", 20, ["log@1"], [file("log@2<1", access="append"), "o@o"])
    assert made_by(history, "o@o") == ["a", "b"]


def test_a_file_that_was_appended_to_and_then_renamed_was_read() -> None:
    history = History().run("a", 10, [], ["log@1"]).run("b", 20, [file("log@1", access="append")], ["log.old@2"])
    assert made_by(history, "log.old@2") == ["a", "b"]


# --- adopted ---------------------------------------------------------------------------------------------------------


def test_what_was_adopted_later_answers_for_earlier_readers() -> None:
    history = History().run("b", 10, ["x@x"], ["y@y"]).run("adopt", 50, ["raw@r"], ["x@x"], kind="adopted")
    assert set(made_by(history, "y@y")) == {"adopt", "b"}
    assert made_by(history, "y@y").index("adopt") < made_by(history, "y@y").index("b")


def test_what_was_seen_is_believed_before_what_was_declared() -> None:
    history = History().run("a", 10, ["raw@r"], ["x@x"]).run("adopt", 50, [], ["x@x"], kind="adopted")
    assert made_by(history, "x@x") == ["a"]


def test_an_adoption_that_closes_a_circle_is_left_out() -> None:
    history = History().run("b", 10, ["x@x"], ["y@y"]).run("adopt", 50, ["y@y"], ["x@x"], kind="adopted")
    assert made_by(history, "y@y") == ["b"]
    assert made_by(history, "x@x") == ["b", "adopt"]


# --- circles and shapes ----------------------------------------------------------------------------------------------


def test_two_runs_that_read_from_each_other_are_in_the_order_of_their_starts() -> None:
    """`one` writes a, `two` reads it and writes b, `one` reads that and writes c."""
    history = (
        History()
        .run("one", 10, [file("b@b", seq=30_000_000)], [file("a@a", seq=11_000_000), file("c@c", seq=40_000_000)])
        .run("two", 12, [file("a@a", seq=20_000_000)], [file("b@b", seq=21_000_000)])
    )
    lineage = upstream(history, ask("c@c"))
    assert [step.run.id for step in lineage.steps] == ["one"]
    assert lineage.steps[0].inputs[0].knotted
    assert made_by(history, "b@b") == ["one", "two"]
    assert made_from(history, "a@a") == ["two"]


def test_a_chain_of_ten_thousand_steps_is_walked_in_linear_time() -> None:
    history = History()
    for i in range(10_000):
        history.run(f"r{i:05}", 10 * i + 10, [f"f{i}@{i}"], [f"f{i + 1}@{i + 1}"])
    started = time.process_time()
    lineage = upstream(history, ask("f10000@10000"))
    assert [step.run.id for step in lineage.steps] == [f"r{i:05}" for i in range(10_000)]
    assert [file.path for file in lineage.raw] == ["f0"]
    assert len(downstream(history, ask("f0@0")).steps) == 10_000
    assert time.process_time() - started < 10


def test_diamonds_with_very_many_paths_are_walked_once() -> None:
    history = History()
    for i in range(60):
        for side in ("l", "r"):
            history.run(f"{side}{i:02}", 10 * i + 10, [f"l{i}@l{i}", f"r{i}@r{i}"], [f"{side}{i + 1}@{side}{i + 1}"])
    assert len(upstream(history, ask("l60@l60")).steps) == 119
    assert len(downstream(history, ask("l0@l0")).steps) == 120


def test_members_of_a_directory_that_is_one_thing_know_it() -> None:
    history = (
        History()
        .run("a", 10, ["raw@r"], ["out/x.zarr/0.0@0", "out/x.zarr/c/0.1@1", file("out/x.zarr@d", kind="directory"), "out/y@y"])
        .run("b", 20, ["out/x.zarr/0.0@0", "out/x.zarr/c/0.1@1", "out/y@y"], ["z@z"])
        .run("c", 30, ["moved.zarr/0.0@0", "moved.zarr/c/0.1@1"], ["w@w"])
    )
    things = {file.path: file.thing for file in upstream(history, ask("z@z")).by_run()["b"].inputs}
    assert things == {"out/x.zarr/0.0": "out/x.zarr", "out/x.zarr/c/0.1": "out/x.zarr", "out/y": None}
    assert {file.thing for file in upstream(history, ask("w@w")).by_run()["c"].inputs} == {"moved.zarr"}
    assert made_by(history, "out/x.zarr@d") == ["a"]
    assert [file.path for file in downstream(history, ask("raw@r")).by_run()["a"].outputs] == [
        "out/x.zarr/0.0", "out/x.zarr/c/0.1", "out/y"
    ]  # fmt: skip


def test_several_files_share_what_made_them() -> None:
    history = History().run("a", 10, ["raw@r"], ["x@x"]).run("b", 20, ["x@x"], ["y@y"]).run("c", 30, ["x@x"], ["z@z"])
    lineage = upstream_of(history, [ask("y@y"), ask("z@z"), ask("nothing@n")])
    assert [step.run.id for step in lineage.steps] == ["a", "b", "c"]
    assert [origins(file) for file in lineage.targets] == [["b"], ["c"], []]


# --- properties ------------------------------------------------------------------------------------------------------

names = st.sampled_from(["p", "q", "s", "t"])
contents = st.sampled_from(["0", "1", "2", "3", "tiny"])
versions = st.builds("{}@{}".format, names, contents)
accesses = st.sampled_from(["write", "append", "update"])


def moments(start: int) -> st.SearchStrategy[int]:
    return st.integers(start, start + 900).map(lambda second: second * 1_000_000 + 1)


@st.composite
def histories(draw: st.DrawFn) -> History:
    history = History()
    for number in range(draw(st.integers(1, 12))):
        at = draw(st.integers(0, 3000))
        writes = [
            file(f"{path}@{draw(contents)}<{draw(contents)}", access=draw(accesses), seq=draw(moments(at)))
            for path in draw(st.lists(names, max_size=3, unique=True))
        ]
        reads = [file(version, seq=draw(moments(at))) for version in draw(st.lists(versions, max_size=3, unique=True))]
        history.run(
            f"r{number:02}",
            at,
            reads,
            writes,
            host=draw(st.sampled_from(["h", "i"])),
            boot=draw(st.sampled_from(["1", "2", None])),
            parent=draw(st.sampled_from([None, None, "r00", "r01"])),
            kind=draw(st.sampled_from(["command", "command", "command", "adopted", "reproduction"])),
            command=draw(st.sampled_from(["a", "b"])),
            skew=draw(st.sampled_from([0, 0, 60, -300])),
        )
    return history


def assert_executable(lineage: Lineage) -> None:
    done: set[str] = set()
    known = {step.run.id for step in lineage.steps}
    assert len(known) == len(lineage.steps)
    for step in lineage.steps:
        for used in step.inputs:
            for origin in used.origins:
                assert origin.run in done or origin.run not in known
                assert origin.run != step.run.id
        done.add(step.run.id)


@settings(max_examples=200, deadline=None)
@given(histories(), versions)
def test_lineage_never_has_a_circle_and_its_order_can_be_executed(history: History, what: str) -> None:
    up = upstream(history, ask(what))
    assert_executable(up)
    assert not up.cut
    assert {origin.run for step in up.steps for used in step.inputs for origin in used.origins} <= up.by_run().keys()
    assert_executable(downstream(history, ask(what)))


@settings(max_examples=150, deadline=None)
@given(histories(), versions, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(history: History, what: str, chance: random.Random) -> None:
    rows: list[Use] = list(history.uses)
    chance.shuffle(rows)
    shuffled = History(dict(history.summaries), rows)
    assert upstream(history, ask(what)) == upstream(shuffled, ask(what))
    assert downstream(history, ask(what)) == downstream(shuffled, ask(what))
