from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.model.history import History, file
from tests.report.traced import NOW, piped, screen, traced
from vestige.report.dot import dot
from vestige.report.style import Style, cells
from vestige.report.trace import document, lines
from vestige.report.tree import tree

DESCRIPTION = Path(__file__).parents[2] / "docs" / "lineage.md"


def named(history: History, run: str, **changes: object) -> History:
    """The history with other facts about a run."""
    history.summaries[run] = replace(history.summaries[run], **changes)  # type: ignore[arg-type]
    return history


def pipeline() -> History:
    history = (
        History()
        .run("0a91bc0d44", 10, ["data/train.csv@d", file("train.py@s", role="code")], ["models/clf.joblib@m"])
        .run("0b7f3a2c91", 20, ["models/clf.joblib@m", "data/test.csv@t", file("plot.py@q", role="code")], ["figures/roc.png@p"])
    )
    named(history, "0a91bc0d44", label="train.py", duration=12.41, command=("python", "train.py"))
    return named(history, "0b7f3a2c91", label="plot.py", dirty=True, duration=2.1, command=("python", "src/plot.py"))


# --- lines -----------------------------------------------------------------------------------------------------------


def test_a_line_a_step_raw_inputs_first() -> None:
    assert (
        piped(traced(pipeline(), "figures/roc.png@p"))
        == """
data/train.csv -> train.py @ 9c4b2a1 -> models/clf.joblib
data/test.csv, models/clf.joblib -> plot.py @ 9c4b2a1+ -> figures/roc.png
"""
    )


def test_a_state_that_is_not_fresh_stands_behind_the_name() -> None:
    assert (
        piped(traced(pipeline(), "figures/roc.png@p", {"data/train.csv": "other", "data/test.csv": None}))
        == """
data/train.csv [modified] -> train.py @ 9c4b2a1 -> models/clf.joblib
data/test.csv [missing], models/clf.joblib [stale] -> plot.py @ 9c4b2a1+ -> figures/roc.png [stale]
"""
    )
    assert piped(traced(pipeline(), "figures/roc.png@p", {"figures/roc.png": "by hand"})).endswith(
        "-> figures/roc.png [modified]\n"
    )
    assert piped(traced(pipeline(), "figures/roc.png@p", {"data/test.csv": None})).endswith(
        "-> figures/roc.png [possibly stale]\n"
    )


def test_without_inputs_without_git_and_with_awkward_names() -> None:
    history = (
        History().run("a", 10, [], ["a b.csv@1", "x,y@2", "p->q@3"]).run("b", 20, ["a b.csv@1", "x,y@2", "p->q@3"], ["o\n@o"])
    )
    named(history, "a", commit=None, label="my script.py", command=("python", "dir/my script.py"))
    named(history, "b", label="sort -u 'a b.csv'", command=("sort", "-u", "a b.csv"))
    assert (
        piped(traced(history, "o\n@o"))
        == """
(no inputs) -> 'my script.py' @ - -> 'a b.csv', 'p->q', 'x,y'
'a b.csv', 'p->q', 'x,y' -> sort -u 'a b.csv' @ 9c4b2a1 -> $'o\\n'
"""
    )


def test_every_line_of_a_command_with_line_breaks_is_one_line() -> None:
    history = named(History().run("a", 10, [], ["o@o"]), "a", label="python -c 'import sys\nprint(1)'")
    assert piped(traced(history, "o@o")) == "\n(no inputs) -> python -c 'import sys\\nprint(1)' @ 9c4b2a1 -> o\n"


def test_code_is_an_input_only_where_a_run_made_it() -> None:
    history = (
        History()
        .run("cc", 10, [file("p.c@c", role="code")], [file("p@x", role="code")])
        .run(
            "p",
            20,
            [file("p@x", role="code", access="execute"), file("lib.py@l", role="code"), file("p.toml@t", role="config")],
            ["o@o"],
        )
    )
    assert (
        piped(traced(history, "o@o"))
        == """
(no inputs) -> cc.py @ 9c4b2a1 -> p
p, p.toml -> p.py @ 9c4b2a1 -> o
"""
    )


def test_members_of_a_directory_that_is_one_thing_are_one_name() -> None:
    members = ["x.zarr/0@0", "x.zarr/1@1"]
    history = History().run("a", 10, ["r@r"], [*members, file("x.zarr@d", kind="directory")]).run("b", 20, members, ["o@o"])
    assert (
        piped(traced(history, "o@o", {"x.zarr/1": "changed"}))
        == """
r -> a.py @ 9c4b2a1 -> x.zarr
x.zarr [modified] -> b.py @ 9c4b2a1 -> o [stale]
"""
    )


def test_ambiguity_and_what_was_moved_are_said() -> None:
    history = History().run("a", 10, ["1@1"], ["a/x@x"]).run("b", 20, ["2@2"], ["b/x@x"]).run("c", 30, ["moved/x@x"], ["y@y"])
    assert piped(traced(history, "y@y")).endswith("moved/x [ambiguous] -> c.py @ 9c4b2a1 -> y\n")
    assert piped(traced(History().run("a", 10, ["r@r"], ["old@o"]), "new@o", {"r": "other"})).endswith("-> old [stale]\n")


def test_in_place_changes_are_no_modification() -> None:
    history = History().run("a", 10, [], ["db@0"]).run("u", 20, ["db@0"], ["db@1<0"])
    assert (
        piped(traced(history, "db@1"))
        == """
(no inputs) -> a.py @ 9c4b2a1 -> db
db -> u.py @ 9c4b2a1 -> db
"""
    )


def test_downstream_lines_tell_what_was_made_from_it() -> None:
    assert (
        piped(traced(pipeline(), "data/train.csv@d", down=True))
        == """
data/train.csv -> train.py @ 9c4b2a1 -> models/clf.joblib
models/clf.joblib -> plot.py @ 9c4b2a1+ -> figures/roc.png
"""
    )
    nothing = History().run("a", 10, ["r@r"], [])
    assert piped(traced(nothing, "r@r", down=True)) == "\nr -> a.py @ 9c4b2a1 -> (no outputs)\n"


def test_what_comes_from_the_catalogue_is_told_relative_to_the_project_where_it_lies_inside() -> None:
    history = History().run("a", 10, ["/data/r@r"], ["/home/ada/p/out@o"])
    assert piped(traced(history, "/home/ada/p/out@o", spans=True)) == "\n/data/r -> a.py @ 9c4b2a1 -> out\n"


# --- the tree --------------------------------------------------------------------------------------------------------


def test_the_tree_of_the_manual() -> None:
    assert (
        screen(traced(pipeline(), "figures/roc.png@p"))
        == """
figures/roc.png                                      fresh
└─ plot.py @ 9c4b2a1+  7f3a2c91  1 day ago · 2.1 s
   ├─ data/test.csv                                  fresh
   └─ models/clf.joblib                              fresh
      └─ train.py @ 9c4b2a1  91bc0d44  1 day ago · 12.4 s
         └─ data/train.csv                           fresh
"""
    )


def test_the_tree_shows_what_has_changed_code_included() -> None:
    changed = {"data/train.csv": "other", "plot.py": "other", "models/clf.joblib": None}
    assert (
        screen(traced(pipeline(), "figures/roc.png@p", changed))
        == """
figures/roc.png                                      stale
└─ plot.py @ 9c4b2a1+  7f3a2c91  1 day ago · 2.1 s
   ├─ data/test.csv                                  fresh
   ├─ models/clf.joblib                              missing
   │  └─ train.py @ 9c4b2a1  91bc0d44  1 day ago · 12.4 s
   │     └─ data/train.csv                           modified since
   └─ plot.py                                        modified since
"""
    )


def test_a_shared_step_is_drawn_once_and_failures_are_named() -> None:
    history = (
        History()
        .run("prepare", 10, ["raw@r"], ["a@a", "b@b"])
        .run("left", 20, ["a@a"], ["l@l"], status="failed")
        .run("right", 30, ["b@b", "l@l"], ["o@o"], kind="adopted")
    )
    assert (
        screen(traced(history, "o@o"))
        == """
o                                                    fresh
└─ right.py @ 9c4b2a1  right  adopted · 1 day ago · 1.0 s
   ├─ b                                              fresh
   │  └─ prepare.py @ 9c4b2a1  prepare  1 day ago · 1.0 s
   │     └─ raw                                      fresh
   └─ l                                              fresh
      └─ left.py @ 9c4b2a1  left  1 day ago · 1.0 s · failed
         └─ a                                        fresh
            └─ prepare.py @ 9c4b2a1  prepare  …
"""
    )


def test_ambiguous_moved_and_clock_links_are_marked_in_the_tree() -> None:
    history = History().run("a", 10, ["1@1"], ["a/x@x"]).run("b", 20, ["2@2"], ["b/x@x"]).run("c", 30, ["moved/x@x"], ["y@y"])
    assert (
        screen(traced(history, "y@y"))
        == """
y                                                    fresh
└─ c.py @ 9c4b2a1  c  1 day ago · 1.0 s
   └─ moved/x  from one of 2 runs                    fresh
      ├─ ? b.py @ 9c4b2a1  b  1 day ago · 1.0 s
      │  └─ 2                                        fresh
      └─ ? a.py @ 9c4b2a1  a  1 day ago · 1.0 s
         └─ 1                                        fresh
"""
    )
    clocks = History().run("a", 1060, ["r@r"], ["x@x"], host="other").run("b", 1000, ["x@x"], ["y@y"])
    assert "a.py @ 9c4b2a1  a  1 day ago · 1.0 s · clocks differ" in screen(traced(clocks, "y@y"))
    moved = History().run("a", 10, ["r@r"], ["old/x@x"])
    assert "a.py @ 9c4b2a1  a  1 day ago · 1.0 s · as old/x" in screen(traced(moved, "new/x@x"))


def test_versions_that_a_step_rewrote_say_so() -> None:
    history = History().run("a", 10, [], ["db@0"]).run("u", 20, ["db@0"], ["db@1<0"]).run("v", 30, ["db@1"], ["db@2<1"])
    assert (
        screen(traced(history, "db@1"))
        == """
db                                                   modified by v
└─ u.py @ 9c4b2a1  u  1 day ago · 1.0 s
   └─ db                                             rewritten by this step
      └─ a.py @ 9c4b2a1  a  1 day ago · 1.0 s
"""
    )


def test_very_many_files_of_a_folder_are_one_row() -> None:
    images = [f"data/images/{number}.png@i{number}" for number in range(1200)]
    history = History().run("a", 10, [*images, "labels.csv@l"], ["o@o"])
    assert (
        screen(traced(history, "o@o", {"data/images/7.png": "x", "data/images/8.png": "y"}))
        == """
o                                                    stale
└─ a.py @ 9c4b2a1  a  1 day ago · 1.0 s
   ├─ data/images/  1,200 files                      2 modified since
   └─ labels.csv                                     fresh
"""
    )


def test_downstream_hangs_readers_below_what_they_read() -> None:
    history = (
        History().run("a", 10, ["raw@r"], ["x@x", "y@y"]).run("b", 20, ["x@x", "y@y"], ["z@z"]).run("c", 30, ["raw@r"], ["w@w"])
    )
    assert (
        screen(traced(history, "raw@r", down=True))
        == """
raw                                                  fresh
├─ a.py @ 9c4b2a1  a  1 day ago · 1.0 s
│  ├─ x                                              fresh
│  │  └─ b.py @ 9c4b2a1  b  1 day ago · 1.0 s
│  │     └─ z                                        fresh
│  └─ y                                              fresh
│     └─ b.py @ 9c4b2a1  b  …
└─ c.py @ 9c4b2a1  c  1 day ago · 1.0 s
   └─ w                                              fresh
"""
    )


def test_a_depth_leaves_an_ellipsis() -> None:
    assert (
        screen(traced(pipeline(), "figures/roc.png@p", depth=1))
        == """
figures/roc.png                                      fresh
└─ plot.py @ 9c4b2a1+  7f3a2c91  1 day ago · 2.1 s
   ├─ data/test.csv                                  fresh
   └─ models/clf.joblib  …                           fresh
"""
    )


def test_a_terminal_without_unicode_gets_ascii() -> None:
    shown = screen(traced(pipeline(), "figures/roc.png@p"), unicode=False)
    assert shown.isascii()
    assert "`- plot.py @ 9c4b2a1+  7f3a2c91  1 day ago - 2.1 s" in shown


def chain(length: int) -> History:
    history = History()
    for number in range(length):
        history.run(f"r{number:05}", 10 * number + 10, [f"f{number}@{number}"], [f"f{number + 1}@{number + 1}"])
    return history


def test_a_tree_that_grows_too_deep_goes_on_below() -> None:
    shown = screen(traced(chain(8), "f8@8"))
    assert shown.count("\n\n") == 1
    before, after = shown.split("\n\n")
    assert before.splitlines()[-1].strip().startswith("└─ f2  ↓")
    assert after.startswith("f2 ")
    assert [line for line in shown.splitlines() if cells(line) > 80] == []


def test_ten_thousand_steps_are_drawn_in_linear_time_and_fit_the_terminal() -> None:
    history = chain(10_000)
    trace = traced(history, "f10000@10000")
    started = time.process_time()
    shown = list(tree(trace, Style(width=80), NOW))
    assert len(list(lines(trace))) == 10_000
    assert time.process_time() - started < 10
    assert sum(" @ " in line for line in shown) == 10_000
    assert max(map(cells, shown)) <= 80


def test_diamonds_with_very_many_paths_are_drawn_once() -> None:
    history = History()
    for number in range(40):
        for side in ("l", "r"):
            history.run(
                f"{side}{number:02}",
                10 * number + 10,
                [f"l{number}@l{number}", f"r{number}@r{number}"],
                [f"{side}{number + 1}@{side}{number + 1}"],
            )
    for down in (False, True):
        assert len(list(tree(traced(history, "l0@l0" if down else "l40@l40", down=down), Style(), NOW))) < 1000


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_long_and_wide_names_fit_any_terminal(width: int) -> None:
    history = History().run(
        "a", 10, ["very/" * 40 + "long.csv@1", "数据/" * 20 + "表.csv@2", "bell\x07\x1b[31m\n@3"], ["o" * 90 + "@o"]
    )
    named(history, "a", label="python -c 'print(" + "x" * 22 + "…")
    shown = screen(traced(history, "o" * 90 + "@o"), width)
    assert all(cells(line) <= width for line in shown.splitlines())
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f]", shown) is None


def test_colour_changes_no_text() -> None:
    trace = traced(pipeline(), "figures/roc.png@p", {"data/train.csv": "x"})
    painted = "\n".join(tree(trace, Style(colour=True), NOW))
    assert "\x1b[" in painted
    assert re.sub(r"\x1b\[\d*m", "", painted) == "\n".join(tree(trace, Style(), NOW))


# --- JSON and Graphviz -----------------------------------------------------------------------------------------------


def test_the_document_holds_everything_and_has_a_version() -> None:
    found = json.loads(json.dumps(document(traced(pipeline(), "figures/roc.png@p", {"data/train.csv": "x"}))))
    assert found["format"] == 1
    assert found["direction"] == "upstream"
    assert found["target"] == {
        "path": "figures/roc.png",
        "digest": "b:p",
        "size": 1000,
        "role": "data",
        "state": "stale",
        "causes": [{"path": "data/train.csv", "wrong": "modified", "by": None, "sure": True}],
        "more_causes": False,
        "origins": [{"run": "0b7f3a2c91", "path": "figures/roc.png"}],
    }
    assert [step["short"] for step in found["steps"]] == ["91bc0d44", "7f3a2c91"]
    assert [one["path"] for one in found["steps"][1]["inputs"]] == ["data/test.csv", "models/clf.joblib", "plot.py"]
    assert [one["path"] for one in found["raw_inputs"]] == ["data/train.csv", "train.py", "data/test.csv", "plot.py"]
    assert found["steps"][0]["command"] == ["python", "train.py"]
    assert found["not_followed"] == []


def test_a_document_holds_names_that_are_not_utf_8() -> None:
    found = document(traced(History().run("a", 10, [], ["\udcff.csv@o"]), "\udcff.csv@o"))
    assert found["target"]["path"] == "%FF.csv"
    assert found["target"]["encoding"] == "percent"
    json.dumps(found).encode()


def test_the_graph_has_a_box_for_every_file_and_run() -> None:
    graph = "\n".join(dot(traced(pipeline(), "figures/roc.png@p", {"data/train.csv": "x"})))
    assert graph.startswith("digraph lineage {")
    assert graph.endswith("}")
    assert graph.count("shape=box, style=rounded") == 4
    assert graph.count("fillcolor") == 2
    assert 'label="data/train.csv\\nmodified"' in graph
    arrows = re.findall(r"^  (\w+) -> (\w+)", graph, re.MULTILINE)
    label = dict(re.findall(r'^  (\w+) \[.*label="([\w./]+)', graph, re.MULTILINE))
    assert {(label[one], label[other]) for one, other in arrows} == {
        ("data/train.csv", "train.py"),
        ("train.py", "models/clf.joblib"),
        ("models/clf.joblib", "plot.py"),
        ("data/test.csv", "plot.py"),
        ("plot.py", "figures/roc.png"),
    }


def test_the_graph_keeps_quotes_and_line_breaks_in_names() -> None:
    graph = "\n".join(dot(traced(History().run("a", 10, [], ['q"uo\\te\n@o']), 'q"uo\\te\n@o')))
    assert 'label="q\\"uo\\\\te\\\\n"' in graph
    assert len([line for line in graph.splitlines() if "label=" in line]) == 2


def keys(document: object) -> set[str]:
    """Every key of a document, at any depth."""
    if isinstance(document, dict):
        return set(document).union(*map(keys, document.values()))
    return set().union(*map(keys, document)) if isinstance(document, list) else set()


def test_every_key_of_the_document_is_described() -> None:
    history = (
        History()
        .run("a", 1060, ["r@r"], ["x.zarr/0@0", file("x.zarr@d", kind="directory")], host="other")
        .run("b", 1000, [file("x.zarr/0@0", deleted=True), file("\udcff@u")], ["y@y"])
    )
    found = keys(document(traced(history, "y@y", {"r": "other"})))
    assert found >= {"clock", "directory", "removed", "causes", "encoding"}
    described = DESCRIPTION.read_text(encoding="utf-8")
    assert [key for key in found | {"circular"} if f'"{key}"' not in described] == []


def test_a_step_of_which_something_may_have_escaped_is_marked() -> None:
    trace = traced(named(pipeline(), "0a91bc0d44", gaps=2), "figures/roc.png@p")
    assert [line.count(" [partial] -> ") for line in lines(trace)] == [1, 0]
    assert [line.endswith(" · partial") for line in screen(trace).splitlines() if " @ " in line] == [False, True]
    assert [(step["partial"], step["gaps"]) for step in document(trace)["steps"]] == [(True, 2), (False, 0)]
