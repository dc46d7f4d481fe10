"""The code of every run: a bare git repository of our own, restorable when the user's repository is gone.

Objects are read and written here, in Python; git, where there is one, packs and draws diffs. The file
`snapshots` in the repository names every tree that is complete: all it needs lies here. No ref names them,
so the configuration tells git never to prune. `scratch` takes objects that git makes up when it reads a repository.

A file that holds a secret has its true id in its tree, while its blob lies in the private part of the store, beside the
repository: whoever is given the repository is not given the secret.

A tree is named by its id, with or without the `git:` before it that a record has.
"""

from __future__ import annotations

import os
import time

from vestige.errors import DamagedError, ExistsError, NotKeptError, StoreError, VestigeError
from vestige.store.treelist import TreeList

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vestige.model.snapshot import Change, Damage, Entry
    from vestige.store.gitobjects import ObjectDatabase

_CONFIGURATION = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\tlogAllRefUpdates = false
[gc]
\tauto = 0
\tpruneExpire = never
[maintenance]
\tauto = false
"""
#: Whoever checks something out of the repository with git gets the bytes that were put in.
_ATTRIBUTES = "* -text -filter -ident -working-tree-encoding\n"


class CodeStore:
    """The repository at `path` (the store's `code.git`)."""

    __slots__ = ("_list", "git", "path", "private")

    def __init__(self, path: str, git: str = "git") -> None:
        self.path = path
        self.private = os.path.join(os.path.dirname(path), "objects", "private", os.path.basename(path))
        self.git = git
        self._list = TreeList(os.path.join(path, "snapshots"))

    def init(self) -> None:
        """Make the repository, or what is missing of it. Raises OSError."""
        from vestige.store import publish

        if os.path.exists(os.path.join(self.path, "HEAD")):
            return
        mode = publish.make_folder(self.path)
        for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info", "scratch"):
            publish.make_folder(os.path.join(self.path, folder), mode)
        shared = "\tsharedRepository = group\n" if mode & 0o020 else ""
        files = {
            "config": _CONFIGURATION.replace("\tbare = true\n", "\tbare = true\n" + shared),
            "info/attributes": _ATTRIBUTES,
            "description": "Snapshots of code, kept by Vestige.\n",
            "HEAD": "ref: refs/heads/main\n",
        }
        for name, text in files.items():
            publish.replace(os.path.join(self.path, name), text.encode("ascii"), mode=mode & 0o666, durable=False)

    def kept(self, *trees: str) -> bool:
        """Whether these trees are complete here, as far as our own list says."""
        return self._list.holds(map(_id, trees))

    def keep(self, trees: Iterable[str]) -> None:
        """Note that trees are complete. Raises OSError."""
        self._list.add(map(_id, trees))

    def trees(self) -> list[str]:
        """Every tree that is complete here, the oldest first."""
        return self._list.all()

    def database(self, borrowed: Iterable[str] = ()) -> ObjectDatabase:
        """The objects in here, to be read and written; `borrowed` are `objects` folders of the user's repositories."""
        from vestige.store.gitobjects import ObjectDatabase

        return ObjectDatabase(os.path.join(self.path, "objects"), borrowed, self.private)

    def has(self, tree: str) -> bool:
        """Whether a tree is complete here and its root can be read."""
        if not self.kept(tree):
            return False
        try:
            self.database().tree(_id(tree))
        except (KeyError, DamagedError):
            return False
        return True

    def list_tree(self, tree: str) -> list[Entry]:
        """Every file of a tree, sorted by path. Raises NotKeptError, DamagedError."""
        from vestige.model import gittree
        from vestige.model.snapshot import Entry

        database = self.database()
        with _missing(tree):
            found = [
                Entry(os.fsdecode(path), mode, oid, database.size(oid))
                for path, mode, oid in gittree.walk(_id(tree), database.tree)
            ]
        return sorted(found, key=lambda entry: os.fsencode(entry.path))

    def read_blob(self, blob: str) -> bytes:
        """The bytes of one file. Raises NotKeptError, DamagedError where they are not those of its id."""
        from vestige.model.gitformat import object_id

        oid = _id(blob)
        with _missing(oid):
            kind, data = self.database().read(oid)
        if object_id(kind, data) != oid:
            raise DamagedError(f"object {oid} in {self.path} is damaged")
        return data

    def checkout(self, tree: str, into: str) -> None:
        """Write every file of a tree below a folder that is new or empty, byte for byte, with symlinks and x bits;
        one that is private is written for its user alone.

        Raises ExistsError, NotKeptError, DamagedError (a name that would lead out of the folder, too), OSError.
        """
        from vestige.model import gittree
        from vestige.model.gitformat import SYMLINK

        os.makedirs(into, exist_ok=True)
        if os.listdir(into):
            raise ExistsError(f"{into} is not empty", hint="name a folder that does not exist yet")
        base = os.fsencode(into)
        database, folders, links = self.database(), {b""}, []
        private = database.private()
        with _missing(tree):
            for path, mode, oid in gittree.walk(_id(tree), database.tree):
                _refuse_unsafe(path, tree)
                _make_folders(base, path.rpartition(b"/")[0], folders)
                data = database.read(oid)[1]
                if mode == SYMLINK:
                    links.append((data, os.path.join(base, path)))
                else:
                    bits = 0o700 if oid in private else 0o777
                    _write_new(os.path.join(base, path), data, bits if mode & 0o100 else bits & 0o666)
        for target, path in links:  # last, so that nothing is written through one
            os.symlink(target, path)

    def changes(self, old: str | None, new: str | None) -> list[Change]:
        """The paths about which two trees differ, sorted; None is the tree without files."""
        from vestige.model import gittree
        from vestige.model.snapshot import Change

        database = self.database()
        with _missing(f"{old or 'nothing'} or {new or 'nothing'}"):
            found = [
                Change(os.fsdecode(path), was and was[1], now and now[1])
                for path, was, now in gittree.differences(old and _id(old), new and _id(new), database.tree)
            ]
        return sorted(found, key=lambda change: os.fsencode(change.path))

    def diff(self, old: str | None, new: str | None) -> bytes:
        """A patch from one tree to another, such as `git apply` accepts; None is the tree without files.

        Bytes, since a patch holds lines of files in their own encodings. No configuration of the user's bears on it.
        Raises CouldNotError where there is no git program, NotKeptError.
        """
        from vestige.model.gitformat import EMPTY_TREE
        from vestige.store import gitprogram

        ends = [_id(tree) if tree else EMPTY_TREE for tree in (old, new)]
        for end in ends:
            if end != EMPTY_TREE:
                with _missing(end):
                    self.database().tree(end)
        options = ["--binary", "--full-index", "--find-renames", "--no-ext-diff", "--no-textconv", "--no-color"]
        options += ["--src-prefix=a/", "--dst-prefix=b/", "--no-relative"]
        return gitprogram.run(self.git, self.path, ["diff-tree", "-r", "-p", *options, *ends], borrowed=[self.private])

    def absorb(self, trees: Iterable[str], git_dir: str | None, objects: Iterable[str], known: Iterable[str] = ()) -> None:
        """Take over from other repositories all that trees need and is not here yet.

        `git_dir` is one that holds everything: git does the work. Else, or where git fails, it is looked for in the
        folders `objects`. `known` are trees that are complete here and much like the new ones. Raises StoreError
        where something is nowhere, OSError.
        """
        from vestige.model import gittree
        from vestige.store import gitprogram

        wanted, has, folders = [_id(tree) for tree in trees], [_id(tree) for tree in known], list(objects)
        database = self.database(folders)
        transfer = gitprogram.Transfer(wanted, has, sorted(database.private()), self.private)
        if git_dir and gitprogram.transfer(self.git, self.path, git_dir, folders[0], transfer):
            return
        try:
            with database.batch():
                for oid, _ in gittree.reachable(wanted, database.tree, has):
                    if not database.has(oid):
                        database.put(*database.read(oid))
        except KeyError as error:
            raise StoreError(f"no repository has object {error.args[0]}") from error
        database.flush()

    def verify(self) -> Iterator[Damage]:
        """Read all that every complete tree needs, and compare it with its id."""
        from vestige.model.gitformat import TREE, object_id
        from vestige.model.snapshot import Damage

        database, seen = self.database(), set()
        for tree in self.trees():
            pending = [("", TREE, tree)]
            while pending:
                path, mode, oid = pending.pop()
                if oid in seen:
                    continue
                seen.add(oid)
                try:
                    kind, data = database.read(oid)
                    below = database.tree(oid) if mode == TREE else []
                except KeyError:
                    yield Damage(tree, path, f"object {oid} is missing")
                except DamagedError as error:
                    yield Damage(tree, path, str(error))
                else:
                    if object_id(kind, data) != oid:
                        yield Damage(tree, path, f"object {oid} has other content than its name says")
                    pending += [(os.path.join(path, os.fsdecode(one.name)), one.mode, one.oid) for one in below]

    def drop(self, keep: Iterable[str], *, spare_seconds: float = 3600) -> int:
        """Remove what none of the trees in `keep` needs; returns the bytes freed.

        What was written or wanted in the last `spare_seconds` stays: a run may be about to name it.
        Packs are rewritten by git; where there is none, they stay. Raises OSError.
        """
        from vestige.store import gitobjects, publish

        wanted = {_id(tree) for tree in keep}
        home = os.path.join(self.path, "objects")
        needed = self._needed(wanted)
        before = _bytes_below(home) + _bytes_below(self.private)
        self._list.retain(wanted)
        oldest_spared = time.time() - spare_seconds
        for folder in (home, self.private):
            for oid, path in gitobjects.loose(folder):
                if oid not in needed and _is_older(path, oldest_spared):
                    publish.discard(path)
        self._drop_packs(home, needed, oldest_spared)
        return max(0, before - _bytes_below(home) - _bytes_below(self.private))

    def size(self) -> int:
        """Bytes on disk."""
        return _bytes_below(self.path)

    def _needed(self, trees: set[str]) -> set[str]:
        """Every object that some of these trees need, as far as it is here. Raises DamagedError:
        who cannot read must not sweep."""
        from vestige.model import gittree
        from vestige.model.gitformat import TreeEntry

        database = self.database()

        def read(oid: str) -> list[TreeEntry]:
            try:
                return database.tree(oid)
            except KeyError:
                return []

        return {oid for oid, _ in gittree.reachable(trees, read)}

    def _drop_packs(self, home: str, needed: set[str], oldest_spared: float) -> None:
        from vestige.store import gitobjects, gitprogram, publish

        old = [
            (path, oids)
            for path, oids in gitobjects.packs(home).items()
            if _is_older(path, oldest_spared) and not needed.issuperset(oids)
        ]
        wanted = sorted({oid for _, oids in old for oid in oids if oid in needed})
        if not old:
            return
        made = b""
        if wanted:
            feed = "".join(f"{oid}\n" for oid in wanted).encode("ascii")
            try:
                made = gitprogram.run(self.git, self.path, ["pack-objects", "-q", os.path.join(home, "pack", "pack")], feed)
            except VestigeError:
                return
        for path, _ in old:
            if made.strip() not in os.fsencode(path) or not made:
                publish.discard(path[: -len("pack")] + "idx")  # first, so that nobody finds what is about to go
                publish.discard(path)


class _missing:  # noqa: N801  # a context manager, used as a function
    """Turns the absence of an object into an error that names what was asked for."""

    __slots__ = ("wanted",)

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KeyError):
            raise NotKeptError(f"{self.wanted} is not in the store of code: object {error.args[0]} is missing") from error


def _id(tree: str) -> str:
    """The bare id of an object. Raises NotKeptError for what cannot be one."""
    oid = tree.removeprefix("git:")
    if len(oid) != 40 or oid.strip("0123456789abcdef"):
        raise NotKeptError(f"'{tree}' names nothing in the store of code")
    return oid


def _refuse_unsafe(path: bytes, tree: str) -> None:
    for name in path.split(b"/"):
        if name in {b"", b".", b".."} or name.lower() == b".git" or b"\0" in name:
            raise DamagedError(f"snapshot {tree} holds a name that would lead out of it: {os.fsdecode(path)!r}")


def _make_folders(base: bytes, folder: bytes, made: set[bytes]) -> None:
    if folder in made:
        return
    missing = []
    while folder not in made:
        missing.append(folder)
        folder = folder.rpartition(b"/")[0]
    for one in reversed(missing):
        os.mkdir(os.path.join(base, one))
        made.add(one)


def _write_new(path: bytes, data: bytes, mode: int) -> None:
    from vestige.store import publish

    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        publish.write_all(fd, data)
    finally:
        os.close(fd)


def _is_older(path: str, moment: float) -> bool:
    try:
        return os.stat(path).st_mtime < moment
    except OSError:
        return False


def _bytes_below(folder: str) -> int:
    total = 0
    for below, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(below, name)).st_size
            except OSError:
                continue
    return total
