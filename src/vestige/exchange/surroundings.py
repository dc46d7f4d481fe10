"""Machine, environment and code, as Capsula's documents describe them, in the words of a record."""

from __future__ import annotations

import os

from vestige.exchange.capsules import Capsule
from vestige.exchange.documents import Document, inner, text, texts, whole
from vestige.model import code as model
from vestige.model.code import Code
from vestige.model.environment import Environment, Interpreter
from vestige.model.machine import Machine
from vestige.model.values import value
from vestige.record import identity

timestamp = identity.timestamp


@value
class Repository:
    """A repository as a capsule has it: its name, what is said of it, and under which key its path stands."""

    name: str
    said: object
    at: str


def environment(platform: Document) -> Environment | None:
    """The interpreter that did the work. Of its packages Capsula knew nothing."""
    python = inner(platform, "python")
    version = text(python, "version")
    if version is None:
        return None
    build = " ".join(one for one in (text(python, "build_no"), text(python, "build_date"), text(python, "compiler")) if one)
    interpreter = Interpreter(
        language="python", version=version, executable="", implementation=text(python, "implementation"), build=build or None
    )
    return Environment(interpreters=(interpreter,), problems=("the packages were not recorded",))


def machine(platform: Document, cpu: Document) -> Machine | None:
    """The machine, as far as it was described."""
    if not platform:
        return None
    words = (text(platform, "release"), text(platform, "version"))
    return Machine(
        host=text(platform, "node") or "",
        system=text(platform, "system") or "",
        kernel=" ".join(one for one in words if one),
        architecture=text(platform, "machine") or "",
        cpu=text(cpu, "brand_raw"),
        cpus=whole(cpu, "count"),
        flags=texts(cpu, "flags"),
    )


def code(repositories: list[Repository], capsule: Capsule) -> Code | None:
    """The repository that holds the project is the code; the others stand beside it."""
    known = [(one, one.said) for one in repositories if isinstance(one.said, dict)]
    if not known:
        return None
    root = capsule.place(".")
    places = [capsule.place(text(said, one.at) or ".") for one, said in known]
    main = next((number for number, place in enumerate(places) if (root + "/").startswith(place.rstrip("/") + "/")), 0)
    others = [
        model.Repository(
            path=place,
            commit=text(said, "sha"),
            branch=text(said, "branch"),
            remotes=_remotes(said),
            dirty=said.get("is_dirty") is True,
        )
        for number, ((_, said), place) in enumerate(zip(known, places, strict=True))
        if number != main
    ]
    said = known[main][1]
    return Code(
        commit=text(said, "sha"),
        branch=text(said, "branch"),
        remotes=_remotes(said),
        dirty=_dirty(known[main][0].name, said, capsule),
        repositories=tuple(others),
    )


def _remotes(said: Document) -> dict[str, str]:
    found = said.get("remotes")
    if isinstance(found, dict):
        return {name: url for name, url in found.items() if isinstance(url, str)}
    pairs = [(text(one, "name"), text(one, "url")) for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return {name: url for name, url in pairs if name and url}


def _dirty(name: str, said: Document, capsule: Capsule) -> bool | None:
    """What is said; else a diff with something in it tells, and an empty one does not: it knows nothing of untracked files."""
    if isinstance(said.get("is_dirty"), bool):
        return bool(said["is_dirty"])
    try:
        return True if os.path.getsize(os.path.join(capsule.folder, f"{name}.diff")) else None
    except (OSError, ValueError):
        return None


def commands(*parts: Document) -> dict[str, object]:
    """What commands said that were asked before and after a run: kept as they are, under a key of their own."""
    found = {name: one for part in parts for name, one in part.items()}
    return {"commands": found} if found else {}


def ours(*documents: Document) -> str | None:
    """The id of our own record, where the capsule is a view of one."""
    for one in documents:
        found = one.get("vestige")
        named = text(found, "id") if isinstance(found, dict) else found
        if isinstance(named, str) and len(named) == 36:
            return named
    return None


__all__ = ["Repository", "code", "commands", "environment", "machine", "ours", "timestamp"]
