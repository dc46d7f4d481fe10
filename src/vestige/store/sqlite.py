"""The index of a project's runs, brought up to date with the records whenever it is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

from vestige.model.run import Run
from vestige.store import journal, sync
from vestige.store.comparison import Plan, compare
from vestige.store.database import File, FileIndex, in_memory
from vestige.store.journal import Active
from vestige.store.reading import read
from vestige.store.records import Damaged, Records
from vestige.store.tables import Tables

#: The runs that are active, from their journals; whoever is handed in passes over those that it cannot read.
ActiveRuns: TypeAlias = Callable[[Sequence[Active]], Iterable[Run]]


class StoreIndex(FileIndex):
    """The index of one store. `damaged` lists the records that could not be read, or not wholly."""

    __slots__ = ("_active", "_plan", "_progress", "_records", "damaged")

    def __init__(
        self, store_dir: str, cache_dir: str, *, active: ActiveRuns | None = None, progress: sync.Progress | None = None
    ) -> None:
        super().__init__(File(cache_dir, store_dir))
        self.damaged: list[Damaged] = []
        self._records = Records(store_dir)
        self._active = active
        self._progress = progress
        self._plan = Plan()

    def find(self) -> bool:
        self._plan = compare(self.tables, self._records)
        return bool(self._plan)

    def fill(self) -> None:
        sync.apply(self.tables, self._records, self._plan, self._progress)

    def lacking(self) -> Tables | None:
        if not self._plan.is_simple():
            return None
        over = in_memory()
        rows = {row.run.id: row for _, row, _ in read(self._records, self._plan.new) if row is not None}
        over.insert(list(rows.values()))
        return over

    def sync(self) -> None:
        # Active runs are listed first: one that ends meanwhile has written its record before its folder goes.
        active = journal.list_active(self._records.store)
        super().sync()
        self.damaged = self._plan.unreadable + self.recovering(lambda: sync.damaged(self.tables, self._records))
        provisional = self._provisional(active)
        if provisional is not None:
            self.layers = (provisional, *self.layers)

    def _provisional(self, active: Sequence[Active]) -> Tables | None:
        """The runs that are active and not recorded yet."""
        waiting = {one.id: one for one in active if self.summary(one.id) is None}
        if self._active is None or not waiting:
            return None
        layer = None
        for run in self._active(list(waiting.values())):
            if run.id in waiting:
                layer = layer or in_memory()
                layer.add(replace(run, status=journal.state(waiting[run.id])))
        return layer


def open_index(
    store_dir: str, cache_dir: str, *, active: ActiveRuns | None = None, progress: sync.Progress | None = None
) -> StoreIndex:
    """The index of a store, up to date. `active` makes runs of the folders of active ones; `progress(done, of)` is called
    while many records are read. Never fails for want of a cache; see `notes`."""
    index = StoreIndex(store_dir, cache_dir, active=active, progress=progress)
    index.sync()
    return index


__all__ = ["ActiveRuns", "File", "StoreIndex", "in_memory", "open_index"]
