"""Walls around a step: it may change its workspace, a private temporary folder and a private home, and nothing else.

Two ways, used together where both can be had:

    a view of its own   (namespace.py) the workspace is seen where the project was, so that an absolute path in a script
                        leads into the workspace; all else is read-only
    Landlock            (landlock.py) the kernel refuses whatever would change another file's content

The view is entered by the process that records the step, so that what it sees is what the step sees; the walls are
closed in the step itself, just before it becomes the command. There is no third way: where neither is to be had, who
plans must not run what names places inside the project. The walls hold against accident, not against a program of root's
that looks for a way out.
"""

from __future__ import annotations

import os

from vestige.reproduce import landlock, namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: Writing to these changes no file.
_DEVICES = (
    *("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts", "/proc/self"),
    *("/dev/dri", "/dev/kfd", "/dev/dxg", "/dev/infiniband", "/dev/accel"),
)
#: The first version of Landlock under which a file can be moved from one folder to another.
_USABLE = 2
SHARED_MEMORY = "/dev/shm"  # noqa: S108  # where POSIX says that it is


class Ways:
    """What this machine offers: the version of Landlock (0: none), and whether a process can have a view of its own."""

    __slots__ = ("landlock", "view")

    def __init__(self, *, landlock: int = 0, view: bool = False) -> None:
        self.landlock = landlock
        self.view = view

    @property
    def walls(self) -> bool:
        """Whether a step can be kept from changing anything outside."""
        return self.view or self.landlock >= landlock.SUFFICIENT


def ways(scratch: str) -> Ways:
    """Find out. `scratch` is an empty folder to try on."""
    return Ways(landlock=landlock.version(), view=namespace.works(scratch))


class Bind:
    """Something that a step sees at another place, too: `source` at `target`."""

    __slots__ = ("read_only", "source", "target")

    def __init__(self, source: str, target: str, *, read_only: bool = False) -> None:
        self.source = source
        self.target = target
        self.read_only = read_only


def enter(binds: Sequence[Bind]) -> None:
    """Move this process, of one thread, into a view of its own, in which these are bound, in this order.

    All sources are found before the first target is covered. Raises OSError.
    """
    here = os.getcwd()
    namespace.enter()
    sources = [os.open(one.source, getattr(os, "O_PATH", 0) | os.O_CLOEXEC) for one in binds]
    try:
        for source, one in zip(sources, binds, strict=True):
            namespace.bind(f"/proc/self/fd/{source}", one.target, read_only=one.read_only)
    finally:
        for source in sources:
            os.close(source)
    os.chdir(here)


class Walls:
    """Closed by calling it, in the process that is about to become the command; raises OSError where that fails.

    `folders` are all that may be changed, as the step sees them.
    """

    __slots__ = ("folders", "ways")

    def __init__(self, folders: Sequence[str], ways: Ways) -> None:
        self.folders = tuple(folders)
        self.ways = ways

    def __call__(self) -> None:
        if self.ways.view:
            self._read_only()
        if self.ways.landlock >= _USABLE:
            landlock.restrict(self.folders, _devices())

    def _read_only(self) -> None:
        try:
            namespace.again()
            for folder in self.folders:
                namespace.bind(folder, folder)
            namespace.read_only_but(self.folders)
            os.chdir(os.getcwd())  # what is bound here now, not what it covers
            namespace.drop_power()
        except OSError:
            if self.ways.landlock < landlock.SUFFICIENT:
                raise


def _devices() -> list[str]:
    graphics = [f"/dev/{name}" for name in os.listdir("/dev") if name.startswith("nvidia")]
    return [*_DEVICES, *graphics]
