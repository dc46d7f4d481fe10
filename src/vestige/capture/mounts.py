"""Which file systems lie in memory: there a page that was read first is written through a mapping without a new time."""

from __future__ import annotations

import os

_IN_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs", "hugetlbfs"})


def in_memory(path: str = "/proc/self/mountinfo") -> frozenset[int]:
    """The devices (`st_dev`) of mounted file systems that keep no file on a disk."""
    found = set()
    try:
        with open(path, "rb") as file:
            for line in file:
                before, _, after = line.partition(b" - ")
                if os.fsdecode(after.split(b" ", 1)[0]) in _IN_MEMORY:
                    major, minor = map(int, before.split(b" ", 3)[2].split(b":"))
                    found.add(os.makedev(major, minor))
    except (OSError, ValueError, IndexError):
        pass
    return frozenset(found)
