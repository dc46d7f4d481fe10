"""What the last snapshot of a project found, in one small file of the cache: the next need not read it again.

Fields separated by NUL, so that paths need no quoting. Anything that is not as it should be is as good as no file.
"""

from __future__ import annotations

import os

from vestige.capture.worktree import Study, Wanted

_MAGIC = b"vestige code 2"
_END = b"end"


class Remembered:
    """What a wanted file was: `value` as in `capture.pinning`. An empty signature is not to be trusted."""

    __slots__ = ("role", "signature", "value")

    def __init__(self, signature: bytes, role: str, value: bytes) -> None:
        self.signature = signature
        self.role = role
        self.value = value


class Memory:
    """All that was found: the state it is true of, the trees, and by `at` what was found of each part."""

    __slots__ = (
        "_files",
        "_packed",
        "base",
        "bases",
        "dirty",
        "large",
        "previous",
        "private",
        "state",
        "studies",
        "tree",
        "uncommitted",
        "unreadable",
        "withheld",
    )

    def __init__(self) -> None:
        self.state = b""
        self.tree = ""
        self.base = ""
        self.dirty: dict[bytes, bool | None] = {}
        self.bases: dict[bytes, str] = {}
        self.previous: dict[bytes, str] = {}  # the bases before these, not written
        self.studies: dict[bytes, Study] = {}
        self.large: list[tuple[bytes, int]] = []
        self.uncommitted: list[bytes] = []
        self.unreadable: list[bytes] = []
        self.withheld: list[bytes] = []
        self.private: list[bytes] = []
        self._files: dict[bytes, Remembered] = {}
        self._packed: list[list[bytes]] = []

    @property
    def files(self) -> dict[bytes, Remembered]:
        """What each file was, by paths from the root; where nothing has changed, nobody asks."""
        if self._packed:
            self._files = {path: Remembered(sign, role.decode("ascii"), value) for path, sign, role, value in self._packed}
            self._packed = []
        return self._files

    def pack(self, fields: list[list[bytes]]) -> None:
        """Take files as they were written: path, signature, role, value."""
        self._packed = fields


def load(path: str, root: str, rules: bytes) -> Memory:
    """What was found in a project by these rules; an empty memory where nothing is remembered of that."""
    try:
        with open(path, "rb", buffering=0) as file:
            return _decode(_Fields(file.read()), root, rules)
    except (OSError, ValueError, IndexError):
        return Memory()


def save(path: str, root: str, rules: bytes, memory: Memory) -> None:
    """Remember. Raises OSError."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    hidden = f"{path}.{os.getpid()}"
    fd = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        view = memoryview(b"\0".join(_encode(memory, root, rules)))
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)
    os.replace(hidden, path)


def text(path: str) -> bytes:
    """The bytes of a small file of the cache; none where there is none."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""


def write(path: str, data: bytes) -> None:
    """Remember a few bytes, if that can be."""
    hidden = f"{path}.{os.getpid()}"
    try:
        with open(hidden, "wb", buffering=0) as file:
            file.write(data)
        os.replace(hidden, path)
    except OSError:
        pass


class _Fields:
    """The fields of a file, one after the other. Raises IndexError after the last."""

    __slots__ = ("_at", "_fields")

    def __init__(self, data: bytes) -> None:
        self._fields = data.split(b"\0")
        self._at = 0

    def next(self) -> bytes:
        self._at += 1
        return self._fields[self._at - 1]

    def many(self, width: int) -> list[list[bytes]]:
        """A counted list of groups of fields."""
        count, start = int(self.next()), self._at
        self._at += count * width
        if self._at > len(self._fields):
            raise IndexError
        return [self._fields[at : at + width] for at in range(start, self._at, width)]


def _encode(memory: Memory, root: str, rules: bytes) -> list[bytes]:
    out = [_MAGIC, os.fsencode(root), rules, memory.state, memory.tree.encode("ascii"), memory.base.encode("ascii")]
    _many(out, [[at, {True: b"1", False: b"0", None: b"-"}[dirty]] for at, dirty in memory.dirty.items()])
    _many(out, [[at, tree.encode("ascii")] for at, tree in memory.bases.items()])
    _many(out, [[path, b"%d" % size] for path, size in memory.large])
    _many(out, [[path] for path in memory.uncommitted])
    for paths in (memory.unreadable, memory.withheld, memory.private):
        _many(out, [[path] for path in paths])
    _many(out, [[path, one.signature, one.role.encode("ascii"), one.value] for path, one in memory.files.items()])
    out.append(b"%d" % len(memory.studies))
    for at, study in memory.studies.items():
        out += [at, study.key, b"%d" % study.total, b"%d" % study.count]
        _many(out, [[path] for path in study.attribute_files])
        _many(out, [[path] for path in study.secrets])
        _many(out, [[path, b"%d" % size] for path, size in study.large])
        _many(out, [[path, oid.encode("ascii")] for path, oid in study.submodules])
        watched = study.watched.items()
        _many(out, [[path, one.role.encode("ascii"), b"%d" % (one.mode or 0), one.oid.encode("ascii")] for path, one in watched])
    out.append(_END)
    return out


def _decode(fields: _Fields, root: str, rules: bytes) -> Memory:
    if fields.next() != _MAGIC or fields.next() != os.fsencode(root) or fields.next() != rules:
        raise ValueError
    memory = Memory()
    memory.state = fields.next()
    memory.tree, memory.base = fields.next().decode("ascii"), fields.next().decode("ascii")
    memory.dirty = {at: {b"1": True, b"0": False}.get(dirty) for at, dirty in fields.many(2)}
    memory.bases = {at: tree.decode("ascii") for at, tree in fields.many(2)}
    memory.large = [(path, int(size)) for path, size in fields.many(2)]
    memory.uncommitted = [path for (path,) in fields.many(1)]
    memory.unreadable, memory.withheld, memory.private = ([path for (path,) in fields.many(1)] for _ in range(3))
    memory.pack(fields.many(4))
    for _ in range(int(fields.next())):
        at, study = fields.next(), Study()
        study.key = fields.next()
        study.total, study.count = int(fields.next()), int(fields.next())
        study.attribute_files = [path for (path,) in fields.many(1)]
        study.secrets = [path for (path,) in fields.many(1)]
        study.large = [(path, int(size)) for path, size in fields.many(2)]
        study.submodules = [(path, oid.decode("ascii")) for path, oid in fields.many(2)]
        study.watched = {path: Wanted(role.decode(), int(mode), oid.decode()) for path, role, mode, oid in fields.many(4)}
        memory.studies[at] = study
    if fields.next() != _END:
        raise ValueError
    return memory


def _many(out: list[bytes], groups: list[list[bytes]]) -> None:
    out.append(b"%d" % len(groups))
    for group in groups:
        out += group
