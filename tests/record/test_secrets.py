"""The quick look, which must not miss what the slow look would find."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from vestige.model import redaction
from vestige.record import secrets

PLANTED = [
    ["curl", "-H", "Authorization: Bearer abcdef0123456789abcdef"],
    ["train", "--api-key", "q8Zr1kPw0LmX"],
    ["train", "--password=hunter2hunter2"],
    ["psql", "postgresql://ada:secretpw@db/x"],
    ["git", "clone", "https://x-access-token:abc123def456@github.com/a/b"],
    ["x", "ghp_0123456789abcdefghijklmnopqrstuvwxyz"],
    ["x", "AKIAIOSFODNN7EXAMPLE"],
    ["x", "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH"],
    ["x", "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH"],
    ["x", "xoxb-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx"],
]


@pytest.mark.parametrize("argv", PLANTED, ids=lambda argv: argv[-1][:12])
def test_whatever_redaction_would_take_out_is_suspicious(argv: list[str]) -> None:
    redacted, found = redaction.redact_argv(argv, {}, b"k" * 32)
    assert found
    assert list(redacted) != argv
    assert secrets.suspicious(argv, {})


def test_the_value_of_a_secrets_variable_is_suspicious_wherever_it_stands() -> None:
    assert secrets.suspicious(["x", "--k=zzzzyyyyxxxx"], {"WANDB_API_KEY": "zzzzyyyyxxxx"})


@pytest.mark.parametrize(
    "argv",
    [
        ["python3", "step.py", "-i", "in.csv", "-o", "out.csv"],
        ["make", "-j8", "figures"],
        ["python", "train.py", "--lr", "0.1", "--epochs=20", "--weights", "models/sigma_weights.pt"],
        ["sh", "-c", "for i in 1 2 3; do echo $i; done"],
    ],
)
def test_ordinary_commands_are_not(argv: list[str]) -> None:
    assert not secrets.suspicious(argv, {"PWD": "/home/ada/figures", "HOME": "/home/ada", "PATH": "/usr/bin:/bin"})


def test_the_key_is_made_once_and_only_for_its_user(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    key = secrets.key(str(folder))
    assert len(key) == 32
    assert secrets.key(str(folder)) == key
    assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600
    assert os.listdir(folder) == ["key"]


def test_without_a_place_for_it_the_key_lasts_for_the_process(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert len(secrets.key(str(tmp_path / "file"))) == 32
