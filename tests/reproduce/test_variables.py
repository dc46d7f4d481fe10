"""With which variables a step is executed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.store.samples import run
from vestige.model.run import Redaction
from vestige.reproduce.variables import Private, variables

PRIVATE = Private("/w/home", "/w/tmp", ("/w", "/home/ada"))


def environ(present: Mapping[str, str], secrets: Mapping[str, str] | None = None, **more: Any) -> dict[str, str]:
    found = variables(run(1, **more), present, PRIVATE, lambda text: text.replace("/old", "/new"), secrets or {})
    assert found.pop("HOME") == "/w/home"
    assert found.pop("TMPDIR") == "/w/tmp"
    assert found.pop("GIT_CEILING_DIRECTORIES") == "/w:/home/ada"
    return found


def test_recorded_values_count_and_lead_into_the_workspace() -> None:
    assert environ({"LR": "9", "DATA": "x"}, variables={"LR": "0.1", "DATA": "/old/data"}) == {"LR": "0.1", "DATA": "/new/data"}


def test_where_programs_and_libraries_are_is_todays() -> None:
    recorded = {"PATH": "/then", "PYTHONPATH": "/then", "CONDA_PREFIX": "/then", "LD_LIBRARY_PATH": "/then"}
    present = {"PATH": "/now", "CONDA_PREFIX": "/now/env"}
    assert environ(present, variables=recorded) == present


def test_what_was_not_set_then_is_not_set_now() -> None:
    assert environ({"OMP_NUM_THREADS": "8", "NEW": "x"}, variables={"LR": "1"}) == {"LR": "1"}


def test_of_what_was_recorded_without_its_value_todays_is_taken() -> None:
    assert environ({"TERM": "xterm"}, variables={"LR": "1"}, other_variables={"TERM": "hmac:1", "GONE": "hmac:2"}) == {
        "LR": "1",
        "TERM": "xterm",
    }


def test_where_no_variables_were_recorded_todays_are_taken() -> None:
    assert environ({"LANG": "C", "VESTIGE_RUN_ID": "x", "OLDPWD": "/", "XDG_CACHE_HOME": "/c"}) == {"LANG": "C"}


def test_what_leads_out_of_the_workspace_is_left_out() -> None:
    recorded = {
        "XDG_CACHE_HOME": "/home/ada/.cache",
        "PWD": "/old",
        "GIT_DIR": "/old/.git",
        "VESTIGE_X": "1",
        "SSH_TTY": "/dev/pts/1",
    }
    assert environ({}, variables=recorded) == {}


def test_every_name_of_the_temporary_folder_is_private() -> None:
    assert environ({}, variables={"TEMP": "/tmp", "TMPDIR": "/tmp"}) == {"TEMP": "/w/tmp"}


def test_a_secret_is_given_or_as_it_is_now_or_left_out() -> None:
    recorded = {"API_KEY": "«redacted:key»", "OTHER_KEY": "«redacted:key»", "THIRD": "«redacted:key»"}
    redactions = tuple(Redaction(at=f"variables.{name}", kind="key") for name in recorded)
    found = environ({"API_KEY": "now", "OTHER_KEY": "now"}, {"OTHER_KEY": "given"}, variables=recorded, redactions=redactions)
    assert found == {"API_KEY": "now", "OTHER_KEY": "given"}
