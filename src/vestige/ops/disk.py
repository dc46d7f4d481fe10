"""What lies at the paths that a lineage names: each looked at once, many at a time."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from vestige.capture import digest
from vestige.model.lineage import Lineage
from vestige.model.staleness import Current
from vestige.model.values import replace
from vestige.ops.project import Project

_GONE = Current(exists=False)
#: How digests begin that need no second look.
_USUAL = ("blake3:", "pipe:")


class Disk:
    """Answers what lies at a path as a record has it."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._known: dict[str, Current] = {}

    def __call__(self, path: str) -> Current:
        """What lies there now."""
        if path not in self._known:
            self._known[path] = self._look(path)
        return self._known[path]

    def look(self, paths: Iterable[str]) -> None:
        """Look at many paths, in parallel where that helps."""
        files: dict[str, str] = {}
        for path in paths:
            if path in self._known:
                continue
            place = self._project.absolute(path)
            mode = _mode(place)
            if mode is None:
                self._known[path] = _GONE
            elif stat.S_ISREG(mode):
                files[place] = path
            else:
                self._known[path] = self._look(path)
        for hashed in digest.many(files, self._project.digests):
            self._known[files[hashed.path]] = Current(exists=True, digest=hashed.digest)

    def look_at(self, lineage: Lineage) -> None:
        """Look at all files of a lineage."""
        files = [*lineage.targets, *(file for step in lineage.steps for file in (*step.inputs, *step.outputs))]
        self.look({file.path: None for file in files if file.digest is not None})
        for file in files:
            if file.digest is not None and not file.digest.startswith(_USUAL):
                self._look_by(file.path, file.digest.partition(":")[0])

    def _look_by(self, path: str, algorithm: str) -> None:
        """Take the digest by another algorithm, too: a record of another system knows the file by that."""
        found = self._known[path]
        if found.digest is None or any(one.startswith(algorithm + ":") for one in found.others):
            return
        try:
            other = digest.of_file(self._project.absolute(path), algorithm=algorithm)[1]
        except (OSError, ValueError):
            return
        if other is not None:
            self._known[path] = replace(found, others=(*found.others, other))

    def _look(self, path: str) -> Current:
        place = self._project.absolute(path)
        if _mode(place) is None:
            return _GONE
        return Current(exists=True, digest=self._project.digest_of(place))


def _mode(place: str) -> int | None:
    """The mode of what lies there; None for nothing, a link that leads nowhere, or a name that no file can have."""
    try:
        return os.stat(place).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError:
        return 0
