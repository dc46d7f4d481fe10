"""A file opened for reading and writing, and emptied by the same process before it has read anything, was never read.

So HDF5 makes a file anew: it opens what is there, closes it, and opens it again to truncate it. Nothing tells what is done
with a descriptor; but the kernel counts what a process reads, and the pages that it touches first, as it must to read
through a mapping. Where no count has moved between the two opens, the first has read nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vestige.observe.notes import File

    #: bytes read, calls that read, and pages touched first, by the process and by its children that have ended
    Counts = tuple[bytes, ...]


class Tentative:
    """The last such open of each process."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[int, tuple[File, Counts, int]] = {}

    def opened(self, process: int, file: File) -> None:
        """A process opens a file for reading and writing."""
        counts = _counts(process)
        known = self._last.pop(process, None)
        times = known[2] if known is not None and known[:2] == (file, counts) else 0
        if counts is not None:
            self._last[process] = file, counts, times + 1

    def truncated(self, process: int, file: File) -> int:
        """A process opens a file to empty it: how many times it has opened it before, and read nothing."""
        known = self._last.pop(process, None)
        return known[2] if known is not None and known[:2] == (file, _counts(process)) else 0


def _counts(process: int) -> Counts | None:
    try:
        with open(f"/proc/{process}/io", "rb", 0) as file:
            read, _, calls, *_ = file.read(512).split(b"\n")
        with open(f"/proc/{process}/stat", "rb", 0) as file:
            fields = file.read(1024).rpartition(b")")[2].split()
    except (OSError, ValueError):
        return None
    return (read, calls, *fields[7:11])
