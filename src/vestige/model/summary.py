"""A run in short: what lists and lineage know of it. Apart from `run`, since a question needs no whole records."""

from __future__ import annotations

from vestige.model.files import Digest
from vestige.model.values import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Kind = Literal["command", "script", "function", "notebook", "capture", "reproduction", "adopted"]
    Status = Literal["finished", "failed", "interrupted", "running", "finishing", "lost"]
else:
    Kind = Status = str

#: `running`, `finishing` and `lost` are derived, never written.


@value(kw_only=True)
class Summary:
    """What lists and lineage need of a run, without its files: a row of the index.

    `label` is what the step is called, `dirty` whether uncommitted changes belonged to its code,
    `inputs` and `outputs` count its uses in the roles data, config and code. `listings` and `absent` are the lists of what
    it looked at beside the files that it read.
    """

    id: str
    name: str | None
    label: str
    kind: Kind
    status: Status
    started: str
    duration: float | None
    sequence: int
    host: str
    boot: str | None
    parent: str | None
    user: str | None
    command: tuple[str, ...]
    cwd: str
    exit_code: int | None
    commit: str | None
    dirty: bool | None
    snapshot: str | None
    environment: Digest | None
    inputs: int
    outputs: int
    tags: tuple[str, ...] = ()
    note: str | None = None
    gaps: int = 0
    listings: Digest | None = None
    absent: Digest | None = None


def short(run_id: str) -> str:
    """The last eight hex digits: what a user types."""
    return run_id[-8:]
