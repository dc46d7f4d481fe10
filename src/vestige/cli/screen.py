"""What a verb prints on: for people where standard output is a terminal, for programs where it is not."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from typing import Any

from vestige.cli.arguments import Arguments
from vestige.model import wire
from vestige.model.run import Run
from vestige.report.style import Style, choose


class Screen:
    """Standard output, as this call should use it. `now` is the moment of the call, in seconds since the epoch."""

    __slots__ = ("now", "style", "terminal")

    def __init__(self, *, terminal: bool, style: Style, now: float) -> None:
        self.terminal = terminal
        self.style = style
        self.now = now

    def lines(self, lines: Iterable[str]) -> None:
        """Print lines, each as soon as it is known where people look."""
        for line in lines:
            print(line, flush=self.terminal)

    def json(self, document: object) -> None:
        """Print a document."""
        self.data(wire.dump(document))

    def record(self, run: Run) -> None:
        """Print the record of a run as it lies in the store."""
        self.data(wire.dump_run(run))

    def records(self, runs: Iterable[Run]) -> None:
        """Print an array of records, one after the other."""
        between = b"[\n"
        for run in runs:
            self.data(between + wire.dump_run(run).rstrip(b"\n"))
            between = b",\n"
        self.data(b"[]\n" if between == b"[\n" else b"\n]\n")

    def data(self, data: bytes) -> None:
        """Print bytes as they are."""
        if sys.stdout is None:
            return
        sys.stdout.flush()
        sys.stdout.buffer.write(data)


def screen(arguments: Arguments) -> Screen:
    """The screen that the arguments and the environment ask for."""
    stream: Any = sys.stdout
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "")
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="surrogateescape" if encoding == "utf8" else "backslashreplace")
    terminal = bool(stream is not None and stream.isatty())
    environ = dict(os.environ)
    if arguments.switch("color"):
        environ |= {"FORCE_COLOR": "1", "NO_COLOR": ""}
    if arguments.switch("no-color"):
        environ |= {"NO_COLOR": "1"}
    style = choose(terminal=terminal, columns=_columns(terminal=terminal), environ=environ, encoding=encoding)
    return Screen(terminal=terminal, style=style, now=time.time())


def _columns(*, terminal: bool) -> int:
    text = os.environ.get("COLUMNS", "")
    if text.isascii() and text.isdecimal() and int(text) > 0:
        return int(text)
    try:
        return os.get_terminal_size(1).columns if terminal else 80
    except OSError:
        return 80


class Progress:
    """One line on standard error, if that is a terminal, about work that takes more than a second."""

    __slots__ = ("_begun", "_drawn", "_noun")

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._begun = time.monotonic()
        self._drawn = False

    def __call__(self, done: int, of: int) -> None:
        if time.monotonic() - self._begun < 1 or sys.stderr is None or not sys.stderr.isatty():
            return
        self._drawn = True
        sys.stderr.write(f"\r{self._noun}: {done:,} of {of:,} ({100 * done // max(of, 1)} %)\x1b[K")
        if done >= of:
            sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
