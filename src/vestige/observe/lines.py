"""The lines of a journal: JSON, in which a path is percent-encoded after a `%` where it is not UTF-8."""

from __future__ import annotations

import time
from _json import encode_basestring_ascii as quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os

FORMAT = 1
_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)

#: Opening this name (with the run's id after it) makes the watcher write out its journal before it answers.
FLUSH_MARK = "/.vestige-flush/"


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


def first_line() -> str:
    """The line with which a journal begins: its format, and the wall clock."""
    return journal_line("v", flags=FORMAT, text=repr(time.time()))


def journal_line(
    op: str,
    process: int = 0,
    path: str | None = None,
    other: str | None = None,
    flags: int = 0,
    signature: os.stat_result | None = None,
    text: str | None = None,
) -> str:
    """An event of this moment as its line (`observe.interface` has the table)."""
    line = f'["{op}",{_nanoseconds() // 1000},{process},{field(path)}'
    if text is not None:
        before = "null" if signature is None else five(signature)
        line += f",{field(other)},{flags},{before},{quoted(utf8(text))}"
    elif signature is not None:
        line += f",{field(other)},{flags},{five(signature)}"
    elif flags or other is not None:
        line += f",{field(other)},{flags}"
    return line + "]\n"


def _nanoseconds() -> int:
    """Since the host was booted; elsewhere than on Linux, without the time for which it slept."""
    return time.monotonic_ns() if _CLOCK is None else time.clock_gettime_ns(_CLOCK)


def five(found: os.stat_result) -> str:
    return f"[{found.st_size},{found.st_mtime_ns},{found.st_ctime_ns},{found.st_ino},{found.st_dev}]"


def field(path: str | None) -> str:
    if path is None:
        return "null"
    return quoted(path if path.isascii() and path[:1] != "%" else written(path))


def utf8(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
