"""What is read from kept journals."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from tests.store.samples import digest, run
from vestige.model.run import Observation, Run
from vestige.observe.interface import Event, Stat, line
from vestige.reproduce.raw import Inherited, Raw, outside, read
from vestige.store.objects import Objects

ROOT = "/home/ada/p"
STAT = Stat(1, 2, 3, 4, 5)


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(str(tmp_path))


def recorded(objects: Objects, *events: Event) -> Run:
    raw = objects.put(gzip.compress(b"".join(map(line, events))))
    return run(1, observation=Observation(method="notify", raw=raw))


def test_folders_that_did_not_exist_are_told_from_those_that_did(objects: Objects) -> None:
    one = recorded(
        objects,
        Event("k", 1, 7, f"{ROOT}/results"),
        Event("k", 2, 7, f"{ROOT}/there", signature=STAT),
        Event("k", 3, 7, f"{ROOT}/results/./deep"),
        Event("k", 4, 7, "/tmp/x"),
    )
    assert read(one, objects).folders == {"results", "results/deep", "/tmp/x"}


def test_standard_streams_that_were_files_are_known(objects: Objects) -> None:
    one = recorded(
        objects,
        Event("i", 1, 7, f"{ROOT}/in.txt", flags=os.O_RDONLY, text="0"),
        Event("i", 1, 7, f"{ROOT}/out.txt", flags=os.O_WRONLY, text="1"),
        Event("i", 1, 7, f"{ROOT}/log.txt", flags=os.O_WRONLY | os.O_APPEND, text="2"),
        Event("i", 1, 7, f"{ROOT}/other", flags=os.O_RDWR, text="9"),
    )
    begun = recorded(objects, Event("i", 1, 7, f"{ROOT}/out.txt", flags=os.O_WRONLY, signature=STAT, text="1"))
    assert read(begun, objects).inherited == {1: Inherited("out.txt", True)}
    assert read(one, objects).inherited == {1: Inherited("out.txt", False), 2: Inherited("log.txt", True)}


def test_a_journal_that_is_not_kept_or_damaged_tells_nothing(objects: Objects) -> None:
    assert read(run(1), objects) == Raw()
    assert read(run(1, observation=Observation(method="notify", raw=digest("gone"))), objects) == Raw()
    assert read(run(1, observation=Observation(method="notify", raw=objects.put(b"no gzip"))), objects) == Raw()
    torn = objects.put(gzip.compress(b'["k",1,7,"/home/ada/p/a"]\n["k",2,')[:-9])
    assert read(run(1, observation=Observation(method="notify", raw=torn)), objects) == Raw()


def test_what_lies_outside_is_named_once_and_in_order(objects: Objects) -> None:
    one = recorded(
        objects,
        Event("r", 1, 7, "/etc/passwd"),
        Event("w", 2, 7, "/work/1/project/out"),
        Event("w", 3, 7, "/home/ada/x/../out"),
        Event("u", 4, 7, "/home/ada/out"),
        Event("m", 5, 7, "/work/1/project/a", "/home/ada/b"),
        Event("w", 6, 7, "/dev/null"),
        Event("w", 7, 7, "/usr/lib/python3/__pycache__/x.pyc"),
        Event("s", 8, 7, "/work/1/project/link", "/anywhere"),
    )
    assert outside(one, objects, ["/work/1/project", "/work/1/tmp"]) == ("/home/ada/out", "/home/ada/b")
