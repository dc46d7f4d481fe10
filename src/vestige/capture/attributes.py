"""Which tracked files git may hold in another form than the work tree does (gitattributes(5)).

Line endings, `$Id$`, encodings and filters such as that of LFS make the bytes in the work tree differ from those
in the commit while `git status` calls the file unchanged. This finds every file to which that may have happened;
it errs on the side of naming one too many.
"""

from __future__ import annotations

import re

from vestige.capture import ignore

_CONVERTING = frozenset({b"text", b"crlf", b"eol", b"ident", b"filter", b"working-tree-encoding"})


class Attributes:
    """The lines of all attribute files that convert something."""

    __slots__ = ("_everything", "_filters", "_lines", "_macros")

    def __init__(self, *, everything: bool) -> None:
        self._everything = everything  # core.autocrlf asks for no attribute
        self._lines: list[tuple[bytes, re.Pattern[bytes]]] = []
        self._filters: list[tuple[bytes, re.Pattern[bytes]]] = []
        self._macros: dict[bytes, bool] = {name: name == b"filter" for name in _CONVERTING}

    def add(self, text: bytes, folder: bytes = b"") -> None:
        """Take in an attribute file that lies in `folder` (empty, or ending in `/`)."""
        for raw in text.removeprefix(b"\xef\xbb\xbf").splitlines():
            line = raw.strip()
            if not line or line.startswith(b"#"):
                continue
            pattern, words = _split(line)
            filters = [self._macros[name] for word in words if (name := word.partition(b"=")[0]) in self._macros]
            if not filters:
                continue
            if pattern.startswith(b"[attr]"):
                self._macros[pattern[6:]] = any(filters)
            elif expression := ignore.compiled(pattern):
                (self._filters if any(filters) else self._lines).append((folder, expression))

    def kind(self, path: bytes) -> str | None:
        """How a file may come to look different in a commit: "f" by a filter, "c" else; `path` is relative to the top."""
        if _fit(self._filters, path):
            return "f"
        return "c" if self._everything or _fit(self._lines, path) else None


def _fit(lines: list[tuple[bytes, re.Pattern[bytes]]], path: bytes) -> bool:
    return any(path.startswith(folder) and pattern.fullmatch(path, len(folder)) for folder, pattern in lines)


def _split(line: bytes) -> tuple[bytes, list[bytes]]:
    """Pattern and attributes of a line; a pattern that begins with a quote is quoted as in C."""
    if line.startswith(b'"') and (end := _closing(line)):
        unquoted = re.sub(rb"\\(.)", rb"\1", line[1:end])
        return unquoted, line[end + 1 :].split()
    pattern, *words = line.split()
    return pattern, words


def _closing(line: bytes) -> int:
    found = re.match(rb'"(?:[^"\\]|\\.)*"', line)
    return found.end() - 1 if found else 0
