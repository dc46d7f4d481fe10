"""A file system that takes its time: FUSE's protocol, as far as a look-up needs it (include/uapi/linux/fuse.h)."""

from __future__ import annotations

import errno
import os
import stat
import struct
import subprocess
import threading
import time
from pathlib import Path

_LOOKUP, _GETATTR, _INIT = 1, 3, 26
_IN = struct.Struct("=IIQQIIIHH")
_OUT = struct.Struct("=IiQ")


class SlowMount:
    """Mounted at a folder; whoever looks for a name in it waits. Needs root."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder
        self._seconds = seconds
        self._device = os.open("/dev/fuse", os.O_RDWR)
        os.set_inheritable(self._device, True)
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0,allow_other"
        subprocess.run(["mount", "-i", "-t", "fuse", "-o", options, "slow", str(folder)], check=True, pass_fds=[self._device])
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self._folder)], check=True)

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._device, 1 << 18)
            except OSError:
                return
            _, operation, unique, *_ = _IN.unpack_from(request)
            if operation == _INIT:
                _, minor = struct.unpack_from("=II", request, _IN.size)
                self._reply(unique, struct.pack("=IIIIHHIIHHI28x", 7, min(minor, 31), 0, 0, 12, 10, 4096, 1, 0, 0, 0))
            elif operation == _GETATTR:
                attributes = struct.pack("=6Q10I", 1, 0, 0, 0, 0, 0, 0, 0, 0, stat.S_IFDIR | 0o755, 2, 0, 0, 0, 4096, 0)
                self._reply(unique, struct.pack("=QII", 60, 0, 0) + attributes)
            elif operation == _LOOKUP:
                threading.Thread(target=self._answer_late, args=(unique,), daemon=True).start()
            else:
                self._reply(unique, error=errno.ENOSYS)

    def _answer_late(self, unique: int) -> None:
        time.sleep(self._seconds)
        self._reply(unique, error=errno.ENOENT)

    def _reply(self, unique: int, data: bytes = b"", error: int = 0) -> None:
        try:
            os.write(self._device, _OUT.pack(_OUT.size + len(data), -error, unique) + data)
        except OSError:
            pass  # unmounted meanwhile
