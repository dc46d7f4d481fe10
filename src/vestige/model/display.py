"""How values show themselves in a notebook: drawn by whoever can draw, who says so here."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Draw = Callable[[object], str | None]


class _Drawing:
    """Who draws."""

    by: Draw | None = None


def drawn_by(draw: Draw) -> None:
    """Have values drawn by a function from a value to HTML."""
    _Drawing.by = draw


def html(value: object) -> str | None:
    """A value as HTML; None where nobody can draw it, which notebooks take for "show it as text"."""
    return None if _Drawing.by is None else _Drawing.by(value)
