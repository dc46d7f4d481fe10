"""A file version, and the use that a run made of it: as a record has it, and as a row of an index."""

from __future__ import annotations

from types import MappingProxyType

from vestige.model.values import NamedTuple, field, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal

    Role = Literal["data", "config", "code", "cache", "temporary", "library", "system"]
    Access = Literal["read", "write", "update", "append", "link", "execute"]
    Evidence = Literal["observed", "declared"]
else:
    Role = Access = Evidence = str


#: An identity of content, `algorithm:hex`, as in `blake3:af13…`.
Digest = str

#: The roles that are listed, linked and shown one by one.
LINKED_ROLES = frozenset({"data", "config", "code"})

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def nothing() -> Mapping[str, Any]:
    """The empty mapping: the default of every field that holds one."""
    return _NOTHING


@value
class Signature:
    """What the file system says of a file without reading it: times in nanoseconds, size in bytes."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int


@value
class Moment:
    """When something happened: `seq` is microseconds since the host was booted, so that it
    orders events of one host and boot even when the clock is set; `time` is ISO 8601, UTC."""

    seq: int
    time: str


@value(kw_only=True)
class FileUse:
    """One file version as one run read or wrote it. Keys as in `docs/format.md`.

    `path` is relative to the project root (with `/`) where it lies inside, else absolute.
    Paths that are not UTF-8 are surrogate-escaped here and percent-encoded on the wire.
    """

    path: str
    digest: Digest | None
    size: int | None = None
    role: Role = "data"
    access: Access = "read"
    evidence: tuple[Evidence, ...] = ("observed",)
    before: Digest | None = None
    first: Moment | None = None
    last: Moment | None = None
    by: tuple[int, ...] = ()
    kept: bool = False
    deleted: bool = False
    recovered: bool = False
    link: str | None = None
    kind: str | None = None
    signature: Signature | None = None
    extra: Mapping[str, object] = field(default_factory=nothing)

    def __repr__(self) -> str:
        return f"<{self.access} {self.path!r} {self.digest or 'not hashed'}, {self.role}>"

    def _repr_html_(self) -> str | None:
        from vestige.model import display

        return display.html(self)


class Use(NamedTuple):
    """One row of an index: a use of a file version by a run, `written` or read.

    `seq` is the moment (microseconds since boot) of the first read, or of the last write; `time` the
    same by the wall clock. `size` in bytes. `kind` is `directory` for a directory that is one thing.
    """

    run: str
    path: str
    digest: Digest | None
    before: Digest | None
    written: bool
    access: Access
    role: Role
    size: int | None
    seq: int
    time: str
    deleted: bool = False
    kept: bool = False
    recovered: bool = False
    kind: str | None = None
