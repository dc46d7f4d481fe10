"""Which contents are kept in the store: small inputs and outputs, but nothing that is or holds a secret."""

from __future__ import annotations

import os
import sys

from vestige.config import Config
from vestige.model.files import Digest
from vestige.record import identity
from vestige.record.context import relative
from vestige.store.objects import Objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vestige.store.kept import Tally
    from vestige.store.project import Place

#: Secrets are looked for in so many bytes at the beginning of a large file.
_SCANNED = 4 << 20
#: Seconds by which the clock of a file system may differ from ours.
_CLOCK = 2.0


class Keeper:
    """Puts contents into the store, by the configuration's rules."""

    def __init__(self, objects: Objects, config: Config, root: str, *, since: str = "", everything: bool = False) -> None:
        """`since`: when the run started, as its record says it. `everything`: whatever its size."""
        self._objects = objects
        self._config = config
        self._root = root
        self._limit = sys.maxsize if everything else config.keep
        self._refused: set[Digest] = set()
        self._since = since
        self._new: dict[Digest, int] = {}
        self._tally: Tally | None = None
        self._secrets: dict[str, str] | None = None

    def keep(self, path: str, digest: Digest, size: int) -> bool:
        """Keep the content of a file if the rules allow it; False where they do not, or it has gone."""
        if size > self._limit or digest in self._refused:
            return False
        if self._objects.has(digest):
            return True
        if not self._config.keeps(relative(path, self._root)):
            return False
        if size > _SCANNED:
            return self._keep_large(path, digest)
        try:
            with open(path, "rb") as file:
                data = file.read(_SCANNED + 1)
        except OSError:
            return False
        if len(data) != size or self._is_secret(data):
            self._refused.add(digest)
            return False
        try:
            kept = self._objects.put(data) == digest
        except OSError:
            return False
        if kept:
            self._new[digest] = size
        return kept

    def _keep_large(self, path: str, digest: Digest) -> bool:
        try:
            return self._objects.put_file(path, digest) and self.vet(path, digest)
        except OSError:
            return False

    def vet(self, path: str, digest: Digest | None) -> bool:
        """Look at what the watcher has kept in a hurry; it goes again if it is, or holds, a secret."""
        if digest is None or (found := self._objects.path(digest)) is None:
            return False
        if self._config.keeps(relative(path, self._root)):
            try:
                held = os.stat(found)
                if identity.timestamp(held.st_mtime + _CLOCK) < self._since:
                    return True  # whoever kept it before this run has looked at it
                with open(found, "rb") as file:
                    if not self._is_secret(file.read(_SCANNED)):
                        self._new[digest] = held.st_size
                        return True
            except OSError:
                return False
        self._refused.add(digest)
        self._new.pop(digest, None)
        self._objects.remove(digest)
        return False

    def account(self) -> None:
        """Count what was kept: the run is over. Raises OSError."""
        if self._new:
            from vestige.store.kept import Tally

            tally = Tally(self._objects.store)
            tally.add(sum(self._new.values()))
            self._tally = tally

    def warnings(self) -> list[str]:
        """What the user should be told, once: there is too much, and none of it can be made again."""
        if self._tally is None or not self._tally.is_stuck(self._config.budget):
            return []
        kept, budget = (f"{size / (1 << 20):,.0f} MiB" for size in (self._tally.base, self._config.budget))
        try:
            self._tally.tell()
        except OSError:
            return []
        return [f"vestige: {kept} are kept, over the budget of {budget}, and cannot be made again: vestige gc drops the oldest"]

    def tidy(self, place: Place) -> None:
        """Keep within the budget. Takes as long as it takes: for when nobody waits. Raises OSError, VestigeError."""
        if self._tally is not None and self._tally.is_due(self._config.budget):
            from vestige.record import budget

            os.nice(10)
            budget.enforce(place, self._config)

    def _is_secret(self, data: bytes) -> bool:
        from vestige.model import redaction

        if self._secrets is None:
            self._secrets = redaction.known_values(os.environ)
        return bool(redaction.scan(data, self._secrets))
