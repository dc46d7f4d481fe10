"""What lies beside a script's results: `info.txt`, `package_versions.txt`, and the script itself where git does not have it.

The sections of `info.txt` and their order are those of footsteps, since people have scripts that read them. The section of
uncommitted changes, cut out, can be given to `git apply`; what holds a secret is left out of it, and said so.
"""

from __future__ import annotations

import os

from vestige.capture import git, gitconfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

INFO, PACKAGES = "info.txt", "package_versions.txt"
HEADERS = ("Command:", "System:", "Python:", "Git Hash:", "Uncommitted changes:", "Current working dir:")
_SECONDS = 30.0
_ABBREVIATED = 7
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_")


class Info:
    """The sections. Changes are bytes, as names in a command may be: they need not be UTF-8. `note` stands for the commit where
    there is none."""

    __slots__ = ("changes", "command", "commit", "cwd", "note", "python", "system")

    def __init__(
        self,
        *,
        command: Sequence[str],
        system: str,
        python: str,
        commit: str | None,
        changes: bytes,
        cwd: str,
        note: str | None = None,
    ) -> None:
        self.command = command
        self.system = system
        self.python = python
        self.commit = commit
        self.changes = changes
        self.cwd = cwd
        self.note = note


def render(info: Info) -> bytes:
    """The text of `info.txt`."""
    commit = (info.commit or "")[:_ABBREVIATED] if info.note is None else info.note
    texts = [" ".join(map(_quoted, info.command)), info.system, info.python, commit]
    parts = [os.fsencode(f"{header}\n{text}\n") for header, text in zip(HEADERS, texts, strict=False)]
    changes = info.changes if not info.changes or info.changes.endswith(b"\n") else info.changes + b"\n"
    parts.append(os.fsencode(HEADERS[4] + "\n") + changes)
    parts.append(os.fsencode(f"{HEADERS[5]}\n{info.cwd}\n"))
    return b"".join(parts)


def write(folder: str, facts: Mapping[str, Any], command: Sequence[str], scratch: str) -> list[str]:
    """Write `info.txt`, unless it is there. Returns what could not be had."""
    path = os.path.join(folder, INFO)
    if os.path.exists(path):
        return []
    problems: list[str] = []
    cwd = str(facts.get("cwd") or os.getcwd())
    commit, changes, note = _changes(cwd, scratch, problems)
    info = Info(
        command=command,
        system=str(facts.get("host") or ""),
        python=str(facts.get("python") or ""),
        commit=commit,
        changes=changes,
        cwd=cwd,
        note=note,
    )
    _new(path, render(info), problems)
    return problems


def write_beside(
    folder: str, facts: Mapping[str, Any], scratch: str, packages: Callable[[], Sequence[tuple[str, str]]]
) -> list[str]:
    """Write what takes longer: the packages, and the script, if git does not have it. Returns what could not be had."""
    problems: list[str] = []
    try:
        listed = "".join(f"{name}=={version}\n" for name, version in packages())
    except Exception as error:
        problems.append(f"{PACKAGES}: {type(error).__name__}: {error}")
        listed = ""
    _new(os.path.join(folder, PACKAGES), listed.encode(), problems)
    script = facts.get("script")
    if isinstance(script, str) and not _is_tracked(script, scratch):
        try:
            with open(script, "rb") as file:
                data = file.read()
            if not _secret(data):
                _new(os.path.join(folder, os.path.basename(script)), data, problems)
        except OSError as error:
            problems.append(f"{script} could not be copied: {error.strerror}")
    return problems


def names(facts: Mapping[str, Any]) -> set[str]:
    """What lies beside the results and is none of them."""
    script = facts.get("script")
    return {INFO, PACKAGES, *([os.path.basename(script)] if isinstance(script, str) else [])}


def _is_tracked(script: str, scratch: str) -> bool:
    """Whether a file can be had from git, changed or not."""
    real = os.path.realpath(script)
    repository = git.find(os.path.dirname(real))
    if repository is None:
        return False
    try:
        program = git.Program("git", _SECONDS, scratch)
        name = os.fsencode(os.path.relpath(real, repository.top))
        return any(path == name for path, *_ in git.listed(program, repository))
    except Exception:
        return False


def _changes(cwd: str, scratch: str, problems: list[str]) -> tuple[str | None, bytes, str | None]:
    """The commit, what has changed since, and what there is to say where there is none."""
    repository = git.find(os.path.realpath(cwd))
    if repository is None:
        return None, b"", "(no git repository)"
    commit = git.head(repository)[0]
    try:
        program = git.Program("git", _SECONDS, scratch)
        configuration = gitconfig.load(repository.common, repository.git_dir)
        changes = harmless(git.diff(program, repository, configuration))
    except Exception as error:
        problems.append(f"{INFO}: {type(error).__name__}: {error}"[:500])
        changes = b""
    return commit, changes, None if commit else "(no commit yet)"


def harmless(changes: bytes) -> bytes:
    """The changes without those of files that hold a secret."""
    if not changes or not _secret(changes):
        return changes
    parts = changes.split(b"diff --git ")
    kept, left_out = [parts[0]], []
    for part in parts[1:]:
        if _secret(part):
            left_out.append(part.partition(b"\n")[0].rpartition(b" b/")[2])
        else:
            kept.append(b"diff --git " + part)
    said = b"".join(b"# the changes of %s are left out: they hold a secret\n" % name for name in left_out)
    return said + b"".join(kept)


def _secret(data: bytes) -> bool:
    from vestige.model import redaction

    return bool(redaction.scan(data, redaction.known_values(os.environ)))


def _new(path: str, data: bytes, problems: list[str]) -> None:
    try:
        with open(path, "xb") as file:
            file.write(data)
    except FileExistsError:
        pass
    except OSError as error:
        problems.append(f"{path} could not be written: {error.strerror}")


def _quoted(word: str) -> str:
    """A word as a shell reads it; `shlex` would load `re`, and take longer than all else that is done here."""
    if word and word.isascii() and not set(word) - _PLAIN:
        return word
    return "'" + word.replace("'", "'\"'\"'") + "'"
