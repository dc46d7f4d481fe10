"""Records and an index in which files have the roles that `[classify]` gives them.

Nothing is written: what was recorded stays as it was, and a configuration that changes again changes the answers again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from vestige.config import Config
from vestige.model.files import LINKED_ROLES, Digest, FileUse, Use
from vestige.model.query import RunQuery
from vestige.model.run import Run, Summary
from vestige.model.values import replace
from vestige.store.interface import Index

_LISTED = LINKED_ROLES | {"temporary"}


def run(found: Run, config: Config) -> Run:
    """A record with the roles of today."""
    if not config.classify:
        return found
    return replace(found, inputs=_uses(found.inputs, config), outputs=_uses(found.outputs, config))


def _uses(uses: Iterable[FileUse], config: Config) -> tuple[FileUse, ...]:
    return tuple(use if (role := config.role(use.path)) in (None, use.role) else replace(use, role=role) for use in uses)


class Reclassified:
    """An index whose uses have the roles of today."""

    def __init__(self, index: Index, config: Config) -> None:
        self._index = index
        self._config = config

    def summary(self, run_id: str) -> Summary | None:
        found = self._index.summary(run_id)
        return None if found is None else self._counted(found)

    def matching(self, prefix: str) -> Sequence[Summary]:
        return [self._counted(one) for one in self._index.matching(prefix)]

    def runs(self, query: RunQuery) -> Iterator[Summary]:
        return map(self._counted, self._index.runs(query))

    def children(self, run_id: str) -> Sequence[Summary]:
        return [self._counted(one) for one in self._index.children(run_id)]

    def uses_of(self, digest: Digest, *, written: bool) -> Sequence[Use]:
        return [self._use(use) for use in self._index.uses_of(digest, written=written)]

    def uses_at(self, path: str, *, written: bool) -> Sequence[Use]:
        return [self._use(use) for use in self._index.uses_at(path, written=written)]

    def uses_by(self, run_id: str, *, written: bool, every: bool = False) -> Sequence[Use]:
        found = [self._use(use) for use in self._index.uses_by(run_id, written=written, every=True)]
        return found if every else [use for use in found if use.role in _LISTED]

    def outputs(self) -> Iterator[Use]:
        return map(self._use, self._index.outputs())

    def add(self, run: Run) -> None:
        self._index.add(run)

    def remove(self, run_id: str) -> None:
        self._index.remove(run_id)

    def _use(self, use: Use) -> Use:
        role = self._config.role(use.path)
        return use if role is None else use._replace(role=role)

    def _counted(self, summary: Summary) -> Summary:
        """A summary that counts by the roles of today: it differs by as much as the roles do."""
        difference = []
        for written in (False, True):
            uses = self._index.uses_by(summary.id, written=written, every=True)
            was = sum(use.role in LINKED_ROLES for use in uses)
            difference.append(sum(self._use(use).role in LINKED_ROLES for use in uses) - was)
        if not any(difference):
            return summary
        return replace(summary, inputs=summary.inputs + difference[0], outputs=summary.outputs + difference[1])


__all__ = ["Reclassified", "run"]
