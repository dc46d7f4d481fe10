"""How a process ended that is not our child: a new enough kernel says so of one that we hold by a descriptor."""

from __future__ import annotations

import struct
import time

from vestige.record import identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_GET_INFO = 0xC040FF0B  # PIDFD_GET_INFO with 64 bytes, since Linux 6.15 also of a process that has been reaped
_EXIT = 1 << 3
_INFO = struct.Struct("=QQ11Ii")  # mask, cgroup, numbers of processes and users, exit code


class Ending:
    """Holds on to a process."""

    def __init__(self, descriptor: int) -> None:
        """`descriptor`, if it is open, is the process's."""
        self._descriptor = descriptor
        self._moment: dict[str, Any] = {}
        self.note()

    def status(self, said: int | None) -> tuple[int | None, str | None]:
        """Its status as from wait(2), and what is wrong with it. `said`: the exit status as it expected it itself."""
        known = self._from_the_kernel()
        if known is not None:
            return known, None
        if said is not None:
            return said << 8, None
        return None, "the program ended without a word: it was killed, or the machine stopped"

    def _from_the_kernel(self) -> int | None:
        import fcntl

        buffer = bytearray(64)
        struct.pack_into("=Q", buffer, 0, _EXIT)
        deadline = time.monotonic() + 0.5
        while True:
            try:
                fcntl.ioctl(self._descriptor, _GET_INFO, buffer)
                found: tuple[Any, ...] = _INFO.unpack_from(buffer)
            except OSError:
                return None
            if found[0] & _EXIT:
                return int(found[-1])
            if time.monotonic() > deadline:
                return None  # it lives, and has closed our pipe
            time.sleep(0.005)
            struct.pack_into("=Q", buffer, 0, _EXIT)

    def note(self) -> None:
        """It ends now."""
        self._moment = {"time": identity.timestamp(time.time()), "seq": identity.sequence()}

    def document(self, status: int) -> dict[str, Any]:
        """What `ended.json` says."""
        return {"status": status, **self._moment}
