"""The one event type that every way of observing emits, and its line in a journal.

A journal is a text file, one JSON array a line, appended to as things happen:

    [op, seq, pid, path, other, flags, signature, text]

with trailing nulls left out. `seq` is microseconds since boot. A path that is not UTF-8 has its bytes
percent-encoded and a leading `%` put before it; a path that begins with `%` gets one, too. A torn last
line is ignored.

| op | means | path | other | flags | signature | text |
|---|---|---|---|---|---|---|
| `v` | first line: format, then the wall clock (seconds) at `seq` | | | 1 | | wall clock |
| `p` | a process was seen first, or executes | | `again`: the number was another's | parent's pid | | its name |
| `x` | a program was executed | the file | cwd | | of the file | argv, JSON |
| `r` | opened for reading | the file | | open(2) flags | at that moment | |
| `w` | opened for writing | the file | | open(2) flags | before; null: did not exist | |
| `t` | truncate(2) | the file | | | before | |
| `m` | renamed | old name | new name | 1: exchange, 2: a directory, 4: only if free | of the old name | of what `other` was |
| `l` | hard link made | existing | new name | | of the existing | |
| `s` | symbolic link made | the link | target text | | | |
| `u` | unlinked, or directory removed | the name | | 1: a directory | before | |
| `k` | directory made | the name | | | null: did not exist | |
| `d` | directory opened (its names can be listed) | the directory | | 1: once more by the same process | | |
| `a` | looked for with open(2), and absent | the name | | | | |
| `q` | asked about, and not opened (only where `metadata` is configured) | the file | | | then | |
| `h` | digest taken just before a change | the file | | 1: bytes are kept | when hashed | digest; null: over budget |
| `i` | inherited descriptor that is a regular file | the file | | open(2) flags | at the start | descriptor number |
| `n` | not read: what it inherited, or opened for both and now empties | the file | | how often it was opened so | | descriptor |
| `c` | a connection is made | | | 1: to a process of the run itself | | endpoint |
| `g` | a gap: something may have escaped | | | | | what |
| `e` | the command ended | | | wait status | | |

Paths are absolute. They are as the program named them, made absolute: `classify` is handed a resolver. Events are written
before the call, which may fail: a signature is what was there then. `r`, `w`, `t`, `h` and `i` are of regular files, with the
signature of what a link leads to; `m`, `u` and `l` have that of the name itself. An event that repeats another of the same
process may be left out if nothing was renamed, removed or written in between; of what the loader opens (shared libraries of
the system, and its cache), an event that repeats one of any process.

A pid of 0 stands for nobody: an `h` is the watcher's own, a `w` or `u` comes from comparing folders before and after, and an
`x` is of a program whose number is not known to whoever started it (its parent's pid is in the flags).
"""

from __future__ import annotations

from itertools import islice

from vestige.model import plain
from vestige.model.values import NamedTuple
from vestige.observe.lines import unwritten, written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

#: Lines that are read together.
_AT_ONCE = 500


class Stat(NamedTuple):
    """A stat signature inside an event: size in bytes, times in nanoseconds."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int


class Event(NamedTuple):
    """One thing that a process of the run did. See the table above."""

    op: str
    seq: int
    pid: int = 0
    path: str | None = None
    other: str | None = None
    flags: int = 0
    signature: Stat | None = None
    text: str | None = None


def parse(lines: Iterable[bytes]) -> Iterator[Event]:
    """Events from the lines of a journal; a line that is torn or damaged is passed over."""
    waiting = iter(lines)
    while batch := list(islice(waiting, _AT_ONCE)):
        for fields in _values(batch):
            try:
                yield _event(*fields)
            except (ValueError, TypeError, AttributeError):
                continue


def _values(lines: list[bytes]) -> list[Any]:
    """What stands in each line: all of them read as one array, and one by one where that shows that one is damaged."""
    whole = [line for line in lines if line.endswith(b"]\n")]
    try:
        found = plain.loads(b"[" + b",".join(whole) + b"]")
    except (ValueError, RecursionError):
        found = []
    if len(found) == len(whole):
        return list(found)
    if len(whole) == 1:
        return []
    return [fields for line in whole for fields in _values([line])]


def _event(
    op: str,
    seq: int,
    pid: int | None = None,
    path: str | None = None,
    other: str | None = None,
    flags: int | None = None,
    signature: list[int] | None = None,
    text: str | None = None,
) -> Event:
    """The fields of a line as an event. Raises TypeError or AttributeError where one holds what it cannot hold."""
    if signature is not None:
        sum(signature)  # numbers?
    return Event(
        op.strip(),
        seq + 0,
        (pid or 0) + 0,
        None if path is None else unwritten(path),
        None if other is None else unwritten(other),
        (flags or 0) + 0,
        None if signature is None else Stat(*signature),
        None if text is None else text + "",
    )


def line(event: Event) -> bytes:
    """An event as its line. The hot path of the watcher writes the same form by hand."""
    fields: list[object] = list(event)
    fields[3], fields[4] = (None if path is None else written(path) for path in (event.path, event.other))
    while fields and fields[-1] is None:
        fields.pop()
    return plain.dumps(fields).encode("ascii") + b"\n"
