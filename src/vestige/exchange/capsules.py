"""A capsule as a folder: its documents, the files in it, and where the paths that it names lie now."""

from __future__ import annotations

import os
from collections.abc import Mapping

from vestige.errors import UnreadableError
from vestige.exchange.documents import Document, read

_CONFIGURATIONS = ("capsula.toml", "pyproject.toml", "vestige.toml", ".git")


class Capsule:
    """One capsule. `problems` gathers what its record should say."""

    def __init__(self, folder: str, documents: Mapping[str, Document]) -> None:
        self.folder = folder
        self.name = os.path.basename(folder)
        self.documents = documents
        self.problems: list[str] = []
        self._then: str | None = None
        self._now = _project(folder)

    def document(self, name: str) -> Document:
        """One of its documents; an empty one where it is not there."""
        return self.documents.get(name, {})

    def moved_from(self, root: str | None, folder: str | None = None) -> None:
        """Learn where the project lay when the capsule was made: `root`. `folder`: where the capsule itself lay.

        A project that was moved since, or copied to another machine, is taken to lie where the capsule now lies in it.
        """
        if root is None or not os.path.isabs(root):
            return
        self._then = os.path.normpath(root)
        inside = self._then.rstrip("/") + "/"
        if self.folder.startswith(inside):
            self._now = self._then
        elif folder is not None and os.path.normpath(folder).startswith(inside):
            below = os.path.normpath(folder)[len(inside) :]
            if self.folder.endswith("/" + below):
                self._now = self.folder[: -len(below) - 1] or "/"

    def place(self, path: str) -> str:
        """Where a path that the capsule names lies here; absolute."""
        if not os.path.isabs(path):
            return os.path.normpath(os.path.join(self._now, path))
        path = os.path.normpath(path)
        if self._then is not None and (path + "/").startswith(self._then.rstrip("/") + "/"):
            return os.path.normpath(os.path.join(self._now, path[len(self._then) :].lstrip("/")))
        return path

    def inside(self, path: str) -> str:
        """Where a file that was collected lies in the capsule."""
        return os.path.join(self.folder, os.path.basename(path))

    def diffs(self) -> dict[str, bytes]:
        """The changes to the code, by the names of their files."""
        found = {}
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(".diff") and os.path.isfile(os.path.join(self.folder, name)):
                try:
                    found[name] = read(os.path.join(self.folder, name))
                except UnreadableError as error:
                    self.problems.append(str(error))
        return found

    def oldest(self) -> float:
        """The time of its oldest document, in seconds since the epoch."""
        return min(os.path.getmtime(os.path.join(self.folder, name)) for name in self.documents)


def _project(folder: str) -> str:
    """The folder around a vault which says that it is a project; else that around the vault."""
    above = os.path.dirname(folder)
    while above != os.path.dirname(above):
        if any(os.path.exists(os.path.join(above, name)) for name in _CONFIGURATIONS):
            return above
        above = os.path.dirname(above)
    return os.path.dirname(os.path.dirname(folder))


__all__ = ["Capsule"]
