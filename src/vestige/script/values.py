"""Values of a run: `vestige.log(loss=0.3)`. One key logged again and again is a series."""

from __future__ import annotations

import time

from vestige.record import identity, said
from vestige.script import session
from vestige.script.describe import describe
from vestige.script.hook import INSIDE


def log(**values: object) -> None:
    """Put values into the record of the run that this is in, each under its name. From any thread or process of the run.

    Numbers, texts and small collections as they are, anything else described. Never raises for what cannot be recorded.
    """
    for key, value in values.items():
        record(key, value)


def record(key: str, value: object) -> None:
    """Put one value into the record of the run that this is in, under any name."""
    if not isinstance(key, str):
        raise TypeError(f"the key of a value is a text, not {type(key).__name__}")
    folder = _folder()
    if folder is None:
        return
    try:
        said.say(folder, "value", key.encode("utf-8", "replace").decode(), describe(value), identity.timestamp(time.time()))
    except (OSError, ValueError) as error:
        _missed(key, error)


_told = False


def _missed(key: str, error: Exception) -> None:
    global _told
    if not _told:
        _told = True
        session.warn(f"the value of {key!r} is not recorded: {error}")


def _folder() -> str | None:
    """The folder of the innermost run; the run of the script begins, if there is none."""
    inside = INSIDE.get()
    if inside:
        return inside[-1].folder
    one = session.session()
    if one.folder is None:
        one.join_or_begin(None)
    return one.folder
