"""How many bytes of inputs and outputs the store keeps: a small file beside the objects, to which every run adds.

    objects/kept    "=5000" what was left after the last clean-up, "+812" what a run has kept since, "!" somebody was told

A guess, since files may be merged, or go: a clean-up sets it right, and without the file counting begins anew. So a run learns
without looking at any object whether there is too much.
"""

from __future__ import annotations

import os

from vestige.store import publish

#: A file that is longer is written anew, as a sum.
_LONGEST = 1 << 16


class Tally:
    """The count of one store. `total`: bytes kept; `base`: of these, what the last clean-up left."""

    __slots__ = ("_told", "base", "path", "total")

    def __init__(self, store_dir: str) -> None:
        self.path = os.path.join(store_dir, "objects", "kept")
        self.base = 0
        self.total = 0
        self._told = False
        self._read()

    def add(self, size: int) -> None:
        """Count what a run has kept. Raises OSError."""
        self._append(b"+%d\n" % size)
        self.total += size
        if os.path.getsize(self.path) > _LONGEST:
            told = b"!\n" if self._told else b""
            self._replace(b"=%d\n+%d\n" % (self.base, self.total - self.base) + told)

    def settle(self, left: int) -> None:
        """Say what a clean-up has left. Raises OSError."""
        self._replace(b"=%d\n" % left)
        self.base = self.total = left
        self._told = False

    def is_due(self, budget: int) -> bool:
        """Whether it is time to clean up: there is too much, and, if the last clean-up left too much, a tenth more than that."""
        return self.total > max(budget, self.base + budget // 10)

    def is_stuck(self, budget: int) -> bool:
        """Whether the last clean-up left too much, and nobody has been told yet."""
        return self.base > budget and not self._told

    def tell(self) -> None:
        """Note that somebody was told. Raises OSError."""
        self._append(b"!\n")
        self._told = True

    def _read(self) -> None:
        try:
            with open(self.path, "rb") as file:
                lines = file.read().splitlines()
        except OSError:
            return
        for line in lines:
            sign, number = line[:1], line[1:]
            if sign == b"!":
                self._told = True
            elif number.isdigit() and len(number) < 20:
                self.total += int(number)
                self.base += int(number) if sign == b"=" else 0

    def _append(self, line: bytes) -> None:
        mode = publish.make_folder(os.path.dirname(self.path)) & 0o666
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), mode)
        try:
            publish.write_all(fd, line)
        finally:
            os.close(fd)

    def _replace(self, data: bytes) -> None:
        mode = publish.make_folder(os.path.dirname(self.path)) & 0o666
        publish.replace(self.path, data, mode=mode, durable=False)
