"""What a store holds for its records: what they need, what was merely kept, and what of that a recorded run can make again."""

from __future__ import annotations

import os

from vestige.errors import VestigeError
from vestige.model.code import Code
from vestige.model.files import Digest
from vestige.model.links import instant
from vestige.model.run import Run
from vestige.model.values import field, value
from vestige.record import provisional
from vestige.store import journal
from vestige.store.objects import Objects
from vestige.store.records import Records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


#: Services of the system that a program asks in passing: for the names of users, or to log a line.
_HARMLESS = ("unix:/var/run/nscd/", "unix:/run/nscd/", "unix:/run/systemd/", "unix:/dev/log")


@value(frozen=False)
class Content:
    """A kept content: how large, when some run used it last, where, and which runs wrote it."""

    size: int
    used: float = 0.0
    path: str | None = None
    makers: list[Run] = field(default_factory=list)


def needed(run: Run) -> Iterator[tuple[str, Digest]]:
    """The objects without which a record is not whole; what it merely kept (`kept`) may go."""
    once = {
        "list of inputs": run.inputs_object,
        "list of outputs": run.outputs_object,
        "list of processes": run.processes_object,
        "environment": run.environment,
        "machine": run.machine,
        "list of absent files": run.absent,
        "list of files asked about": run.observation.asked if run.observation else None,
        "list of listed folders": run.listings,
        "journal": run.observation.raw if run.observation else None,
        **{name: stream.digest for name, stream in run.streams.items()},
        **(_diffs(run.code) if run.code is not None else {}),
    }
    yield from ((what, digest) for what, digest in once.items() if digest is not None)
    yield from ((f"collected {one.path}", one.digest) for one in run.collected if one.way != "digest" and one.digest is not None)


def _diffs(code: Code) -> dict[str, Digest]:
    """Changes to the code that another system recorded as text."""
    found = code.extra.get("diffs")
    return {name: one for name, one in found.items() if isinstance(one, str)} if isinstance(found, dict) else {}


def runs(store: str) -> tuple[list[Run], int]:
    """Every record, those of active runs included, and how many cannot be read."""
    records, found, unreadable = Records(store), [], 0
    for path in records.paths():
        try:
            run = records.load(path)
        except VestigeError:
            unreadable += 1
            continue
        unreadable += bool(records.missing(run))
        found.append(run)
    return [*found, *provisional.runs(journal.list_active(store))], unreadable


def required(store: str, known: Iterable[Run]) -> set[Digest]:
    """What must not go: what records need, and what active runs may be about to need."""
    found = {digest for run in known for _, digest in needed(run)}
    for active in journal.list_active(store):
        found.update(one.digest for one in active.digests() if one.digest is not None)
        found.update(_collected(active))
        try:
            captured = active.document("capture.json")
        except VestigeError:
            continue
        found.update(digest for key in ("environment", "machine") if isinstance(digest := captured.get(key), str))
    return found


def _collected(active: journal.Active) -> Iterator[Digest]:
    """What a run has put aside already, and may have taken away."""
    try:
        files = active.document("collected.json").get("files")
    except VestigeError:
        return
    for one in files if isinstance(files, list) else ():
        if isinstance(one, dict) and isinstance(digest := one.get("digest"), str):
            yield digest


def contents(store: str, known: Iterable[Run], but: set[Digest]) -> dict[Digest, Content]:
    """What is kept, `but` for some."""
    objects, found = Objects(store), dict[Digest, Content]()
    for run in known:
        moment = instant(run.ended or run.started) or 0.0
        for written, uses in ((False, run.inputs), (True, run.outputs)):
            for use in uses:
                for digest in (use.digest, use.before):
                    if digest is None or digest in but:
                        continue
                    content = found.get(digest)
                    if content is None:
                        path = objects.path(digest)
                        if path is None:
                            continue
                        content = found[digest] = Content(os.path.getsize(path))
                    content.used = max(content.used, moment)
                    content.path = content.path or use.path
                    if written and digest == use.digest and not use.deleted:
                        content.makers.append(run)
    return found


def oldest_first(kept: dict[Digest, Content]) -> list[tuple[Digest, Content]]:
    """The least recently used first; of those used at one moment, the largest."""
    return sorted(kept.items(), key=lambda item: (item[1].used, -item[1].size))


class Again:
    """Which contents a recorded run can make again, from what is left when they have gone.

    `has_code` tells whether a snapshot is there, `digest_at` what lies at a path that a record names. In doubt none can: what
    came over the network, through a pipe, or from files that escaped observation, was perhaps there only once.
    """

    def __init__(
        self,
        kept: dict[Digest, Content],
        known: Iterable[Run],
        has_code: Callable[[str], bool],
        digest_at: Callable[[str], Digest | None],
    ) -> None:
        self._contents = kept
        self._made = {use.digest for run in known for use in run.outputs}
        self._has_code = has_code
        self._digest_at = digest_at
        self._known: dict[Digest, bool] = {}

    def can_be_made(self, digest: Digest) -> bool:
        """Whether some run that succeeded wrote this, and has its code and all its inputs."""
        pending = [digest]
        while pending:  # a stack of our own: chains are long
            one = pending[-1]
            if one in self._known:
                pending.pop()
                continue
            asked = self._ask(one, set(pending))
            if isinstance(asked, bool):
                self._known[one] = asked
                pending.pop()
            else:
                pending.append(asked)
        return self._known[digest]

    def _ask(self, digest: Digest, above: set[Digest]) -> bool | Digest:
        """The answer, or another content that must be asked about first."""
        content = self._contents.get(digest)
        for run in content.makers if content is not None else ():
            if not self._is_repeatable(run):
                continue
            for use in run.inputs:
                if use.role not in ("data", "config", "code") or use.link is not None:
                    continue
                if use.role == "code" and use.digest not in self._made:
                    continue  # source: in the snapshot
                if use.digest is None or use.digest in above:
                    break
                if self._is_there(use.path, use.digest):
                    continue
                if use.digest not in self._known:
                    return use.digest
                if not self._known[use.digest]:
                    break
            else:
                return True
        return False

    def _is_repeatable(self, run: Run) -> bool:
        snapshot = run.code.snapshot if run.code else None
        succeeded = run.status == "finished" and run.kind in ("command", "script", "reproduction")
        return succeeded and snapshot is not None and _is_closed(run) and self._has_code(snapshot)

    def _is_there(self, path: str, digest: Digest) -> bool:
        """Whether an input is at hand for good: as it was on disk, or kept and not to be made again by anybody."""
        content = self._contents.get(digest)
        if content is not None and not content.makers:
            return True
        return self._digest_at(path) == digest


def _is_closed(run: Run) -> bool:
    """Whether all that a run depended on is known, and was in files that are not withheld."""
    seen = run.observation
    if seen is None or seen.method == "none" or seen.gaps or seen.lost:
        return False
    if not all(str(one.get("endpoint")).startswith(_HARMLESS) for one in run.network):
        return False
    if run.stdin is not None and run.stdin.kind == "pipe":
        read = run.streams.get("stdin")
        if read is None or (read.size and (read.digest is None or read.truncated)):
            return False
    withheld = set(run.code.withheld) if run.code else set()
    return not any(use.path in withheld for use in run.inputs)
