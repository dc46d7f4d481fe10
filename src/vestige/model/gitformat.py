"""What git's files say: object, tree, pack and index formats, as bytes in and values out.

Formats are those of gitformat-pack(5), gitformat-index(5) and of Documentation/gitrepository-layout. Object
ids are lower-case hexadecimal text here, paths and names are bytes as git has them.
"""

from __future__ import annotations

import zlib

from vestige.model import sha1
from vestige.model.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
FILE, EXECUTABLE, SYMLINK, TREE, GITLINK = 0o100644, 0o100755, 0o120000, 0o040000, 0o160000

#: Numbers of object kinds in a pack; 6 and 7 are deltas.
PACK_KINDS = {1: b"commit", 2: b"tree", 3: b"blob", 4: b"tag"}
OFFSET_DELTA, REFERENCE_DELTA = 6, 7


class FormatError(ValueError):
    """Bytes that are not what git writes."""


class TreeEntry(NamedTuple):
    """One name in a tree."""

    name: bytes
    mode: int
    oid: str


class IndexEntry(NamedTuple):
    """One file in an index, or, in a sparse one, a folder whose files are not in the work tree.

    `size` is 0 where git does not trust it; `hidden` says that git was told to believe the file unchanged:
    "a" (assume-unchanged), "s" (skip-worktree), or "".
    """

    path: bytes
    mode: int
    oid: str
    size: int
    stage: int
    hidden: str


def object_id(kind: bytes, data: bytes) -> str:
    """The id under which git knows this object."""
    return sha1.of(b"%s %d\0" % (kind, len(data)), data)


def encode_loose(kind: bytes, data: bytes) -> bytes:
    """An object as a file of its own under `objects/`."""
    return zlib.compress(b"%s %d\0" % (kind, len(data)) + data, 1)


def decode_loose(raw: bytes) -> tuple[bytes, bytes]:
    """Kind and content of an object that is a file of its own."""
    try:
        header, _, data = zlib.decompress(raw).partition(b"\0")
        kind, _, size = header.partition(b" ")
        expected = int(size)
    except (zlib.error, ValueError) as error:
        raise FormatError(str(error)) from error
    if expected != len(data):
        raise FormatError(f"{len(data)} bytes where {expected} were promised")
    return kind, data


def parse_tree(data: bytes, width: int = 20) -> list[TreeEntry]:
    """The entries of a tree; `width` is the length of an id in bytes (20 for SHA-1, 32 for SHA-256)."""
    entries = []
    at, end = 0, len(data)
    while at < end:
        blank = data.find(b" ", at)
        zero = data.find(b"\0", blank)
        if blank < 0 or zero < 0 or zero + 1 + width > end:
            raise FormatError("a tree ends in the middle of an entry")
        after, mode = zero + 1 + width, data[at:blank]
        if mode.strip(b"01234567"):
            raise FormatError("a tree with a mode that is none")
        entries.append(TreeEntry(data[blank + 1 : zero], int(mode, 8), data[zero + 1 : after].hex()))
        at = after
    return entries


def format_tree(entries: Iterable[TreeEntry]) -> bytes:
    """A tree as git stores it: sorted as if the names of folders ended in `/`."""
    ordered = sorted(entries, key=lambda entry: entry.name + b"/" if entry.mode == TREE else entry.name)
    return b"".join(b"%o %s\0%s" % (mode, name, bytes.fromhex(oid)) for name, mode, oid in ordered)


def tree_of_commit(data: bytes) -> str:
    """The id of the tree that a commit holds."""
    first = data.partition(b"\n")[0]
    if not first.startswith(b"tree "):
        raise FormatError("a commit without a tree")
    return first[5:].decode("ascii")


def pack_header(kind: int, size: int) -> bytes:
    """What stands before an object in a pack."""
    first, size = kind << 4 | size & 15, size >> 4
    out = bytearray()
    while size:
        out.append(first | 0x80)
        first, size = size & 0x7F, size >> 7
    out.append(first)
    return bytes(out)


def parse_pack_header(data: bytes) -> tuple[int, int, int]:
    """Kind, size after inflating, and length of the header of an object in a pack."""
    byte = data[0]
    kind, size, shift, at = byte >> 4 & 7, byte & 15, 4, 1
    while byte & 0x80:
        byte = data[at]
        size |= (byte & 0x7F) << shift
        shift += 7
        at += 1
    return kind, size, at


def parse_offset(data: bytes) -> tuple[int, int]:
    """How far before a delta its base lies, and the length of that number."""
    byte = data[0]
    value, at = byte & 0x7F, 1
    while byte & 0x80:
        byte = data[at]
        value = value + 1 << 7 | byte & 0x7F
        at += 1
    return value, at


def apply_delta(base: bytes, delta: bytes) -> bytes:
    """The object that a delta makes of its base."""
    _, at = _size(delta, 0)
    expected, at = _size(delta, at)
    out = []
    while at < len(delta):
        code = delta[at]
        at += 1
        if code & 0x80:
            where = length = 0
            for bit in range(4):
                if code & 1 << bit:
                    where |= delta[at] << 8 * bit
                    at += 1
            for bit in range(3):
                if code & 0x10 << bit:
                    length |= delta[at] << 8 * bit
                    at += 1
            length = length or 0x10000
            out.append(base[where : where + length])
        elif code:
            out.append(delta[at : at + code])
            at += code
        else:
            raise FormatError("a delta holds an instruction that means nothing")
    result = b"".join(out)
    if len(result) != expected:
        raise FormatError("a delta does not fit its base")
    return result


def result_size(delta: bytes) -> int:
    """The size of what a delta makes, from its first bytes."""
    _, at = _size(delta, 0)
    return _size(delta, at)[0]


def _size(delta: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = delta[at]
        value |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if not byte & 0x80:
            return value, at


def parse_index(data: bytes, width: int = 20) -> list[IndexEntry]:
    """The entries of an index file, versions 2 to 4.

    Raises FormatError for what it does not read: a split index, some of whose entries lie elsewhere.
    """
    if data[:4] != b"DIRC" or not 2 <= (version := int.from_bytes(data[4:8], "big")) <= 4:
        raise FormatError("not an index of version 2 to 4")
    try:
        count, at, path = int.from_bytes(data[8:12], "big"), 12, b""
        found = []
        for _ in range(count):
            flags_at = at + 40 + width
            flags = data[flags_at] << 8 | data[flags_at + 1]
            start, hidden = flags_at + 2, "a" if flags & 0x8000 else ""
            if flags & 0x4000:
                hidden = "s" if data[start] & 0x40 else hidden
                start += 2
            if version == 4:
                strip, used = parse_offset(data[start : start + 10])
                end = data.index(b"\0", start + used)
                path = path[: len(path) - strip] + data[start + used : end]
                following = end + 1
            else:
                length = flags & 0xFFF
                end = start + length if length < 0xFFF else data.index(b"\0", start)
                path = data[start:end]
                following = at + ((end - at + 8) & ~7)
            mode = int.from_bytes(data[at + 24 : at + 28], "big")
            size = int.from_bytes(data[at + 36 : at + 40], "big")
            found.append(IndexEntry(path.rstrip(b"/"), mode, data[at + 40 : flags_at].hex(), size, flags >> 12 & 3, hidden))
            at = following
        _refuse_split(data, at, width)
    except IndexError as error:
        raise FormatError("an index ends in the middle of an entry") from error
    return found


def _refuse_split(data: bytes, at: int, width: int) -> None:
    while at + 8 <= len(data) - width:
        if data[at : at + 4] == b"link":
            raise FormatError("a split index")
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "big")
