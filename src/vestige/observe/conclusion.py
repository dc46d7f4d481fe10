"""What a run used, when all is known: inputs, outputs, processes, and what was left out and why."""

from __future__ import annotations

from vestige.model.values import NamedTuple
from vestige.observe.interface import Stat
from vestige.observe.roles import Placed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Literal

    Access = Literal["read", "write", "update", "append", "link", "execute"]
    Evidence = Literal["observed", "declared"]
    Final = Callable[[str], "Stat | None"]
    Known = Callable[[str, Stat], "str | None"]
    OfDirectory = Callable[[Mapping[str, str]], str]
else:
    Access = Evidence = str
    Final = Known = OfDirectory = object


#: The signature of a regular file or a symbolic link (not of what that leads to) at the end; None where there is neither.
#: The digest of the content that a path had when its signature was this; None where it is not known.
#: The digest of a directory from those of the files below it, by relative path.


class ObservedUse(NamedTuple):
    """A file version that the run read, or wrote. `path` is absolute and canonical.

    `access` of an input: "read"; "update" if it was opened for both and changed; "append" if the run kept it, or a part of
    it, in what it wrote, but did not read it; "execute"; "link". Of an output: "write" (all of it is new), "update",
    "append", "link".

    `signature`: of an input, before the run changed it; of an output, at the end. `existed`, `replaced` and `before`: of
    an output, whether something lay at the path when the run began, its signature and its digest. `first` and `last` are
    moments (`seq`), `by` positions in the list of processes. `link` is the text of a symbolic link. `kind` is "directory"
    for one that is one thing. `kept`: the bytes that the run changed are kept.
    """

    path: str
    role: Placed
    access: Access
    digest: str | None = None
    size: int | None = None
    signature: Stat | None = None
    existed: bool = False
    replaced: Stat | None = None
    before: str | None = None
    first: int = 0
    last: int = 0
    by: tuple[int, ...] = ()
    deleted: bool = False
    link: str | None = None
    kind: str | None = None
    kept: bool = False
    evidence: tuple[Evidence, ...] = ("observed",)


class Process(NamedTuple):
    """A process of the run: what it executed last, where, and the position of its parent in the list (None: not ours)."""

    pid: int
    parent_pid: int
    parent: int | None
    name: str
    argv: tuple[str, ...]
    executable: str | None
    cwd: str | None
    first: int


class Execution(NamedTuple):
    """A program that was started. A process may start several, one after the other. `path` is absolute, in its canonical
    folder, but a link at its end is not followed."""

    seq: int
    process: int
    path: str
    argv: tuple[str, ...]
    cwd: str | None


class Sight(NamedTuple):
    """A path that was looked for and absent, a directory that was listed, an endpoint that was connected to. `like`: of a
    directory, the suffixes of the names that count; all count where there are none. `search`: an interpreter may have looked
    there for a module only."""

    what: str
    first: int
    last: int
    by: tuple[int, ...]
    like: tuple[str, ...] = ()
    search: bool = False


class Hidden(NamedTuple):
    """A path that is no input and no output, and the reason."""

    path: str
    reason: str


class Clock(NamedTuple):
    """The wall clock (seconds) at a moment of the journal."""

    seq: int
    wall: float

    def at(self, seq: int) -> float:
        return self.wall + (seq - self.seq) / 1e6


class Conclusion(NamedTuple):
    """What a journal comes to.

    `inputs` and `outputs` in the roles data, config, code, cache and temporary; `software` are the reads in the roles
    library and system, which an environment sums up. `absent`: looked for in vain. `asked`: neither
    read nor written, but asked about. `dropped` counts by reason.
    `versions_read`: the run read internals of version control.
    """

    inputs: tuple[ObservedUse, ...] = ()
    outputs: tuple[ObservedUse, ...] = ()
    software: tuple[ObservedUse, ...] = ()
    processes: tuple[Process, ...] = ()
    executions: tuple[Execution, ...] = ()
    absent: tuple[Sight, ...] = ()
    asked: tuple[Sight, ...] = ()
    listings: tuple[Sight, ...] = ()
    network: tuple[Sight, ...] = ()
    gaps: tuple[str, ...] = ()
    hidden: tuple[Hidden, ...] = ()
    dropped: tuple[tuple[str, int], ...] = ()
    versions_read: bool = False
    events: int = 0
    clock: Clock | None = None
    status: int | None = None
    ended: int | None = None
