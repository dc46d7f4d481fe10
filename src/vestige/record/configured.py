"""What the configuration has done for a run beside its record: files collected, further repositories, a capsule, sidecars.

Only loaded where something of that is configured. What goes wrong is a problem of the run, and never more.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from vestige.config import Config
from vestige.errors import VestigeError
from vestige.model import wire
from vestige.model.code import Code, Repository
from vestige.model.run import Run
from vestige.model.values import replace
from vestige.record import journal
from vestige.record.collecting import Collection
from vestige.store.journal import Active
from vestige.store.project import Place
from vestige.store.records import Note, Records

_REPOSITORIES = "repositories.json"


class Configured:
    """What is done for one run."""

    def __init__(self, folder: str, started: Mapping[str, Any], place: Place, config: Config) -> None:
        self._folder = folder
        self._place = place
        self._config = config
        self._collection = Collection(folder, started.get("options") or {}, place, config)
        self._problems: list[str] = []
        self.repositories: tuple[Repository, ...] = ()

    def prepare(self) -> None:
        """Run the commands that are to be run before anything is captured."""
        from vestige.record import before

        problem = before.prepare(self._place.root, self._config)
        if problem is not None:
            self._problems.append(problem)

    def collect(self) -> None:
        """Collect the files that are wanted when a run begins, unless somebody has."""
        self._attempt("collect", self._collection.begin)

    def look(self, code: Code | None, like: Configured | None = None) -> None:
        """Look at the further repositories; `like` did for another run of the same process."""
        if self._config.repositories and code is not None:
            self._attempt("repositories", lambda: self._look(code, like))

    def _look(self, code: Code, like: Configured | None) -> None:
        from vestige.record import repositories

        if (known := self._known()) is not None:
            self.repositories = known
            return
        if like is not None:
            self.repositories = like.repositories
        else:
            found = repositories.look(self._config, self._place, code)
            self.repositories, self._problems = found.repositories, [*self._problems, *found.problems]
        journal.write(self._folder, _REPOSITORIES, {"repositories": [wire.encode(one) for one in self.repositories]})

    def _known(self) -> tuple[Repository, ...] | None:
        """What somebody found who was killed."""
        try:
            said = Active(self._folder).document(_REPOSITORIES)
            return tuple(wire.decode(Repository, one) for one in said["repositories"])
        except (VestigeError, KeyError, TypeError):
            return None

    def settled(self, run: Run) -> Run:
        """The record, with what was collected; and its capsule, where one is wanted."""
        from vestige.record import repositories

        self._attempt("collect", self._collection.end)
        code = repositories.joined(run.code, self.repositories)
        run = self._said(replace(run, code=code, collected=tuple(self._collection.files)))
        if self._config.capsule.write and run.kind not in ("reproduction", "adopted"):
            self._attempt("capsule", lambda: self._write_capsule(run))
        return self._said(run)

    def _said(self, run: Run) -> Run:
        problems = dict.fromkeys((*run.problems, *self._collection.problems, *self._problems))
        return replace(run, problems=tuple(problems))

    def _write_capsule(self, run: Run) -> None:
        from vestige.record import capsule

        capsule.put(run, self._place, self._config.capsule)

    def follow_up(self, run: Run) -> None:
        """The record stands: take away what was moved, and write the sidecars."""
        gone = self._collection.take_away()
        removed = tuple(use.path for use in run.outputs if use.path in gone)
        if removed:
            Records(self._place.store).add_note(run.id, Note(run=run.id, removed=removed))
        if self._config.sidecars and run.kind not in ("reproduction", "adopted"):
            from vestige.record import sidecar

            sidecar.beside_outputs(run, self._place)

    def _attempt(self, what: str, do: Any) -> None:
        try:
            do()
        except Exception as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
            name = f" ({os.fsdecode(error.filename)})" if isinstance(error, OSError) and error.filename else ""
            self._problems.append(f"{what}: {why}{name}"[:500])


__all__ = ["Configured"]
