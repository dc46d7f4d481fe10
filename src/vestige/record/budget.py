"""The budget of kept data, held without anybody asking: what a recorded run can make again goes, nothing else.

A recorder comes here when its record is written and nobody waits for it, and only when the count of what is kept says so. What
cannot be had again stays, whatever the budget: that goes only when somebody types `vestige gc`, as a closing line then says.
"""

from __future__ import annotations

import errno
import os

from vestige.capture import digest as digests
from vestige.config import Config
from vestige.model.files import Digest
from vestige.record import holdings
from vestige.record.context import absolute
from vestige.store import project
from vestige.store.code import CodeStore
from vestige.store.kept import Tally
from vestige.store.objects import Objects
from vestige.store.project import Place

#: Room is made for the next runs, too, so that not each of them has to.
_FULL = 0.9


def enforce(place: Place, config: Config) -> int:
    """Drop what can be made again until a tenth of the budget is free; returns the bytes dropped. Raises OSError.

    Nothing happens where another process is at it, and next to a record that cannot be read nothing goes.
    """
    lock = _lock(Tally(place.store).path)
    if lock is None:
        return 0
    try:
        tally = Tally(place.store)  # another process may just have done it
        return _drop(place, int(config.budget * _FULL), tally) if tally.is_due(config.budget) else 0
    finally:
        os.close(lock)


def _drop(place: Place, allowed: int, tally: Tally) -> int:
    runs, unreadable = holdings.runs(place.store)
    kept = holdings.contents(place.store, runs, holdings.required(place.store, runs))
    objects, cache = Objects(place.store), digests.DigestCache(os.path.join(project.cache_dir(place), "digests.sqlite"))

    def digest_at(path: str) -> Digest | None:
        try:
            return digests.of_file(absolute(path, place.root), cache)[1]
        except (OSError, ValueError):
            return None

    again = holdings.Again(kept, runs, CodeStore(os.path.join(place.store, "code.git")).kept, digest_at)
    before = left = sum(content.size for content in kept.values())
    try:
        for digest, content in holdings.oldest_first(kept):
            if unreadable or left <= allowed:
                break
            if again.can_be_made(digest):
                objects.remove(digest)
                left -= content.size
    finally:
        cache.close()
        tally.settle(left)
    return before - left


def _lock(path: str) -> int | None:
    """The right to clean up, as an open file; None where another process has it."""
    import fcntl

    fd = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            os.close(fd)
            return None
    return fd
