"""What was not committed when a run began, as text that can be given to somebody: without what holds a secret."""

from __future__ import annotations

from vestige.errors import VestigeError
from vestige.model.code import Code, Repository
from vestige.record.info import harmless
from vestige.store.code import CodeStore
from vestige.store.objects import Objects

_ESCAPED = {7: b"\\a", 8: b"\\b", 9: b"\\t", 10: b"\\n", 11: b"\\v", 12: b"\\f", 13: b"\\r", 34: b'\\"', 92: b"\\\\"}


def of_code(code: Code | Repository, store: CodeStore, objects: Objects, name: str) -> bytes | None:
    """The changes of a repository, as `git apply` takes them; None where they are not known. `name`: under which another system
    that was imported kept them."""
    said = code.extra.get("diffs") if isinstance(code, Code) else None
    try:
        if isinstance(said, dict) and isinstance(said.get(name), str):
            return harmless(objects.read(said[name]))
        if code.snapshot is None or (code.base is None and code.commit is not None):
            return b"" if code.dirty is False else None
        found = store.diff(code.base, code.snapshot)
    except VestigeError:
        return None
    private = {quoted(path) for path in getattr(code, "private", ())}
    return harmless(_without(found, private) if private else found)


def quoted(path: str) -> bytes:
    """A path behind `b/`, as git writes it in the head of a change."""
    data = b"b/" + path.encode("utf-8", "surrogateescape")
    if all(32 <= byte < 127 and byte not in _ESCAPED for byte in data):
        return data
    return b'"' + b"".join(_ESCAPED.get(byte) or (b"%c" % byte if 32 <= byte < 127 else b"\\%03o" % byte) for byte in data) + b'"'


def _without(changes: bytes, paths: set[bytes]) -> bytes:
    first, *parts = changes.split(b"diff --git ")
    kept, said = [first], []
    for part in parts:
        head = part.partition(b"\n")[0]
        named = next((path for path in paths if head.endswith(b" " + path)), None)
        if named is None:
            kept.append(b"diff --git " + part)
        else:
            said.append(b"# the changes of %s are left out: they hold a secret\n" % named.removeprefix(b"b/"))
    return b"".join(said + kept)


__all__ = ["of_code", "quoted"]
