"""The supported interface: `vestige.open()` gives a project, whose methods do what the verbs of the command line do.

    import vestige

    project = vestige.open()
    run = project.run(["python", "train.py", "--lr", "0.1"])
    print(run.status, [use.path for use in run.outputs])

Wherever a method takes a `run`, it takes what the command line does: an id or its beginning, a name, `last`, `last~2`,
or the path of a file, which means the run that made it. Paths are from the working directory. Errors are those of
`vestige.errors`, all of them `VestigeError`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from vestige.config import Config
from vestige.errors import UsageError
from vestige.model import display
from vestige.model.query import RunQuery
from vestige.model.run import Run
from vestige.ops import project as projects
from vestige.ops.project import Project as Opened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from vestige.exchange.configuration import Converted
    from vestige.ops.check import Checked
    from vestige.ops.diff import Difference
    from vestige.ops.doctor import Diagnosis
    from vestige.ops.export import Exported
    from vestige.ops.forget import Forgotten
    from vestige.ops.gc import Collected
    from vestige.ops.import_records import Imported
    from vestige.ops.log import Entry
    from vestige.ops.reproduce import Options as ReproduceOptions
    from vestige.ops.reproduce import Reproduction
    from vestige.ops.show import Shown
    from vestige.ops.status import Status
    from vestige.ops.trace import Trace
    from vestige.reproduce.plan import Plan
    from vestige.reproduce.session import Watching

_SHOWN = 25  # runs that a notebook shows

Path = str | os.PathLike[str]
Progress = Callable[[int, int], None]


def open(path: Path | None = None, *, project: Path | None = None) -> Project:  # noqa: A001  # vestige.open, as Image.open
    """The project that holds `path`, or the working directory; `project` names its root, wherever one stands.

    Nothing is written, and nothing need have been recorded yet. Raises UsageError where `project` is no folder.
    """
    start = None if path is None else os.fspath(path)
    return Project(projects.open_project(start, None if project is None else os.fspath(project)))


class Project:
    """A project and all that is recorded in it."""

    def __init__(self, opened: Opened, progress: Progress | None = None) -> None:
        """`progress(done, of)` is called while many records are read for the first time."""
        self._opened = opened
        self._opened.progress = progress

    def __repr__(self) -> str:
        return f"vestige.Project({self._opened.root!r})"

    @property
    def root(self) -> str:
        """The project's root."""
        return self._opened.root

    @property
    def store(self) -> str:
        """The folder of its store; it may not be there yet."""
        return self._opened.store

    @property
    def exists(self) -> bool:
        """Whether anything was ever recorded here."""
        return self._opened.exists

    @property
    def config(self) -> Config:
        """What is configured; `config.origin(key)` says where. Raises ConfigError."""
        return self._opened.config

    # -- recording ------------------------------------------------------------------------------------------------------

    def run(
        self,
        command: Sequence[str],
        *,
        name: str | None = None,
        tags: Iterable[str] = (),
        note: str | None = None,
        inputs: Iterable[Path] = (),
        outputs: Iterable[Path] = (),
        items: Iterable[str] = (),
        strict: bool = False,
        observe: str | None = None,
        keep: bool = False,
        parent: str | None = None,
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
        progress: bool = False,
    ) -> Run:
        """Run a command and return its record, whatever its exit code: `run.status` and `run.exit_code` tell.

        `inputs` and `outputs` are declared, should they escape observation; `items` are sets of files that the configuration
        names, which are taken along. `strict` refuses to run with uncommitted changes. `observe` is auto, notify, ptrace,
        preload, audit or none. `keep` keeps every file whatever its size. `environ` stands in place of the environment.
        `progress` prints the closing line. Raises RefusedError, RecordingError.
        """
        from vestige.ops.recording import Request, run

        request = Request(
            command=tuple(command),
            name=name,
            tags=tuple(tags),
            note=note,
            inputs=tuple(os.fspath(path) for path in inputs),
            outputs=tuple(os.fspath(path) for path in outputs),
            items=tuple(items),
            strict=strict,
            observe=observe,
            keep=keep,
            parent=parent,
            cwd=None if cwd is None else os.fspath(cwd),
            environ=environ,
            echo=progress,
        )
        return run(self._opened, request)

    def capture(
        self, *, name: str | None = None, tags: Iterable[str] = (), note: str | None = None, parent: str | None = None
    ) -> Run:
        """Record the context alone: code, environment, machine, variables. Raises RecordingError."""
        from vestige.ops.capture import capture

        return capture(self._opened, name=name, tags=tuple(tags), note=note, parent=parent)

    def adopt(
        self,
        files: Iterable[Path],
        *,
        command: Sequence[str] = (),
        inputs: Iterable[Path] = (),
        name: str | None = None,
        tags: Iterable[str] = (),
        note: str | None = None,
    ) -> Run:
        """Record what you know of files that were made without Vestige. Raises NotFoundError where one is not there."""
        from vestige.ops.adopt import adopt

        paths = [os.fspath(path) for path in files]
        read = [os.fspath(path) for path in inputs]
        return adopt(self._opened, paths, command=command, inputs=read, name=name, tags=tuple(tags), note=note)

    def import_records(
        self,
        paths: Iterable[Path],
        format: str | None = None,  # noqa: A002  # as on the command line
        *,
        progress: Progress = lambda _, __: None,
    ) -> Imported:
        """Take in what other systems recorded: logs, sidecars, capsules, results, environments, and records of Vestige itself.

        What the paths hold is found out, unless `format` says it. `imported.runs` are the records that were written, `known` the
        ids of those that were here, `notes` say what could not be read. Raises NotFoundError, UnreadableError, StoreError.
        """
        from vestige.ops.import_records import import_records

        return import_records(self._opened, [os.fspath(path) for path in paths], format, progress)

    # -- asking ---------------------------------------------------------------------------------------------------------

    def trace(self, path: Path, *, down: bool = False, depth: int | None = None) -> Trace:
        """How a file was made, back to the raw inputs; with `down`, what was made from it; `depth` steps at most.

        `trace.lineage` has the steps, `trace.states` says which files are fresh. Raises NotFoundError.
        """
        from vestige.ops.trace import trace

        return trace(self._opened, os.fspath(path), down=down, depth=depth)

    def status(self, *paths: Path, unknown: Path | None = None) -> Status:
        """What is modified, missing or stale, and why: of all files, or of those at and below `paths`. With `unknown`, a
        folder, also which files in it have no known origin."""
        from vestige.ops.status import status

        inside = None if unknown is None else os.fspath(unknown)
        return status(self._opened, [os.fspath(path) for path in paths], unknown=inside)

    def runs(
        self,
        *,
        name: str | None = None,
        status: str | None = None,
        since: str | None = None,
        user: str | None = None,
        tag: str | None = None,
        kind: str | None = None,
        where: str | Iterable[str] = (),
        sort: str | None = None,
        limit: int | None = None,
    ) -> Runs:
        """The records, one by one, the newest first. `name` takes `*` and `?`; `since` is a date, a time, or a span such as `2d`;
        `where` are conditions such as `accuracy > 0.9 and name ~ fold` or `variables.LR=0.1`, all of which must hold; `sort` is
        a field or a value, with `-` before it the largest first. Raises UsageError."""
        entries = self.log(
            name=name,
            status=status,
            since=since,
            user=user,
            tag=tag,
            kind=kind,
            where=where,
            sort=sort,
            limit=limit,
            records=True,
        )
        again = partial(
            self.log, name=name, status=status, since=since, user=user, tag=tag, kind=kind, where=where, sort=sort, values=True
        )
        return Runs(entries, again, self.root)

    def log(
        self,
        *,
        name: str | None = None,
        status: str | None = None,
        since: str | None = None,
        user: str | None = None,
        tag: str | None = None,
        kind: str | None = None,
        where: str | Iterable[str] = (),
        sort: str | None = None,
        columns: Iterable[str] = (),
        limit: int | None = None,
        records: bool = False,
        values: bool = False,
    ) -> Iterator[Entry]:
        """The rows of the log, chosen as by `runs`. They come from the index alone, which is fast in large stores, unless
        something asks for the records, too: `where`, `sort`, `columns` (fields and values, for `entry.found`), `values` (for
        `entry.values`) or `records` (for `entry.run`)."""
        from vestige.model import conditions
        from vestige.ops.log import Terms, log

        query = RunQuery(name=name, status=status, since=_since(since), user=user, tag=tag, kind=kind, limit=limit)
        parsed = [conditions.parse(text) for text in ([where] if isinstance(where, str) else where)]
        return log(self._opened, query, parsed, Terms(sort=sort, columns=tuple(columns), records=records, values=values))

    def show(self, run: str, *, hidden: bool = False) -> Shown:
        """One run and all it refers to; `hidden`: with what its record does not list, and why. Raises NotFoundError,
        AmbiguousError, DamagedError."""
        from vestige.ops.show import show

        return show(self._opened, run, hidden=hidden)

    def streams(self, run: str) -> Iterator[tuple[str, bytes]]:
        """What a run wrote to its standard streams, as far as it was kept: name and bytes."""
        from vestige.ops import find, show

        return show.streams(self._opened, find.run(self._opened, run))

    def diff(self, first: str, second: str) -> Difference:
        """What differs between two runs. Raises NotFoundError, AmbiguousError."""
        from vestige.ops.diff import diff

        return diff(self._opened, first, second)

    # -- making again ---------------------------------------------------------------------------------------------------

    def reproduce(
        self,
        *targets: str | os.PathLike[str],
        mode: Literal["chained", "independent"] = "chained",
        jobs: int = 1,
        exact: bool = False,
        seconds: float | None = None,
        keep_workspace: bool = False,
        secrets: Mapping[str, str] | None = None,
        watching: Watching | None = None,
    ) -> Reproduction:
        """Make files, or all data that runs wrote, again in a clean place, and compare; `exit_code` is 0 where all is the same.

        `mode`: each step is fed what the steps before it make now, or what it was recorded with. `jobs` steps at once, each for
        `seconds` at most. `secrets`: values for what was taken out of commands, by the name of the variable. `watching(step,
        state)` is told how far it is. Raises NotFoundError, AmbiguousError, CouldNotError.
        """
        from vestige.ops.reproduce import Options

        options = Options(
            mode=mode, jobs=jobs, exact=exact, seconds=seconds, keep_workspace=keep_workspace, secrets=dict(secrets or {})
        )
        return self.carry_out(self.plan(*targets, options=options), options=options, watching=watching)

    def plan(self, *targets: str | os.PathLike[str], options: ReproduceOptions | None = None) -> Plan:
        """What `reproduce` would execute, with which files, and what stands in the way. Raises as `reproduce` does."""
        from vestige.ops.reproduce import Options, plan

        return plan(self._opened, [os.fspath(target) for target in targets], options or Options())

    def carry_out(self, plan: Plan, *, options: ReproduceOptions | None = None, watching: Watching | None = None) -> Reproduction:
        """Execute a plan, and compare what it makes."""
        from vestige.ops.reproduce import Options, carry_out

        return carry_out(self._opened, plan, options or Options(), watching)

    def restore(self, version: str, path: Path | None = None, *, force: bool = False) -> bytes | None:
        """The bytes of `FILE@RUN`; with `path` they are written there, over an existing file only by `force`.

        Raises NotFoundError, NotKeptError, DamagedError, ExistsError.
        """
        from vestige.ops import restore

        if path is None:
            return restore.content(self._opened, version)
        restore.write(self._opened, version, os.fspath(path), force=force)
        return None

    # -- exchanging -----------------------------------------------------------------------------------------------------

    def export(self, run: str, format: str = "capsule", path: Path | None = None) -> Exported:  # noqa: A002
        """A run in the form of another system: `capsule`, a folder as Capsula made them (in the configured vault, without
        `path`), or `info`, what footsteps wrote beside results (its bytes, without `path`).

        `exported.path` is the folder that was written, `exported.data` the bytes of what was not. Raises NotFoundError,
        AmbiguousError, ExistsError, StoreError.
        """
        from vestige.ops.export import export

        return export(self._opened, run, format, None if path is None else os.fspath(path))

    def sidecar(self, path: Path) -> str:
        """Write `.NAME.vestige` beside a file: the records of all runs that led to it. Returns the path of that. Raises
        NotFoundError, AmbiguousError, StoreError."""
        from vestige.ops.sidecar import sidecar

        return sidecar(self._opened, os.fspath(path))

    # -- keeping --------------------------------------------------------------------------------------------------------

    def check(self, *, progress: Progress | None = None) -> Checked:
        """Read every record and every object, and say what is damaged."""
        from vestige.ops.check import check

        return check(self._opened, progress)

    def gc(self, *, keep: str | None = None, budget: str | None = None, dry_run: bool = False) -> Collected:
        """Drop what nothing needs; never a record. `keep` is a span such as `90d`: what was not used for longer, and can
        be made again, goes. `budget` is a size such as `2G`. Raises UsageError."""
        from vestige.model import spelling
        from vestige.ops.gc import collect

        try:
            seconds = None if keep is None else spelling.span(keep)
            size = None if budget is None else spelling.size(budget)
        except ValueError as error:
            raise UsageError(str(error), hint="--keep takes a span such as 90d, --budget a size such as 2G") from error
        return collect(self._opened, older_than=seconds, budget=size, dry_run=dry_run)

    def forget(self, what: str) -> Forgotten:
        """Remove a record, of which a tombstone stays; or stop asking for a recorded output that was removed on purpose.

        Raises NotFoundError, AmbiguousError, RefusedError.
        """
        from vestige.ops.forget import forget

        return forget(self._opened, what)

    def init(self) -> str:
        """Write a commented `vestige.toml` and return its path. Raises ExistsError."""
        from vestige.ops.init import init

        return init(self._opened)

    def import_config(self, file: Path, into: Path | None = None) -> Converted:
        """A configuration of Capsula or ntrk as a `vestige.toml`: its `text`, and `remarks` about what that cannot say; with
        `into`, it is written there. Raises NotFoundError, ConfigError, ExistsError."""
        from vestige.ops.import_config import import_config

        return import_config(os.fspath(file), None if into is None else os.fspath(into))

    def doctor(self) -> Diagnosis:
        """What can be observed here, why not more, and how large the store is."""
        from vestige.ops.doctor import doctor

        return doctor(self._opened)


class Runs(Iterator[Run]):
    """Records, each read when it is asked for. In a notebook they show themselves as the log does."""

    def __init__(self, entries: Iterator[Entry], again: Callable[..., Iterator[Entry]], root: str) -> None:
        self._runs = (entry.run for entry in entries if entry.run is not None)
        self._again = again
        self._root = root

    def __next__(self) -> Run:
        return next(self._runs)

    def __repr__(self) -> str:
        return f"<runs of {self._root!r}>"

    def _repr_html_(self) -> str:
        from vestige.report import html

        rows = list(self._again(limit=_SHOWN + 1))
        return html.runs(rows[:_SHOWN], self._root, time.time(), hidden=len(rows) > _SHOWN)


def _draw(found: object) -> str | None:
    from vestige.report import html  # only notebooks ask for it

    return html.of(found)


display.drawn_by(_draw)


def _since(text: str | None) -> str | None:
    if text is None:
        return None
    from vestige.model import spelling

    try:
        return spelling.moment(text, time.time())
    except ValueError as error:
        raise UsageError(str(error), hint="--since takes a date (2026-11-21), a time, yesterday, or a span such as 2d") from error
