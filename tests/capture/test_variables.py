"""Variables: which are listed, which are hashed, and what never appears."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.capture import variables
from vestige.model.redaction import fingerprint
from vestige.model.run import Redaction

KEY = b"k" * 32


def listed(environ: dict[str, str], login: dict[str, str] | None = None, allow: tuple[str, ...] = ()) -> dict[str, str]:
    return variables.variables(environ, allow, KEY, login or {})[0]


def test_what_steers_programs_is_listed_and_the_rest_is_hashed() -> None:
    environ = {"OMP_NUM_THREADS": "4", "PYTHONHASHSEED": "0", "PATH": "/bin", "FAVOURITE": "tea", "EDITOR": "vi"}
    found, others, redactions = variables.variables(environ, [], KEY, {})
    assert found == {"OMP_NUM_THREADS": "4", "PATH": "/bin", "PYTHONHASHSEED": "0"}
    assert others == {name: "hmac:" + fingerprint(environ[name], KEY) for name in ("EDITOR", "FAVOURITE")}
    assert redactions == ()


def test_what_differs_from_the_login_session_is_listed() -> None:
    login = {"FAVOURITE": "tea", "HOUSE": "red", "SHLVL": "1"}
    environ = {"FAVOURITE": "coffee", "HOUSE": "red", "LR": "0.1", "SHLVL": "2", "PWD": "/x", "LS_COLORS": "…"}
    assert listed(environ, login) == {"FAVOURITE": "coffee", "LR": "0.1"}


def test_where_the_login_is_not_known_nothing_counts_as_set_for_the_run() -> None:
    assert listed({"LR": "0.1"}) == {}


def test_the_users_own_list_wins() -> None:
    environ = {"EDITOR": "vi", "MY_LAB_ROOM": "3", "MY_LAB_TABLE": "4", "OTHER": "5"}
    assert listed(environ, allow=("EDITOR", "MY_LAB_*")) == {"EDITOR": "vi", "MY_LAB_ROOM": "3", "MY_LAB_TABLE": "4"}


def test_secrets_are_taken_out_and_stay_comparable() -> None:
    token = "hf" + "_" + "aB3" * 12
    environ = {
        "HF_TOKEN": "opaque-value",
        "PIP_INDEX_URL": "https://ada:hunter22@host/simple",
        "SLURM_NOTE": f"use {token}",
        "TORCH_EXTRA": "opaque-value!",
        "WANDB_API_KEY": "0af1" * 10,
        "DB_PASSWORD": "from the login",
    }
    login = {"DB_PASSWORD": "from the login"}
    found, others, redactions = variables.variables(environ, [], KEY, login)
    assert found == {
        "HF_TOKEN": "«redacted:huggingface»",
        "PIP_INDEX_URL": "https://ada:«redacted:url»@host/simple",
        "SLURM_NOTE": "use «redacted:huggingface»",
        "TORCH_EXTRA": "«redacted:huggingface»!",
        "WANDB_API_KEY": "«redacted:wandb»",
    }
    assert redactions == (
        Redaction(at="variables.HF_TOKEN", kind="huggingface", variable="HF_TOKEN", hmac=fingerprint("opaque-value", KEY)),
        Redaction(at="variables.PIP_INDEX_URL", kind="url", hmac=fingerprint("hunter22", KEY)),
        Redaction(at="variables.SLURM_NOTE", kind="huggingface", hmac=fingerprint(token, KEY)),
        Redaction(at="variables.TORCH_EXTRA", kind="huggingface", variable="HF_TOKEN", hmac=fingerprint("opaque-value", KEY)),
        Redaction(at="variables.WANDB_API_KEY", kind="wandb", variable="WANDB_API_KEY", hmac=fingerprint("0af1" * 10, KEY)),
    )
    assert others == {"DB_PASSWORD": "hmac:" + fingerprint("from the login", KEY)}


def test_vestiges_own_are_left_out_and_functions_and_giants_are_hashed() -> None:
    environ = {"VESTIGE_RUN_ID": "1", "BASH_FUNC_module%%": "() { :; }", "PYTHONHUGE": "x" * 9000, "R_LIBS": "/r"}
    found, others, _ = variables.variables(environ, ["VESTIGE_*"], KEY, {"A": "b"})
    assert found == {"R_LIBS": "/r"}
    assert sorted(others) == ["BASH_FUNC_module%%", "PYTHONHUGE"]


def test_any_bytes_may_stand_in_a_variable() -> None:
    found, others, _ = variables.variables({"PYTHON\udcff": "\udcfe\n", "odd": "\udcff"}, [], KEY, {})
    assert found == {"PYTHON\udcff": "\udcfe\n"}
    assert others["odd"].startswith("hmac:")


SECRETS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=12, max_size=30)


@given(SECRETS, st.sampled_from(["PYTHON_API_KEY", "HF_TOKEN", "SLURM_PASSWORD", "MY_SECRET"]), st.text(max_size=10))
def test_the_value_of_a_secret_variable_appears_nowhere(secret: str, name: str, around: str) -> None:
    environ = {name: secret, "PYTHON_NOTE": f"{around}{secret}{around}"}
    assert secret not in repr(variables.variables(environ, [], KEY, {"A": "b"}))


def sessions(program: str) -> list[object]:
    """Run a program in a session of its own whose leader began with LOGIN=yes; its last line is JSON."""
    shell = f'LR=0.1 LOGIN=changed "{sys.executable}" -c "$PROGRAM"; exit $?'
    program = f"import sys; sys.path[:] = {sys.path}\n" + textwrap.dedent(program)
    environ = {"PATH": os.environ["PATH"], "LOGIN": "yes", "PROGRAM": program}
    done = subprocess.run(
        ["/bin/sh", "-c", shell], env=environ, start_new_session=True, capture_output=True, text=True, check=True
    )
    found: list[object] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("forks", [0, 1, 2])
def test_the_login_session_is_found_from_beneath_sessions_of_our_own(forks: int) -> None:
    found = sessions(
        f"""
        import json, os
        from vestige.capture import variables
        for _ in range({forks}):
            if os.fork():
                os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
            os.setsid()
        login = variables.login_variables()
        listed = variables.variables(os.environ, [], b"k" * 32)[0]
        print(json.dumps([login.get("LOGIN"), "LR" in login, listed.get("LR"), listed.get("LOGIN")]))
        """
    )
    assert found == ["yes", False, "0.1", "changed"]


def test_the_leader_of_our_own_session_is_not_the_login() -> None:
    program = "from vestige.capture import variables; print(os.getpid() in variables._leaders(os.getpid()))"
    program = f"import os, sys; sys.path[:] = {sys.path}; {program}"
    done = subprocess.run([sys.executable, "-c", program], start_new_session=True, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_process_that_is_gone_has_no_login() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert variables._leaders(child) == []
