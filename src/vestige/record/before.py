"""What the configuration has done before anything is captured: its own commands, in order, up to the first that fails."""

from __future__ import annotations

import os
import subprocess

from vestige.config import Config

#: So much of what a command says last goes into the record.
_SAID = 200


def prepare(root: str, config: Config) -> str | None:
    """Run `pre_capture`; what went wrong, in one line."""
    # A command that is recorded itself has been prepared by this.
    environ = {**os.environ, "VESTIGE_PRE_CAPTURE": ""}
    for command in config.pre_capture:
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                cwd=root,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
        except (OSError, ValueError) as error:
            return f"pre_capture: {command!r} cannot be run: {getattr(error, 'strerror', None) or error}"
        if done.returncode:
            return f"pre_capture: {command!r} {_ended(done.returncode)}{_last_line(done.stdout)}"
    return None


def _ended(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with {code}"


def _last_line(said: bytes) -> str:
    from vestige.model import redaction

    lines = said.decode("utf-8", "replace").strip().splitlines()
    return f": {redaction.redact_text(lines[-1], redaction.known_values(os.environ))[:_SAID]}" if lines else ""


__all__ = ["prepare"]
