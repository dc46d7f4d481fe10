"""What is known of the contents that a run used, in a journal of its own, so that a crash loses no digest."""

from __future__ import annotations

import os
import stat
from _json import encode_basestring_ascii as quoted

from vestige.capture import digest, mounts
from vestige.model import plain
from vestige.model.files import Digest, Signature
from vestige.observe.interface import Stat
from vestige.observe.lines import unwritten, written

NAME = "digests.jsonl"
#: Lines that are written at once: a crash loses no more, and what it loses is hashed again.
_TOGETHER = 64


class Digests:
    """Digests by signature. Two paths of one inode share theirs.

    Device, inode, size and change time name a content well enough within one run: whatever changes a file changes
    its ctime. A modification that falls into the same tick of the clock is caught when the run ends, for outputs,
    since they are hashed after their last writer has ended. Where even a later one may leave the old time, in a file
    system in memory, nothing is remembered from one run to the next.
    """

    def __init__(self, folder: str, cache: digest.DigestCache | None = None, *, limit: int | None = None) -> None:
        """`limit`: no file above this many bytes is read."""
        self._path = os.path.join(folder, NAME)
        self._cache = cache
        self._limit = limit
        self._in_memory = mounts.in_memory()
        self.too_large: set[str] = set()
        self._known: dict[Stat, Digest | None] = {}
        self._kept: set[Digest] = set()
        self._file: int | None = None
        self._lines: list[str] = []
        try:
            with open(self._path, "rb") as lines:
                for line in lines:
                    self._remember(line)
        except OSError:
            pass

    def known(self, signature: Stat) -> Digest | None:
        """The digest of the content with this signature, if it has been taken."""
        return self._known.get(signature)

    def tried(self, signature: Stat) -> bool:
        """Whether it has been taken, or was found too large, or had gone."""
        return signature in self._known

    def kept(self, content: Digest | None) -> bool:
        """Whether the bytes were put into the store by this run."""
        return content in self._kept

    def take(
        self, path: str, expected: Stat | None = None, *, deadline: float | None = None
    ) -> tuple[Stat | None, Digest | None]:
        """Hash a file now; with `expected`, only if it still has that signature. None for what is no regular file."""
        there = expected or stat_of(path)
        if there is None:
            return None, None
        if self._limit is not None and there.size > self._limit:
            self.too_large.add(path)
            self.learn(path, there, None)
            return there, None
        cache = None if there.device in self._in_memory else self._cache
        try:
            signature, content = digest.of_file(path, cache, deadline=deadline)
        except OSError:
            return None, None
        found = Stat(signature.size, signature.mtime_ns, signature.ctime_ns, signature.inode, signature.device)
        if expected is not None and expected != found:
            if not same_content(found, expected):
                return found, None
            if content is not None:
                self.learn(path, expected, content)
        if content is not None:
            self.learn(path, found, content)
        return found, content

    def take_again(self, path: str, signature: Stat) -> None:
        """Hash a file once more that may have changed without a new signature."""
        if signature.device not in self._in_memory or self._known.get(signature) is None:
            return
        self.take(path, signature)

    def at(self, path: str) -> Digest | None:
        """The digest of what a path leads to now, hashed only if it is not known."""
        found = stat_of(path)
        return self._known[found] if found in self._known else self.take(path)[1]

    def learn(self, path: str, signature: Stat, content: Digest | None, *, kept: bool = False) -> None:
        """Note what somebody found."""
        if kept and content is not None:
            self._kept.add(content)
        elif self._known.get(signature, "") == content:
            return
        self._known[signature] = content
        size, mtime_ns, ctime_ns, inode, device = signature
        text = "null" if content is None else quoted(content)
        self._lines.append(f"[{quoted(written(path))},[{size},{mtime_ns},{ctime_ns},{inode},{device}],{text},{int(kept)}]\n")
        if len(self._lines) >= _TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Write down what was learnt: to be called wherever something else is waited for, or done."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            os.write(self._file, "".join(lines).encode("ascii"))
        except OSError:
            pass  # a full disk: the digest is known as long as we live

    def _remember(self, line: bytes) -> None:
        try:
            path, signature, content, kept = plain.loads(line)
            self._known[Stat(*signature)] = content
            if kept and content:
                self._kept.add(content)
            unwritten(path)
        except (ValueError, TypeError):
            pass


def same_content(one: Stat, other: Stat) -> bool:
    """Whether two looks saw the same content: a link that was made or a changed mode moves the change time alone."""
    return (one.size, one.mtime_ns, one.inode, one.device) == (other.size, other.mtime_ns, other.inode, other.device)


def stat_of(path: str) -> Stat | None:
    """The signature of what a path leads to; None where there is no regular file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return Stat(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)


def as_signature(found: Stat) -> Signature:
    """The model's value."""
    return Signature(*found)
