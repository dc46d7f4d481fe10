"""The name of a script's run: given, found in a variable, read from a pipe, asked for, or made up; and its folder.

A script that is started sixty times at once, in a loop over a file, or with data on its standard input must neither wait
nor lose a byte of it.
"""

from __future__ import annotations

import errno
import os
import sys

from vestige.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLES = ("VESTIGE_NAME", "FOOTSTEPS_NAME")
_LONGEST = 200  # bytes of a line that can be a name
_LONGEST_PATH = 1000  # bytes of a name with its slashes; a path has 4096
_TAKEN = frozenset({".vestige", ".git"})
_PATIENCE = 0.2  # seconds for which a pipe may say a name
_ADJECTIVES = (
    *("amber", "ample", "blue", "bold", "brave", "brief", "bright", "calm", "clear", "cool", "crisp", "dry", "early", "even"),
    *("fair", "fine", "firm", "fresh", "gentle", "glad", "gold", "grand", "green", "keen", "kind", "late", "light", "lively"),
    *("mild", "neat", "new", "noble", "plain", "pure", "quick", "quiet", "rapid", "ripe", "round", "sharp", "silent", "slow"),
    *("soft", "solid", "still", "swift", "tidy", "warm", "wide", "wise"),
)
_NOUNS = (
    *("acorn", "anchor", "arch", "aspen", "bay", "beach", "birch", "brook", "cedar", "cliff", "cloud", "coral", "creek", "dawn"),
    *("delta", "dune", "elm", "ember", "falcon", "fern", "field", "fjord", "forest", "garden", "grove", "harbor", "heron"),
    *("hill", "island", "lake", "lark", "maple", "meadow", "moon", "moss", "oak", "ocean", "otter", "pebble", "pine", "plain"),
    *("pond", "rain", "reef", "ridge", "river", "robin", "shore", "sky", "snow", "spring", "star", "stone", "stream", "summit"),
    *("thicket", "tide", "valley", "willow", "wind", "wren"),
)


def checked(name: str) -> str:
    """A name that can be a folder below another. Raises UsageError with the reason."""
    if not isinstance(name, str):
        raise _refused(name, f"it is no text, but {type(name).__name__}")
    if not name.strip():
        raise _refused(name, "it is empty")
    if "\0" in name:
        raise _refused(name, "it has a zero byte in it")
    if os.path.isabs(name) or name.startswith("~"):
        raise _refused(name, "it is the path of a folder, not the name of a run")
    parts = name.replace("\\", "/").split("/") if os.name == "nt" else name.split("/")
    if any(part == ".." for part in parts):
        raise _refused(name, "'..' leads out of the folder of results")
    parts = [part for part in parts if part not in ("", ".")]
    if not parts:
        raise _refused(name, "it names no folder")
    if any(part in _TAKEN for part in parts):
        raise _refused(name, "a folder of that name has a meaning of its own")
    try:
        sizes = [len(os.fsencode(part)) for part in parts]
    except UnicodeEncodeError:
        raise _refused(name, "it holds what no name of a file can hold") from None
    if max(sizes) > 250 or sum(sizes) + len(sizes) > _LONGEST_PATH:
        raise _refused(name, "it is too long for the name of a folder")
    return "/".join(parts)


def _refused(name: object, why: str) -> UsageError:
    shown = repr(name) if len(repr(name)) <= _LONGEST else repr(name)[:_LONGEST] + "…"
    return UsageError(f"{shown} cannot be the name of a run: {why}", hint='take a name such as "baseline" or "hcp/fold-3"')


def make_folder(root: str, name: str) -> tuple[str, str]:
    """A new folder below `root` for a run of this name: what the name has become, and the folder.

    Where the name is taken it gets -1, -2, …: whoever makes the folder has the name. Raises OSError.
    """
    parent = os.path.dirname(os.path.join(root, name))
    os.makedirs(parent, exist_ok=True)
    number = 0
    while True:
        found = f"{name}-{number}" if number else name
        folder = os.path.join(root, found)
        try:
            os.mkdir(folder)
        except FileExistsError:
            number += 1
        except FileNotFoundError:
            os.makedirs(parent, exist_ok=True)  # removed by somebody in between
        else:
            return found, folder


def given() -> str | None:
    """The name that the environment gives. Raises UsageError."""
    for variable in VARIABLES:
        name = os.environ.get(variable)
        if name:
            return checked(name)
    return None


def choose(root: str, ask: Callable[[str], str] | None = None) -> str:
    """A name for a run that was given none. `ask` asks a person; None where nobody is there."""
    name = given()
    if name is not None:
        return name
    if ask is not None:
        return ask(root)
    line = _piped()
    if line is not None:
        try:
            return checked(line)
        except UsageError:
            pass
    return invented()


def invented() -> str:
    """A name that can be read and said."""
    random = int.from_bytes(os.urandom(4), "big")
    random, adjective = divmod(random, len(_ADJECTIVES))
    random, noun = divmod(random, len(_NOUNS))
    return f"{_ADJECTIVES[adjective]}-{_NOUNS[noun]}"


def _piped() -> str | None:
    """The only line of standard input, if that is a pipe that holds nothing else; it is taken out then, and only then."""
    if sys.platform != "linux":
        return None
    import ctypes
    import select
    import stat
    import time

    try:
        if not stat.S_ISFIFO(os.fstat(0).st_mode) or _shared_with_parent():
            return None
        copy, into = os.pipe()
    except OSError:
        return None
    tee = ctypes.CDLL(None, use_errno=True).tee
    deadline = time.monotonic() + _PATIENCE
    seen = b""
    try:
        os.set_blocking(copy, False)
        while time.monotonic() < deadline:
            # Looked at, not taken. Whether the writer has gone is known by POLLHUP.
            events = select.poll()
            events.register(0, select.POLLIN)
            found = events.poll(max(deadline - time.monotonic(), 0) * 1000)
            if not found:
                return None
            ended = bool(found[0][1] & select.POLLHUP)
            taken = tee(0, into, _LONGEST * 4, 2)  # SPLICE_F_NONBLOCK
            if taken < 0 and ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
                return None
            seen = os.read(copy, _LONGEST * 4) if taken > 0 else b""
            if len(seen) > _LONGEST or seen.count(b"\n") > 1 or (b"\n" in seen and not seen.endswith(b"\n")):
                return None
            if ended:
                break
            time.sleep(0.005)
        else:
            return None  # the writer may go on
        line = seen.strip()
        if not line or not seen.endswith(b"\n"):
            return None
        os.read(0, len(seen))
        return os.fsdecode(line)
    except OSError:
        return None
    finally:
        os.close(copy)
        os.close(into)


def _shared_with_parent() -> bool:
    """Whether whoever started us reads the same pipe, as a shell does in a loop: what is in it is not for us."""
    try:
        return os.readlink("/proc/self/fd/0") == os.readlink(f"/proc/{os.getppid()}/fd/0")
    except OSError:
        return False
