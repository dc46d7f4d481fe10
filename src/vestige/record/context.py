"""What surrounds a run: code, environment, machine, variables. Gathered while the command runs, and written down at once."""

from __future__ import annotations

import os
from types import MappingProxyType

from vestige.model import wire
from vestige.model.code import Code
from vestige.model.files import Digest, nothing
from vestige.model.run import FileReference, Redaction
from vestige.model.values import field, fields_of, value
from vestige.record import journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

NAME = "capture.json"


@value(frozen=False)
class Context:
    """What has been found so far; whoever finishes the run for us reads it back."""

    code: Code | None = None
    environment: Digest | None = None
    machine: Digest | None = None
    job: Mapping[str, object] | None = None
    variables: Mapping[str, str] = field(default_factory=nothing)
    other_variables: Mapping[str, str] = field(default_factory=nothing)
    redactions: tuple[Redaction, ...] = ()
    executable: FileReference | None = None
    script: FileReference | None = None
    limits: dict[str, int] = field(default_factory=dict)
    #: what probes and watchers have found, by name
    added: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def save(self, folder: str) -> None:
        """Write it down, as far as the disk lets us."""
        document = {name: _plain(getattr(self, name)) for name, _ in fields_of(type(self))}
        try:
            journal.write(folder, NAME, document)
        except OSError as error:
            self.problems.append(f"the journal cannot be written: {error.strerror}")

    def take_surroundings(self, other: Context) -> None:
        """What another run of the same process has found: the machine does not change in between."""
        for name in ("machine", "job", "variables", "other_variables", "redactions", "limits", "script", "executable"):
            setattr(self, name, getattr(other, name))

    @classmethod
    def load(cls, document: Mapping[str, Any]) -> Context:
        """What an earlier recorder of this run had found."""
        context = cls()
        for key, kind in (("code", Code), ("executable", FileReference), ("script", FileReference)):
            if document.get(key) is not None:
                setattr(context, key, wire.decode(kind, document[key]))
        for key in ("environment", "machine", "job", "variables", "other_variables", "limits", "added"):
            if document.get(key) is not None:
                setattr(context, key, document[key])
        context.redactions = tuple(wire.decode(Redaction, one) for one in document.get("redactions", ()))
        context.problems = list(document.get("problems", ()))
        return context


def attempt(context: Context, what: str, probe: Callable[[], None]) -> None:
    """Run a probe; if it fails, the run goes on and the record says so."""
    try:
        probe()
    except Exception as error:
        context.problems.append(f"{what}: {type(error).__name__}: {error}"[:500])


def _plain(value: object) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | MappingProxyType):
        return dict(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return wire.encode(value)


def relative(path: str, root: str) -> str:
    """A path as a record has it: relative to the project's root where it lies inside, else absolute."""
    prefix = root.rstrip("/") + "/"
    if path.startswith(prefix):
        return path[len(prefix) :]
    return "." if path == root else path


def absolute(path: str, root: str) -> str:
    """The path that a record means."""
    return os.path.normpath(os.path.join(root, path))
