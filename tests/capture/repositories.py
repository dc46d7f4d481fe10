"""Repositories in every state that a snapshot must survive, made with real git."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

SOURCE = "print('hello')\n"


def git(folder: Path, *arguments: str, feed: bytes = b"") -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], input=feed, capture_output=True, check=False)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return os.fsdecode(done.stdout).strip()


def write(folder: Path, name: str | bytes, data: bytes | str = SOURCE) -> Path:
    path = folder / os.fsdecode(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def commit(folder: Path, message: str = "x") -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def repository(folder: Path, *options: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main", *options)
    git(folder, "config", "core.autocrlf", "false")
    return folder


def project(folder: Path) -> Path:
    """A repository with a commit: a package, a script that can be executed, a symlink, data."""
    repository(folder)
    write(folder, "train.py")
    write(folder, "src/model.py", "class Net: ...\n")
    write(folder, "src/deep/er/util.py", "def f(): ...\n")
    write(folder, "run.sh", "#!/bin/sh\necho run\n").chmod(0o755)
    write(folder, "data/tracked.csv", "a,b\n1,2\n")
    write(folder, ".gitignore", "*.log\nignored/\n")
    (folder / "link.py").symlink_to("train.py")
    commit(folder)
    return folder


def contents(folder: Path, *, without: tuple[str, ...] = (".git", ".vestige")) -> dict[str, tuple[str, bytes, bool]]:
    """Everything below a folder: kind, bytes (or target), and whether it can be executed."""
    found = {}
    for base, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in without]
        links = [name for name in folders if os.path.islink(os.path.join(base, name))]
        for name in [*names, *links]:
            if name in without:
                continue
            path = os.path.join(base, name)
            relative = os.path.relpath(path, folder)
            if os.path.islink(path):
                found[relative] = "link", os.fsencode(os.readlink(path)), False
            else:
                with open(path, "rb") as file:
                    found[relative] = "file", file.read(), bool(os.stat(path).st_mode & stat.S_IXUSR)
    return found


def untouched(git_dir: Path) -> Mapping[str, object]:
    """All that can be seen of a repository's own files: content, mode, inode and times."""
    found: dict[str, object] = {}
    for base, folders, names in os.walk(git_dir):
        for name in [*names, *folders]:
            path = os.path.join(base, name)
            info = os.lstat(path)
            data = Path(path).read_bytes() if stat.S_ISREG(info.st_mode) else b""
            found[path] = (info.st_mode, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns, data)
    return found


State = Callable[[Path], object]
STATES: dict[str, State] = {}


def state(make: State) -> State:
    STATES[make.__name__] = make
    return make


@state
def clean(folder: Path) -> None:
    project(folder)


@state
def unstaged(folder: Path) -> None:
    write(project(folder), "train.py", "print('changed')\n")


@state
def staged(folder: Path) -> None:
    write(project(folder), "train.py", "print('staged')\n")
    write(folder, "new.py")
    git(folder, "add", "-A")


@state
def staged_and_changed_again(folder: Path) -> None:
    staged(folder)
    write(folder, "train.py", "print('and again')\n")


@state
def staged_then_reverted(folder: Path) -> None:
    staged(folder)
    write(folder, "train.py")


@state
def untracked(folder: Path) -> None:
    write(project(folder), "src/new/thing.py")
    write(folder, "tool", "#!/usr/bin/env python3\n").chmod(0o755)
    write(folder, "params.yaml", "lr: 0.1\n")
    (folder / "other.py").symlink_to("src/new/thing.py")


@state
def deleted(folder: Path) -> None:
    (project(folder) / "src/model.py").unlink()
    git(folder, "rm", "-q", "src/deep/er/util.py")


@state
def removed_from_the_index_only(folder: Path) -> None:
    git(project(folder), "rm", "-q", "--cached", "train.py")


@state
def renamed(folder: Path) -> None:
    git(project(folder), "mv", "src/model.py", "src/net.py")
    (folder / "train.py").rename(folder / "fit.py")


@state
def mode_changed(folder: Path) -> None:
    (project(folder) / "train.py").chmod(0o755)
    (folder / "run.sh").chmod(0o644)


@state
def file_became_folder(folder: Path) -> None:
    (project(folder) / "train.py").unlink()
    write(folder, "train.py/__main__.py")


@state
def folder_became_file(folder: Path) -> None:
    git(project(folder), "rm", "-rq", "src")
    write(folder, "src", "#!/bin/sh\n")


@state
def file_became_link(folder: Path) -> None:
    (project(folder) / "train.py").unlink()
    (folder / "train.py").symlink_to("src/model.py")
    (folder / "link.py").unlink()
    (folder / "link.py").symlink_to("nowhere/at\nall")


@state
def strange_names(folder: Path) -> None:
    project(folder)
    names = (b"new\nline.py", b"\xff\xfe.py", b'qu"ote\\.py', b" lead.py", b"tab\t/in.py", "ünï/cödé.py".encode(), b"-dash.py")
    for name in names:
        write(folder, name)
    commit(folder)
    for name in names[:4]:
        write(folder, name, b"changed\n")
        write(folder, b"untracked-" + name.strip())


@state
def binary_and_no_newline(folder: Path) -> None:
    write(project(folder), "blob.bin", bytes(range(256)) * 40)
    write(folder, "end.py", "no newline")
    commit(folder)
    write(folder, "blob.bin", bytes(reversed(range(256))) * 41)
    write(folder, "end.py", "still no newline")
    write(folder, "start.py", "none here")


@state
def crlf_by_configuration(folder: Path) -> None:
    write(project(folder), "dos.py", b"a = 1\nb = 2\n")
    commit(folder)
    git(folder, "config", "core.autocrlf", "true")
    (folder / "dos.py").unlink()
    git(folder, "checkout", "dos.py")
    assert b"\r\n" in (folder / "dos.py").read_bytes()
    write(folder, "train.py", b"print('mixed')\r\nx = 1\n")


@state
def crlf_by_attribute(folder: Path) -> None:
    write(project(folder), ".gitattributes", "*.bat eol=crlf\n*.py text=auto\n")
    write(folder, "src/win.bat", b"echo\r\n")
    write(folder, "auto.py", b"a\r\nb\r\n")
    commit(folder)
    write(folder, "auto.py", b"a\nb\r\n")


@state
def ident_and_encoding(folder: Path) -> None:
    write(project(folder), ".gitattributes", "id.py ident\nwide.py text working-tree-encoding=UTF-16LE\n")
    write(folder, "id.py", "# $Id$\n")
    write(folder, "wide.py", "x = 'ä'\n".encode("utf-16-le"))
    commit(folder)
    (folder / "id.py").unlink()
    git(folder, "checkout", "id.py")
    assert b"$Id: " in (folder / "id.py").read_bytes()


@state
def filtered(folder: Path) -> None:
    """As LFS does it: the commit holds a pointer, the work tree the content, and the filter writes into `.git`."""
    project(folder)
    program = write(folder, ".git/pointer.sh", '#!/bin/sh\ndate +%N > "$(dirname "$0")/called"\ncat > /dev/null\necho pointer\n')
    program.chmod(0o755)
    git(folder, "config", "filter.big.clean", f"'{program}'")
    git(folder, "config", "filter.big.required", "true")
    write(folder, ".gitattributes", "*.dat filter=big -text\n")
    write(folder, "weights.dat", bytes(range(200)))
    write(folder, "more.dat", bytes(range(100)))
    commit(folder)
    assert git(folder, "show", "HEAD:weights.dat") == "pointer"
    write(folder, "more.dat", b"changed")


@state
def no_commit_yet(folder: Path) -> None:
    write(repository(folder), "train.py")
    write(folder, "staged.py")
    git(folder, "add", "staged.py")


@state
def detached(folder: Path) -> None:
    git(project(folder), "checkout", "-q", "--detach")
    write(folder, "train.py", "x\n")


@state
def conflict(folder: Path) -> None:
    git(project(folder), "checkout", "-q", "-b", "other")
    write(folder, "train.py", "theirs\n")
    write(folder, "src/model.py", "theirs\n")
    commit(folder)
    git(folder, "checkout", "-q", "main")
    write(folder, "train.py", "ours\n")
    git(folder, "rm", "-q", "src/model.py")
    commit(folder)
    subprocess.run(["git", "-C", str(folder), "merge", "-q", "other"], capture_output=True, check=False)
    assert b"<<<<" in (folder / "train.py").read_bytes()


@state
def intent_to_add(folder: Path) -> None:
    write(project(folder), "soon.py")
    git(folder, "add", "-N", "soon.py")


@state
def assumed_unchanged(folder: Path) -> None:
    git(project(folder), "update-index", "--assume-unchanged", "train.py", "src/model.py")
    write(folder, "train.py", "print('hidden change')\n")


@state
def skipped_and_changed(folder: Path) -> None:
    git(project(folder), "update-index", "--skip-worktree", "train.py")
    write(folder, "train.py", "print('local only')\n")


@state
def sparse(folder: Path) -> None:
    git(project(folder), "sparse-checkout", "set", "--no-cone", "/*", "!/src/deep/")
    assert not (folder / "src/deep").exists()
    write(folder, "src/model.py", "changed\n")


@state
def sparse_index(folder: Path) -> None:
    write(project(folder), "other/thing.py")
    write(folder, "other/deeper/thing.py")
    commit(folder)
    git(folder, "sparse-checkout", "set", "--cone", "--sparse-index", "src/deep")
    assert not (folder / "other").exists()


@state
def split_index(folder: Path) -> None:
    git(project(folder), "update-index", "--split-index")
    write(folder, "train.py", "changed\n")
    git(folder, "add", "train.py")
    git(folder, "update-index", "--assume-unchanged", "src/model.py")
    write(folder, "src/model.py", "hidden\n")


@state
def index_version_4(folder: Path) -> None:
    git(project(folder), "update-index", "--index-version", "4")
    git(folder, "update-index", "--skip-worktree", "src/model.py")
    write(folder, "src/model.py", "hidden\n")


@state
def linked_work_tree(folder: Path) -> None:
    main = project(folder.parent / "main-tree")
    git(main, "worktree", "add", "-q", "-b", "side", str(folder))
    write(folder, "train.py", "in the linked tree\n")
    write(folder, "only_here.py")


@state
def shallow(folder: Path) -> None:
    origin = project(folder.parent / "origin")
    for number in range(3):
        write(origin, "train.py", f"{number}\n")
        commit(origin)
    git(folder.parent, "clone", "-q", "--depth", "1", f"file://{origin}", str(folder))
    write(folder, "train.py", "changed\n")


@state
def borrowing_clone(folder: Path) -> None:
    origin = project(folder.parent / "origin")
    git(folder.parent, "clone", "-q", "--shared", str(origin), str(folder))
    write(folder, "src/model.py", "changed\n")


@state
def without_blobs(folder: Path) -> None:
    """A partial clone: blobs that nobody checked out are not there."""
    origin = project(folder.parent / "origin")
    git(origin, "config", "uploadpack.allowFilter", "true")
    git(folder.parent, "clone", "-q", "--filter=blob:none", f"file://{origin}", str(folder))
    write(folder, "src/model.py", "changed\n")


@state
def packed(folder: Path) -> None:
    project(folder)
    for number in range(30):
        write(folder, "src/long.py", "".join(f"line {line} {number if line == number else ''}\n" for line in range(200)))
        commit(folder)
    git(folder, "repack", "-adq", "--depth=20")
    git(folder, "pack-refs", "--all")
    write(folder, "src/long.py", "short\n")


@state
def submodule(folder: Path) -> None:
    library = project(folder.parent / "library")
    project(folder)
    git(folder, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "vendor/lib")
    commit(folder)


@state
def submodule_dirty_and_advanced(folder: Path) -> None:
    submodule(folder)
    write(folder, "vendor/lib/train.py", "changed\n")
    commit(folder / "vendor/lib")
    write(folder, "vendor/lib/src/model.py", "changed, too\n")
    write(folder, "vendor/lib/extra.py")


@state
def submodule_inside_submodule(folder: Path) -> None:
    inner = project(folder.parent / "inner")
    library = project(folder.parent / "library")
    git(library, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub")
    commit(library)
    project(folder)
    git(folder, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "lib")
    git(folder, "-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init", "--recursive")
    commit(folder)
    write(folder, "lib/sub/train.py", "deep change\n")


@state
def untracked_repository(folder: Path) -> None:
    project(folder)
    project(folder / "tools/clone")
    write(folder, "tools/clone/train.py", "changed\n")
    write(folder, "tools/clone/new.py")


@state
def untracked_repository_without_commit(folder: Path) -> None:
    project(folder)
    write(repository(folder / "fresh"), "a.py")


@state
def hooked(folder: Path) -> None:
    """Hooks, a file system monitor and settings that change what git prints."""
    project(folder)
    for hook in ("post-index-change", "reference-transaction", "pre-commit", "fsmonitor-watchman", "post-checkout"):
        write(folder, f".git/hooks/{hook}", '#!/bin/sh\ndate +%N > "$(dirname "$0")/../called"\n').chmod(0o755)
    git(folder, "config", "core.fsmonitor", ".git/hooks/fsmonitor-watchman")
    for name, value in {
        "color.ui": "always",
        "color.status": "always",
        "diff.noprefix": "true",
        "diff.mnemonicPrefix": "true",
        "diff.external": "false",
        "core.quotePath": "false",
        "status.short": "true",
        "status.showUntrackedFiles": "no",
        "status.renames": "copies",
        "core.pager": "false",
        "diff.algorithm": "histogram",
    }.items():
        git(folder, "config", name, value)
    (folder / ".git/called").unlink(missing_ok=True)
    git(folder, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "mv", "train.py", "fit.py")
    write(folder, "src/model.py", "changed\n")
    write(folder, "new.py")


@state
def sha256(folder: Path) -> None:
    repository(folder, "--object-format=sha256")
    write(folder, "train.py")
    write(folder, "src/model.py")
    write(folder, "data.csv", "1\n")
    commit(folder)
    write(folder, "src/model.py", "changed\n")
    write(folder, "new.py")
    (folder / "train.py").unlink()


@state
def empty_repository(folder: Path) -> None:
    repository(folder)


@state
def hundred_files(folder: Path) -> None:
    """Enough new files for a pack of their own."""
    project(folder)
    for number in range(100):
        write(folder, f"new/n{number}.py", f"n = {number}\n")
