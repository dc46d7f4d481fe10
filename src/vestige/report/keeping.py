"""What `check` and `gc` found and did."""

from __future__ import annotations

from collections.abc import Iterator

from vestige.ops.check import Checked
from vestige.ops.gc import Collected
from vestige.report import style as styles
from vestige.report.style import Style, printable, quoted


def damage(checked: Checked, style: Style) -> Iterator[str]:
    """One line for each thing that is damaged, as people and programs read it."""
    for one in checked.damaged:
        yield f"{style.paint('damaged', 'bad')} {quoted(one.path)}: {printable(one.reason)}"


def verdict(checked: Checked, style: Style) -> str:
    """The last line, for people."""
    read = ", ".join(
        (
            styles.count(checked.records, "record"),
            styles.count(checked.objects, "object"),
            f"{styles.count(checked.snapshots, 'snapshot')} of code",
        )
    )
    if not checked.damaged:
        return f"{style.paint('sound', 'good')}: {read}"
    return f"{read}: {style.paint(f'{len(checked.damaged):,} damaged', 'bad')}"


def dropped(collected: Collected, style: Style, *, dry_run: bool) -> Iterator[str]:
    """What was dropped, one line each."""
    word = "would drop" if dry_run else "dropped"
    for one in collected.dropped:
        name = quoted(one.path) if one.path else styles.digest(one.digest)
        yield f"{word} {name} ({styles.size(one.size)}): {one.reason}"
    if collected.unreadable:
        records = styles.count(collected.unreadable, "damaged record")
        yield style.paint(f"{records}: what they may refer to was left alone; vestige check names them", "warning")


def sum_of(collected: Collected, *, dry_run: bool) -> str:
    """The last line."""
    word = "would free" if dry_run else "freed"
    return f"{word} {styles.size(collected.freed)}; {styles.size(collected.left)} of kept data left; no record was touched"
