"""What went from one run to another through a pipe or a FIFO: no file, and nothing keeps it, but both runs knew the pipe.

In an index the two ends stand as uses of kind `pipe`: a read of the run whose standard input it was, and a write of the
run whose output it was. What stands there for the digest of a content names the pipe: the kernel gives its number to one
pipe at a time, on one boot of one host. A write counts as of the moment when its run started and a read as of the moment
when its run ended, since the two go on at once.
"""

from __future__ import annotations

from vestige.model.files import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

KIND = "pipe"
_PREFIX = "pipe:"


def ends(boot: str | None, pipes: Iterable[str | None]) -> list[tuple[str, Digest]]:
    """The path and the digest that stand in an index for each of these pipes; a record has `DEVICE:INODE`."""
    found = {}
    for pipe in pipes:
        device, colon, inode = (pipe or "").partition(":")
        if boot and colon and device.isdigit() and inode.isdigit():
            found[f"pipe:[{inode}]"] = f"{_PREFIX}{boot.replace('-', '')}{int(device):x}.{int(inode):x}"
    return sorted(found.items())


def is_pipe(digest: Digest | None) -> bool:
    """Whether what stands for a digest names a pipe."""
    return digest is not None and digest.startswith(_PREFIX)
