"""What is in a snapshot, how two of them differ, and what may be wrong with one."""

from __future__ import annotations

from vestige.model.values import value


@value
class Entry:
    """One file of a snapshot: path relative to its root, with `/`; mode as git writes it; size in bytes."""

    path: str
    mode: int
    blob: str
    size: int


@value
class Change:
    """One path about which two snapshots differ, and the blobs there; None where one has nothing. Renames are two changes."""

    path: str
    before: str | None
    after: str | None


@value
class Damage:
    """What is wrong with a snapshot, and at which path in it (empty: the root)."""

    tree: str
    path: str
    what: str
