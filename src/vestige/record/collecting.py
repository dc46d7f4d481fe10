"""Collecting files that the configuration names: those of `[collect]` when a run begins, those of its items when it has ended.

What is copied or moved is an object of the store, which the record needs. A file that is to be moved is removed from its place
only when its content is safe, and still the same; nothing else is ever changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from glob import glob, has_magic
from typing import Any

from vestige.capture import digest
from vestige.config import Config
from vestige.errors import VestigeError
from vestige.model import wire
from vestige.model.collecting import Wanted
from vestige.model.files import Digest, Signature
from vestige.model.run import Collected
from vestige.model.secret_names import is_secret_file
from vestige.model.values import replace
from vestige.record import journal
from vestige.record.context import relative
from vestige.record.keeping import Keeper
from vestige.store.journal import Active
from vestige.store.objects import Objects
from vestige.store.project import Place

NAME = "collected.json"


class Collection:
    """What one run has collected, and what went wrong; both lie in its folder, too, so that whoever goes on knows."""

    def __init__(self, folder: str, options: Mapping[str, Any], place: Place, config: Config) -> None:
        self._folder = folder
        self._options = options
        self._root = place.root
        self._objects = Objects(place.store)
        allowing = config.replaced("keep_exclude", [], "collect")
        self._keeper = Keeper(self._objects, allowing, place.root, everything=True)
        self._moves: list[tuple[str, Signature, Digest]] = []
        self.files: list[Collected] = []
        self.problems: list[str] = []
        self._known = self._load()

    def begin(self) -> None:
        """Collect what is wanted of every run, and take away what is to be moved; unless somebody has done so already."""
        if self._known:
            return
        wanted = _wanted(self._options.get("collect"))
        if wanted:
            self._collect(wanted, None)
            self._save()
            self.take_away()

    def end(self) -> None:
        """Collect what the items of the run want. What is to be moved stays, until `take_away`."""
        self.files = [one for one in self.files if one.item is None]  # whoever was killed before the record had taken none away
        for item, listed in (self._options.get("collect_items") or {}).items():
            self._collect(_wanted(listed), str(item))
        self._save()

    def take_away(self) -> list[str]:
        """Remove what was moved, as far as it is still what was put aside; returns the paths of what is gone."""
        gone = []
        for path, signature, content in self._moves:
            try:
                self._objects.flush(content)
                if digest.of_file(path) == (signature, content):
                    os.unlink(path)
                    gone.append(relative(path, self._root))
                else:
                    self.problems.append(f"{relative(path, self._root)} was not moved: it has changed meanwhile")
            except (OSError, VestigeError) as error:
                self.problems.append(f"{relative(path, self._root)} was not moved: {_reason(error)}")
        self._moves.clear()
        return gone

    def _collect(self, wanted: Sequence[Wanted], item: str | None) -> None:
        for one in sorted(wanted, key=lambda one: has_magic(one.pattern)):  # a name says more than a pattern
            paths = list(matching(one.pattern, self._root))
            if not paths:
                self.problems.append(f"{one.pattern} was to be collected, and was not there")
            for path in paths:
                self._take(path, one, item)

    def _take(self, path: str, wanted: Wanted, item: str | None) -> None:
        shown = relative(path, self._root)
        if any(one.path == shown and one.item == item for one in self.files):
            return  # an earlier line has named it
        if os.path.isdir(path):
            self.problems.append(f"{shown} was not collected: it is a folder; {shown.rstrip('/')}/** are the files in it")
            return
        try:
            signature, content = digest.of_file(path)
            other = None if wanted.algorithm == "blake3" else digest.of_file(path, algorithm=wanted.algorithm)
        except (OSError, ValueError) as error:
            self.problems.append(f"{shown} was not collected: {_reason(error)}")
            return
        if content is None or (other is not None and (other[1] is None or other[0] != signature)):
            self.problems.append(f"{shown} was not collected: it changes while it is read")
            return
        found = Collected(path=shown, digest=content, size=signature.size, other=other and other[1], item=item)
        if wanted.way != "digest":
            if self._keeper.keep(path, content, signature.size):
                found = replace(found, way=wanted.way)
                if wanted.way == "move":
                    self._moves.append((path, signature, content))
            else:
                self.problems.append(f"{shown} was not {_DONE[wanted.way]}: {self._why_not(path)}")
        self.files.append(found)

    def _why_not(self, path: str) -> str:
        return "it is a file of secrets" if is_secret_file(path) else "it holds a secret, has changed, or there is no room for it"

    def _load(self) -> bool:
        try:
            document = Active(self._folder).document(NAME)
            self.files = [wire.decode(Collected, one) for one in document.get("files", ())]
            self.problems = [str(one) for one in document.get("problems", ())]
        except (VestigeError, TypeError):
            return False
        return True

    def _save(self) -> None:
        document = {"files": [wire.encode(one) for one in self.files], "problems": self.problems}
        try:
            journal.write(self._folder, NAME, document)
        except OSError as error:
            self.problems.append(f"what was collected could not be written down: {error.strerror}")
            self._moves.clear()  # nobody else would know where it went


def matching(pattern: str, root: str) -> Iterator[str]:
    """The absolute paths that a path or a pattern means; of a pattern, only files."""
    path = os.path.normpath(os.path.join(root, pattern))
    if os.path.lexists(path):
        yield path
    elif has_magic(pattern):
        for name in sorted(glob(pattern, root_dir=root, recursive=True, include_hidden=True)):
            found = os.path.normpath(os.path.join(root, name))
            if os.path.isfile(found):
                yield found


_DONE = {"copy": "copied", "move": "moved"}


def _wanted(listed: object) -> list[Wanted]:
    found = []
    for one in listed if isinstance(listed, list) else ():
        pattern, way, algorithm = one
        found.append(Wanted(pattern, way, algorithm))
    return found


def _reason(error: Exception) -> str:
    return "it is no regular file" if getattr(error, "errno", None) == 22 else getattr(error, "strerror", None) or str(error)


__all__ = ["NAME", "Collection", "matching"]
