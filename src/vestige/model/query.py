"""A question about runs, as data."""

from __future__ import annotations

from vestige.model.values import value


@value(kw_only=True)
class RunQuery:
    """Which runs: every field that is given must hold. `since` is ISO 8601, UTC; `name` may hold `*` and `?`."""

    name: str | None = None
    status: str | None = None
    since: str | None = None
    user: str | None = None
    tag: str | None = None
    kind: str | None = None
    parent: str | None = None
    limit: int | None = None
