"""The configuration of a seed, converted."""

from __future__ import annotations

import os

from vestige.config import FILE
from vestige.errors import ExistsError
from vestige.exchange import configuration
from vestige.exchange.configuration import Converted
from vestige.store import publish


def import_config(path: str, into: str | None = None) -> Converted:
    """Convert a `capsula.toml`, an `ntrk.toml` or the table `[tool.capsula]` of a `pyproject.toml`; `into`: write it there.

    Raises NotFoundError, ConfigError, ExistsError, OSError.
    """
    found = configuration.convert(path)
    if into is not None and not publish.publish(os.path.abspath(into), found.text.encode("utf-8"), durable=False):
        raise ExistsError(f"{into} exists already", hint="give another path with -o, or print it with -o -")
    return found


def place_for(path: str) -> str | None:
    """Where the converted configuration of a project belongs, if it has none yet."""
    folder = os.path.dirname(path)
    beside = os.path.join(folder, FILE)
    if os.path.lexists(beside):
        return None
    try:
        with open(os.path.join(folder, "pyproject.toml"), "rb") as file:
            return None if b"[tool.vestige" in file.read() else beside
    except OSError:
        return beside
