"""Record a command. The library's side of `vestige run`, on the path of every recorded command."""

from __future__ import annotations

from vestige.record import command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from vestige.record.options import Options, Outcome


def run(argv: Sequence[str], options: Options) -> Outcome:
    """Run a command and record it. Raises RefusedError and RecordingError, with `strict` only."""
    return command.record(argv, options)
