"""What lies in a project: each repository in it, or plain folder, and which of its files have to be looked at.

In a repository these are the files that differ from the commit, and untracked sources: for a project whose code
is committed, none. Elsewhere they are all sources. Nothing is read here but what names files.

A part is one repository or plain folder. Repositories inside others (submodules, untracked clones) are parts of
their own; `at` says where they lie, so that one tree can hold everything.
"""

from __future__ import annotations

import os

from vestige.capture import git, gitconfig, sources
from vestige.model import sha1

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vestige.model.gitformat import IndexEntry

#: More repositories than this inside a project are a collection of data.
_MOST_REPOSITORIES = 64
_MOST_PROBLEMS = 20


class Wanted:
    """A file to be looked at, and why: its role.

    "m": it differs from the commit; `mode` is git's. "u", "?": untracked, and by its name source, or perhaps.
    "l": tracked, where there is no commit to build on. Files of whose changes git does not speak, with their mode and id
    in the index: "c", it may look different in a commit; "f", by a filter; "s", skip-worktree; "a", assume-unchanged.
    "p": git, whose filters are off, says that it differs; the filter may say that it does not.
    """

    __slots__ = ("mode", "oid", "role")

    def __init__(self, role: str, mode: int | None = None, oid: str = "") -> None:
        self.role = role
        self.mode = mode
        self.oid = oid


class Study:
    """What was found in an index, valid while `key` is. `total`: bytes of the tracked files that are within the limit."""

    __slots__ = ("attribute_files", "count", "key", "large", "secrets", "submodules", "total", "watched")

    def __init__(self) -> None:
        self.key = b""
        self.attribute_files: list[bytes] = []
        self.watched: dict[bytes, Wanted] = {}
        self.submodules: list[tuple[bytes, str]] = []
        self.secrets: list[bytes] = []
        self.large: list[tuple[bytes, int]] = []
        self.total = 0
        self.count = 0


class Part:
    """One repository, or plain folder, of a project. Paths in it are relative to `folder`."""

    __slots__ = (
        *("at", "branch", "commit", "configuration", "cut", "folder", "gone", "inside", "on_commit", "remotes"),
        *("inner", "repository", "signatures", "study", "submodules", "touched", "wanted", "withheld"),
    )

    def __init__(self, folder: str, at: bytes) -> None:
        self.folder = folder
        self.at = at
        self.repository: git.Repository | None = None
        self.configuration: gitconfig.Configuration | None = None
        self.inside = b""
        self.commit: str | None = None
        self.branch: str | None = None
        self.remotes: dict[str, str] = {}
        self.on_commit = False  # whether `wanted` is what differs from the commit, or everything
        self.touched: bool | None = None  # whether git says that something differs which trees will not show; None: not asked
        self.wanted: dict[bytes, Wanted] = {}
        self.gone: list[bytes] = []  # not in the work tree
        self.cut: list[bytes] = []  # left out of the snapshot and of the commit's tree alike
        self.withheld: list[bytes] = []
        self.inner: list[bytes] = []  # repositories in it
        self.submodules: list[tuple[bytes, str]] = []  # those that are not checked out, and their commits
        self.study: Study | None = None
        self.signatures: dict[bytes, bytes] = {}


class Looking:
    """One look at a project. `parts` holds the project's own first; `problems` are lines for the record.

    `code_git` is a repository without an index, whose ignore engine serves a plain folder.
    `rules` say which files are too large. `whole`: want every file, and build on no commit.
    """

    def __init__(
        self,
        root: str,
        code_git: str,
        studies: dict[bytes, Study],
        program: git.Program,
        is_secret: Callable[[bytes], bool],
        rules: sources.Rules,
        *,
        whole: bool = False,
    ) -> None:
        self.parts: list[Part] = []
        self.rules = rules
        self.problems: list[str] = []
        self._code_git = code_git
        self._studies = studies
        self._program = program
        self.is_secret = is_secret
        self._whole = whole
        self._look(root, b"", git.find(root))

    def _look(self, folder: str, at: bytes, repository: git.Repository | None) -> None:
        if len(self.parts) > _MOST_REPOSITORIES:
            self._say(
                f"there are more than {_MOST_REPOSITORIES} repositories in the project: code from {os.fsdecode(at)} is left out"
            )
            return
        part = Part(folder, at)
        self.parts.append(part)
        nested = self._repository(part, repository) if repository is not None else None
        if nested is None:
            nested = self._plain(part)
        for path in nested:
            inner = os.path.join(folder, os.fsdecode(path))
            found = git.at(inner)
            if found is not None:
                part.inner.append(path)
                self._look(inner, at + path + b"/", found)

    def _repository(self, part: Part, repository: git.Repository) -> list[bytes] | None:
        """Fill a part from its repository; None where the folder belongs to none after all. Returns repositories inside."""
        part.repository = repository
        part.configuration = configuration = gitconfig.load(repository.common, repository.git_dir)
        part.remotes = configuration.remotes
        inside = os.path.relpath(part.folder, repository.top)
        inside = "" if inside == os.curdir else inside
        part.inside = os.fsencode(inside) + b"/" if inside else b""
        try:
            status = git.status(self._program, repository, inside, configuration)
            part.commit, part.branch = status.commit, status.branch
            self._say(*status.warnings)
            part.study = self._study(part, repository, status)
        except git.GitError as error:
            self._say(f"the code was read without git: {error}")
            return self._by_hand(part, repository)
        if inside and not part.study.count:
            self._forget(part)
            return None  # a folder that a repository around it ignores, or has nothing to do with
        part.on_commit = not (configuration.sha256 or self._whole)
        part.touched = bool(status.changed) and not part.on_commit
        nested = self._untracked(part, [path[len(part.inside) :] for path in status.untracked])
        self._changed(part, status)
        if not part.on_commit:
            self._everything(part, self._index(repository, configuration))
        return nested

    def _changed(self, part: Part, status: git.Status) -> None:
        study = part.study or Study()
        part.cut += [*study.secrets, *(path for path, _ in study.large)]
        part.withheld += study.secrets
        watched = study.watched
        for full, mode in status.changed:
            path = full[len(part.inside) :]
            known = watched.get(path)
            if mode == 0o160000:
                part.touched = True
            elif self.is_secret(path):
                part.touched = True
                part.cut.append(path)
                part.withheld.append(path)
            elif mode is None:
                part.gone.append(path)
            elif known is not None and known.role == "f" and full not in status.staged:
                part.wanted[path] = Wanted("p", mode, known.oid)
            else:
                part.wanted.setdefault(path, Wanted("m", mode))
        gone = set(part.gone) if watched else set()
        for path, wanted in watched.items():
            if path not in part.wanted and path not in gone:
                part.wanted[path] = wanted

    def _untracked(self, part: Part, paths: list[bytes]) -> list[bytes]:
        """Take the sources among untracked files; returns the repositories among them, and submodules that are checked out."""
        admits = sources.Filter(paths).admits
        nested = []
        for path in paths:
            if path.endswith(b"/"):
                if admits(path):
                    nested.append(path[:-1])
            elif self.is_secret(path):
                if admits(path):
                    part.withheld.append(path)
            elif (verdict := sources.by_name(path)) and admits(path):
                part.wanted[path] = Wanted("u" if verdict == sources.YES else "?")
        for path, commit in part.study.submodules if part.study else ():
            if git.at(os.path.join(part.folder, os.fsdecode(path))) is not None:
                nested.append(path)
            else:
                part.cut.append(path)
                part.submodules.append((path, commit))
        return nested

    def _plain(self, part: Part) -> list[bytes]:
        try:
            listed = git.untracked(self._program, part.folder, self._code_git, sources.exclude_patterns())
            self._say(*listed.warnings)
            paths = listed.untracked
        except git.GitError as error:
            self._say(f"the folder was read without git: {error}")
            paths = self._walked(part, None)
        return self._untracked(part, paths)

    def _by_hand(self, part: Part, repository: git.Repository) -> list[bytes] | None:
        """What can be had of a repository without git: commit and branch, the index, and a walk through the folder."""
        part.commit, part.branch = git.head(repository)
        configuration = part.configuration or gitconfig.Configuration()
        try:
            tracked = self._index(repository, configuration)
        except git.GitError as error:
            self._say(f"the index of {repository.top} was not read: {error}")
            tracked = []
        if part.inside and not any(entry.path.startswith(part.inside) for entry in tracked):
            self._forget(part)
            return None
        nested = self._untracked(part, self._walked(part, configuration))
        submodules = self._everything(part, tracked)
        return [*nested, *(path for path in submodules if path not in nested)]

    def _everything(self, part: Part, tracked: list[IndexEntry]) -> list[bytes]:
        """Want every tracked file, where there is no commit to build on; returns submodules."""
        submodules = []
        for entry in tracked:
            path = entry.path[len(part.inside) :]
            if not entry.path.startswith(part.inside):
                continue
            if entry.mode == 0o160000:
                submodules.append(path)
            elif self.is_secret(path):
                part.cut.append(path)
                part.withheld += [] if path in part.withheld else [path]
            elif entry.mode != 0o040000:
                part.wanted[path] = Wanted("l")
        return submodules

    def _walked(self, part: Part, configuration: gitconfig.Configuration | None) -> list[bytes]:
        from vestige.capture import ignore

        outer: list[ignore.Rule] = []
        base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
        configuration = configuration or gitconfig.load(None, None)
        files = [configuration.excludes_file or os.path.join(base, "git", "ignore")]
        if part.repository is not None:
            files.append(os.path.join(part.repository.common, "info", "exclude"))
        for path in files:
            outer += ignore.rules(os.fsencode(gitconfig.read_text(path, 1 << 20)))
        patterns = "\n".join(sources.exclude_patterns()).encode("ascii")
        closed: list[bytes] = []
        found = ignore.walk(part.folder, outer, keep_out=ignore.rules(patterns), closed=closed)
        self._say(*(f"could not open directory '{os.fsdecode(part.at + folder)}'" for folder in closed))
        return found

    def _index(self, repository: git.Repository, configuration: gitconfig.Configuration) -> list[IndexEntry]:
        from vestige.capture import index

        return index.entries(self._program, repository, sha256=configuration.sha256)

    def _study(self, part: Part, repository: git.Repository, status: git.Status) -> Study:
        """What the index says beside the status: remembered, or found out now."""
        configuration = part.configuration or gitconfig.Configuration()
        known = self._studies.get(part.at)
        outer = [
            "/etc/gitattributes",
            configuration.attributes_file or os.path.join(_user_configuration(), "git", "attributes"),
            os.path.join(repository.common, "info", "attributes"),
        ]
        loose = [path for path in status.untracked if path.endswith(b".gitattributes")]
        top = os.fsencode(repository.top)

        def key(study: Study) -> bytes:
            inner = sorted({b".gitattributes", *loose, *study.attribute_files})
            paths = [os.fsencode(repository.index), *map(os.fsencode, outer), *(os.path.join(top, path) for path in inner)]
            states = [path + b" " + signature(path) for path in paths]
            return digest([part.inside, b"%d" % configuration.autocrlf, *states])

        if known is not None and known.key == key(known):
            return known
        from vestige.capture import index

        found = index.study(self._program, repository, part.inside, configuration, outer, loose, self.is_secret, self.rules.file)
        found.key = key(found)
        return found

    def _forget(self, part: Part) -> None:
        part.repository = part.configuration = part.study = part.commit = part.branch = None
        part.inside, part.remotes = b"", {}

    def _say(self, *problems: str) -> None:
        self.problems += [problem for problem in problems[:_MOST_PROBLEMS] if problem not in self.problems]


def signature(path: bytes) -> bytes:
    """What the file system says of a file without reading it; `-` where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return b"-"
    return b"%d %d %d %d %o" % (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_mode)


def digest(parts: list[bytes]) -> bytes:
    """One short name for many bytes."""
    return sha1.of(b"\0".join(parts)).encode("ascii")


def state(parts: list[Part]) -> bytes:
    """A name for all that a snapshot depends on: the commits, and every file looked at."""
    fields = []
    for part in parts:
        fields += [part.at, part.inside, (part.commit or "").encode("ascii"), b"%d" % part.on_commit]
        fields += [*part.cut, b"", *part.gone, b""]
        for path, wanted in part.wanted.items():
            fields += [path, part.signatures[path], b"%s %o %s" % (wanted.role.encode(), wanted.mode or 0, wanted.oid.encode())]
    return digest(fields)


def _user_configuration() -> str:
    return os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.environ.get("HOME", ""), ".config")
