"""What this process has read before anybody looked, and what libraries have open: modules, mapped files, descriptors."""

from __future__ import annotations

import os
import sys

from vestige.script.hook import used_before

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_MODULES = 5000


def used() -> bytes:
    """Events of the files that this process has used so far, as far as that can be seen."""
    return used_before(list(dict.fromkeys([*_modules(), *_mapped(), *_opened()])))


def still_used() -> bytes:
    """Events of the files that are mapped or open now: what opened them need not have been Python."""
    return used_before(list(dict.fromkeys([*_mapped(), *_opened()])))


def _modules() -> Iterator[str]:
    """The files of the modules that have been imported, the interpreter's own left out."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if isinstance(main, str):
        yield os.path.abspath(main)
    library = os.path.dirname(os.__file__) + os.sep
    own = os.path.dirname(os.path.dirname(__file__)) + os.sep
    for module in list(sys.modules.values())[:_MODULES]:
        path = getattr(module, "__file__", None)
        if not isinstance(path, str) or path.startswith(own):
            continue
        if not path.startswith(library) or "site-packages" in path or "dist-packages" in path:
            yield os.path.abspath(path)


def _mapped() -> Iterator[str]:
    """Files that lie in our memory, shared libraries of the system left out."""
    try:
        with open("/proc/self/maps", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        parts = line.split(None, 5)
        if len(parts) == 6 and parts[5][:1] == b"/" and not parts[5].endswith(b" (deleted)") and b".so" not in parts[5]:
            yield os.fsdecode(parts[5])


def _opened() -> Iterator[str]:
    """Files that are open for reading."""
    try:
        numbers = os.listdir("/proc/self/fd")
    except OSError:
        return
    for number in numbers:
        try:
            path = os.readlink(f"/proc/self/fd/{number}")
            with open(f"/proc/self/fdinfo/{number}", "rb") as file:
                flags = int(file.read().split(b"flags:")[1].split()[0], 8)
        except (OSError, IndexError, ValueError):
            continue
        if path.startswith("/") and flags & (os.O_WRONLY | os.O_RDWR) == 0 and not path.startswith(("/dev/", "/proc/", "/sys/")):
            yield path
