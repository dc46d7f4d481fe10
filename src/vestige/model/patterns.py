"""Patterns of paths, as a configuration has them: `*.ckpt`, `scratch/*`, `/opt/data/*`, `~/models/*`."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase


def fits(path: str, pattern: str) -> bool:
    """Whether a path, as a record has it, fits: as a whole, from one of its folders on, or by its name. `*` stands for
    slashes, too, and `~/` for the home folder."""
    if pattern.startswith("~/"):
        pattern = os.path.expanduser(pattern)
    if fnmatchcase(path, pattern):
        return True
    return not pattern.startswith("/") and (fnmatchcase(path, "*/" + pattern) or fnmatchcase(os.path.basename(path), pattern))
