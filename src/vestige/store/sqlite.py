"""The index of a project's runs, brought up to date with the records whenever it is opened.

What only has to be loaded where something is new is loaded then: most questions are asked when nothing is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from vestige.store import comparison
from vestige.store.comparison import Plan
from vestige.store.database import File, FileIndex, in_memory
from vestige.store.interface import Damaged
from vestige.store.tables import Tables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vestige.model.run import Run
    from vestige.store.journal import Active

#: The runs that are active, from their journals; whoever is handed in passes over those that it cannot read.
ActiveRuns: TypeAlias = "Callable[[Sequence[Active]], Iterable[Run]]"
#: Called with how many records were read, and of how many.
Progress: TypeAlias = Callable[[int, int], None]


class StoreIndex(FileIndex):
    """The index of one store. `damaged` lists the records that could not be read, or not wholly."""

    __slots__ = ("_active", "_plan", "_progress", "_store", "damaged")

    def __init__(
        self, store_dir: str, cache_dir: str, *, active: ActiveRuns | None = None, progress: Progress | None = None
    ) -> None:
        super().__init__(File(cache_dir, store_dir))
        self.damaged: list[Damaged] = []
        self._store = store_dir
        self._active = active
        self._progress = progress
        self._plan = Plan()

    def find(self) -> bool:
        self._plan = comparison.compare(self.tables, self._store)
        return bool(self._plan)

    def fill(self) -> None:
        from vestige.store.records import Records
        from vestige.store.sync import apply

        apply(self.tables, Records(self._store), self._plan, self._progress)

    def lacking(self) -> Tables | None:
        if not self._plan.is_simple():
            return None
        from vestige.store.reading import read
        from vestige.store.records import Records

        over = in_memory()
        rows = {row.run.id: row for _, row, _ in read(Records(self._store), self._plan.new) if row is not None}
        over.insert(list(rows.values()))
        return over

    def sync(self) -> None:
        # Active runs are listed first: one that ends meanwhile has written its record before its folder goes.
        active = self._list_active()
        super().sync()
        if any(not os.path.isdir(one.path) for one in active if self.summary(one.id) is None):
            super().sync()  # one has ended between the two looks
        self.damaged = self._plan.unreadable + self.recovering(lambda: comparison.damaged(self.tables, self._store))
        provisional = self._provisional(active)
        if provisional is not None:
            self.layers = (provisional, *self.layers)

    def _list_active(self) -> Sequence[Active]:
        try:
            if not os.listdir(os.path.join(self._store, "active")):
                return ()
        except OSError:
            return ()
        from vestige.store.journal import list_active

        return list_active(self._store)

    def _provisional(self, active: Sequence[Active]) -> Tables | None:
        """The runs that are active and not recorded yet."""
        waiting = {one.id: one for one in active if self.summary(one.id) is None}
        if self._active is None or not waiting:
            return None
        from vestige.model.values import replace
        from vestige.store.journal import state

        layer = None
        for run in self._active(list(waiting.values())):
            if run.id in waiting:
                layer = layer or in_memory()
                layer.add(replace(run, status=state(waiting[run.id])))
        return layer


def open_index(
    store_dir: str, cache_dir: str, *, active: ActiveRuns | None = None, progress: Progress | None = None
) -> StoreIndex:
    """The index of a store, up to date. `active` makes runs of the folders of active ones; `progress(done, of)` is called
    while many records are read. Never fails for want of a cache; see `notes`."""
    index = StoreIndex(store_dir, cache_dir, active=active, progress=progress)
    index.sync()
    return index


__all__ = ["ActiveRuns", "File", "Progress", "StoreIndex", "in_memory", "open_index"]
