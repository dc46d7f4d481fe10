"""Texts that come again and again (digests, paths, commits, hosts) as small keys; pure.

A key is a signed 64-bit number made from the text, so that it is known without asking the index. For a digest it is
the beginning of the digest itself, and only the rest is stored, as bytes: 32 bytes instead of 71 characters. Two
texts with the same key are kept apart by the index: the later one takes the next free number, and is stored as text.
"""

from __future__ import annotations

from zlib import adler32, crc32

_BLAKE3 = "blake3:"
_LENGTH = len(_BLAKE3) + 64
_ALL = 0xFFFF_FFFF_FFFF_FFFF

#: Marks a text that is not UTF-8 (surrogates), and one that begins with the mark.
_MARK = "\0"


def key_of(text: str) -> tuple[int, str | bytes]:
    """The key that a text should have, and what is stored under it."""
    if len(text) == _LENGTH and text.startswith(_BLAKE3):
        try:
            raw = bytes.fromhex(text[7:])
        except ValueError:
            raw = b""
        if raw.hex() == text[7:]:
            return int.from_bytes(raw[:8], "big", signed=True), raw[8:]
    stored = storable(text)
    data = stored.encode("utf-8")
    return (crc32(data) << 32 | adler32(data)) - (1 << 63), stored


def text_of(key: int, rest: str | bytes) -> str:
    """The text that is stored."""
    if isinstance(rest, bytes):
        return f"{_BLAKE3}{key & _ALL:016x}{rest.hex()}"
    return restored(rest)


def next_key(key: int) -> int:
    """Where a text goes whose key is taken by another."""
    return key + 1 if key < (1 << 63) - 1 else -(1 << 63)


def storable(text: str) -> str:
    """A text that a database takes: as it is, or, if it has bytes that are not UTF-8, marked and recoded."""
    if text.isascii() and not text.startswith(_MARK):
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        pass
    else:
        if not text.startswith(_MARK):
            return text
    return _MARK + text.encode("utf-8", "surrogatepass").decode("latin-1")


def restored(text: str) -> str:
    """The text as it was."""
    return text[1:].encode("latin-1").decode("utf-8", "surrogatepass") if text.startswith(_MARK) else text
