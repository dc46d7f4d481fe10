"""Make files or runs again in a clean place, and compare: what was asked for is judged, what else was written is told.

Whatever is executed is recorded as a run of kind `reproduction` in the project's own store; the verdicts stand in a note
to that run, since they are known only after its record was written.
"""

from __future__ import annotations

import os
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from vestige.capture import digest
from vestige.errors import CouldNotError, NotFoundError, VestigeError
from vestige.model import display, wire
from vestige.model.files import Digest, FileUse, Use, nothing
from vestige.model.lineage import Version, upstream_of
from vestige.model.redaction import fingerprint
from vestige.model.run import Redaction, Run, Verdict
from vestige.model.values import field, value
from vestige.ops import find
from vestige.ops.project import Project
from vestige.record import secrets
from vestige.reproduce import confine, execute, session, verify
from vestige.reproduce import plan as planning
from vestige.reproduce.confine import Ways
from vestige.reproduce.plan import AtHand, Judged, Mode, Plan, Question, State
from vestige.reproduce.session import Done, Watching
from vestige.reproduce.staging import Setting
from vestige.store import project as places
from vestige.store.code import CodeStore
from vestige.store.records import Note

#: Variables that shells and terminals set by themselves.
_RESTLESS = frozenset({"_", "PWD", "OLDPWD", "SHLVL", "TERM", "COLUMNS", "LINES", "SSH_TTY", "SSH_CLIENT", "SSH_CONNECTION"})


@value(kw_only=True)
class Options:
    """How something is made again. `seconds`: how long a step may take. `exact`: only identical counts. `secrets`: values
    for what was taken out of commands and variables, by the name of the variable, or by place (`command[5]`)."""

    environment: str = "current"
    mode: Mode = "chained"
    jobs: int = 1
    exact: bool = False
    seconds: float | None = None
    keep_workspace: bool = False
    secrets: Mapping[str, str] = field(default_factory=nothing)


@value
class Judgement:
    """A verdict, the run whose output it is about, and whether that was asked for."""

    run: str
    verdict: Verdict
    asked: bool


@value(kw_only=True)
class Reproduction:
    """What came of making something again."""

    environment: str
    mode: Mode
    steps: tuple[Done, ...]
    judgements: tuple[Judgement, ...]
    exit_code: int
    seconds: float

    def __repr__(self) -> str:
        said = ", ".join(f"{one.verdict.verdict} {one.verdict.path!r}" for one in self.judgements[:3] if one.asked)
        return f"<reproduction in {len(self.steps):,} steps: {said or 'nothing to compare'}>"

    def _repr_html_(self) -> str | None:
        return display.html(self)


def plan(project: Project, words: Sequence[str], options: Options = Options()) -> Plan:  # noqa: B008  # a frozen value
    """What would be executed to make these files or runs again. Raises NotFoundError, AmbiguousError, CouldNotError."""
    if options.environment != "current":
        raise CouldNotError(
            f"--env {options.environment} cannot be had yet: environments are not restored",
            hint="--env current makes it again with what is installed now",
        )
    shelf = _Shelf(project, options)
    judged = tuple(dict.fromkeys(one for word in words for one in _asked(project, word)))
    return planning.plan(_question(project, judged, shelf.at_hand, options.mode), shelf.at_hand)


def reproduce(
    project: Project,
    words: Sequence[str],
    options: Options = Options(),  # noqa: B008  # a frozen value
    watching: Watching | None = None,
) -> Reproduction:
    """Make files or runs again and compare them. Raises NotFoundError, AmbiguousError, CouldNotError."""
    return carry_out(project, plan(project, words, options), options, watching)


def carry_out(
    project: Project, made: Plan, options: Options, watching: Watching | None = None, ways: Ways | None = None
) -> Reproduction:
    """Execute a plan and compare what it makes. `ways`: what keeps steps in their workspaces; None: whatever is to be had."""
    began = time.monotonic()
    shelf = _Shelf(project, options)
    top = os.path.join(places.cache_home(), "work")
    with session.folder(top) as folder, execute.executor(options.jobs) as executor:
        setting = _setting(project, options, shelf, folder, ways)
        done = session.carry_out(made, setting, executor, watching or _unwatched, options.jobs)
    for one in done:
        _note(project, one, options)
    judgements = tuple(judgement for one in done for judgement in _judgements(one))
    code = verify.exit_code([one.verdict for one in judgements if one.asked], exact=options.exact)
    return Reproduction(
        environment=options.environment,
        mode=options.mode,
        steps=tuple(done),
        judgements=judgements,
        exit_code=code,
        seconds=time.monotonic() - began,
    )


def _judgements(done: Done) -> Iterator[Judgement]:
    """What is said of a step's outputs. What it left in temporary folders is not shown, unless it was asked for."""
    shown = {use.path for use in done.step.expected if use.role != "temporary"} | done.step.judged
    for verdict in done.verdicts:
        if verdict.path in shown:
            yield Judgement(done.step.run.id, verdict, verdict.path in done.step.judged)


def _unwatched(_number: int, _state: session.State) -> None:
    pass


# -- what was asked for -------------------------------------------------------------------------------------------------


def _asked(project: Project, word: str) -> list[Judged]:
    """The outputs that a FILE or RUN means."""
    named = os.sep not in word and (word.partition("~")[0] == "last" or bool(project.index.matching(word)))
    if named:
        run = _original(project, find.run(project, word))
        outputs = planning.judged_outputs(run)
        if not outputs:
            raise CouldNotError(f"run {run.id[-8:]} wrote nothing that could be compared", hint=f"vestige show {run.id[-8:]}")
        return [Judged(run.id, use.path) for use in outputs]
    use = find.maker(project, word)
    run = _original(project, find.record(project, use.run))
    return [Judged(run.id, use.path)]


def _original(project: Project, run: Run) -> Run:
    """What a reproduction made again."""
    seen = set()
    while run.kind == "reproduction" and run.reproduction is not None and run.id not in seen:
        seen.add(run.id)
        run = find.record(project, run.reproduction.of)
    return run


def _question(project: Project, judged: tuple[Judged, ...], at_hand: AtHand, mode: Mode) -> Question:
    """The lineage of what is judged. A run that cannot be executed by itself is replaced by the one around it that can."""
    archive = _Archive(project)
    runs: dict[str, Run] = {}
    instead: dict[str, str] = {}
    wanted = {(one.run, one.path): _version(project, one) for one in judged}
    while True:
        lineage = upstream_of(project.index, list(wanted.values()))
        fresh: dict[tuple[str, str], Version] = {}
        for run_id in (*(one.run for one in judged), *(step.run.id for step in lineage.steps)):
            if run_id in instead or run_id in runs:
                continue
            run = runs[run_id] = archive.record(run_id)
            around = _around(project, run, at_hand)
            if around is not None:
                runs.setdefault(around.id, around)
                instead[run_id] = around.id
                for use in planning.judged_outputs(around):
                    fresh[around.id, use.path] = _version(project, Judged(around.id, use.path))
        if not fresh.keys() - wanted.keys():
            return Question(lineage=lineage, runs=runs, judged=judged, instead=instead, mode=mode)
        wanted |= fresh


def _around(project: Project, run: Run, at_hand: AtHand) -> Run | None:
    """The nearest run around one that cannot be executed, that can be, and wrote what it wrote."""
    if not planning.obstacles(run, at_hand):
        return None
    paths = {use.path for use in planning.judged_outputs(run)}
    seen = {run.id}
    inner = run
    while inner.parent is not None and inner.parent not in seen:
        seen.add(inner.parent)
        try:
            inner = find.record(project, inner.parent)
        except VestigeError:
            return None
        if not planning.obstacles(inner, at_hand) and paths <= {use.path for use in inner.outputs}:
            return inner
    return None


def _version(project: Project, judged: Judged) -> Version:
    uses = project.index.uses_by(judged.run, written=True)
    use = next((one for one in uses if one.path == judged.path and not one.deleted), None)
    if use is None:
        use = _row(find.record(project, judged.run), judged)
    return Version(use.path, use.digest, use.size, use)


def _row(run: Run, judged: Judged) -> Use:
    for use in run.outputs:
        if use.path == judged.path:
            seq, moment = (use.last.seq, use.last.time) if use.last else (run.sequence, run.started)
            return Use(run.id, use.path, use.digest, use.before, True, use.access, use.role, use.size, seq, moment, kind=use.kind)
    raise NotFoundError(f"run {run.id[-8:]} did not write {judged.path}", hint=f"vestige show {run.id[-8:]}")


# -- what is at hand ----------------------------------------------------------------------------------------------------


class _Archive:
    """The records of many runs: their files are looked for all at once, as soon as there are more than a few."""

    _FEW = 20

    def __init__(self, project: Project) -> None:
        self._project = project
        self._read = 0
        self._paths: dict[str, str] | None = None

    def record(self, run_id: str) -> Run:
        """One run. Raises NotFoundError, DamagedError, NewerFormatError."""
        self._read += 1
        if self._read > self._FEW and self._paths is None:
            self._paths = {path.rpartition("-")[2]: path for path in self._project.records.paths()}
        path = (self._paths or {}).get(f"{run_id[-8:]}.json")
        if path is not None:
            run = self._project.records.load(path)
            if run.id == run_id:
                return run
        return find.record(self._project, run_id)


class _Shelf:
    """What is here today of what was recorded; each thing is looked for once."""

    def __init__(self, project: Project, options: Options) -> None:
        self._project = project
        self._options = options
        self._key = secrets.key(places.state_dir())
        self._found: dict[tuple[str, Digest | None], tuple[State, str | None]] = {}
        self._trees: dict[str, _Tree | None] = {}
        self._entries: dict[str, dict[bytes, str]] = {}
        self.at_hand = AtHand(
            on_disk=self.on_disk,
            kept=project.objects.has,
            snapshot=self.snapshot,
            secret=lambda redaction: self.secret(redaction) is not None,
        )

    def on_disk(self, use: FileUse) -> tuple[State, str | None]:
        key = (use.path, use.digest)
        if key not in self._found:
            self._found[key] = self._look(use)
        return self._found[key]

    def place(self, use: FileUse) -> str | None:
        """Where recorded content lies unchanged, looked at anew."""
        state, place = self._look(use)
        return place if state == "there" else None

    def snapshot(self, tree: str) -> Container[str] | None:
        if tree not in self._trees:
            here = self._project.code.has(tree)
            self._trees[tree] = _Tree(self._project.code, tree.removeprefix("git:"), self._entries) if here else None
        return self._trees[tree]

    def secret(self, redaction: Redaction) -> str | None:
        """The value that was taken out: as given, or as the variable still has it, if it is the same."""
        name = redaction.variable or redaction.at.removeprefix("variables.")
        for given in (redaction.at, name, redaction.kind):
            if given in self._options.secrets:
                return self._options.secrets[given]
        value = os.environ.get(name)
        if value is None or (redaction.hmac is not None and fingerprint(value, self._key) != redaction.hmac):
            return None
        return value

    def unlike(self, name: str, mark: str) -> bool:
        """Whether a variable has another value than the keyed hash stands for; those that no result hangs on never have."""
        if name in _RESTLESS or not mark.startswith("hmac:"):
            return False
        value = os.environ.get(name)
        return value is None or "hmac:" + fingerprint(value, self._key) != mark

    def _look(self, use: FileUse) -> tuple[State, str | None]:
        path = self._project.absolute(use.path)
        if use.digest is None:
            return "changed", None
        try:
            if use.kind == "directory" or os.path.isdir(path):
                return ("there", path) if self._project.digest_of(path) == use.digest else ("changed", None)
            if use.size is not None and os.stat(path).st_size != use.size:
                return "changed", None
            found = digest.of_file(path, self._project.digests, algorithm=use.digest.partition(":")[0])[1]
        except (FileNotFoundError, NotADirectoryError):
            return "missing", None
        except (OSError, ValueError):
            return "unreadable", None
        return ("there", path) if found == use.digest else ("changed", None)


class _Tree:
    """The paths in a snapshot, looked up one by one: histories share most of their trees."""

    def __init__(self, code: CodeStore, tree: str, entries: dict[str, dict[bytes, str]]) -> None:
        self._database = code.database()
        self._tree = tree
        self._entries = entries

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, str) or os.path.isabs(path):
            return False
        here: str | None = self._tree
        for name in os.fsencode(path).split(b"/"):
            if here is None:
                return False
            here = self._names(here).get(name)
        return here is not None

    def _names(self, tree: str) -> dict[bytes, str]:
        if tree not in self._entries:
            try:
                self._entries[tree] = {entry.name: entry.oid for entry in self._database.tree(tree)}
            except (KeyError, VestigeError):
                self._entries[tree] = {}
        return self._entries[tree]


def _setting(project: Project, options: Options, shelf: _Shelf, folder: str, ways: Ways | None) -> Setting:
    scratch = os.path.join(folder, "scratch")
    os.mkdir(scratch)
    home = os.path.expanduser("~")
    return Setting(
        place=_prepared(project.place),
        folder=folder,
        code=project.code,
        objects=project.objects,
        config=project.config,
        ways=confine.ways(scratch) if ways is None else ways,
        on_disk=shelf.place,
        secret=shelf.secret,
        present=dict(os.environ),
        unlike=shelf.unlike,
        home=home,
        caches=os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache"),
        secrets=options.secrets,
        seconds=options.seconds,
        keep=options.keep_workspace,
    )


def _prepared(place: places.Place) -> places.Place:
    """Where what is executed is recorded, if it can be."""
    try:
        return places.prepare(place)
    except OSError:
        return place


def _note(project: Project, done: Done, options: Options) -> None:
    """Say of a reproduction what it has shown. What cannot be written is left out: the verdicts are told anyhow."""
    made = done.ending.run if done.ending is not None else None
    if made is None:
        return
    verdicts: list[dict[str, Any]] = [wire.encode(one) for one in done.verdicts]
    said = {"of": done.step.run.id, "environment": options.environment, "verdicts": verdicts}
    try:
        project.records.add_note(made, Note(run=made, extra={"reproduction": said}))
    except OSError:
        return
