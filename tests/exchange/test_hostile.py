"""Documents that nobody would write: whatever stands in them, the import says so or goes on."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vestige
from tests.exchange.seeds import GOLDEN
from tests.exchange.studies import copied, imported
from vestige.errors import VestigeError

STRANGE = (
    None, True, -1, 2**70, 1e308, "", "\0", "\ud800", "caf\udce9", "../../..", "/", "a\nb", "x" * 5000, [], {}, [[]], {"": ""},
    [None], {"a": {"a": {"a": None}}}, "9999999-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "PT1e400S", "sha256", "\x1b[2J",
)  # fmt: skip


def places(found: Any, at: tuple = ()) -> list[tuple]:
    """Every place in a document."""
    keys = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    return [place for key, one in keys for place in [(*at, key), *places(one, (*at, key))]]


def changed(found: Any, place: tuple, strange: object, *, as_key: bool) -> Any:
    """The document with something strange at a place."""
    copy = json.loads(json.dumps(found))
    inner = copy
    for key in place[:-1]:
        inner = inner[key]
    if as_key and isinstance(inner, dict) and isinstance(strange, str):
        inner[strange] = inner.pop(place[-1])
    else:
        inner[place[-1]] = strange
    return copy


def documents(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.suffix in (".json", ".ntrk", ".jsonl") and path.is_file())


@pytest.mark.parametrize("name", ["ntrk", "first", "later", "asimov"])
def test_something_strange_anywhere_is_taken_or_named(tmp_path: Path, name: str) -> None:
    chance = random.Random(name)
    root = copied(name, tmp_path)
    for number in range(80):
        path = chance.choice([one for one in documents(root) if ".vestige" not in one.parts])
        text = path.read_text()
        lines = text.splitlines() if path.suffix == ".jsonl" else [text]
        found = [json.loads(line) for line in lines]
        place = chance.choice(places(found))
        found = changed(found, place, chance.choice(STRANGE), as_key=number % 3 == 0)
        path.write_text("\n".join(json.dumps(one) for one in found) + "\n")
        with contextlib.suppress(VestigeError):
            imported(root, ".")
        path.write_text(text)
    assert vestige.open(project=root).check().damaged == ()
    rows = list(vestige.open(project=root).log(records=True))
    assert len(rows) > 10
    assert all(row.run is not None for row in rows)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300), name=st.sampled_from(["runs.jsonl", ".x.ntrk", "info.txt", ".x.vestige", "context.json"]))
def test_no_bytes_make_an_import_fail_otherwise_than_by_a_line(tmp_path: Path, data: bytes, name: str) -> None:
    shutil.rmtree(tmp_path / "p", ignore_errors=True)
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "vestige.toml").touch()
    (tmp_path / "p" / name).write_bytes(data)
    with pytest.raises(VestigeError):
        imported(tmp_path / "p", name)
    assert not (tmp_path / "p" / ".vestige").exists()


def test_the_info_of_a_run_with_bytes_of_any_kind_in_it_is_read(tmp_path: Path) -> None:
    chance = random.Random(1)
    root = copied("footsteps", tmp_path)
    path = root / "results" / "fold-1" / "info.txt"
    whole = (GOLDEN / "footsteps" / "results" / "fold-1" / "info.txt").read_bytes()
    for _ in range(80):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)
        with contextlib.suppress(VestigeError):
            imported(root, "results")
    assert vestige.open(project=root).check().damaged == ()
