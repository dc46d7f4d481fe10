"""How reports look: colour by meaning, times, durations, sizes and names for people, tables and trees that fit the terminal.

Nothing here looks at a terminal, an environment or a clock: whoever prints hands in what it knows of them.
Every name that came from outside passes through `printable` (for people) or `quoted` (for programs), so that
no file name can move the cursor, colour the screen or break a line.
"""

from __future__ import annotations

import math
import re
import shlex
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Literal

from vestige.model.values import value

Meaning = Literal["plain", "strong", "faint", "good", "notice", "warning", "bad", "id", "commit"]

CODES: Mapping[Meaning, str] = {
    "strong": "1",
    "faint": "2",
    "good": "32",
    "notice": "36",
    "warning": "33",
    "bad": "31",
    "id": "33",
    "commit": "36",
}

#: What the words of states, statuses and verdicts mean to whoever looks.
_WORDS: Mapping[str, Meaning] = {
    "fresh": "good",
    "modified": "warning",
    "modified since": "warning",
    "missing": "bad",
    "stale": "warning",
    "possibly stale": "notice",
    "unknown": "faint",
    "ambiguous": "notice",
    "finished": "good",
    "failed": "bad",
    "interrupted": "warning",
    "running": "notice",
    "finishing": "notice",
    "lost": "bad",
    "identical": "good",
    "equivalent": "notice",
    "different": "bad",
    "not comparable": "warning",
    "could not": "bad",
}


@value
class Style:
    """What the reader can see: colour or not, how many columns, and whether lines can be drawn in Unicode."""

    colour: bool = False
    width: int = 80
    unicode: bool = True

    def paint(self, text: str, meaning: Meaning) -> str:
        """The text in the colour of its meaning. Only a tab of it is not shown as what it is: whatever stands in a damaged
        record, a terminal is not told to do anything by it."""
        if not text.isprintable():
            text = "\t".join(map(printable, text.split("\t")))
        code = CODES.get(meaning) if self.colour and text else None
        return f"\x1b[{code}m{text}\x1b[0m" if code else text

    def word(self, word: str) -> str:
        """A word of ours (`fresh`, `failed`, `identical`) in its colour."""
        return self.paint(word, _WORDS.get(word, "plain"))

    @property
    def tee(self) -> str:
        return "├─ " if self.unicode else "|- "

    @property
    def elbow(self) -> str:
        return "└─ " if self.unicode else "`- "

    @property
    def bar(self) -> str:
        return "│  " if self.unicode else "|  "

    @property
    def dot(self) -> str:
        return " · " if self.unicode else " - "

    @property
    def arrow(self) -> str:
        return "→" if self.unicode else "->"

    @property
    def more(self) -> str:
        return "…" if self.unicode else "..."

    @property
    def below(self) -> str:
        """What says that something goes on further down."""
        return "  ↓" if self.unicode else "  (below)"


#: What programs get: no colour, no width to fit.
PLAIN = Style(colour=False, width=0)


def choose(*, terminal: bool, columns: int, environ: Mapping[str, str], encoding: str | None = "utf-8") -> Style:
    """The style for a stream. `NO_COLOR` (https://no-color.org) and `TERM=dumb` switch colour off, `FORCE_COLOR` on."""
    colour = terminal and environ.get("TERM") != "dumb"
    if environ.get("FORCE_COLOR"):
        colour = True
    if environ.get("NO_COLOR"):
        colour = False
    drawable = (encoding or "").lower().replace("-", "").replace("_", "") in {"utf8", "utf16", "utf32", "cp65001"}
    return Style(colour=colour, width=max(columns, 40) if columns else 80, unicode=drawable)


def meaning_of(word: str) -> Meaning:
    """The meaning of a state, a status or a verdict."""
    return _WORDS.get(word, "plain")


# --- words and numbers ---------------------------------------------------------------------------------------------

_UNITS = (("minute", 60), ("hour", 3600), ("day", 86_400), ("week", 604_800), ("month", 2_629_800), ("year", 31_557_600))
_PAIRS = (("min", 60, "s", 1), ("h", 3600, "min", 60), ("d", 86_400, "h", 3600))


def instant(time: str) -> float | None:
    """Seconds since the epoch of an ISO 8601 time, or None where it is none."""
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def ago(time: str, now: float) -> str:
    """How long ago a time (ISO 8601) was at `now` (seconds since the epoch): `3 days ago`."""
    moment = instant(time)
    if moment is None:
        return "at an unknown time"
    past = now - moment
    if past < -60:
        return f"at {time[:16].replace('T', ' ')}"
    if past < 45:
        return "just now"
    unit, length = next((pair for pair in reversed(_UNITS) if past >= pair[1] * 0.95), _UNITS[0])
    return f"{count(max(1, round(past / length)), unit)} ago"


def duration(seconds: float | None) -> str:
    """`340 ms`, `12.4 s`, `3 min 5 s`, `2 h 7 min`, `3 d 4 h`; nothing where it is not known."""
    if seconds is None:
        return ""
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    large, length, small, part = next(pair for pair in reversed(_PAIRS) if whole >= pair[1])
    rest = whole % length // part
    return f"{whole // length} {large}" + (f" {rest} {small}" if rest else "")


def size(count_of_bytes: int | None) -> str:
    """`812 B`, `88.1 KiB`, `2 GiB`; nothing where it is not known."""
    if count_of_bytes is None:
        return ""
    number = float(count_of_bytes)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if number < 1023.95 or unit == "TiB":
            break
        number /= 1024
    return f"{number:.1f}".removesuffix(".0") + f" {unit}"


def digest(identity: str | None) -> str:
    """The beginning of a digest, as much as people compare."""
    return identity.partition(":")[2][:12] if identity else "not hashed"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 step`, `3,000 steps`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


_BARS = "▁▂▃▄▅▆▇█"
_WIDEST = 24  # columns of a sparkline


def sparkline(numbers: Sequence[float], style: Style) -> str:
    """How a series went, from its least to its greatest; nothing where it cannot be drawn. Of a long one each column is the
    mean of some."""
    found = [one for one in numbers if math.isfinite(one)]
    if len(found) < 2 or not style.unicode:
        return ""
    columns = min(len(found), _WIDEST)
    bounds = [len(found) * column // columns for column in range(columns + 1)]
    means = [math.fsum(one / (to - start) for one in found[start:to]) for start, to in pairwise(bounds)]
    least, most = min(means), max(means)
    scale = (len(_BARS) - 1) / ((most / 2 - least / 2) or 1)
    return "".join(_BARS[min(round((one / 2 - least / 2) * scale), len(_BARS) - 1)] for one in means)


# --- names ---------------------------------------------------------------------------------------------------------

_PLAIN_NAME = re.compile(r"[\w@%+=:./-]+")


def printable(text: str) -> str:
    """A name that cannot harm a terminal: control characters and bytes that are no text as `\\n`, `\\x1b`, `\\xff`."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def quoted(name: str) -> str:
    """A name for a line that programs read: as it is where that is clear, else quoted as a shell would read it.

    Quoted are names with a space, a comma, `->` or a character of the shell's; those that do not fit on a line
    or are not UTF-8 are written as `$'…'`.
    """
    if not name.isprintable():
        body = name.replace("\\", "\\\\").replace("'", "\\'")
        return "$'" + "".join(one if one.isprintable() else _escape(one) for one in body) + "'"
    if "->" not in name and _PLAIN_NAME.fullmatch(name):
        return name
    return shlex.quote(name) if shlex.quote(name) != name else f"'{name}'"


def _escape(one: str) -> str:
    number = ord(one)
    if 0xDC80 <= number <= 0xDCFF:  # a byte that is not UTF-8, as os.fsdecode() carries it
        return f"\\x{number - 0xDC00:02x}"
    if named := {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(one):
        return named
    return f"\\x{number:02x}" if number < 0x80 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def cells(text: str) -> int:
    """How many columns of a terminal a text takes: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(one) in "WF" for one in text)
    return len(text) + wide - sum(unicodedata.combining(one) > 0 for one in text)


def fit(text: str, width: int, style: Style = PLAIN) -> str:
    """The text in at most `width` columns, its middle left out where it is too long: names end in what tells them apart."""
    if cells(text) <= width or width <= 0:
        return text
    mark = style.more
    room = max(width - cells(mark), 1)
    tail = _until(text[::-1], room - room // 3)[::-1]
    return _until(text, room // 3) + mark + tail


def cut(text: str, width: int, style: Style = PLAIN) -> str:
    """The text in at most `width` columns, its end left out where it is too long."""
    if cells(text) <= width or width <= 0:
        return text
    return _until(text, max(width - cells(style.more), 1)) + style.more


def pad(text: str, width: int) -> str:
    """The text with spaces behind it, up to `width` columns."""
    return text + " " * (width - cells(text))


def wrap(text: str, width: int) -> Iterator[str]:
    """The text in lines of at most `width` columns, broken at spaces; a word that is longer is left whole. 0: one line."""
    line = ""
    for word in text.split(" "):
        if width > 0 and line and cells(line) + 1 + cells(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line


def _until(text: str, width: int) -> str:
    if text.isascii():
        return text[:width]
    used = 0
    for position, one in enumerate(text):
        used += cells(one)
        if used > width:
            return text[:position]
    return text


# --- tables --------------------------------------------------------------------------------------------------------


@value
class Cell:
    """One field of a table: its text, what it means, and whether it is a number, which stands to the right."""

    text: str
    meaning: Meaning = "plain"
    right: bool = False


def table(
    style: Style, header: Sequence[str], rows: Sequence[Sequence[Cell]], *, elastic: int | None = None, last: bool = False
) -> Iterator[str]:
    """The lines of a table. `header` may be empty. The column `elastic` gives way where the table would be wider
    than the terminal: its texts lose their middle, or with `last` their end."""
    numbers = {i for row in rows for i, cell in enumerate(row) if cell.right}
    titles = [[Cell(title, "faint", right=i in numbers) for i, title in enumerate(header)]] if header else []
    everything = [*titles, *rows]
    if not everything:
        return
    widths = [max(cells(row[i].text) for row in everything if i < len(row)) for i in range(max(map(len, everything)))]
    if elastic is not None and style.width:
        spare = style.width - sum(widths) - 2 * (len(widths) - 1)
        widths[elastic] = max(widths[elastic] + min(spare, 0), min(widths[elastic], 12))
    shorten = cut if last else fit
    for row in everything:
        shown = [shorten(cell.text, widths[i], style) if i == elastic else cell.text for i, cell in enumerate(row)]
        fields = []
        for position, (cell, text) in enumerate(zip(row, shown, strict=True)):
            gap = " " * (widths[position] - cells(text))
            painted = style.paint(text, cell.meaning)
            fields.append(gap + painted if cell.right else painted + (gap if position < len(row) - 1 else ""))
        yield "  ".join(fields).rstrip()


def fits(style: Style, header: Sequence[str], rows: Sequence[Sequence[Cell]], *, least: int) -> bool:
    """Whether a table has room on the terminal if its last column gives way, down to `least` columns of it at most."""
    if not style.width:
        return True
    widths = [max(cells(title), *(cells(row[i].text) for row in rows)) for i, title in enumerate(header)]
    return sum(widths[:-1]) + 2 * (len(widths) - 1) + min(widths[-1], least) <= style.width
