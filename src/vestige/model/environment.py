"""The environment that did the work: interpreter and packages, stored once however many runs share it."""

from __future__ import annotations

from vestige.model.files import nothing
from vestige.model.values import field, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


@value(kw_only=True)
class Package:
    """One installed distribution. `digest` identifies its content whoever installed it (`environment.md`, A1);
    `origin` is PEP 610 `direct_url.json` with credentials removed."""

    name: str
    version: str
    digest: str | None = None
    installer: str | None = None
    origin: Mapping[str, object] | None = None
    tags: tuple[str, ...] = ()
    extra: Mapping[str, object] = field(default_factory=nothing)


@value(kw_only=True)
class Interpreter:
    """An interpreter that was observed to run."""

    language: str
    version: str | None
    executable: str
    implementation: str | None = None
    build: str | None = None
    prefix: str | None = None
    base_prefix: str | None = None
    kind: str | None = None  # virtualenv | conda | system
    extra: Mapping[str, object] = field(default_factory=nothing)


@value(kw_only=True)
class CondaPackage:
    """One package of a conda environment, from `conda-meta`."""

    name: str
    version: str
    build: str | None = None
    channel: str | None = None
    url: str | None = None
    md5: str | None = None
    sha256: str | None = None
    extra: Mapping[str, object] = field(default_factory=nothing)


@value(kw_only=True)
class Environment:
    """Interpreters (the main one first), their packages, conda's, and the system packages that own what was used."""

    interpreters: tuple[Interpreter, ...] = ()
    packages: tuple[Package, ...] = ()
    conda: tuple[CondaPackage, ...] = ()
    system: Mapping[str, str] = field(default_factory=nothing)
    problems: tuple[str, ...] = ()
    extra: Mapping[str, object] = field(default_factory=nothing)
