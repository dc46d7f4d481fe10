"""What a run is about to overwrite is hashed and copied first, within a budget of time and size."""

from __future__ import annotations

import os
import time

from vestige.store.objects import Objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vestige.config import Config

_SECONDS = 1.0
_BYTES = 512 << 20
_BLOCK = 1 << 20


def saver(objects: Objects, keeps: Callable[[str], bool]) -> Callable[[str, os.stat_result], tuple[str | None, bool]]:
    """A function that takes the content of a file that is about to be changed: its digest, and whether it is kept now.

    None where reading would take more than a second or 512 MiB. `keeps(path)` says whether the bytes may be kept.
    """

    def save(path: str, found: os.stat_result) -> tuple[str | None, bool]:
        if found.st_size > _BYTES:
            return None, False
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            return None, False
        try:
            deadline = time.monotonic() + _SECONDS
            digest = _digest(descriptor, deadline)
        except OSError:
            return None, False
        finally:
            os.close(descriptor)
        return digest, digest is not None and keeps(path) and _keep(objects, path, digest)

    return save


def _digest(descriptor: int, deadline: float) -> str | None:
    import blake3

    hasher = blake3.blake3()
    while block := os.read(descriptor, _BLOCK):
        hasher.update(block)
        if time.monotonic() > deadline:
            return None
    return "blake3:" + hasher.hexdigest()


def _keep(objects: Objects, path: str, digest: str) -> bool:
    try:
        return objects.put_file(path, digest)
    except OSError:
        return False


def rule(config: Config, root: str) -> Callable[[str], bool]:
    """Whether the bytes at a path may be kept for now, by its name. The recorder looks at the bytes."""
    prefix = root.rstrip("/") + "/"
    return lambda path: config.keeps(path.removeprefix(prefix))
