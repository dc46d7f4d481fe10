"""The contents of a snapshot as they are put into the store: one that holds a secret goes into its private part, or nowhere.

A content is looked at once, before it is written. One that the store has already was looked at, or came with a commit.
"""

from __future__ import annotations

from vestige.capture.sources import Rules
from vestige.model.gitformat import object_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vestige.capture.pinning import Database


class Blobs:
    """Puts blobs into a database, by the rules of a snapshot. `holds_secret` judges a content."""

    __slots__ = ("_holds_secret", "_private", "database", "rules")

    def __init__(self, database: Database, rules: Rules, holds_secret: Callable[[bytes], bool]) -> None:
        self.database = database
        self.rules = rules
        self._holds_secret = holds_secret
        self._private = database.private()

    def put(self, data: bytes) -> str | None:
        """Keep a content; its id, None where it holds a secret and is withheld. Raises OSError."""
        oid = object_id(b"blob", data)
        if oid in self._private and self.rules.withhold:
            return None
        if self.database.touch(oid):
            return oid
        if not self._holds_secret(data):
            return self.database.put(b"blob", data)
        if self.rules.withhold:
            return None
        try:
            return self.database.put(b"blob", data, private=True)
        except PermissionError:
            return None  # the private part is another's, in a store that a group shares
