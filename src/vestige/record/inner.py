"""Runs that begin and end inside a process while it runs: calls of its functions, the sections of a script.

Each has a folder of its own among the active ones, and whoever records the process records them, too: they share its code,
its machine and its variables, which need not be looked at again for each.
"""

from __future__ import annotations

import os
import time

from vestige.errors import VestigeError
from vestige.record.code import CodeOfRun
from vestige.record.recorder import Recorder
from vestige.store.journal import Active, is_alive, list_active

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vestige.config import Config
    from vestige.observe.conclusion import Conclusion
    from vestige.record.context import Context
    from vestige.store.project import Place

_FRESH = 2.0  # seconds for which the code is taken to stand as it was seen


class Inner:
    """The runs inside one process that have begun, and are not recorded yet."""

    def __init__(self, place: Place, config: Config, like: Recorder | None = None) -> None:
        """`like` records the process itself."""
        self._place = place
        self._config = config
        self._like = like
        self._folder = os.path.join(place.store, "active")
        self._code: SameCode | None = None
        self._began: dict[str, None] = {}
        self._live: dict[str, Recorder] = {}

    def tell(self, kind: str, run_id: str) -> None:
        """A run has `began`, or `ended`."""
        if os.sep in run_id or run_id in ("", ".", ".."):
            return
        if kind == "began":
            self._began[run_id] = None
        else:
            self._finish(run_id)

    def step(self) -> None:
        """Follow those that go on."""
        for run_id in self._began:
            self._begin(run_id)
        self._began.clear()
        for recorder in self._live.values():
            recorder.step()

    def touch(self) -> None:
        """A sign of life of each, for readers on other hosts."""
        for recorder in self._live.values():
            recorder.touch()

    def finish(self) -> None:
        """The process has ended, and with it all that it had begun."""
        for run_id in [*self._began, *self._live]:
            self._finish(run_id)
        for active in list_active(self._place.store):  # of which the program could not tell us: the pipe was full
            if active.ended() is not None and not is_alive(active):
                self._finish(active.id)

    def _begin(self, run_id: str) -> Recorder | None:
        folder = os.path.join(self._folder, run_id)
        try:
            started = Active(folder).started()
            recorder = Recorder(folder, self._place, self._config, method="inside", started=started)
            recorder.begin(self._same_code(), self._like)
            if started.get("parent") is None:
                recorder.attend()  # of ten thousand calls in a program, hooks are told by its own run
        except (VestigeError, OSError):
            return None  # damaged, or removed meanwhile: whoever looks at the store next says so
        self._like = self._like or recorder
        self._live[run_id] = recorder
        return recorder

    def _finish(self, run_id: str) -> None:
        self._began.pop(run_id, None)
        recorder = self._live.get(run_id) or self._begin(run_id)
        self._live.pop(run_id, None)
        if recorder is None:
            return
        try:
            recorder.follow()
            recorder.finish()
        except (VestigeError, OSError):
            pass  # a full disk: the folder stays, and the next command tries again

    def _same_code(self) -> SameCode:
        if self._code is None or self._code.is_old():
            self._code = SameCode(self._place, self._config, prepared=self._code is not None or self._like is not None)
            self._code.take()
        return self._code


class SameCode(CodeOfRun):
    """The code as several runs of one process have it, one after the other."""

    def __init__(self, place: Place, config: Config, *, prepared: bool) -> None:
        super().__init__(place, config, prepared=prepared)
        self._at = time.monotonic()

    def is_old(self) -> bool:
        """Whether somebody may have changed it since."""
        return time.monotonic() - self._at > _FRESH

    def look_again(self) -> None:
        """Nobody has changed it in a moment."""

    def settle(self, context: Context, conclusion: Conclusion) -> None:
        """The snapshot holds what was seen; what the process used beside it is in the record of the process."""
