"""Memory that the watcher shares with whoever stands in for it: what it has received, and what it has noted.

If the watcher is killed, the calls that it has received and not answered are answered by the other, and the lines that it
has noted and not written are written: nothing is lost. The compiled watcher has the same layout (`native/watcher.c`).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct

from vestige.observe import notify

_HEAD = struct.Struct("=QII")  # bytes that the journal had when it was written last, bytes that are noted since, slots
_AT = 64
SLOTS = 200
SIZE = 1 << 18
_LINES = _AT + SLOTS * notify.MESSAGE.size


class Shared:
    """The page in which messages are received (one a slot), and the lines behind it."""

    __slots__ = ("memory",)

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, SIZE)

    def slot(self, number: int) -> memoryview:
        """Where a message lies: larger than the message, since ioctl copies what is small."""
        at = _AT + number * notify.MESSAGE.size
        return memoryview(self.memory)[at : at + mmap.PAGESIZE]

    def address(self) -> int:
        """Where it lies in memory."""
        return ctypes.addressof(ctypes.c_char.from_buffer(self.memory))

    def unanswered(self) -> list[int]:
        """The messages that were received, and perhaps not answered."""
        found = (notify.MESSAGE.unpack_from(self.memory, _AT + at * notify.MESSAGE.size)[0] for at in range(SLOTS))
        return [identity for identity in found if identity]

    def write_rest(self, journal: str) -> None:
        """Bring what was noted and not written to the journal. Raises OSError."""
        written, pending, _ = _HEAD.unpack_from(self.memory)
        if not pending:
            return
        descriptor = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            done = max(os.fstat(descriptor).st_size - written, 0)  # it may have been killed while it wrote
            os.write(descriptor, self.memory[_LINES + done : _LINES + pending])
        finally:
            os.close(descriptor)
