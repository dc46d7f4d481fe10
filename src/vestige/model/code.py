"""The code as it stood when a run started."""

from __future__ import annotations

from vestige.model.files import nothing
from vestige.model.values import field, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


@value(kw_only=True)
class Repository:
    """A repository inside the project (a submodule, an untracked clone), whose files are part of the project's snapshot; or one
    that the configuration calls `name`. If that lies elsewhere, it has a `snapshot` and a `base` of its own, as `Code` has."""

    path: str
    commit: str | None
    name: str | None = None
    branch: str | None = None
    remotes: Mapping[str, str] = field(default_factory=nothing)
    dirty: bool = False
    snapshot: str | None = None
    base: str | None = None
    extra: Mapping[str, object] = field(default_factory=nothing)


@value(kw_only=True)
class Code:
    """Commit and snapshot. `snapshot` is `git:TREE`, a tree in the store's own `code.git` that holds
    every source file exactly; `base` is the tree of `commit`, kept beside it so that a diff can be shown
    without the user's repository: as git would check it out here, with the commits of `repositories` in
    their places, and without what no snapshot takes. `private`: paths of files that hold a secret, and so lie
    in the private part of the store. `dirty` is None where there is no repository, or nobody can tell."""

    commit: str | None = None
    branch: str | None = None
    remotes: Mapping[str, str] = field(default_factory=nothing)
    dirty: bool | None = None
    snapshot: str | None = None
    base: str | None = None
    changed_during_run: bool = False
    withheld: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    repositories: tuple[Repository, ...] = ()
    extra: Mapping[str, object] = field(default_factory=nothing)
