"""SHA-1, as git names things, without loading libcrypto for it: that takes longer than hashing a small file."""

from __future__ import annotations

_LARGE = 1 << 20

TYPE_CHECKING = False
if TYPE_CHECKING:
    import hashlib


def start(data: bytes = b"", *, size: int = 0) -> hashlib._Hash:
    """A hash under way; `size` bytes will come, and if they are many, the fast implementation is worth loading."""
    if size < _LARGE:
        try:
            from _sha1 import sha1  # type: ignore[import-not-found]  # typeshed leaves it out
        except ImportError:
            pass
        else:
            under_way: hashlib._Hash = sha1(data, usedforsecurity=False)
            return under_way
    from hashlib import sha1 as thorough

    return thorough(data, usedforsecurity=False)


def of(*parts: bytes) -> str:
    """The hash over all parts, in hexadecimal."""
    state = start(size=sum(map(len, parts)))
    for part in parts:
        state.update(part)
    return state.hexdigest()
