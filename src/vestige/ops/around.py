"""What a run would find otherwise if it looked now: other names in a folder that it listed, a file that was not there.

The lists of a record are objects that runs share; each is compared with the disk once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase

from vestige.errors import VestigeError
from vestige.model import wire
from vestige.model.files import Digest
from vestige.model.staleness import Cause
from vestige.model.summary import Summary
from vestige.model.values import value
from vestige.ops.project import Project

_NAMED = 3  # names in a cause
#: Names that come and go beside the work: of editors, of file managers, of interpreters, of version control and of Vestige.
_PASSED_OVER = (".*", "*~", "#*#", "__pycache__", "*.pyc", "*.swp", "*.part", "*.tmp", "vestige.toml", "Thumbs.db", "desktop.ini")


@value
class Listing:
    """A folder that a run listed: the names that it found, and those that it put there itself; only names that end like
    one of `like` count, if there are any. No names: there were too many."""

    path: str
    names: frozenset[str] | None = None
    made: frozenset[str] = frozenset()
    like: tuple[str, ...] = ()


class Around:
    """Answers for each run what is otherwise around it."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._known: dict[Digest, tuple[Cause, ...]] = {}

    def __call__(self, run: Summary) -> tuple[Cause, ...]:
        """What the run would find otherwise. What cannot be read says nothing."""
        return (*self._of(run.listings, self._listed), *self._of(run.absent, self._looked_for))

    def _of(self, digest: Digest | None, compare: object) -> tuple[Cause, ...]:
        if digest is None:
            return ()
        if digest not in self._known:
            try:
                document = json.loads(self._project.objects.read(digest))
                self._known[digest] = tuple(compare(document))  # type: ignore[operator]
            except (VestigeError, OSError, ValueError, TypeError, KeyError, AttributeError):
                self._known[digest] = ()
        return self._known[digest]

    def _listed(self, document: list[object]) -> Iterator[Cause]:
        for entry in document:
            listing = read(entry)
            if listing.names is None:
                continue
            try:
                now = frozenset(os.listdir(self._project.absolute(listing.path)))
            except (OSError, ValueError):
                continue  # the folder is gone: so are the files that were read in it, which says more
            added = _telling(now - listing.names - listing.made, listing)
            if added:
                yield _cause(listing.path, "added", added)
            removed = _telling(listing.names - now, listing)
            if removed:
                yield _cause(listing.path, "removed", removed)

    def _looked_for(self, document: list[str]) -> Iterator[Cause]:
        for path in document:
            name = os.path.basename(path)
            if not _passed_over(name) and os.path.lexists(self._project.absolute(path)):
                yield Cause(path, "appeared", sure=False)


def read(entry: object) -> Listing:
    """A listing from its document; a mere text is a folder of which no names were recorded. Raises TypeError, KeyError."""
    if isinstance(entry, str):
        return Listing(entry)
    if not isinstance(entry, dict):
        raise TypeError(f"{entry!r} is no listing")
    text = wire.unescape if entry.get("encoding") == "percent" else str
    names = entry.get("names")
    return Listing(
        text(entry["path"]),
        None if names is None else frozenset(map(text, names)),
        frozenset(map(text, entry.get("made") or ())),
        tuple(map(text, entry.get("like") or ())),
    )


def _telling(names: frozenset[str], listing: Listing) -> list[str]:
    return sorted(
        name for name in names if not _passed_over(name) and (not listing.like or os.path.splitext(name)[1] in listing.like)
    )


def _passed_over(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in _PASSED_OVER)


def _cause(path: str, wrong: str, names: list[str]) -> Cause:
    return Cause(path, wrong, sure=False, names=tuple(names[:_NAMED]), count=len(names))  # type: ignore[arg-type]


__all__ = ["Around", "Listing", "read"]
