"""What a reader of another system's records hands over: each record in our words, and what it could not read, in a line."""

from __future__ import annotations

from typing import Literal

from vestige.model.environment import Environment
from vestige.model.files import Access, Digest, Role, nothing
from vestige.model.machine import Machine
from vestige.model.run import Run
from vestige.model.values import field, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: The systems whose records are read; `vestige` is our own, from another store or from a sidecar.
Format = Literal["ntrk", "capsula", "footsteps", "asimov", "vestige"]
FORMATS: tuple[Format, ...] = ("ntrk", "capsula", "footsteps", "asimov", "vestige")


@value(kw_only=True)
class Claim:
    """A file that a record names. `path` is absolute; `digest` and `size` as the record has them, by whatever algorithm.
    `places`: where else the content may lie now. `moment`: when it was written, in seconds since the epoch, if that is known.
    `found`: the record has no digest, and that of what lies there now is taken for it."""

    path: str
    digest: Digest | None
    size: int | None = None
    access: Access = "read"
    role: Role = "data"
    places: tuple[str, ...] = ()
    moment: float | None = None
    found: bool = False


@value(kw_only=True)
class Told:
    """One record of another system. `source`: the file or folder that holds it. `time`: when it was, in seconds since the epoch.
    `key`: bytes that are the same whenever the same record is read. `id`: ours, where it is a view of a record of ours.

    `run` holds what is known: its paths are absolute, its secrets still in it, its id and its files empty. `streams` and `diffs`
    (changes to the code, each with a name) are bytes as they were recorded.
    """

    format: Format
    source: str
    time: float
    key: bytes
    run: Run
    id: str | None = None
    files: tuple[Claim, ...] = ()
    environment: Environment | None = None
    machine: Machine | None = None
    streams: Mapping[str, bytes] = field(default_factory=nothing)
    diffs: Mapping[str, bytes] = field(default_factory=nothing)


@value(frozen=False)
class Reading:
    """What was read so far. `records` are our own, whole; a line of `notes` names a place and what is wrong with it."""

    told: list[Told] = field(default_factory=list)
    records: list[Run] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


__all__ = ["FORMATS", "Claim", "Format", "Reading", "Told"]
