"""Every exception that Vestige raises on purpose.

One base class. The class says how a process ends (`exit_code`) and what the user can type
next (`hint`); the docstring is the message when none is given.
"""

from __future__ import annotations


class VestigeError(Exception):
    """Something went wrong."""

    exit_code = 1
    hint: str | None = None

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])
        if hint is not None:
            self.hint = hint

    def __str__(self) -> str:
        return str(self.args[0])


class UsageError(VestigeError):
    """The command line cannot be understood."""

    exit_code = 64


class ConfigError(UsageError):
    """The configuration holds a key or a value that means nothing."""


class NotFoundError(VestigeError):
    """Nothing is known of that."""


class AmbiguousError(VestigeError):
    """More than one run fits."""


class RefusedError(VestigeError):
    """`--strict` turned a problem into a refusal, before anything ran."""


class ExistsError(VestigeError):
    """The file exists already, and nothing is ever overwritten."""

    hint = "give another path with -o, or --force"


class NotKeptError(VestigeError):
    """The bytes of that file version were not kept."""


class DamagedError(VestigeError):
    """A record or an object is damaged."""

    hint = "vestige check lists everything that is damaged"


class UnreadableError(VestigeError):
    """What another system wrote cannot be read."""


class NewerFormatError(VestigeError):
    """The record was written by a newer version of Vestige."""

    hint = "install a newer version: python -m pip install --upgrade vestige"


class StoreError(VestigeError):
    """The store cannot be read or written."""


class CouldNotError(VestigeError):
    """It could not be made again."""

    exit_code = 2


class RecordingError(VestigeError):
    """Vestige itself failed; with `--strict` nothing was run."""

    exit_code = 125
