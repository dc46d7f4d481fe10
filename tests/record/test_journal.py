"""What is written before the command starts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.config import Config
from vestige.record import journal
from vestige.record.options import Options
from vestige.store import project

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(plain)
def test_small_documents_are_json(value: object) -> None:
    assert json.loads(journal.text(value)) == value


def test_a_begun_run_has_a_started_record_and_discarding_leaves_nothing(tmp_path: Path) -> None:
    place = project.locate(str(tmp_path))
    begun = journal.begin(["echo", "x"], {}, Options(place, Config(), name="n", cwd=str(tmp_path)))
    started = json.loads(Path(begun.folder, "started.json").read_text())
    assert started["command"] == ["echo", "x"]
    assert started["id"] == begun.id
    assert started["name"] == "n"
    assert started["processes_of_vestige"]["launcher"][0] == os.getpid()
    begun.discard()
    assert os.listdir(tmp_path / ".vestige" / "active") == []


def test_a_secret_in_the_command_never_reaches_the_disk(tmp_path: Path) -> None:
    place = project.locate(str(tmp_path))
    secret = "ghp_" + "0123456789abcdefghijklmnopqrstuvwxyz"
    begun = journal.begin(["x", "--token", secret], {}, Options(place, Config(), cwd=str(tmp_path)))
    text = Path(begun.folder, "started.json").read_text()
    assert secret not in text
    assert json.loads(text)["redactions"][0]["at"] == "command[2]"


def test_the_folder_of_a_run_cannot_be_made_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / ".vestige").write_text("a file in the way")
    with pytest.raises(OSError, match=r"\.vestige"):
        journal.begin(["x"], {}, Options(project.Place(str(tmp_path), str(tmp_path / ".vestige")), Config()))
