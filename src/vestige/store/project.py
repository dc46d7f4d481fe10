"""A project is a folder; this finds it, its store, and the user's own folders for caches and state."""

from __future__ import annotations

import os

from vestige.errors import UsageError
from vestige.store import publish

FOLDER = ".vestige"
CONFIGURATION = "vestige.toml"

#: File systems on which another host may write at the same time: SQLite must not live there.
_SHARED = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse.ceph", "fuse.glusterfs", "fuse.gpfs", "fuse.s3fs", "fuse.sshfs"),
        *("gfs2", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb3", "smbfs"),
    }
)


class Place:
    """Where a project and its store lie.

    `store` is the folder `.vestige` (of the main work tree, where `root` is a linked one). `git_top` is the top of
    the repository that holds `root`. `detached`: the root is a home folder, `/` or a temporary root, so the store
    lies in the user's state folder and only code seen in use belongs to a snapshot. `id` is None before `prepare`.
    """

    __slots__ = ("detached", "git_top", "id", "root", "store")

    def __init__(
        self,
        root: str,
        store: str,
        git_top: str | None = None,
        *,
        detached: bool = False,
        id: str | None = None,  # noqa: A002  # as in the record
    ) -> None:
        self.root = root
        self.store = store
        self.git_top = git_top
        self.detached = detached
        self.id = id

    def __repr__(self) -> str:
        return f"Place({self.root!r}, {self.store!r}, {self.git_top!r}, detached={self.detached}, id={self.id!r})"


def locate(start: str, explicit: str | None = None) -> Place:
    """The project that holds `start` (a folder, a file, or one that is not there yet); `explicit` settles it.

    The nearest folder upwards with `.vestige/` or `vestige.toml`, else the top of the git repository, else `start`.
    Nothing is written. Raises UsageError where `explicit` is no folder.
    """
    if explicit is not None:
        if not os.path.isdir(explicit):
            raise UsageError(f"{explicit} is not a folder", hint="--project takes the root of a project")
        return _place(os.path.realpath(explicit))
    folder = os.path.realpath(start)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return _place(_root(folder))


def prepare(place: Place) -> Place:
    """Make the store, hidden from git, and give the project an id. Raises OSError where that cannot be."""
    ignore = os.path.join(place.store, ".gitignore")
    if place.id is not None and os.path.exists(ignore):
        return place
    if place.detached:
        publish.make_folder(place.store, 0o700)
    folders = publish.make_folder(place.store)
    for name in ("runs", "notes", "objects", "active"):  # now, so that a group's umasks do not narrow them later
        publish.make_folder(os.path.join(place.store, name), folders)
    mode = folders & 0o666
    publish.publish(ignore, b"*\n", mode=mode, durable=False)
    if place.id is None:
        name = os.path.join(place.store, "project")
        line = os.urandom(16).hex().encode("ascii") + b"\n"
        if not publish.publish(name, line, mode=mode) and project_id(place.store) is None:
            publish.replace(name, line, mode=mode)
    return Place(place.root, place.store, place.git_top, detached=place.detached, id=project_id(place.store))


def project_id(store: str) -> str | None:
    """The id of the project whose store this is; None where it has none that could be one."""
    line = _read(os.path.join(store, "project")).strip()
    fits = 0 < len(line) <= 64 and line.isascii() and line.replace("-", "").isalnum()
    return line if fits else None


def here() -> str:
    """The working directory; of one that was deleted, where it lay."""
    try:
        return os.getcwd()
    except OSError:
        try:
            return os.readlink("/proc/self/cwd").removesuffix(" (deleted)")
        except OSError:
            return os.sep


def state_dir() -> str:
    """What must not be lost and belongs to the user: the catalogue, stores of places that cannot hold one, the key."""
    return os.path.join(_base("XDG_STATE_HOME", ".local/state"), "vestige")


def cache_home() -> str:
    """What may be deleted at any time. On a local disk, since SQLite lives there."""
    home = os.path.join(_base("XDG_CACHE_HOME", ".cache"), "vestige")
    if home not in _ASKED:
        _ASKED[home] = _is_shared(home)
    return (_local() or home) if _ASKED[home] else home


#: Whether a network file system holds a folder, as far as it was asked.
_ASKED: dict[str, bool] = {}


def cache_dir(place: Place) -> str:
    """Index and digest cache of one project."""
    return os.path.join(cache_home(), place.id or name_from(place.store))


def is_own(place: Place, path: str) -> bool:
    """Whether an absolute path lies in the store, the caches or the state of Vestige, so that it is no file of a run."""
    path = os.path.normpath(path)
    return any(path == own or path.startswith(own + os.sep) for own in own_folders(place))


def own_folders(place: Place) -> tuple[str, str, str]:
    """What belongs to Vestige: the store, the caches, the state. Where something is made again, the project itself lies
    among the caches, and only its own one counts."""
    caches = cache_home()
    inside = place.root.startswith(caches + os.sep)
    return place.store, cache_dir(place) if inside else caches, state_dir()


def name_from(path: str) -> str:
    """A path as one name of a folder, different for different paths."""
    name = path.replace("%", "%25").replace(os.sep, "%2F")
    if len(os.fsencode(name)) <= 200:
        return name
    import hashlib

    return "long-" + hashlib.sha256(os.fsencode(path)).hexdigest()


def _root(folder: str) -> str:
    marker = _upwards(folder, _is_marked)
    top = _upwards(folder, _is_git)
    # A linked work tree that lies inside a project is a project: its paths are those of the main work tree.
    if top is not None and not _forbidden(top) and (marker is None or len(marker) < len(top)) and _main_tree(top) is not None:
        return top
    if marker is not None:
        return marker
    return top if top is not None and not _forbidden(top) else folder


def _place(root: str) -> Place:
    top = _upwards(root, _is_git)
    if _forbidden(root):
        store = os.path.join(state_dir(), "detached", name_from(root))
        return Place(root, store, top, detached=True, id=project_id(store))
    store = os.path.join(root, FOLDER)
    main = None if top is None else _main_tree(top)
    if main is not None and top is not None:
        counterpart = os.path.normpath(os.path.join(main, os.path.relpath(root, top)))
        store = locate(counterpart if os.path.isdir(counterpart) else main).store
    return Place(root, store, top, id=project_id(store))


def _upwards(folder: str, fits: object) -> str | None:
    while True:
        if fits(folder):  # type: ignore[operator]  # a callable; typing is not for this path
            return folder
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def _is_marked(folder: str) -> bool:
    found = os.path.isdir(os.path.join(folder, FOLDER)) or os.path.isfile(os.path.join(folder, CONFIGURATION))
    return found and not _forbidden(folder)


def _is_git(folder: str) -> bool:
    git = os.path.join(folder, ".git")
    return os.path.exists(os.path.join(git, "HEAD")) or _read(git).startswith("gitdir:")


def _main_tree(top: str) -> str | None:
    """The work tree whose repository the linked work tree `top` shares."""
    line = _read(os.path.join(top, ".git"))
    if not line.startswith("gitdir:"):
        return None
    folder = os.path.join(top, line[len("gitdir:") :].strip())
    common = _read(os.path.join(folder, "commondir")).strip()
    if not common:
        return None
    git = os.path.realpath(os.path.join(folder, common))
    main = os.path.dirname(git)
    return main if os.path.basename(git) == ".git" and os.path.isdir(git) and main != top else None


def _forbidden(folder: str) -> bool:
    """A home folder, `/` or a temporary root: never a project, whatever lies in it."""
    if os.path.dirname(folder) == folder:
        return True
    shared = ["/tmp", "/var/tmp", "/dev/shm", os.path.expanduser("~")]  # noqa: S108
    shared += [value for name in ("TMPDIR", "TEMP", "TMP") if (value := os.environ.get(name))]
    return any(_same(folder, other) for other in shared)


def _same(folder: str, other: str) -> bool:
    try:
        return os.path.samefile(folder, other)
    except OSError:
        return False


def _read(path: str) -> str:
    """The beginning of a small file, or nothing."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return ""
    try:
        return os.fsdecode(os.read(fd, 8192))
    except OSError:
        return ""
    finally:
        os.close(fd)


def _base(variable: str, fallback: str) -> str:
    value = os.environ.get(variable, "")
    return value if os.path.isabs(value) else os.path.join(os.path.expanduser("~"), fallback)


def _is_shared(path: str) -> bool:
    """Whether a network file system holds `path`, as far as the kernel tells."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
            mounts = [line.split(" ") for line in lines]
    except OSError:
        return False
    kinds = [(point.encode("utf-8", "surrogateescape"), fields) for fields in mounts if (point := fields[4])]
    path = os.path.realpath(path)
    best, kind = -1, ""
    for escaped, fields in kinds:
        point = os.fsdecode(escaped.replace(rb"\040", b" ").replace(rb"\011", b"\t").replace(rb"\134", b"\\"))
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:
            best, kind = len(point), fields[fields.index("-") + 1]
    return kind in _SHARED


def _local() -> str | None:
    """A folder of this user alone on a disk of this machine."""
    if not hasattr(os, "getuid"):
        return None
    folder = f"/var/tmp/vestige-{os.getuid()}"  # noqa: S108
    try:
        os.mkdir(folder, 0o700)
    except OSError:
        pass
    try:
        found = os.lstat(folder)
    except OSError:
        return None
    return folder if found.st_uid == os.getuid() and found.st_mode & 0o170077 == 0o040000 else None
