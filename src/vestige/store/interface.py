"""What every index of runs answers: SQLite (rebuilt from the records), and memory (ships; for tests and dry runs)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from vestige.model.files import Digest, Use
from vestige.model.query import RunQuery
from vestige.model.summary import Summary
from vestige.model.values import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vestige.model.run import Run


@value
class Damaged:
    """A file of the store that could not be read, or not wholly, and why."""

    path: str
    reason: str


class Index(Protocol):
    """Questions about runs and their files. All answers come from finished records and from journals of active runs."""

    def summary(self, run_id: str) -> Summary | None:
        """One run."""

    def matching(self, prefix: str) -> Sequence[Summary]:
        """Runs whose full id, short id or name fits: full ids exactly, short ids by their beginning, names exactly."""

    def runs(self, query: RunQuery) -> Iterator[Summary]:
        """Runs, the newest first."""

    def uses_of(self, digest: Digest, *, written: bool) -> Sequence[Use]:
        """Every use of a content."""

    def uses_at(self, path: str, *, written: bool) -> Sequence[Use]:
        """Every use of a path (as recorded), the newest first."""

    def uses_by(self, run_id: str, *, written: bool, every: bool = False) -> Sequence[Use]:
        """Every use by a run, in the roles data, config, code and temporary (what a run left in a temporary
        folder and another took up links the two); cache, library and system only where `every` is wanted."""

    def children(self, run_id: str) -> Sequence[Summary]:
        """Runs that happened inside a run."""

    def outputs(self) -> Iterator[Use]:
        """The newest output at every path that was ever written; what reproductions made lies elsewhere."""

    def add(self, run: Run) -> None:
        """Take in one run, or replace it."""

    def remove(self, run_id: str) -> None:
        """Forget one run."""


__all__ = ["Damaged", "Index", "Use"]
