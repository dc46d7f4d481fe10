"""A run: one recorded execution, and the names by which it is called."""

from __future__ import annotations

import os

from vestige.model.code import Code
from vestige.model.files import LINKED_ROLES, Digest, FileUse, nothing
from vestige.model.summary import Kind, Status, Summary, short
from vestige.model.values import field, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMAT = 1


@value(kw_only=True)
class ProjectReference:
    """Which project, and where it lay: absolute paths in arguments are mapped with `root`."""

    id: str
    root: str
    extra: Mapping[str, object] = field(default_factory=nothing)


@value(kw_only=True)
class Redaction:
    """A secret that was taken out, and where: `at` is `command[5]` or `variables.NAME`."""

    at: str
    kind: str
    variable: str | None = None
    hmac: str | None = None
    extra: Mapping[str, object] = field(default_factory=nothing)


@value(kw_only=True)
class FileReference:
    """An executable or a script, with its identity when the run started."""

    path: str
    digest: Digest | None = None
    git_blob: str | None = None
    extra: Mapping[str, object] = field(default_factory=nothing)


@value(kw_only=True)
class Stdin:
    """Where standard input came from: file, pipe, terminal, null or closed. `pipe`: which one, as in `model.pipes`."""

    kind: str
    path: str | None = None
    digest: Digest | None = None
    pipe: str | None = None
    extra: Mapping[str, object] = field(default_factory=nothing)


@value(kw_only=True)
class Stream:
    """What a run wrote to a standard stream, kept up to a limit. Size in bytes, of the whole. `pipe`: where it went."""

    digest: Digest | None
    size: int
    truncated: bool = False
    pipe: str | None = None
    extra: Mapping[str, object] = field(default_factory=nothing)


@value(kw_only=True)
class Process:
    """A process of the run; `FileUse.by` holds positions in the list of these."""

    pid: int
    parent: int | None = None
    argv: tuple[str, ...] = ()
    exit_code: int | None = None
    extra: Mapping[str, object] = field(default_factory=nothing)


@value(kw_only=True)
class Observation:
    """How the run was observed and what may have escaped."""

    method: str
    refused: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    lost: int = 0
    unreadable: int = 0
    events: int = 0
    raw: Digest | None = None
    asked: Digest | None = None
    extra: Mapping[str, object] = field(default_factory=nothing)


@value(kw_only=True)
class Verdict:
    """What came of making one file again: identical, equivalent, different, missing or could not."""

    path: str
    verdict: str
    expected: Digest | None = None
    actual: Digest | None = None
    note: str | None = None
    extra: Mapping[str, object] = field(default_factory=nothing)

    def _repr_html_(self) -> str | None:
        from vestige.model import display

        return display.html(self)


@value(kw_only=True)
class Reproduction:
    """The run that a reproduction made again, in which environment, with what verdicts."""

    of: str
    environment: str = "current"
    verdicts: tuple[Verdict, ...] = ()
    extra: Mapping[str, object] = field(default_factory=nothing)


@value(kw_only=True)
class Collected:
    """A file that the configuration had collected when the run began, or, as one of an `item`, when it had ended. `other`: its
    digest by the algorithm that was asked for, if not BLAKE3. `way`: digest, copy or move; what was copied or moved is kept."""

    path: str
    digest: Digest | None
    size: int | None = None
    way: str = "digest"
    other: Digest | None = None
    item: str | None = None
    extra: Mapping[str, object] = field(default_factory=nothing)


@value(kw_only=True)
class Run:
    """One record. Keys as in `docs/format.md`; a record written today is readable in ten years."""

    id: str
    vestige: int = FORMAT
    name: str | None = None
    tags: tuple[str, ...] = ()
    note: str | None = None
    user: str | None = None
    host: str = ""
    boot: str | None = None
    kind: Kind = "command"
    status: Status = "finished"
    started: str = ""
    ended: str | None = None
    duration: float | None = None
    sequence: int = 0
    parent: str | None = None
    project: ProjectReference | None = None
    command: tuple[str, ...] = ()
    redactions: tuple[Redaction, ...] = ()
    executable: FileReference | None = None
    script: FileReference | None = None
    function: Mapping[str, object] | None = None
    cwd: str = "."
    umask: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    code: Code | None = None
    environment: Digest | None = None
    machine: Digest | None = None
    job: Mapping[str, object] | None = None
    variables: Mapping[str, str] = field(default_factory=nothing)
    other_variables: Mapping[str, str] = field(default_factory=nothing)
    stdin: Stdin | None = None
    inputs: tuple[FileUse, ...] = ()
    inputs_object: Digest | None = None
    outputs: tuple[FileUse, ...] = ()
    outputs_object: Digest | None = None
    streams: Mapping[str, Stream] = field(default_factory=nothing)
    processes: tuple[Process, ...] = ()
    processes_object: Digest | None = None
    values: Mapping[str, object] = field(default_factory=nothing)
    context: Mapping[str, object] = field(default_factory=nothing)
    observation: Observation | None = None
    absent: Digest | None = None
    listings: Digest | None = None
    network: tuple[Mapping[str, object], ...] = ()
    reproduction: Reproduction | None = None
    collected: tuple[Collected, ...] = ()
    resources: Mapping[str, object] = field(default_factory=nothing)
    problems: tuple[str, ...] = ()
    extra: Mapping[str, object] = field(default_factory=nothing)

    def __repr__(self) -> str:
        return f"<run {short(self.id)} {self.name or label(self)!r}, {self.status}>"

    def _repr_html_(self) -> str | None:
        from vestige.model import display

        return display.html(self)


def label(run: Run) -> str:
    """What a step is called: the function, else the script, else the module, else the quoted command cut to 40 characters."""
    name = run.function.get("name") if run.function is not None else None
    return label_of(run.script.path if run.script else None, name if isinstance(name, str) else None, run.command)


def label_of(script: str | None, function: str | None, command: Sequence[str]) -> str:
    """The same from its parts."""
    if function is not None:
        return function
    if script is not None:
        return os.path.basename(script)
    for position, word in enumerate(command[:-1]):
        if word == "-m" and os.path.basename(command[0]).startswith("python"):
            return command[position + 1]
    import shlex

    text = shlex.join(command)
    return text if len(text) <= 40 else text[:39] + "…"


def summarise(run: Run) -> Summary:
    """The row of the index for a record."""
    return Summary(
        id=run.id,
        name=run.name,
        label=label(run),
        kind=run.kind,
        status=run.status,
        started=run.started,
        duration=run.duration,
        sequence=run.sequence,
        host=run.host,
        boot=run.boot,
        parent=run.parent,
        user=run.user,
        command=run.command,
        cwd=run.cwd,
        exit_code=run.exit_code,
        commit=run.code.commit if run.code else None,
        dirty=run.code.dirty if run.code else None,
        snapshot=run.code.snapshot if run.code else None,
        environment=run.environment,
        inputs=sum(use.role in LINKED_ROLES for use in run.inputs),
        outputs=sum(use.role in LINKED_ROLES for use in run.outputs),
        tags=run.tags,
        note=run.note,
        gaps=len(run.observation.gaps) if run.observation else 0,
        listings=run.listings,
        absent=run.absent,
    )


__all__ = [
    "FORMAT",
    "Collected",
    "FileReference",
    "Kind",
    "Observation",
    "Process",
    "ProjectReference",
    "Redaction",
    "Reproduction",
    "Run",
    "Status",
    "Stdin",
    "Stream",
    "Summary",
    "Verdict",
    "label",
    "label_of",
    "short",
    "summarise",
]
