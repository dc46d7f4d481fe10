"""What the doctor found."""

from __future__ import annotations

from collections.abc import Iterator

from vestige.ops.doctor import Diagnosis
from vestige.report import style as styles
from vestige.report.style import Meaning, Style, printable

_MEANINGS: dict[str, Meaning] = {"good": "good", "limited": "warning", "missing": "bad"}
_MARKS = {"good": "✓", "limited": "!", "missing": "✗"}


def page(diagnosis: Diagnosis, style: Style) -> Iterator[str]:
    """For people."""
    for position, (group, findings) in enumerate(diagnosis.groups):
        if position:
            yield ""
        yield style.paint(group, "strong")
        for one in findings:
            mark = _MARKS[one.state] if style.unicode else one.state[0]
            text = ", ".join(part for part in (printable(one.found), styles.size(one.size)) if part)
            text += f" ({one.advice})" if one.advice else ""
            lead = f"  {style.paint(mark, _MEANINGS[one.state])} {styles.pad(one.name, 16)} "
            width = max(style.width - 21, 30)
            for number, part in enumerate(styles.wrap(text, width)):
                yield (lead if number == 0 else " " * 21) + part


def lines(diagnosis: Diagnosis) -> Iterator[str]:
    """For programs: group, name, state, what was found, size in bytes, between tabs."""
    for group, findings in diagnosis.groups:
        for one in findings:
            yield "\t".join(
                (group.lower(), one.name, one.state, printable(one.found), "-" if one.size is None else str(one.size))
            )
