"""What a program tells of itself while it runs: lines of JSON in `said.jsonl` in the run's folder.

    ["value", key, value, time]      a value, as `vestige.log` hands it in
    ["folder", path, facts]          its output folder, to be described
    ["began", id] ["ended", id]      a run inside this one, with a folder of its own beside ours: a function's call
    ["context", name, value]         what a hook of the program's own has found
    ["problem", text]
    ["name", name]                   what the run is called, where it has no name yet

Each line is one write(2) to a file opened for appending: threads, and processes that were forked, cannot tear them.
"""

from __future__ import annotations

import os

from vestige.model import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

NAME = "said.jsonl"
_VALUES = 1_000_000  # points of all series together


def say(folder: str, *line: object) -> None:
    """Tell something of a run. Raises OSError where its folder is gone."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(os.path.join(folder, NAME), flags, 0o666)
    try:
        os.write(descriptor, plain.dumps(line).encode("ascii") + b"\n")
    finally:
        os.close(descriptor)


class Said:
    """What has been said, as it comes."""

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, NAME)
        self._at = 0
        self._rest = b""
        self._series: dict[str, list[dict[str, Any]]] = {}
        self._points = 0
        self.problems: list[str] = []
        #: what the program calls its run, where nobody else has named it
        self.name: str | None = None
        #: what was found by hooks, by name
        self.context: dict[str, Any] = {}

    def news(self) -> Iterator[list[Any]]:
        """The lines since the last look that ask for something to be done; values and problems are taken in."""
        for line in self._lines():
            try:
                found = plain.loads(line)
                kind, *rest = found
                if kind == "value":
                    self._value(*rest)
                elif kind == "context":
                    self.context[str(rest[0])] = rest[1]
                elif kind == "name":
                    self.name = str(rest[0])
                elif kind == "problem":
                    self.problems.append(str(rest[0])[:500])
                else:
                    yield found
            except (ValueError, TypeError, IndexError):
                continue  # torn, or of a newer program

    def values(self) -> Mapping[str, list[dict[str, Any]]]:
        """Each key's series."""
        return self._series

    def _value(self, key: str, value: Any, time: str) -> None:
        if self._points >= _VALUES:
            self.problems.append(f"more than {_VALUES:,} values were logged: the later ones are not in the record")
            return
        self._points += 1
        self._series.setdefault(str(key), []).append({"value": value, "time": time})

    def _lines(self) -> Iterator[bytes]:
        try:
            with open(self._path, "rb", 0) as file:
                file.seek(self._at)
                while block := file.read(1 << 20):
                    self._at += len(block)
                    *whole, self._rest = (self._rest + block).split(b"\n")
                    yield from whole
        except FileNotFoundError:
            return
