"""A clean place for one step: the code of its snapshot and its inputs, at the paths where it had them.

    work/ID/N/          one step
      project/          what the step has instead of the project; a step with a view of its own sees it at the old root
      outside/          files that lay outside the project and are named in the command, by their whole path
      home/ tmp/ shm/   private; the home shows what is in the user's, to be read
      store/            in a view: where its recorder finds the project's store

Nothing here is a hard link to a file of the user's, nothing is written through a symbolic link that leads out, and every
input is checked against its digest after it was copied.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Collection, Sequence

from vestige.capture import digest
from vestige.model.files import Digest, FileUse
from vestige.model.run import short
from vestige.model.values import field, value
from vestige.reproduce import relocation
from vestige.reproduce.plan import Step, Supply
from vestige.reproduce.raw import NOTHING, Raw
from vestige.reproduce.relocation import Move
from vestige.store.code import CodeStore
from vestige.store.objects import Objects

_FICLONE = 0x40049409  # ioctl(2): let a file share the blocks of another
#: Files of the snapshot are older than inputs, so that `make` takes what it is given as up to date.
_CODE_TIME, _INPUT_TIME = 946_684_800, 946_771_200  # the first two days of 2000, in seconds since the epoch
_FOLDERS = ("project", "outside", "home", "tmp", "shm", "store")


class UnpreparedError(Exception):
    """A step cannot be given what it needs; the text says what."""


@value
class Layout:
    """Where one step lies on disk. `root`: where the project lay. `bound`: the step sees the workspace there.
    `temporary`: temporary roots (as `/tmp`) that the step sees as its private one."""

    top: str
    root: str
    bound: bool = False
    temporary: tuple[str, ...] = ()

    @property
    def project(self) -> str:
        return os.path.join(self.top, "project")

    @property
    def home(self) -> str:
        return os.path.join(self.top, "home")

    @property
    def tmp(self) -> str:
        return os.path.join(self.top, "tmp")

    @property
    def memory(self) -> str:
        return os.path.join(self.top, "shm")

    @property
    def store(self) -> str:
        return os.path.join(self.top, "store")

    @property
    def seen(self) -> str:
        """The path by which the step knows its workspace."""
        return self.root if self.bound else self.project

    def place(self, path: str) -> str:
        """Where a file of the step lies on disk, by its path as recorded. Raises UnpreparedError for one that leads elsewhere."""
        if not os.path.isabs(path):
            found = os.path.normpath(os.path.join(self.project, path))
            if relocation.inside(found, self.project) is None:
                raise UnpreparedError(f"{path} leads out of the project")
            return found
        path = os.path.normpath(path)
        for root in self.temporary:
            if (rest := relocation.inside(path, root)) is not None:
                return os.path.join(self.tmp, rest)
        return os.path.join(self.top, "outside") + path

    def cwd(self, recorded: str) -> tuple[str, str]:
        """The working directory on disk, and as the step sees it."""
        if os.path.isabs(recorded):
            return recorded, recorded
        on_disk = self.project if recorded == "." else self.place(recorded)
        return on_disk, os.path.normpath(os.path.join(self.seen, recorded))


@value(frozen=False)
class Prepared:
    """A step that can be executed: which paths of its command and variables are led where, what of it is shown in its view
    (read-only, by path), and what whoever reads the verdict should know."""

    layout: Layout
    moves: list[Move] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def relocated(self, text: str) -> str:
        """A word of the command, or the value of a variable, as it is now."""
        return relocation.moved(text, self.moves)


@value
class Stock:
    """Where content comes from: the store's code and objects, and what steps before have made (run, path → where it lies)."""

    code: CodeStore
    objects: Objects
    made: Callable[[str, str], str | None]
    on_disk: Callable[[FileUse], str | None]


def prepare(step: Step, prepared: Prepared, stock: Stock, known: Raw = NOTHING) -> None:
    """Fill a workspace. `known` are folders that the run itself made, so that it must not find them, and files that were its
    standard streams, which are opened in the workspace wherever they lay.

    Raises UnpreparedError, VestigeError (code or objects that are damaged), OSError.
    """
    run, layout = step.run, prepared.layout
    if run.code is None or run.code.snapshot is None:
        raise UnpreparedError("its code was not kept")
    for name in _FOLDERS:
        os.makedirs(os.path.join(layout.top, name), 0o700)
    stock.code.checkout(run.code.snapshot, layout.project)
    _set_times(layout.project, _CODE_TIME)
    if not layout.bound and layout.root != layout.project:
        prepared.moves.append(Move(layout.root, layout.project))
    _clear(step, layout, {supply.use.path for supply in step.supplies})
    for supply in step.supplies:
        _supply(supply, step, prepared, stock, known)
    _make_room(step, layout, known.folders)
    for use in step.expected:
        if os.path.isabs(use.path) and _is_named(use.path, step):
            _move_outside(use.path, prepared)


def furnish_home(home: str, user_home: str, caches: str) -> None:
    """Show in a private home what is in the user's: as links, so that it can be read and not changed.

    `.cache`, `.config` and `.local` are folders of their own, since programs make new files in them.
    """
    for folder in ("", ".cache", ".config", ".local", ".local/share", ".local/state"):
        inside = os.path.join(home, folder)
        os.makedirs(inside, 0o700, exist_ok=True)
        source = caches if folder == ".cache" else os.path.join(user_home, folder)
        for name in _names(source):
            path = os.path.join(folder, name)
            if path not in (".cache", ".config", ".local", ".local/share", ".local/state", ".cache/vestige"):
                target = os.path.join(inside, name)
                if not os.path.lexists(target):
                    os.symlink(os.path.join(source, name), target)


def names_place(step: Step, place: str, layout: Layout) -> str | None:
    """What of a step names a place of the recording: its command, a variable, or a file of its code; None if nothing does."""
    for word in step.run.command:
        if relocation.names(word, place):
            return "its command"
    for name, text in step.run.variables.items():
        if relocation.names(text, place) and name != "PWD":
            return name
    wanted = os.fsencode(place)
    for folder, _, files in os.walk(layout.project):
        for name in files:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                if relocation.inside(os.path.realpath(path), place) is not None:
                    return os.path.relpath(path, layout.project)
            elif os.path.getsize(path) <= 1 << 20:
                with open(path, "rb") as file:
                    if wanted in file.read():
                        return os.path.relpath(path, layout.project)
    return None


def remove(top: str) -> None:
    """Remove a workspace, whatever modes a step gave its folders. What cannot be removed stays."""
    shutil.rmtree(top, ignore_errors=True)
    if not os.path.lexists(top):
        return
    for folder, folders, _ in os.walk(top):
        for path in (folder, *(os.path.join(folder, name) for name in folders)):
            if not os.path.islink(path):
                try:
                    os.chmod(path, 0o700)
                except OSError:
                    continue
    shutil.rmtree(top, ignore_errors=True)


# -- content ------------------------------------------------------------------------------------------------------------


def _supply(supply: Supply, step: Step, prepared: Prepared, stock: Stock, known: Raw) -> None:
    use, layout = supply.use, prepared.layout
    if supply.source == "link":
        _link(use, prepared)
        return
    stream = any(use.path == one.path for one in known.inherited.values())
    if os.path.isabs(use.path) and not stream and not _needs_place(supply, step, layout):
        _leave(supply, layout, prepared, stock)
        return
    target = layout.place(use.path)
    if supply.source == "snapshot" and (use.digest is None or _has(target, use.digest)):
        return
    source = _source(supply, stock, prepared)
    if source is None:
        if supply.needed:
            raise UnpreparedError(supply.reason or f"{use.path} cannot be had: it is neither in the snapshot nor kept")
        prepared.notes.append(supply.reason or f"{use.path}: what was there before is gone")
        return
    _put(source, target, use, layout, check=supply.source != "step")
    if os.path.isabs(use.path):
        _move_outside(use.path, prepared)


def _source(supply: Supply, stock: Stock, prepared: Prepared) -> str | None:
    """Where the bytes lie. What a step should have made and did not is taken as recorded, if it can be had so."""
    use = supply.use
    if supply.source == "step":
        assert supply.run is not None
        made = stock.made(supply.run, supply.made_as or use.path)
        if made is not None:
            return made
    if supply.source == "disk" and supply.place is not None:
        return supply.place
    found = stock.on_disk(use) or (stock.objects.path(use.digest) if use.digest is not None else None)
    if found is not None and supply.source == "step":
        prepared.notes.append(f"{use.path} as recorded, since {short(supply.run or '')} did not make it")
    return found


def _put(source: str, target: str, use: FileUse, layout: Layout, *, check: bool) -> None:
    """Copy a file or a folder to its place. With `check`, it must have its digest."""
    make_folder(os.path.dirname(target), layout)
    if os.path.islink(target) or os.path.isfile(target):
        os.unlink(target)
    if os.path.isdir(source):
        if os.path.isdir(target):
            shutil.rmtree(target)
        shutil.copytree(source, target, symlinks=True, copy_function=_copy)
    else:
        _copy(source, target)
        mode = stat.S_IMODE(os.stat(source).st_mode) & 0o777
        os.chmod(target, mode | 0o600 | (0o111 if use.access == "execute" else 0))
    if check and use.digest is not None and not _has(target, use.digest):
        raise UnpreparedError(f"{use.path} no longer has the content that it was recorded with")
    _set_time(target, _INPUT_TIME)


def _copy(source: str, target: str) -> str:
    """Copy bytes, or share their blocks where the file system can; never a hard link."""
    with open(source, "rb", buffering=0) as reading, open(target, "wb", buffering=0) as writing:
        if not _cloned(reading.fileno(), writing.fileno()):
            shutil.copyfileobj(reading, writing, 1 << 20)
    return target


def _cloned(source: int, target: int) -> bool:
    try:
        import fcntl

        fcntl.ioctl(target, _FICLONE, source)
    except (ImportError, OSError):
        return False
    return True


def _has(path: str, wanted: Digest) -> bool:
    return content_of(path, wanted.partition(":")[0]) == wanted


def content_of(path: str, algorithm: str = "blake3") -> Digest | None:
    """The digest of a file, or of a folder as one thing; None where there is nothing that can be read."""
    try:
        if not os.path.isdir(path):
            return digest.of_file(path, algorithm=algorithm)[1]
        members: dict[str, Digest] = {}
        for folder, _, names in os.walk(path):
            for name in names:
                full = os.path.join(folder, name)
                found = digest.of_file(full, algorithm=algorithm)[1]
                if found is None:
                    return None
                members[os.path.relpath(full, path)] = found
        return digest.of_directory(members)
    except (OSError, ValueError):
        return None


# -- places -------------------------------------------------------------------------------------------------------------


def _needs_place(supply: Supply, step: Step, layout: Layout) -> bool:
    """Whether a file outside the project must be had in the workspace: it will be changed, or is not (only) where it lay."""
    path = supply.use.path
    private = any(relocation.inside(path, root) is not None for root in layout.temporary)
    written = any(use.path == path for use in step.expected)
    if not written and supply.source == "disk":
        return False
    return private or _is_named(path, step)


def _leave(supply: Supply, layout: Layout, prepared: Prepared, stock: Stock) -> None:
    """A file outside the project stays where it is, if it is what it was."""
    use = supply.use
    if supply.source != "disk" and stock.on_disk(use) is None:
        if not supply.needed:
            return
        raise UnpreparedError(f"{use.path} is not what it was, and nothing but its own place, outside the project, would do")
    if supply.source == "step":
        prepared.notes.append(f"{use.path} as recorded: it lies outside the project, and no argument names it")
    if any(relocation.inside(use.path, root) is not None for root in layout.temporary):
        prepared.shown.append(use.path)


def _is_named(path: str, step: Step) -> bool:
    run = step.run
    return any(relocation.names(text, path) for text in (*run.command, *run.variables.values()))


def _move_outside(path: str, prepared: Prepared) -> None:
    place = prepared.layout.place(path)
    if relocation.inside(place, prepared.layout.tmp) is not None and prepared.layout.temporary:
        return  # it is seen where it was
    if not any(move.old == path for move in prepared.moves):
        prepared.moves.append(Move(path, place))


def _link(use: FileUse, prepared: Prepared) -> None:
    if os.path.isabs(use.path):
        return
    target = prepared.layout.place(use.path)
    make_folder(os.path.dirname(target), prepared.layout)
    if not os.path.lexists(target):
        assert use.link is not None
        os.symlink(prepared.relocated(use.link), target)


def _clear(step: Step, layout: Layout, supplied: set[str]) -> None:
    """Take away what the step is about to write: an old output in the snapshot must not pass for a new one."""
    for use in step.expected:
        if use.path in supplied or os.path.isabs(use.path):
            continue
        target = layout.place(use.path)
        if not is_ours(os.path.dirname(target), layout):
            continue
        if os.path.isdir(target) and not os.path.islink(target):
            if use.kind == "directory":
                shutil.rmtree(target)
        elif os.path.lexists(target):
            os.unlink(target)


def _make_room(step: Step, layout: Layout, made: Collection[str]) -> None:
    """The folders that were there when the run began: around its outputs, and its working directory."""
    wanted = [os.path.dirname(use.path) for use in step.run.outputs if use.path.count("/")]
    for path in (*wanted, step.run.cwd):
        folder = _without(path, made)
        if folder in ("", "."):
            continue
        private = any(relocation.inside(folder, root) is not None for root in layout.temporary)
        if not os.path.isabs(folder) or private or _is_named(folder, step):
            make_folder(layout.place(folder), layout)


def _without(folder: str, made: Collection[str]) -> str:
    """The nearest folder upwards that the run did not make itself."""
    parts = folder.split("/")
    for length in range(1, len(parts) + 1):
        if "/".join(parts[:length]) in made:
            return "/".join(parts[: length - 1])
    return folder


def make_folder(path: str, layout: Layout) -> None:
    """Make a folder of the workspace, never through a link that leads out of it."""
    rest = relocation.inside(path, layout.top)
    if rest is None:
        return
    here = layout.top
    for name in rest.split("/"):
        here = os.path.join(here, name)
        if os.path.islink(here) and not is_ours(here, layout):
            raise UnpreparedError(f"{os.path.relpath(here, layout.project)} is a link that leads out of the project")
        if not os.path.isdir(here):
            os.mkdir(here)


def is_ours(path: str, layout: Layout) -> bool:
    top = os.path.realpath(layout.top)
    found = os.path.realpath(path)
    return found == top or relocation.inside(found, top) is not None


def _set_times(top: str, seconds: int) -> None:
    for folder, folders, names in os.walk(top):
        for name in (*folders, *names):
            _set_time(os.path.join(folder, name), seconds)


def _set_time(path: str, seconds: int) -> None:
    try:
        os.utime(path, (seconds, seconds), follow_symlinks=False)
    except (OSError, NotImplementedError):
        pass  # times are a help, not a need


def _names(folder: str) -> Sequence[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return ()
