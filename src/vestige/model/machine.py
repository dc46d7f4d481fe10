"""The machine a run worked on."""

from __future__ import annotations

from vestige.model.files import nothing
from vestige.model.values import field, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


@value(kw_only=True)
class Machine:
    """What does not change from run to run. Memory in bytes."""

    host: str
    system: str
    kernel: str
    architecture: str
    distribution: str | None = None
    libc: str | None = None
    cpu: str | None = None
    cpus: int | None = None
    flags: tuple[str, ...] = ()
    memory: int | None = None
    gpus: tuple[str, ...] = ()
    driver: str | None = None
    container: str | None = None
    extra: Mapping[str, object] = field(default_factory=nothing)
