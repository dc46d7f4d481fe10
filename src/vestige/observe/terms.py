"""What a watcher is told of the run: where it happens, what is to be saved before it is lost, what must not be written."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    #: path, stat → digest (or None: over the budget), and whether the bytes were kept
    Preimage = Callable[[str, os.stat_result], tuple[str | None, bool]]


class Suspicion:
    """What makes a word suspicious of being a secret, so that `Terms.redact` is asked: see `record.secrets.suspicious`."""

    __slots__ = ("marks", "telling", "values")

    def __init__(self, marks: Sequence[str] = (), telling: Sequence[str] = (), values: Sequence[str] = ()) -> None:
        self.marks = marks
        self.telling = telling
        self.values = values


class Terms:
    """The same for every way of watching."""

    __slots__ = ("own", "preimage", "redact", "root", "snapshot_due", "suspicion")

    def __init__(
        self,
        root: str,
        *,
        own: Sequence[str] = (),
        preimage: Preimage = lambda _path, _found: (None, False),
        redact: Callable[[list[str]], list[str]] = list,
        suspicion: Suspicion | None = None,
        snapshot_due: bool = False,
    ) -> None:
        """`root` is the project's, `own` are folders that are Vestige's. `preimage` takes a content that is about to be lost,
        `redact` the secrets out of a command line. `snapshot_due`: changes to the project wait for the snapshot of its code."""
        self.root = root.rstrip("/") + "/"
        self.own = tuple(folder.rstrip("/") + "/" for folder in own)
        self.preimage = preimage
        self.redact = redact
        self.suspicion = suspicion or Suspicion()
        self.snapshot_due = snapshot_due
