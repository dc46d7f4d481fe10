"""Which files are to be collected, and how: what `[collect]` and `[items.NAME.files]` of a configuration say."""

from __future__ import annotations

from vestige.errors import ConfigError
from vestige.model.spelling import nearest
from vestige.model.values import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    Way = Literal["digest", "copy", "move"]

_KEYS = ("digest", "copy", "move")


@value
class Wanted:
    """A path or a pattern from the project's root. `way`: its digest alone, a copy of it, or itself. `algorithm`: by which the
    digest is taken, beside BLAKE3."""

    pattern: str
    way: Way = "digest"
    algorithm: str = "blake3"


def read(name: str, table: Mapping[str, object], where: str) -> tuple[Wanted, ...]:
    """A table of the configuration, checked; `name` is its own. Raises ConfigError, in one line."""
    return tuple(_wanted(f"{name}.{pattern!r}", pattern, said, where) for pattern, said in table.items())


def _wanted(name: str, pattern: str, said: object, where: str) -> Wanted:
    if not isinstance(said, dict):
        raise ConfigError(f'{where}: {name} takes a table such as {{ digest = "sha256", copy = true }}, not {said!r}')
    for key in said:
        if key not in _KEYS:
            meant = nearest(key, _KEYS)
            asked = f"; did you mean '{name}.{meant}'?" if meant else ""
            raise ConfigError(f"{where}: there is no key '{name}.{key}'{asked}")
    for key in ("copy", "move"):
        if not isinstance(said.get(key, False), bool):
            raise ConfigError(f"{where}: {name}.{key} takes true or false, not {said[key]!r}")
    if said.get("copy") and said.get("move"):
        raise ConfigError(f"{where}: {name} is to be copied and moved: it can be one of the two")
    if not pattern or "\0" in pattern:
        raise ConfigError(f"{where}: {name} names no file")
    way: Way = "copy" if said.get("copy") else "move" if said.get("move") else "digest"
    return Wanted(pattern, way, _algorithm(name, said.get("digest", "blake3"), where))


def _algorithm(name: str, said: object, where: str) -> str:
    from hashlib import algorithms_guaranteed

    known = ("blake3", *sorted(one for one in algorithms_guaranteed if not one.startswith("shake")))
    if isinstance(said, str) and said in known:
        return said
    meant = nearest(str(said), known)
    asked = f"; did you mean {meant!r}?" if meant else ""
    raise ConfigError(f"{where}: {name}.digest takes {', '.join(known[:-1])} or {known[-1]}, not {said!r}{asked}")


__all__ = ["Wanted", "read"]
