"""The code as it stood: commit, branch, remotes, and a tree that holds every source file exactly.

`take` is on the path of every recording. In a state that was pinned before, it costs one `git status` and a stat of
each file that differs from the commit. In a new one it stores these files, and builds trees of them and of what the
commit holds. `complete` then brings over what the commit holds, while the run goes on.

A file's bytes are taken as they lie in the work tree, whatever git would make of them in a commit. The commit's own
tree (`Code.base`) is kept in the same form, so that what differs between the two is what was changed.
"""

from __future__ import annotations

import os
import time

from vestige.capture import git, remembered
from vestige.capture.sources import Rules
from vestige.capture.worktree import Looking, Part, digest, signature, state
from vestige.errors import VestigeError
from vestige.model.code import Code, Repository

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Protocol

    from vestige.capture.pinning import Database

    class Store(Protocol):
        """Where trees are kept: `store.code.CodeStore`."""

        path: str

        def init(self) -> None: ...
        def kept(self, *trees: str) -> bool: ...
        def keep(self, trees: Iterable[str]) -> None: ...
        def database(self, borrowed: Iterable[str] = ()) -> Database: ...
        def absorb(
            self, trees: Iterable[str], git_dir: str | None, objects: Iterable[str], known: Iterable[str] = ()
        ) -> None: ...


_SETTLED = 2.0  # seconds after which a change of a file shows in its times
_LISTED = 20  # files named one by one in problems


class Source:
    """A repository from which a tree has to be brought over, and one much like it that was brought before."""

    __slots__ = ("known", "repository", "tree")

    def __init__(self, repository: git.Repository, tree: str, known: str = "") -> None:
        self.repository = repository
        self.tree = tree
        self.known = known


class Taken:
    """What was taken. `state` names it: equal states are equal code. `left_out`: paths and sizes of files beyond the limits.
    `uncommitted`: paths of source that differ from the commits.

    `memory`, `sources` and `database` are what `Snapshots` needs for its next steps.
    """

    __slots__ = ("code", "database", "left_out", "memory", "problems", "sources", "state", "uncommitted")

    def __init__(self, code: Code, problems: tuple[str, ...] = (), left_out: tuple[tuple[str, int], ...] = ()) -> None:
        self.code = code
        self.uncommitted: tuple[str, ...] = ()
        self.state = code.snapshot or ""
        self.problems = problems
        self.left_out = left_out
        self.memory: remembered.Memory | None = None
        self.sources: list[Source] = []
        self.database: Database | None = None


class Snapshots:
    """Takes snapshots of the project at `root` into a store of code.

    `outputs` answers which of some paths (relative to the root, with `/`) are files that a run *made*: they are no
    source. It should leave out what a run merely changed, as a formatter does. `is_secret` judges a path,
    `holds_secret` a content; `rules` say what is taken. `redact_url` takes the credentials out of a remote.
    `observed_only`: the root is no project (a home folder), so only what `add` is given belongs to a snapshot.
    `seconds`: how long git may take.
    """

    def __init__(
        self,
        root: str,
        store: Store,
        cache_dir: str,
        outputs: Callable[[list[str]], set[str]] | None = None,
        *,
        is_secret: Callable[[str], bool] | None = None,
        holds_secret: Callable[[bytes], bool] | None = None,
        rules: Rules | None = None,
        redact_url: Callable[[str], str] | None = None,
        observed_only: bool = False,
        program: str = "git",
        seconds: float = 30.0,
    ) -> None:
        self._root = os.path.realpath(root)
        self._store = store
        self._cache = os.path.join(cache_dir, "code-" + digest([os.fsencode(self._root)])[:16].decode("ascii"))
        self._outputs = outputs or (lambda _: set())
        judge = is_secret or _is_secret
        self._is_secret = lambda path: judge(os.fsdecode(path))
        self._holds_secret = holds_secret or _holds_secret
        self._rules = rules or Rules()
        self._redact = redact_url or git.without_credentials
        self._observed_only = observed_only
        self._program = git.Program(program, seconds, os.path.join(store.path, "scratch"))

    def take(self) -> Taken:
        """Pin the code as it stands. Never raises for what it finds: what could not be done is in `problems`."""
        if self._observed_only:
            return Taken(Code())
        try:
            memory = remembered.load(self._cache, self._root, self._rules.name())
            looking = self._look(memory)
        except Exception as error:
            return Taken(Code(), (f"the code could not be looked at: {_said(error)}",))
        if memory.state and memory.state == state(looking.parts) and self._store.kept(*_both(memory)):
            return self._taken(looking, memory)
        try:
            return self._pin(looking, memory)
        except Exception as error:
            looking.problems.append(f"the code could not be kept: {_said(error)}")
            return self._taken(looking, remembered.Memory())

    def complete(self, taken: Taken) -> Taken:
        """Bring into the store what the snapshot shares with the user's repositories, so that it needs them no longer.

        Returns what was taken, with what went wrong in its problems; its code has no base where that could not be had.
        """
        trees = [tree for tree in (taken.code.snapshot, taken.code.base) if tree]
        if not trees or self._store.kept(*trees):
            return taken
        problems = []
        try:
            if taken.database is not None:
                taken.database.flush()
            for source in taken.sources:
                if not source.tree or not self._store.kept(source.tree):
                    problems += self._absorb(source)
            if not problems:
                whole = not all(source.tree for source in taken.sources)
                self._keep(taken, trees, whole=whole)
                return taken
            self._keep(taken, trees[:1], whole=True)
            self._forget_base(taken)
        except (OSError, VestigeError) as error:
            return _with(taken, [*problems, f"the code was not kept completely: {_said(error)}"])
        return _with(taken, problems, base=None)

    def resume(self, code: Code) -> Taken:
        """What another process took and may not have completed, as far as it can be told from the record."""
        taken = Taken(code)
        found = [git.find(self._root)]
        found += [git.at(os.path.join(self._root, one.path)) for one in code.repositories]
        taken.sources = [Source(repository, "") for repository in found if repository is not None]
        return taken

    def look(self, taken: Taken) -> Looking | None:
        """The code as it stands now, for `changes`; so that git can look while something else is done."""
        return self._look(taken.memory) if taken.memory is not None and taken.memory.tree else None

    def changed(self, taken: Taken, ignoring: set[str], looking: Looking | None = None) -> bool:
        """Whether source has changed since, apart from the files (or what lies in the folders) in `ignoring`."""
        return bool(self.changes(taken, ignoring, looking))

    def changes(self, taken: Taken, ignoring: set[str], looking: Looking | None = None) -> tuple[str, ...]:
        """The paths of source files that have changed since, sorted. None where that cannot be told."""
        memory = taken.memory
        if memory is None or not memory.tree:
            return ()
        looking = looking or self._look(memory)
        if memory.state == state(looking.parts) or (looking.problems and not taken.problems):
            return ()
        from vestige.capture import building

        try:
            paths = building.compare(looking, memory, self._open(looking), self._outputs, self._tracked, self._holds_secret)
        except (OSError, KeyError, ValueError, VestigeError):
            return ()
        return tuple(path for path in sorted(map(os.fsdecode, paths)) if not _lies_in(path, ignoring))

    def add(self, taken: Taken, files: Mapping[str, str | bytes]) -> Taken:
        """The snapshot with files added: path in it (relative, with `/`), and where the file lies, or its bytes.

        For code that was used although it is no source: ignored by git, or outside the project. Returns the same
        `taken` where nothing is new; call `complete` on what is returned.
        """
        if not files or (taken.code.snapshot is None and not self._observed_only):
            return taken
        known = self._name_of(taken, files)
        if known is not None and remembered.text(f"{self._cache}-used") == known:
            return taken
        from vestige.capture import building
        from vestige.capture.blobs import Blobs
        from vestige.model.values import replace

        try:
            self._store.init()
            database = self._store.database([source.repository.objects for source in taken.sources])
            blobs = Blobs(database, self._rules, self._holds_secret)
            added = building.add(taken.state.removeprefix("git:"), files, blobs, self._is_secret)
        except (OSError, KeyError, ValueError, VestigeError) as error:
            return _with(taken, [f"code that was used could not be kept: {_said(error)}"])
        withheld = tuple(sorted({*taken.code.withheld, *added.withheld}))
        snapshot = f"git:{added.tree}" if added.tree else None
        code = replace(taken.code, snapshot=snapshot, withheld=withheld, private=tuple(sorted(added.private)))
        large = [(path, size) for path, size in added.large if (path, size) not in taken.left_out]
        more = Taken(code, (*taken.problems, *added.problems, *_lines(large, [], self._rules)), (*taken.left_out, *large))
        more.memory, more.sources, more.database, more.uncommitted = taken.memory, taken.sources, database, taken.uncommitted
        if code != taken.code or more.problems != taken.problems:
            return more
        if known is not None:
            remembered.write(f"{self._cache}-used", known)
        return taken

    def _name_of(self, taken: Taken, files: Mapping[str, str | bytes]) -> bytes | None:
        """A name for a snapshot and the files that were used with it; None where one of these may still be changing."""
        newest = (time.time() - _SETTLED) * 1e9
        names = [taken.state.encode("ascii")]
        for name, content in sorted(files.items()):
            path = os.fsencode(content)
            try:
                if isinstance(content, bytes) or os.path.islink(path) or os.stat(path).st_ctime_ns > newest:
                    return None
            except OSError:
                return None
            names += [os.fsencode(name), path, signature(path)]
        return digest(names)

    def _look(self, memory: remembered.Memory, *, whole: bool = False) -> Looking:
        try:
            self._store.init()
        except OSError:
            pass  # it will be said where something is to be written
        looking = Looking(self._root, self._store.path, memory.studies, self._program, self._is_secret, self._rules, whole=whole)
        for part in looking.parts:
            folder = os.fsencode(part.folder) + b"/"
            part.signatures = {path: signature(folder + path) for path in part.wanted}
        return looking

    def _open(self, looking: Looking) -> Database:
        return self._store.database([part.repository.objects for part in looking.parts if part.repository is not None])

    def _pin(self, looking: Looking, memory: remembered.Memory) -> Taken:
        from vestige.capture import building

        self._store.init()
        database = self._open(looking)
        try:
            found = building.pin(looking, memory, database, self._outputs, self._tracked, self._holds_secret)
        except (KeyError, VestigeError) as error:
            problems = [*looking.problems, f"the commit could not be read, so that every file was: {_said(error)}"]
            looking = self._look(memory, whole=True)
            looking.problems[:] = problems
            found = building.pin(looking, memory, database, self._outputs, self._tracked, self._holds_secret)
        try:
            remembered.save(self._cache, self._root, self._rules.name(), found)
        except OSError:
            pass  # the next snapshot takes longer
        taken = self._taken(looking, found)
        taken.database = database
        return taken

    def _tracked(self, part: Part) -> list[tuple[bytes, int]]:
        from vestige.capture import index

        return index.sizes(self._program, part, self._rules.file)

    def _taken(self, looking: Looking, memory: remembered.Memory) -> Taken:
        main, *others = looking.parts
        repositories = [
            Repository(
                path=os.fsdecode(part.at[:-1]),
                commit=part.commit,
                branch=part.branch,
                remotes=self._remotes(part),
                dirty=bool(memory.dirty.get(part.at)),
            )
            for part in others
        ]
        repositories += [
            Repository(path=os.fsdecode(part.at + path), commit=commit)
            for part in looking.parts
            for path, commit in part.submodules
        ]
        withheld = {os.fsdecode(part.at + path) for part in looking.parts for path in part.withheld}
        code = Code(
            commit=main.commit,
            branch=main.branch,
            remotes=self._remotes(main),
            dirty=memory.dirty[b""] if memory.dirty else _presumably_dirty(main),
            snapshot=f"git:{memory.tree}" if memory.tree else None,
            base=f"git:{memory.base}" if memory.base else None,
            withheld=tuple(sorted({*map(os.fsdecode, memory.withheld), *withheld})),
            private=tuple(sorted(map(os.fsdecode, memory.private))),
            repositories=tuple(sorted(repositories, key=lambda one: one.path)),
        )
        large = [(os.fsdecode(path), size) for path, size in memory.large]
        lines = _lines(large, [os.fsdecode(path) for path in memory.unreadable], self._rules)
        taken = Taken(code, (*looking.problems, *lines), tuple(large))
        taken.memory = memory
        taken.uncommitted = tuple(sorted(map(os.fsdecode, memory.uncommitted)))
        taken.sources = [
            Source(part.repository, memory.bases[part.at], memory.previous.get(part.at, ""))
            for part in reversed(looking.parts)  # what lies inside goes first: the tree around it holds its tree
            if part.repository is not None and part.at in memory.bases
        ]
        return taken

    def _remotes(self, part: Part) -> dict[str, str]:
        return {name: self._redact(url) for name, url in part.remotes.items()}

    def _absorb(self, source: Source) -> list[str]:
        if not source.tree:
            return []  # which of its trees are needed is not known; `_keep` looks for every object
        known = [source.known] if source.known and self._store.kept(source.known) else []
        try:
            self._store.absorb([source.tree], source.repository.git_dir, [source.repository.objects], known)
            self._store.keep([source.tree])
        except (OSError, VestigeError) as error:
            return [f"the commit of {source.repository.top} was not kept: {_said(error)}"]
        return []

    def _forget_base(self, taken: Taken) -> None:
        """Do not try again what cannot be had."""
        if taken.memory is not None:
            taken.memory.base = ""
            taken.memory.bases.clear()
            remembered.save(self._cache, self._root, self._rules.name(), taken.memory)

    def _keep(self, taken: Taken, trees: list[str], *, whole: bool) -> None:
        if whole:
            self._store.absorb(trees, None, [source.repository.objects for source in taken.sources])
        self._store.keep(trees)


def _is_secret(path: str) -> bool:
    from vestige.model.secret_names import is_secret_file  # most projects have no changed or untracked file to be judged

    return is_secret_file(path)


def _holds_secret(data: bytes) -> bool:
    from vestige.model import redaction

    return bool(redaction.scan(data))


def _both(memory: remembered.Memory) -> list[str]:
    return [tree for tree in (memory.tree, memory.base) if tree]


def _with(taken: Taken, problems: list[str], **changes: object) -> Taken:
    from vestige.model.values import replace

    code = replace(taken.code, **changes) if changes else taken.code  # type: ignore[arg-type]  # fields of Code
    more = Taken(code, (*taken.problems, *problems), taken.left_out)
    more.memory, more.sources, more.database = taken.memory, taken.sources, taken.database
    more.uncommitted = taken.uncommitted
    return more


def _presumably_dirty(part: Part) -> bool | None:
    """What can be said where no tree could be built."""
    if part.repository is None:
        return None
    return bool(part.touched or part.gone or any(wanted.role in "mpu" for wanted in part.wanted.values()))


def _lines(large: list[tuple[str, int]], unreadable: list[str], rules: Rules) -> list[str]:
    """What was left out of the snapshot, one line a file as long as these are few."""
    limits = f"source_limit is {rules.file} bytes, snapshot_limit {rules.whole}"
    lines = [f"not in the snapshot: {path!r} has {size} bytes ({limits})" for path, size in large[:_LISTED]]
    lines += [f"not in the snapshot: {path!r} cannot be read" for path in unreadable[:_LISTED]]
    rest = len(large) + len(unreadable) - len(lines)
    return [*lines, f"not in the snapshot: {rest} more files that are too large or cannot be read"] if rest else lines


def _lies_in(path: str, names: set[str]) -> bool:
    while path:
        if path in names:
            return True
        path = path.rpartition("/")[0]
    return False


def _said(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"object {error.args[0]} is missing"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}{f' ({error.filename})' if error.filename else ''}"
    return str(error) or type(error).__name__
