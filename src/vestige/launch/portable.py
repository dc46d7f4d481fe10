"""Starting a command where there is neither fork(2) nor a pseudo-terminal: with our own streams, and nothing kept."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NOT_FOUND, NOT_EXECUTABLE = 127, 126


def launch(
    argv: Sequence[str],
    *,
    environ: Mapping[str, str] | None = None,
    cwd: str | None = None,
    started: Callable[[int], None] | None = None,
) -> int:
    """Run a command to its end; `started` is told its number. Returns its exit code as a shell says it.

    127 where it was not found, 126 where it cannot be executed. Ctrl-C reaches the command by itself, and ends it, not us.
    """
    import subprocess

    try:
        process = subprocess.Popen(list(argv), env=None if environ is None else dict(environ), cwd=cwd)
    except FileNotFoundError:
        return NOT_FOUND
    except OSError:
        return NOT_EXECUTABLE
    if started is not None:
        started(process.pid)
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            continue
        return 128 - code if code < 0 else code
