"""The processes of a run, in the order in which they were seen first."""

from __future__ import annotations

from vestige.model import plain
from vestige.observe.conclusion import Execution, Process
from vestige.observe.interface import Event

#: What a `p` says of a number that was given out again.
AGAIN = "again"


class Processes:
    """Every process so far, and what each executed. A number that is given out again is another process."""

    def __init__(self) -> None:
        self.all: list[Process] = []
        self.executions: list[Execution] = []
        self._current: dict[int, int] = {}

    def position(self, pid: int) -> int:
        """Where a process stands in the list; -1 for none, which is what a mere comparison of folders knows."""
        at = self._current.get(pid)
        if at is None:
            if not pid:
                return -1
            at = self._current[pid] = len(self.all)
            self.all.append(Process(pid, 0, None, "", (), None, None, 0))
        return at

    def pids(self, positions: set[int] | None) -> tuple[int, ...]:
        """The numbers of these processes."""
        return tuple(sorted({self.all[at].pid for at in positions or () if at >= 0}))

    def seen(self, event: Event) -> None:
        """A `p`: a process was seen first, or is about to execute something, or has a number that was another's."""
        _, seq, pid, _, other, parent, _, text = event
        at = self._current.get(pid)
        above = self._current.get(parent) if parent else None
        if at is not None and other != AGAIN:
            if not self.all[at].first:  # known by its number alone, from what it inherited
                self.all[at] = Process(pid, parent, above, text or "", (), None, None, seq)
            return
        self._current[pid] = len(self.all)
        self.all.append(Process(pid, parent, above, text or "", (), None, None, seq))

    def executed(self, event: Event, path: str) -> Execution:
        """An `x`: a program was executed; `path` is its canonical name."""
        _, seq, pid, _, cwd, parent, _, text = event
        argv = _words(text)
        if pid:
            at = self.position(pid)
            self.all[at] = self.all[at]._replace(argv=argv, executable=path, cwd=cwd)
        else:  # whoever started it could not tell its number
            at = len(self.all)
            self.all.append(Process(0, parent, self._current.get(parent), "", argv, path, cwd, seq))
        execution = Execution(seq, at, path, argv, cwd)
        self.executions.append(execution)
        return execution


def _words(text: str | None) -> tuple[str, ...]:
    """An argument vector from its JSON."""
    try:
        words = plain.loads(text or "[]")
    except (ValueError, RecursionError):
        return ()
    return tuple(str(word) for word in words) if isinstance(words, list) else ()
