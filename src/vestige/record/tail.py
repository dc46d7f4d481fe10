"""The journal of a run, read as it grows; for a run inside another one, the part of the outer journal that is its own."""

from __future__ import annotations

import os

from vestige.model import plain
from vestige.observe.lines import FLUSH_MARK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

_BLOCK = 1 << 20


class Tail:
    """Lines that have been written since the last look.

    A run inside another run cannot have a listener of its own: the kernel allows one. The watcher above sees what its
    processes do, so its journal is read here, and what does not belong to the tree of processes below ours is passed over.
    """

    def __init__(self, folder: str, outer: str | None, started: Mapping[str, Any]) -> None:
        self._path = os.path.join(outer or folder, "events.jsonl")
        self._outer = outer is not None
        self._folder, self._started = folder, started
        self._own_path: str | None = os.path.join(folder, "events.jsonl")
        self._id = started["id"]
        self._since = started.get("sequence") or 0
        processes = started.get("processes_of_vestige") or {}
        self._own = {pid for name in ("launcher", "watcher", "recorder") if (pid := _pid(processes, name))}
        self._tree = {pid} if (pid := _pid(processes, "command")) else set()
        self._watcher = _pid(processes, "watcher")
        self._at = 0
        self._rest = b""

    def lines(self) -> Iterator[bytes]:
        """What has been added, whole lines only."""
        if self._outer:
            yield from self._first_lines()
            self._flush()
        try:
            with open(self._path, "rb", 0) as file:
                file.seek(self._at)
                while block := file.read(_BLOCK):
                    self._at += len(block)
                    *whole, self._rest = (self._rest + block).split(b"\n")
                    for line in whole:
                        if not self._outer or self._is_ours(line):
                            yield line + b"\n"
        except FileNotFoundError:
            return

    def again(self) -> Iterator[bytes]:
        """All lines from the beginning."""
        return Tail(self._folder, os.path.dirname(self._path) if self._outer else None, self._started).lines()

    def _first_lines(self) -> Iterator[bytes]:
        """The few lines of our own: the clock, and what the command inherited."""
        path, self._own_path = self._own_path, None
        if path is not None:
            try:
                with open(path, "rb") as file:
                    yield from file
            except OSError:
                return

    def _is_ours(self, line: bytes) -> bool:
        try:
            op, seq, pid, *rest = plain.loads(line)
        except (ValueError, TypeError):
            return False
        if seq < self._since:
            return False
        if op == "h":
            return True
        if op == "p" and len(rest) >= 3:
            parent = rest[2]
            if (parent in self._tree or parent == self._watcher) and pid not in self._own:
                self._tree.add(pid)
            elif rest[1] == "again":
                self._tree.discard(pid)
        return pid in self._tree

    def _flush(self) -> None:
        """Have the watcher above bring its journal to the file: it does so before it answers this call."""
        try:
            os.close(os.open(FLUSH_MARK + self._id, os.O_RDONLY))
        except OSError:
            pass


def compressed(lines: Iterable[bytes], most: int) -> bytes:
    """Lines as gzip(1) would, without a time: the same journal is the same object. No more bytes of them than `most`."""
    import zlib

    compressor = zlib.compressobj(1, wbits=31)
    pieces: list[bytes] = []
    for line in lines:
        most -= len(line)
        if most < 0:
            break
        pieces.append(compressor.compress(line))
    return b"".join([*pieces, compressor.flush()])


def _pid(processes: Mapping[str, Any], name: str) -> int | None:
    found = processes.get(name)
    return found[0] if isinstance(found, list) and found else None
