"""What a key of a record may hold."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vestige.errors import DamagedError
from vestige.model import wire

USE = {"path": "a", "digest": None}


@pytest.mark.parametrize(
    ("key", "held"),
    [
        ("name", 5),
        ("tags", "x"),
        ("tags", [1]),
        ("started", 5),
        ("duration", "long"),
        ("exit_code", "0"),
        ("exit_code", True),
        ("command", "ls -l"),
        ("command", [1, 2]),
        ("command", ["sh", "a\0b"]),
        ("command", ["sh", "\ud800"]),
        ("cwd", "a\0"),
        ("umask", 18),
        ("variables", ["A"]),
        ("variables", {"A": 3}),
        ("variables", {"A\0": "x"}),
        ("values", [1]),
        ("values", {"deep": json.loads("[" * 200 + "]" * 200)}),
        ("unknown to us", json.loads("[" * 200 + "]" * 200)),
        ("inputs", "x"),
        ("inputs", [1]),
        ("inputs", [{**USE, "path": 5}]),
        ("inputs", [{**USE, "path": "a\0b"}]),
        ("inputs", [{**USE, "path": "%00", "encoding": "percent"}]),
        ("inputs", [{**USE, "digest": 5}]),
        ("inputs", [{**USE, "role": 5}]),
        ("inputs", [{**USE, "size": "big"}]),
        ("inputs", [{**USE, "by": "x"}]),
        ("inputs", [{**USE, "evidence": [1]}]),
        ("inputs", [{**USE, "link": 4}]),
        ("inputs", [{**USE, "first": {"seq": "x", "time": "t"}}]),
        ("code", "x"),
        ("code", {"snapshot": 4}),
        ("code", {"remotes": [1]}),
        ("environment", 3),
        ("inputs_object", 4),
        ("streams", {"stdout": {"digest": 4, "size": 1}}),
        ("processes", [{"pid": "x"}]),
        ("processes", [{"pid": 1, "argv": 5}]),
        ("problems", [3]),
        ("observation", {"method": "notify", "gaps": [3]}),
        ("reproduction", {"of": 5}),
        ("network", ["x"]),
    ],
)
def test_a_key_that_holds_what_it_cannot_hold_is_damage(key: str, held: Any) -> None:
    with pytest.raises(DamagedError):
        wire.load_run(json.dumps({"id": "x", key: held}).encode())


@pytest.mark.parametrize("key", ["tags", "command", "variables", "inputs", "problems", "started", "sequence", "cwd"])
def test_a_null_that_means_nothing_is_as_good_as_absent(key: str) -> None:
    assert wire.load_run(json.dumps({"id": "x", key: None}).encode()) == wire.load_run(b'{"id": "x"}')


def test_what_later_formats_may_add_is_kept() -> None:
    document = {"id": "x", "role of tomorrow": {"a": [1, {"b": None}]}, "inputs": [{**USE, "role": "tomorrow's", "more": [1]}]}
    run = wire.load_run(json.dumps(document).encode())
    assert run.extra["role of tomorrow"] == {"a": [1, {"b": None}]}
    assert (run.inputs[0].role, run.inputs[0].extra) == ("tomorrow's", {"more": [1]})
