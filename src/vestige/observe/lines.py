"""How a path stands in a journal: JSON text, and percent-encoded after a `%` where it is not UTF-8."""

from __future__ import annotations

FORMAT = 1


def written(path: str) -> str:
    """A path as it stands in a journal."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        from urllib.parse import quote_from_bytes

        return "%" + quote_from_bytes(path.encode("utf-8", "surrogateescape"))
    return "%" + path.replace("%", "%25") if path.startswith("%") else path


def unwritten(path: str) -> str:
    """The path that stands in a journal so."""
    if not path.startswith("%"):
        return path
    from urllib.parse import unquote_to_bytes

    return unquote_to_bytes(path[1:]).decode("utf-8", "surrogateescape")
