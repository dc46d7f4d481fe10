"""From a prepared workspace to a job: what the step sees where, what it may change, and with which words it is called."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping

import vestige
from vestige.config import Config
from vestige.model.files import FileUse, nothing
from vestige.model.redaction import mark
from vestige.model.run import Redaction, Run
from vestige.model.values import field, value
from vestige.reproduce import relocation, repository, workspace
from vestige.reproduce.confine import SHARED_MEMORY, Bind, Ways
from vestige.reproduce.execute import Job
from vestige.reproduce.plan import Step
from vestige.reproduce.raw import Raw
from vestige.reproduce.variables import Private, variables
from vestige.reproduce.workspace import Layout, Prepared, UnpreparedError
from vestige.store.code import CodeStore
from vestige.store.objects import Objects
from vestige.store.project import Place

_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108  # where programs write without asking; a step gets its own
#: Folders of a project that belong to the environment: shown to a step as they are today, to be read.
_ENVIRONMENTS = frozenset({"node_modules", "__pypackages__", ".pixi", "packrat", "renv"})


@value(kw_only=True)
class Setting:
    """Where and with what steps are made again. `folder`: of the session. `on_disk`: where recorded content lies, if it does.
    `secret`: the value of what was taken out. `secrets`: those given by name. `present`: today's variables. `unlike`: whether a
    variable is not as it was, by the mark that was recorded in place of its value. `home`,
    `caches`: the user's. `seconds`: how long one step may take. `keep`: leave every workspace."""

    place: Place
    folder: str
    code: CodeStore
    objects: Objects
    config: Config
    ways: Ways
    on_disk: Callable[[FileUse], str | None]
    secret: Callable[[Redaction], str | None]
    present: Mapping[str, str]
    unlike: Callable[[str, str], bool]
    home: str
    caches: str
    secrets: Mapping[str, str] = field(default_factory=nothing)
    seconds: float | None = None
    keep: bool = False


def layout(step: Step, top: str, ways: Ways, now: str) -> Layout:
    """Where a step will lie, and what it will see. `now` is the project's root today."""
    root = os.path.normpath(step.run.project.root if step.run.project is not None else now)
    common = {os.path.realpath(path) for path in ("/", os.path.expanduser("~"), tempfile.gettempdir(), *_TEMPORARY)}
    free = os.path.isdir(root) and os.path.realpath(root) == root and root not in common
    temporary = [one for one in _TEMPORARY if ways.view and os.path.realpath(one) == one and _apart(top, one)]
    return Layout(top, root, bound=ways.view and free and _apart(top, root), temporary=tuple(temporary))


def job(step: Step, prepared: Prepared, setting: Setting, known: Raw) -> Job:
    """The job for a step whose workspace is filled. Raises UnpreparedError."""
    run, lay = step.run, prepared.layout
    if not setting.ways.walls:
        _refuse_without_walls(step, lay)
    shown = _show_environments(run, prepared, setting)
    shown += _give_repository(run, prepared, setting)
    on_disk, cwd = lay.cwd(run.cwd)
    if not os.path.isdir(on_disk):
        raise UnpreparedError(f"its working directory {run.cwd} is gone")
    environ = _environ(run, prepared, setting)
    environ["PWD"] = cwd
    stdout, stderr = (_stream(number, prepared, known) for number in (1, 2))
    return Job(
        of=run.id,
        argv=tuple(prepared.relocated(word) for word in refilled(run, setting.secret)),
        environ=environ,
        cwd=cwd,
        umask=_umask(run),
        stdin=_stdin(run, prepared, setting.objects),
        stdout=stdout,
        stderr=stderr,
        append=frozenset(name for number, name in ((1, "stdout"), (2, "stderr")) if _appends(number, known)),
        binds=tuple(_binds(prepared, setting, shown)) if setting.ways.view else (),
        folders=tuple(folders(lay, setting.ways)),
        ways=setting.ways,
        place=_place(lay, setting),
        config=setting.config,
        store=setting.place.store,
        seconds=setting.seconds,
    )


def _umask(run: Run) -> int | None:
    try:
        return int(run.umask, 8) if run.umask else None
    except ValueError:
        raise UnpreparedError(f"its umask '{run.umask}' is none") from None


def refilled(run: Run, secret: Callable[[Redaction], str | None]) -> tuple[str, ...]:
    """The command with the secrets that were taken out of it. Raises UnpreparedError where one is not to be had."""
    words = list(run.command)
    for redaction in run.redactions:
        position = redaction.at.removeprefix("command[").removesuffix("]")
        if position == redaction.at or not position.isdecimal() or int(position) >= len(words):
            continue
        value = secret(redaction)
        if value is None:
            raise UnpreparedError(f"{redaction.at} is a secret that was taken out: give it with --secret {redaction.at}=…")
        words[int(position)] = words[int(position)].replace(mark(redaction.kind), value, 1)
    return tuple(words)


# -- what a step sees and may change ------------------------------------------------------------------------------------


def _binds(prepared: Prepared, setting: Setting, shown: list[Bind]) -> Iterator[Bind]:
    """In the order in which they are laid over each other."""
    lay = prepared.layout
    yield Bind(setting.place.store, lay.store)
    for root in lay.temporary:
        yield Bind(lay.tmp, root)
    if lay.bound:
        _make_point(lay.root, lay, lay.project)
        yield Bind(lay.project, lay.root)
    yield from shown
    bound: list[str] = []
    for path in sorted({os.path.normpath(one) for one in (*prepared.shown, *_needed(setting.present))}, key=len):
        if not _apart(path, *lay.temporary) and _apart(path, lay.root, *bound) and os.path.exists(path):
            _make_point(path, lay, path)
            yield Bind(path, path, read_only=True)
            bound.append(path)
    if _has_shared_memory(lay):
        yield Bind(lay.memory, SHARED_MEMORY)


def folders(lay: Layout, ways: Ways) -> Iterator[str]:
    """All that a step may change, as it sees it."""
    yield lay.seen
    yield os.path.join(lay.top, "outside")
    yield lay.home
    yield lay.tmp
    yield from lay.temporary
    # Without a view of its own, a step shares memory with everybody: locks between processes need it.
    if _has_shared_memory(lay) and (ways.view or os.access(SHARED_MEMORY, os.W_OK)):
        yield SHARED_MEMORY


def _has_shared_memory(lay: Layout) -> bool:
    return os.path.isdir(SHARED_MEMORY) and _apart(lay.top, SHARED_MEMORY) and _apart(lay.root, SHARED_MEMORY)


def _needed(present: Mapping[str, str]) -> Iterator[str]:
    """What programs of the environment need, and Vestige itself, should it lie in a temporary folder."""
    for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH"):
        yield from (entry for entry in present.get(name, "").split(os.pathsep) if os.path.isabs(entry))
    yield from (present[name] for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if name in present)
    yield from (entry for entry in (sys.prefix, sys.base_prefix, *sys.path) if os.path.isabs(entry))
    yield os.path.dirname(os.path.dirname(os.path.abspath(vestige.__file__)))


def _make_point(path: str, lay: Layout, like: str) -> None:
    """Something to bind over, where a private temporary folder would show nothing."""
    for root in lay.temporary:
        if (rest := relocation.inside(path, root)) is not None:
            point = os.path.join(lay.tmp, rest)
            if os.path.isdir(like):
                os.makedirs(point, exist_ok=True)
            else:
                os.makedirs(os.path.dirname(point), exist_ok=True)
                os.close(os.open(point, os.O_WRONLY | os.O_CREAT, 0o600))


def _apart(path: str, *folders: str) -> bool:
    """Whether a path lies in none of these folders."""
    return all(path != folder and relocation.inside(path, folder) is None for folder in folders)


def _show_environments(run: Run, prepared: Prepared, setting: Setting) -> list[Bind]:
    """Virtual environments and the like that lie in the project, at their place in the workspace."""
    lay, root, binds = prepared.layout, setting.place.root, []
    for path in _environments(run, root, setting.present):
        point = lay.place(path)
        if os.path.lexists(point) and not _is_empty(point):
            continue
        os.makedirs(os.path.dirname(point), exist_ok=True)
        if setting.ways.view:
            os.makedirs(point, exist_ok=True)
            source = os.path.join(root, path)
            binds.append(Bind(source, os.path.join(lay.seen, path), read_only=True))
        elif not os.path.lexists(point):
            os.symlink(os.path.join(root, path), point)
    return binds


def _environments(run: Run, root: str, present: Mapping[str, str]) -> list[str]:
    """Folders of the environment inside the project's root: around where the run was, and on the path."""
    found: dict[str, None] = {}
    folder = "" if os.path.isabs(run.cwd) or run.cwd == "." else run.cwd
    while True:
        for entry in sorted(_entries(os.path.join(root, folder))):
            if entry in _ENVIRONMENTS or _is_environment(os.path.join(root, folder, entry)):
                found[os.path.join(folder, entry)] = None
        if not folder:
            break
        folder = os.path.dirname(folder)
    for path in _needed(present):
        here = relocation.inside(path, root)
        while here:
            if _is_environment(os.path.join(root, here)):
                found[here] = None
            here = os.path.dirname(here)
    return [path for path in found if _apart(path, *(found.keys() - {path}))]


def _is_environment(path: str) -> bool:
    return os.path.isfile(os.path.join(path, "pyvenv.cfg")) or os.path.isdir(os.path.join(path, "conda-meta"))


def _entries(folder: str) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _is_empty(path: str) -> bool:
    return os.path.isdir(path) and not os.listdir(path)


def _give_repository(run: Run, prepared: Prepared, setting: Setting) -> list[Bind]:
    if not repository.is_asked(run):
        return []
    lay, top = prepared.layout, setting.place.git_top
    objects = repository.give(run, top, lay.project) if top is not None and top == setting.place.root else None
    if objects is None:
        prepared.notes.append("it asked git, and the commit that it asked about is not at hand")
        return []
    if not setting.ways.view:
        repository.borrow(lay.project, objects)
        return []
    borrowed = os.path.join(lay.top, "objects")
    os.mkdir(borrowed)
    repository.borrow(lay.project, borrowed)
    return [Bind(objects, borrowed, read_only=True)]


def _refuse_without_walls(step: Step, lay: Layout) -> None:
    """Where nothing keeps a step in its workspace, it must not know another place."""
    named = workspace.names_place(step, lay.root, lay)
    if named is not None:
        raise UnpreparedError(
            f"{named} names {lay.root}, and this system has neither Landlock nor a namespace to keep the step from changing it"
        )


def _place(lay: Layout, setting: Setting) -> Place:
    """The project as the recorder sees it: its root is the workspace, its store the real one."""
    store = lay.store if setting.ways.view else setting.place.store
    return Place(lay.seen, store, None, id=setting.place.id)


# -- with which words and streams ---------------------------------------------------------------------------------------


def _environ(run: Run, prepared: Prepared, setting: Setting) -> dict[str, str]:
    lay = prepared.layout
    temporary = lay.temporary[0] if lay.temporary else lay.tmp
    private = Private(lay.home, temporary, (os.path.dirname(lay.seen), lay.top))
    return variables(run, setting.present, private, prepared.relocated, setting.secrets)


def _stdin(run: Run, prepared: Prepared, objects: Objects) -> str | None:
    lay = prepared.layout
    if run.stdin is not None and run.stdin.kind == "file" and run.stdin.path:
        path = run.stdin.path
        return prepared.relocated(path) if os.path.isabs(path) else os.path.join(lay.seen, path)
    kept = run.streams.get("stdin")
    if kept is None or kept.digest is None or kept.size == 0:
        return None
    source = objects.path(kept.digest)
    if source is None:
        raise UnpreparedError("its standard input is no longer in the store")
    return shutil.copyfile(source, os.path.join(lay.top, "stdin"))


def _stream(number: int, prepared: Prepared, known: Raw) -> str | None:
    """The file that a standard stream was, in the workspace; whoever keeps the step opens it, before any wall stands."""
    inherited = known.inherited.get(number)
    if inherited is None:
        return None
    lay = prepared.layout
    on_disk = lay.place(inherited.path)
    workspace.make_folder(os.path.dirname(on_disk), lay)
    if not workspace.is_ours(on_disk, lay):
        raise UnpreparedError(f"{inherited.path} is a link that leads out of the project")
    return on_disk if os.path.isabs(inherited.path) else os.path.join(lay.seen, inherited.path)


def _appends(number: int, known: Raw) -> bool:
    inherited = known.inherited.get(number)
    return inherited is not None and inherited.append
