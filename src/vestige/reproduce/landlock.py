"""Landlock: a process gives up, for itself and all that it starts, the right to change files elsewhere.

The kernel's interface: https://docs.kernel.org/userspace-api/landlock.html. A ruleset names the rights that are taken
away everywhere (*handled*); each rule gives rights back below one folder. Reading is never handled here.

What it does not cover in any version, so that a namespace is better where it can be had: changing the mode, owner,
times or extended attributes of a file. Before version 3 (Linux 6.2) truncate(2) is not covered either, which is
why versions 1 and 2 do not count as a wall.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture that has Landlock and Python
_VERSION = 1  # a flag of landlock_create_ruleset(2)
_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

_WRITE_FILE = 1 << 1
_REMOVE_DIR, _REMOVE_FILE = 1 << 4, 1 << 5
_MAKE_CHAR, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM = (1 << bit for bit in range(6, 13))
_REFER = 1 << 13
_TRUNCATE = 1 << 14

#: The first version that covers every way of changing the content of a file.
SUFFICIENT = 3

_IN_FOLDERS = _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SOCK | _MAKE_FIFO | _MAKE_SYM
_NEVER = _MAKE_CHAR | _MAKE_BLOCK


def version() -> int:
    """The version of the kernel's interface; 0 where there is none, or where it is switched off."""
    if sys.platform != "linux":
        return 0
    return max(_system_call(_CREATE_RULESET, None, 0, _VERSION), 0)


def restrict(folders: Sequence[str], files: Sequence[str]) -> None:
    """From here on, change nothing but what lies below `folders`, and write to `files` (devices; absent ones are passed over).

    There is no way back. Raises OSError, and then nothing has changed but that no privileges can be gained.
    """
    import ctypes

    known = version()
    later = (_REFER if known >= 2 else 0) | (_TRUNCATE if known >= 3 else 0)
    handled = ctypes.c_uint64(_IN_FOLDERS | _NEVER | later)
    ruleset = _checked("landlock_create_ruleset", _system_call(_CREATE_RULESET, ctypes.byref(handled), 8, 0))
    try:
        for folder in folders:
            _allow(ruleset, folder, _IN_FOLDERS | later)
        for path in files:
            try:
                _allow(ruleset, path, _WRITE_FILE | later & _TRUNCATE)
            except (FileNotFoundError, PermissionError):
                continue
        _checked("prctl", _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _checked("landlock_restrict_self", _system_call(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    import ctypes
    import struct

    beneath = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
    try:
        # struct landlock_path_beneath_attr is packed: rights, then the descriptor.
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, beneath))
        _checked("landlock_add_rule", _system_call(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0))
    finally:
        os.close(beneath)


def _libc() -> Any:
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def _system_call(number: int, *arguments: object) -> int:
    import ctypes

    wide = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    call = _libc().syscall
    call.restype = ctypes.c_long
    result: int = call(ctypes.c_long(number), *wide)
    return result


def _checked(name: str, result: int) -> int:
    if result < 0:
        import ctypes

        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result
