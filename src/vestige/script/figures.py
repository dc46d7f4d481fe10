"""`vestige.plot(name)`: the current figure, into the folder of results, numbered in the order in which they come."""

from __future__ import annotations

import os
import threading

from vestige.errors import UsageError
from vestige.script import names, output

_lock = threading.Lock()
_numbers: dict[str, int] = {}


def plot(name: str, figure: object = None) -> str:
    """Save matplotlib's current figure, or `figure`, as `000_NAME.png`, `001_NAME.png`, … and return its path.

    Raises UsageError where matplotlib is not installed, or the name cannot be a file's.
    """
    name = names.checked(name)
    if "/" in name:
        raise UsageError(f"{name!r} cannot be the name of a figure: it has a slash in it", hint='take a name such as "loss"')
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise UsageError("vestige.plot needs matplotlib", hint="pip install matplotlib") from error
    folder = output.output_dir()
    path = _free(folder, name)
    shown = plt.gcf() if figure is None else figure
    shown.savefig(path)  # type: ignore[attr-defined]
    return path


def _free(folder: str, name: str) -> str:
    """A path that nobody else takes: the file is made, empty."""
    with _lock:
        key = os.path.abspath(folder)
        number = _numbers.get(key, 0)
        while True:
            path = f"{folder}{number:03}_{name}.png"
            number += 1
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            except FileExistsError:
                continue
            _numbers[key] = number
            return path
