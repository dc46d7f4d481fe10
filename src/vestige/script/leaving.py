"""Learns how this process is going to end, where the kernel cannot be asked afterwards: by an exception, or by `sys.exit`."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import NoReturn

_SINCE = (6, 15)  # Linux tells of a process that has been reaped (PIDFD_INFO_EXIT)


def told_by_the_kernel() -> bool:
    """Whether somebody who holds a descriptor of this process learns how it has ended."""
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return False
    try:
        major, minor = os.uname().release.split(".")[:2]
        return (int(major), int("".join(filter(str.isdigit, minor)))) >= _SINCE
    except ValueError:
        return False


def watch(tell: Callable[[int], None]) -> None:
    """Have `tell` called with the exit status before the process ends. What is shown and what happens stay as they are."""
    excepthook, leave = sys.excepthook, sys.exit

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        tell(130 if issubclass(kind, KeyboardInterrupt) else 1)
        excepthook(kind, error, trace)

    def exit(status: object = None, /) -> NoReturn:  # noqa: A001  # as it is called
        tell(0 if status is None else status & 0xFF if isinstance(status, int) else 1)
        leave(status)  # type: ignore[arg-type]

    sys.excepthook, sys.exit = hook, exit
