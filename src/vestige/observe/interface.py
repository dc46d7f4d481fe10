"""The one event type that every way of observing emits, and its line in a journal.

A journal is a text file, one JSON array a line, appended to as things happen:

    [op, seq, pid, path, other, flags, signature, text]

with trailing nulls left out. `seq` is microseconds since boot. A path that is not UTF-8 has its bytes
percent-encoded and a leading `%` put before it; a path that begins with `%` gets one, too. A torn last
line is ignored.

| op | means | path | other | flags | signature | text |
|---|---|---|---|---|---|---|
| `v` | first line: format, then the wall clock (seconds) at `seq` | | | 1 | | wall clock |
| `p` | a process was seen first | | | parent's pid | | its name |
| `x` | a program was executed | the file | cwd | | of the file | argv, JSON |
| `r` | opened for reading | the file | | open(2) flags | at that moment | |
| `w` | opened for writing | the file | | open(2) flags | before; null: did not exist | |
| `t` | truncate(2) | the file | | | before | |
| `m` | renamed | old name | new name | 1: exchange, 2: a directory | of the old name | signature of what `other` was, JSON |
| `l` | hard link made | existing | new name | | of the existing | |
| `s` | symbolic link made | the link | target text | | | |
| `u` | unlinked, or directory removed | the name | | 1: a directory | before | |
| `k` | directory made | the name | | | null: did not exist | |
| `d` | directory opened (its names can be listed) | the directory | | | | |
| `a` | looked for with open(2), and absent | the name | | | | |
| `h` | digest taken just before a change | the file | | 1: bytes are kept | when hashed | digest; null: over budget |
| `i` | inherited descriptor that is a regular file | the file | | open(2) flags | at the start | descriptor number |
| `c` | a connection was made | | | | | endpoint |
| `g` | a gap: something may have escaped | | | | | what |
| `e` | the command ended | | | wait status | | |

Paths are absolute. They are as the program named them, made absolute: `classify` is handed a resolver.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vestige.observe.lines import unwritten, written


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
    import json

    for line in lines:
        if not line.endswith(b"]\n"):
            continue
        try:
            op, seq, *rest = json.loads(line)
            rest += [None] * (6 - len(rest))
            pid, path, other, flags, signature, text = rest
            yield Event(
                op,
                seq,
                pid or 0,
                None if path is None else unwritten(path),
                None if other is None else unwritten(other),
                flags or 0,
                Stat(*signature) if signature else None,
                text,
            )
        except (ValueError, TypeError):
            continue


def line(event: Event) -> bytes:
    """An event as its line. The hot path of the watcher writes the same form by hand."""
    import json

    fields: list[object] = list(event)
    fields[3], fields[4] = (None if path is None else written(path) for path in (event.path, event.other))
    while fields and fields[-1] is None:
        fields.pop()
    return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"
