"""Permissions that hold for root, too: a folder that cannot be written really cannot."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION_3 = 0x20080522
_OVERRIDES = 0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


@contextmanager
def respected() -> Iterator[None]:
    """Give up, for a while and in this thread, the right to pass over permissions."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    before = (ctypes.c_uint32 * 6)()
    if libc.capget(header, before) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    less = (ctypes.c_uint32 * 6)(*before)
    less[0] &= ~_OVERRIDES
    libc.capset(header, less)
    try:
        yield
    finally:
        libc.capset(header, before)


@contextmanager
def read_only(folder: str) -> Iterator[None]:
    """A folder whose files and entries cannot be changed."""
    paths = [folder, *(os.path.join(folder, name) for name in os.listdir(folder))]
    modes = {path: os.stat(path).st_mode for path in paths}
    for path, mode in modes.items():
        os.chmod(path, mode & ~0o222)
    try:
        with respected():
            yield
    finally:
        for path, mode in modes.items():
            os.chmod(path, mode)
