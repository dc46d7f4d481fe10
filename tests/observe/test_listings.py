"""Which folders a run depends on by their names, in journals of a few lines."""

from __future__ import annotations

import pytest

from tests.observe.journals import conclude, event, follow, k, m, r, u, v, w, x
from vestige.observe.conclusion import Conclusion
from vestige.observe.interface import Event
from vestige.observe.listings import holds_modules

PYTHON = "/usr/bin/python3.11"


def d(path: str, pid: int = 1, *, again: bool = False) -> Event:
    return event("d", path, pid=pid, flags=int(again))


def started(program: str, *argv: str, pid: int = 1) -> Event:
    return x(program, v(900 + pid), program.rpartition("/")[2], *argv, pid=pid)


def listed(conclusion: Conclusion) -> list[str]:
    return [sight.what.removeprefix("/p/") for sight in conclusion.listings]


def test_a_folder_that_is_listed_is_a_dependency() -> None:
    assert listed(conclude([started("/usr/bin/ls", "data"), d("data")], {})) == ["data"]


@pytest.mark.parametrize("program", ["/usr/bin/git", "/usr/lib/git-core/git-status", "/usr/bin/rm", "/usr/bin/chmod"])
def test_what_a_listing_says_nothing_about_is_none(program: str) -> None:
    assert listed(conclude([started(program, "data"), d("data")], {})) == []


@pytest.mark.parametrize("path", ["/", "/home/ada", "/tmp", "/usr/share/zoneinfo", ".vestige/runs", ".git/refs", ".venv/lib"])
def test_a_folder_of_the_system_or_of_everybody_is_none(path: str) -> None:
    assert listed(conclude([started("/usr/bin/ls"), d(path)], {})) == []


def test_a_folder_that_the_run_made_is_none() -> None:
    assert listed(conclude([started("/usr/bin/ls"), k("out"), d("out")], {})) == []


@pytest.mark.parametrize(
    ("argv", "folder"),
    [(("scripts/a.py",), "scripts"), (("-c", "pass"), "/p"), (("-m", "tool"), "/p"), ((), "/p"), (("-u", "a.py"), "/p")],
)
def test_the_folder_that_an_interpreter_puts_first_is_the_import_systems(argv: tuple[str, ...], folder: str) -> None:
    assert listed(conclude([started(PYTHON, *argv), d(folder)], {})) == []
    assert listed(conclude([started("/usr/bin/ls", *argv), d(folder)], {})) != []


def test_a_folder_out_of_which_modules_came_is_the_import_systems() -> None:
    module, package = v(1), v(2)
    events = [
        started(PYTHON, "a.py"),
        *(d(folder) for folder in ("src", "src/tool", "src/tool/sub", "data")),
        r("src/tool/__init__.py", package),
        r("src/tool/sub/__pycache__/deep.cpython-311.pyc", module),
    ]
    assert listed(conclude(events, {})) == ["data"]


def test_the_same_folder_listed_by_another_program_is_a_dependency() -> None:
    events = [started(PYTHON, "a.py"), d("/p"), started("/usr/bin/ls", pid=2), d("/p", 2)]
    assert listed(conclude(events, {})) == ["/p"]


def test_an_interpreter_that_names_a_folder_relative_to_itself_lists_it() -> None:
    assert listed(conclude([started(PYTHON, "a.py"), d("/p"), d("/p/.")], {})) == ["/p"]


def test_a_folder_that_is_listed_once_more_is_listed_for_its_names() -> None:
    assert listed(conclude([started(PYTHON, "a.py"), d("/p"), d("/p", again=True)], {})) == ["/p"]


def test_an_import_system_looks_once_more_into_a_folder_that_the_run_has_changed() -> None:
    events = [started(PYTHON, "a.py"), d("/p"), k("__pycache__"), d("/p", again=True)]
    assert listed(conclude([*events, r("/usr/lib/python3.11/json.py", v(1))], {})) == []
    assert listed(conclude(events, {})) == ["/p"]  # and imports nothing then


def test_a_folder_out_of_which_nothing_came_may_have_been_searched_for_modules() -> None:
    conclusion = conclude([started(PYTHON, "a.py"), d("/src"), d("data"), d("data/.")], {})
    assert [(sight.what, sight.search) for sight in conclusion.listings] == [("/p/data", False), ("/src", True)]
    assert holds_modules(["tool", "tool.egg-info"])
    assert not holds_modules(["a.csv", "tool"])


def test_a_build_tool_lists_for_files_of_the_kinds_that_it_used() -> None:
    events = [started("/usr/bin/make"), d("src"), d("doc"), r("src/a.c", v(1)), r("src/a.h", v(2)), r("src/Makefile", v(3))]
    conclusion = conclude(events, {"src/a.c": v(1), "src/a.h": v(2), "src/Makefile": v(3)})
    assert [(sight.what, sight.like) for sight in conclusion.listings] == [("/p/src", (".c", ".h"))]


def test_the_content_of_a_folder_is_what_lay_there_before_the_run() -> None:
    old, read, moved = v(1), v(2), v(3)
    events = [
        d("data"),
        r("data/read", read),
        u("data/gone", old),
        w("data/made"),
        w("data/overwritten", v(4)),
        k("data/folder"),
        w("data/folder/inside"),
        m("data/moved", "data/new", moved),
        w("data/transient"),
        u("data/transient", v(9)),
    ]
    names = ["read", "made", "overwritten", "folder", "new", "untouched"]
    found = follow(events).content("/p/data", names)
    assert found.names == ("gone", "moved", "overwritten", "read", "untouched")
    assert found.made == ("folder", "made", "new")


def test_of_a_folder_with_too_many_names_none_is_told() -> None:
    assert follow([d("data")]).content("/p/data", None).names is None


def test_folders_are_told_once_as_they_are_listed() -> None:
    follower = follow([d("data"), d("data"), d("more")])
    assert follower.listed() == ["/p/data", "/p/more"]
    follower.feed(d("data"))
    assert follower.listed() == []
