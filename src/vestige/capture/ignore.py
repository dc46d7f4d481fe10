"""Patterns of `.gitignore` and `.gitattributes`, and the walk that obeys them where there is no git program."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

_CLASSES = {
    b"alnum": rb"0-9A-Za-z",
    b"alpha": rb"A-Za-z",
    b"blank": rb" \t",
    b"digit": rb"0-9",
    b"lower": rb"a-z",
    b"punct": rb"!-/:-@\[-`{-~",
    b"space": rb" \t\n\r\f\v",
    b"upper": rb"A-Z",
    b"xdigit": rb"0-9A-Fa-f",
}


class Rule:
    """One line of an ignore file that lies in `folder` (empty, or ending in `/`)."""

    __slots__ = ("_pattern", "folder", "folders_only", "negated")

    def __init__(self, folder: bytes, pattern: re.Pattern[bytes], *, negated: bool, folders_only: bool) -> None:
        self.folder = folder
        self._pattern = pattern
        self.negated = negated
        self.folders_only = folders_only

    def fits(self, path: bytes, *, is_folder: bool) -> bool:
        """Whether the line speaks of a path, relative to the top."""
        if self.folders_only and not is_folder:
            return False
        return path.startswith(self.folder) and self._pattern.fullmatch(path, len(self.folder)) is not None


def rules(text: bytes, folder: bytes = b"") -> list[Rule]:
    """The rules of an ignore file (gitignore(5))."""
    found = []
    for raw in text.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        line = _stripped(raw.removesuffix(b"\r"))
        if not line or line.startswith(b"#"):
            continue
        negated = line.startswith(b"!")
        line = line[negated:]
        folders_only = line.endswith(b"/")
        pattern = compiled(line[:-1] if folders_only else line)
        if pattern is not None:
            found.append(Rule(folder, pattern, negated=negated, folders_only=folders_only))
    return found


def compiled(pattern: bytes) -> re.Pattern[bytes] | None:
    """A pattern as an expression over paths relative to its file; None for what can match nothing."""
    anchored = b"/" in pattern
    text = pattern.removeprefix(b"/")
    out = [] if anchored else [rb"(?:.*/)?"]
    at = 0
    while at < len(text):
        after = at + len(text[at:]) - len(text[at:].lstrip(b"*"))
        if after - at >= 2 and text[at - 1 : at] in {b"/", b""} and text[after : after + 1] in {b"/", b""}:
            out.append(rb"(?:.*/)?" if after < len(text) else rb".*")
            at = after + 1
        else:
            piece, at = _piece(text, at)
            if piece is None:
                return None
            out.append(piece)
    return re.compile(b"".join(out), re.DOTALL) if text else None


def walk(top: str, outer: Iterable[Rule], *, keep_out: Iterable[Rule], closed: list[bytes]) -> list[bytes]:
    """Every file below `top` that no rule excludes, as `git ls-files --others` lists them in an empty repository.

    `outer` are rules from outside the tree, the weakest first; `keep_out` beat every other. A folder that is a
    repository of its own is not entered: it is listed with a `/` at its end. Folders that cannot be read are
    noted in `closed`.
    """
    found: list[bytes] = []
    base = os.fsencode(top)
    strong = list(keep_out)
    pending: list[tuple[bytes, list[Rule]]] = [(b"", list(outer))]
    while pending:
        folder, inherited = pending.pop()
        try:
            with os.scandir(os.path.join(base, folder)) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            closed.append(folder)
            continue
        own = inherited
        if any(entry.name == b".gitignore" for entry in inside):
            own = inherited + rules(_read(os.path.join(base, folder, b".gitignore")), folder)
        for entry in inside:
            path = folder + entry.name
            is_folder = _is_folder(entry)
            if entry.name == b".git" or excluded(path, own, strong, is_folder=is_folder):
                continue
            if not is_folder:
                found.append(path)
            elif os.path.lexists(os.path.join(base, path, b".git")):
                found.append(path + b"/")
            else:
                pending.append((path + b"/", own))
    return sorted(found)


def excluded(path: bytes, weak: list[Rule], strong: list[Rule], *, is_folder: bool) -> bool:
    """What the last rule that fits says, those of `strong` first."""
    for group in (strong, weak):
        for rule in reversed(group):
            if rule.fits(path, is_folder=is_folder):
                return not rule.negated
    return False


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _piece(text: bytes, at: int) -> tuple[bytes | None, int]:
    sign = text[at : at + 1]
    if sign == b"*":
        while text[at : at + 1] == b"*":
            at += 1
        return rb"[^/]*", at
    if sign == b"?":
        return rb"[^/]", at + 1
    if sign == b"[":
        return _bracket(text, at + 1)
    if sign == b"\\":
        return (re.escape(text[at + 1 : at + 2]), at + 2) if at + 1 < len(text) else (None, at)
    return re.escape(sign), at + 1


def _bracket(text: bytes, at: int) -> tuple[bytes | None, int]:
    negated = text[at : at + 1] in {b"!", b"^"}
    at += negated
    members: list[bytes] = []
    first = True
    while first or text[at : at + 1] != b"]":
        first = False
        if at >= len(text):
            return None, at
        if text[at : at + 2] == b"[:" and (end := text.find(b":]", at)) > 0:
            members.append(_CLASSES.get(text[at + 2 : end], b""))
            at = end + 2
            continue
        low, at = _member(text, at)
        if text[at : at + 1] == b"-" and text[at + 1 : at + 2] not in {b"]", b""}:
            high, at = _member(text, at + 1)
            members.append(re.escape(low) + b"-" + re.escape(high) if low <= high else re.escape(low))
        else:
            members.append(re.escape(low))
    inner = b"".join(members)
    if negated:
        return b"(?!/)[^" + inner + b"]" if inner else b"[^/]", at + 1
    return b"(?!/)[" + inner + b"]" if inner else None, at + 1


def _member(text: bytes, at: int) -> tuple[bytes, int]:
    at += text[at : at + 1] == b"\\"
    return text[at : at + 1], at + 1


def _stripped(line: bytes) -> bytes:
    while line.endswith(b" "):
        before = line[:-1]
        if (len(before) - len(before.rstrip(b"\\"))) % 2:
            break
        line = before
    return line


def _read(path: bytes) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20)
    except OSError:
        return b""
