"""A git repository as its owner left it: asked in one process, or read from its plain files, and never touched.

git runs with every inherited `GIT_*` dropped, without optional locks (`git status` would rewrite the index),
hooks, file system monitor, filters (they are programs, and that of LFS writes into `.git/lfs`), prompts and
network. Where there is no git program, HEAD, refs and configuration are read by hand.

All paths that git names are bytes, relative to the top of the work tree.
"""

from __future__ import annotations

import os
import select
import time

from vestige.capture import gitconfig
from vestige.capture.gitconfig import read_text
from vestige.model import sha1

#: Inherited variables that say where git's own parts and configuration lie.
_INHERITED = frozenset({"GIT_EXEC_PATH", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"})
_SET = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",  # what keeps a git before 2.44 from fetching what a partial clone lacks
}
_QUIET = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "gc.auto=0", "maintenance.auto=false")
#: Below this many bytes of index, threads cost more than they save.
_SMALL_INDEX = 1 << 20
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


class GitError(Exception):
    """git is not there, failed, or took too long; the text says which."""


class Program:
    """How git is called: its name or path, how many seconds it may take, and a folder for objects that it makes up on the way.

    Without such a folder it would put trees into the user's repository when it reads a sparse index.
    """

    __slots__ = ("name", "scratch", "seconds")

    def __init__(self, name: str, seconds: float, scratch: str) -> None:
        self.name = name
        self.seconds = seconds
        self.scratch = scratch


class Repository:
    """Where a repository keeps what: `top` of its work tree, its own `git_dir`, and `common` (shared by linked work trees)."""

    __slots__ = ("common", "git_dir", "top")

    def __init__(self, top: str, git_dir: str, common: str) -> None:
        self.top = top
        self.git_dir = git_dir
        self.common = common

    @property
    def objects(self) -> str:
        """The folder of its objects."""
        return os.path.join(self.common, "objects")

    @property
    def index(self) -> str:
        """Its index, which may not exist."""
        return os.path.join(self.git_dir, "index")


class Status:
    """What `git status` says.

    `changed` holds path and mode in the work tree (None: gone, 0o160000: a submodule); `staged` those of the paths
    whose entry in the index differs from the commit; `warnings` are lines about folders that could not be read.
    """

    __slots__ = ("branch", "changed", "commit", "staged", "untracked", "warnings")

    def __init__(self) -> None:
        self.commit: str | None = None
        self.branch: str | None = None
        self.changed: list[tuple[bytes, int | None]] = []
        self.staged: set[bytes] = set()
        self.untracked: list[bytes] = []
        self.warnings: list[str] = []


def find(folder: str) -> Repository | None:
    """The repository in whose work tree a folder lies."""
    while True:
        found = at(folder)
        above = os.path.dirname(folder)
        if found is not None or above == folder:
            return found
        folder = above


def at(top: str) -> Repository | None:
    """The repository whose work tree has this top."""
    git_dir = os.path.join(top, ".git")
    if not os.path.isdir(git_dir):
        line = read_text(git_dir)
        if not line.startswith("gitdir:"):
            return None
        git_dir = os.path.normpath(os.path.join(top, line[len("gitdir:") :].strip()))
    common = read_text(os.path.join(git_dir, "commondir")).strip()
    common = os.path.normpath(os.path.join(git_dir, common)) if common else git_dir
    whole = os.path.lexists(os.path.join(git_dir, "HEAD")) and os.path.isdir(os.path.join(common, "objects"))
    return Repository(top, git_dir, common) if whole else None


def status(program: Program, repository: Repository, inside: str, configuration: gitconfig.Configuration) -> Status:
    """The state of the work tree, or of the folder `inside` it. Raises GitError."""
    settings = _settings(repository, configuration)
    arguments = ["status", "--porcelain=v2", "--branch", "-z", "-uall"]
    arguments += ["--no-renames", "--no-ahead-behind", "--ignore-submodules=dirty"]
    if inside:
        arguments += ["--", inside]
    out, said = _ask(program, repository, settings, arguments)
    found = _parse(out)
    found.warnings = _warnings(said)
    return found


def diff(program: Program, repository: Repository, configuration: gitconfig.Configuration) -> bytes:
    """What is changed of what is tracked, staged or not, as `git apply` takes it, whatever the user's configuration. Raises
    GitError."""
    commit = head(repository)[0]
    arguments = ["diff", "--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color"]
    arguments += ["--src-prefix=a/", "--dst-prefix=b/", "--unified=3", "--diff-algorithm=default", "--ignore-submodules=dirty"]
    settings = [
        *_settings(repository, configuration),
        "diff.suppressBlankEmpty=false",
        "diff.orderFile=/dev/null",
        "core.quotePath=true",
    ]
    return _ask(program, repository, settings, [*arguments, commit or _EMPTY_TREE, "--"])[0]


def _settings(repository: Repository, configuration: gitconfig.Configuration) -> list[str]:
    settings = [f"safe.directory={repository.top}"]
    try:
        if os.stat(repository.index).st_size < _SMALL_INDEX:
            settings.append("core.preloadIndex=false")
    except OSError:
        pass  # nothing has been added yet
    for name in sorted(configuration.filters):
        if "=" in name or "\n" in name:
            raise GitError(f"the filter '{name}' cannot be switched off")
        settings += [f"filter.{name}.clean=", f"filter.{name}.process=", f"filter.{name}.required=false"]
    return settings


def listed(program: Program, repository: Repository) -> list[tuple[bytes, int, str, int, str]]:
    """The index as git itself tells it: path, mode, id, stage, and `hidden` as in `model.gitformat`. Raises GitError."""
    found = []
    for line in filter(None, _ask(program, repository, [], ["ls-files", "-z", "-s", "-v"])[0].split(b"\0")):
        head, _, path = line.partition(b"\t")
        tag, mode, oid, stage = head.split(b" ")
        hidden = "s" if tag in b"Ss" else "a" if tag.islower() else ""
        found.append((path, int(mode, 8), oid.decode("ascii"), int(stage), hidden))
    return found


def untracked(program: Program, root: str, git_dir: str, excludes: list[str]) -> Status:
    """Every file below `root` that no ignore rule names; `git_dir` is a repository without an index. Raises GitError."""
    patterns = [part for pattern in excludes for part in ("-x", pattern)]
    nobody = Repository(root, git_dir, git_dir)
    out, said = _ask(program, nobody, [], ["ls-files", "-z", "--others", "--exclude-standard", *patterns])
    found = Status()
    found.untracked = list(filter(None, out.split(b"\0")))
    found.warnings = _warnings(said)
    return found


def head(repository: Repository) -> tuple[str | None, str | None]:
    """Commit and branch, read from the files; a commit is None before the first one."""
    path = os.path.join(repository.git_dir, "HEAD")
    text = "ref: " + os.readlink(path) if os.path.islink(path) else read_text(path).strip()
    if not text.startswith("ref:"):
        return _commit(text), None
    ref = text[len("ref:") :].strip()
    branch = ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else None
    for folder in (repository.git_dir, repository.common):
        found = _commit(read_text(os.path.join(folder, ref)).strip())
        if found:
            return found, branch
    for line in read_text(os.path.join(repository.common, "packed-refs"), 1 << 26).splitlines():
        commit, _, name = line.partition(" ")
        if name == ref:
            return _commit(commit), branch
    return None, branch


def without_credentials(url: str) -> str:
    """A URL less the user and password in it, and less what stands behind `?`; `git@host:` and `ssh://git@` stay."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    authority, slash, path = rest.partition("/")
    user, at_sign, host = authority.rpartition("@")
    if at_sign and (scheme not in {"ssh", "git+ssh", "ssh+git"} or ":" in user or len(user) >= 20):
        authority = host
    return f"{scheme}://{authority}{slash}{path.partition('?')[0]}"


def git_blob(path: str) -> str:
    """The id under which git would know the bytes of a file as they are now. Raises OSError."""
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        for _ in range(3):
            state, read = sha1.start(b"blob %d\0" % size, size=size), 0
            while part := file.read(1 << 20):
                state.update(part)
                read += len(part)
            if read == size:
                return state.hexdigest()
            size = read
            file.seek(0)
    raise OSError(f"{path} changes while it is read")


def _ask(program: Program, repository: Repository, settings: list[str], arguments: list[str]) -> tuple[bytes, bytes]:
    """What a git command prints, and what it says on standard error. Raises GitError."""
    command = [program.name, "-C", repository.top, f"--git-dir={repository.git_dir}", f"--work-tree={repository.top}"]
    command += [part for setting in (*_QUIET, *settings) for part in ("-c", setting)]
    command += ["--literal-pathspecs", *arguments]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in _INHERITED}
    variables.update(_SET)
    if os.path.isdir(program.scratch):
        variables["GIT_OBJECT_DIRECTORY"] = program.scratch
        variables["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = _quoted(repository.objects)
    run = _spawned if hasattr(os, "posix_spawnp") else _run
    out, said, code = run(command, variables, program.seconds)
    if code:
        lines = said.decode("utf-8", "replace").strip().splitlines()
        raise GitError(lines[-1] if lines else f"git ended with status {code}")
    return out, said


def _warnings(said: bytes) -> list[str]:
    """The lines that tell of folders which git could not read."""
    lines = os.fsdecode(said).splitlines() if said else []
    return [line.partition(": ")[2] for line in lines if line.startswith("warning: could not open directory")]


def _quoted(path: str) -> str:
    """A path as git reads it in a list separated by colons."""
    if ":" not in path and not path.startswith('"'):
        return path
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _spawned(arguments: list[str], variables: dict[str, str], seconds: float) -> tuple[bytes, bytes, int]:
    out, said = os.pipe(), os.pipe()
    try:
        actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
        actions += [(os.POSIX_SPAWN_DUP2, out[1], 1), (os.POSIX_SPAWN_DUP2, said[1], 2)]  # type: ignore[list-item]
        try:
            # Python ignores SIGPIPE (13), and what is ignored is inherited.
            pid = os.posix_spawnp(arguments[0], arguments, variables, file_actions=actions, setsigdef=(13,))
        except OSError as error:
            raise GitError(f"git does not start: {error.strerror}") from error
        finally:
            os.close(out[1])
            os.close(said[1])
        texts, in_time = _drained((out[0], said[0]), time.monotonic() + seconds)
        if not in_time:
            os.kill(pid, 9)
        try:
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except ChildProcessError:
            code = 0  # somebody else here waits for every child
        if not in_time:
            raise GitError(f"git took longer than {seconds:g} s")
        return texts[0], texts[1], code
    finally:
        os.close(out[0])
        os.close(said[0])


def _drained(fds: tuple[int, int], deadline: float) -> tuple[list[bytes], bool]:
    """Everything that comes out of two pipes, and whether both ended before the deadline."""
    parts: dict[int, list[bytes]] = {fd: [] for fd in fds}
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN | select.POLLHUP)
    left = set(fds)
    while left and (rest := deadline - time.monotonic()) > 0:
        for fd, _ in poll.poll(rest * 1000):
            part = os.read(fd, 1 << 16)
            if part:
                parts[fd].append(part)
            else:
                poll.unregister(fd)
                left.discard(fd)
    return [b"".join(parts[fd]) for fd in fds], not left


def _run(arguments: list[str], variables: dict[str, str], seconds: float) -> tuple[bytes, bytes, int]:
    """Where a process cannot be spawned more cheaply."""
    import subprocess

    try:
        done = subprocess.run(
            arguments, stdin=subprocess.DEVNULL, capture_output=True, env=variables, timeout=seconds, check=False
        )
    except OSError as error:
        raise GitError(f"git does not start: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise GitError(f"git took longer than {seconds:g} s") from error
    return done.stdout, done.stderr, done.returncode


def _parse(out: bytes) -> Status:
    found = Status()
    records = iter(out.split(b"\0"))
    for record in records:
        kind = record[:2]
        if kind == b"? ":
            found.untracked.append(record[2:])
        elif kind == b"1 ":
            _, _, _, in_index, in_tree, _, _, path = record[2:].split(b" ", 7)
            found.changed.append((path, _mode(in_index, in_tree)))
            if record[2:3] != b".":
                found.staged.add(path)
        elif kind == b"u ":
            fields = record[2:].split(b" ", 9)
            found.changed.append((fields[9], _mode(fields[5], fields[5])))
            found.staged.add(fields[9])
        elif kind == b"2 ":  # a rename, for a git that does not know --no-renames
            _, _, _, in_index, in_tree, _, _, _, path = record[2:].split(b" ", 8)
            found.changed += [(path, _mode(in_index, in_tree)), (next(records), None)]
            found.staged.add(path)
        elif record.startswith(b"# branch.oid "):
            found.commit = _commit(record[13:].decode("ascii", "replace"))
        elif record.startswith(b"# branch.head ") and record != b"# branch.head (detached)":
            found.branch = os.fsdecode(record[14:])
    return found


def _mode(in_index: bytes, in_tree: bytes) -> int | None:
    """The mode in the work tree; what was taken out of the index is gone, until it is listed as untracked."""
    return None if in_tree == b"000000" or (in_index == b"000000" and in_tree == b"160000") else int(in_tree, 8)


def _commit(text: str) -> str | None:
    return text if len(text) in {40, 64} and not text.strip("0123456789abcdef") else None
