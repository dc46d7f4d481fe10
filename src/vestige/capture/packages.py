"""The environment of an interpreter that did the work: who it is, and every package it can see.

It is read from files, so that neither pip nor conda need be there, and read once: as long as the interpreter's
file, its `pyvenv.cfg` and the folders with packages are as they were, one small file of the cache says which
environment it is. The unchanged case is a few calls of stat(2).
"""

from __future__ import annotations

import os
import time

from vestige.capture import digest, interpreters
from vestige.model import plain, wire
from vestige.model.environment import Environment
from vestige.model.files import Digest
from vestige.model.values import replace, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

#: A folder that changed less than this ago may still be changing (an installation is going on): seconds.
_SETTLED = 2.0
#: The same where something was wrong: half of an installation looks like a broken one.
_MENDED = 60.0


@value
class Captured:
    """An environment: its digest at once, and its bytes for whoever does not have them yet."""

    digest: Digest
    data: Callable[[], bytes]
    problems: tuple[str, ...] = ()


def is_interpreter(path: str) -> bool:
    """Whether executing this file starts an interpreter whose environment can be captured."""
    return interpreters.resolve(path) is not None


def capture(path: str, cache_dir: str | None = None, environ: Mapping[str, str] | None = None) -> Captured:
    """The environment of the interpreter that runs when `path` is executed."""
    found = interpreters.resolve(path)
    if found is not None and interpreters.language(found) == "python":
        return python_environment(found, None, cache_dir, environ=environ)
    answer = interpreters.ask(found or path, cache_dir)
    return _captured(Environment(interpreters=(answer.interpreter,), problems=answer.problems))


def python_environment(
    executable: str,
    folders: Sequence[str] | None = None,
    cache_dir: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
) -> Captured:
    """A Python, the packages it can see, and conda's.

    `folders` are those with packages on its path, in order; where None, those that it names itself, and before them what
    `PYTHONPATH` and the user's own site add to them in `environ` (by default: ours).
    """
    executable = os.path.join(os.getcwd(), executable)
    environ = os.environ if environ is None else environ
    added = _added(environ)
    key = digest.of_bytes(os.fsencode("\0".join([executable, *(folders or ()), "", *added])))[7:31]
    name = os.path.join(cache_dir, f"python-{key}") if cache_dir is not None else None

    def look() -> tuple[Environment, list[str]]:
        return _look(executable, folders, added, cache_dir)

    state = interpreters.state(executable)
    if name is not None and (known := _remembered(name, state, look)) is not None:
        return known
    began = time.time()
    environment, watched = look()
    captured = _captured(environment)
    known_itself = environment.interpreters[0].version is not None
    if name is not None and known_itself and _settled(watched, began, problems=bool(environment.problems)):
        interpreters.remember(name + ".data", captured.data())
        document = {"state": state, "folders": _times(watched), "digest": captured.digest, "problems": captured.problems}
        interpreters.remember(name + ".json", wire.compact(document))
    return captured


def join(captured: Sequence[Captured], system: Mapping[str, str] | None = None, cache_dir: str | None = None) -> Captured:
    """The environment of a run that used several interpreters, the main one first, and packages of the operating system."""
    if len(captured) == 1 and not system:
        return captured[0]
    said = wire.compact([[one.digest for one in captured], dict(system or {})])
    name = os.path.join(cache_dir, f"joined-{digest.of_bytes(said)[7:31]}") if cache_dir is not None else None

    def joined() -> bytes:
        environments = [wire.decode(Environment, plain.loads(one.data())) for one in captured]
        return environment_bytes(_joined(environments, system or {}))

    problems = tuple(dict.fromkeys(problem for one in captured for problem in one.problems))
    if name is not None and isinstance(known := _read(name + ".json").get("digest"), str):
        return Captured(known, lambda: _data(f"{name}.data", known) or joined(), problems)
    data = joined()
    found = digest.of_bytes(data)
    if name is not None:
        interpreters.remember(name + ".data", data)
        interpreters.remember(name + ".json", wire.compact({"digest": found}))
    return Captured(found, lambda: data, problems)


def environment_bytes(environment: Environment) -> bytes:
    """An environment as it is stored: the same bytes for the same environment."""
    return wire.dump(wire.encode(environment))


def _captured(environment: Environment) -> Captured:
    data = environment_bytes(environment)
    return Captured(digest.of_bytes(data), lambda: data, environment.problems)


def _look(
    executable: str, folders: Sequence[str] | None, added: Sequence[str], cache_dir: str | None
) -> tuple[Environment, list[str]]:
    """The environment, and the folders that must stay as they are for it to stay as it is."""
    from vestige.capture import conda, distributions

    answer = interpreters.ask(executable, cache_dir)
    its = answer.interpreter
    if folders is None:
        folders = [*_places(added, its.version, user=answer.sees_user), *answer.folders]
    found = distributions.installed(folders)
    problems = [*answer.problems, *found.problems]
    watched = list(found.folders)
    environment = Environment(
        interpreters=(its,),
        packages=tuple(package for _, package in sorted(found.packages.items())),
    )
    for prefix in dict.fromkeys([its.prefix, its.base_prefix]):
        if prefix is not None and (notes := conda.folder_of(prefix)) is not None:
            packages, broken = conda.installed(notes)
            problems += broken
            watched.append(notes)
            asked = conda.specs(notes)
            environment = replace(environment, conda=packages, extra={"conda_specs": list(asked)} if asked else {})
            break
    return replace(environment, problems=tuple(problems)), watched


def _added(environ: Mapping[str, str]) -> list[str]:
    """What variables add to the path: `PYTHONPATH`, and the base of the user's own site, if that is not switched off."""
    added = [folder for folder in environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(folder)]
    home = environ.get("HOME", "")
    base = environ.get("PYTHONUSERBASE") or (os.path.join(home, ".local") if home else "")
    return [*added, "" if environ.get("PYTHONNOUSERSITE") else base]


def _places(added: Sequence[str], version: str | None, *, user: bool) -> list[str]:
    *folders, base = added
    if base and version and user:
        folders.append(os.path.join(base, "lib", "python" + ".".join(version.split(".")[:2]), "site-packages"))
    return list(folders)


def _remembered(name: str, state: list[object], look: Callable[[], tuple[Environment, list[str]]]) -> Captured | None:
    known = _read(name + ".json")
    if known.get("state") != state:
        return None
    try:
        folders = known["folders"]
        if _times([folder for folder, _ in folders]) != folders:
            return None
        found = str(known["digest"])
        problems = tuple(known["problems"])
    except (KeyError, TypeError, ValueError):
        return None
    return Captured(found, lambda: _data(name + ".data", found) or environment_bytes(look()[0]), problems)


def _read(name: str) -> dict[str, Any]:
    try:
        with open(name, "rb") as file:
            document = plain.loads(file.read())
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _data(name: str, expected: Digest) -> bytes | None:
    try:
        with open(name, "rb") as file:
            data = file.read()
    except OSError:
        return None
    return data if digest.of_bytes(data) == expected else None


def _times(folders: Sequence[str]) -> list[list[object]]:
    times: list[list[object]] = []
    for folder in folders:
        try:
            times.append([folder, os.stat(folder).st_mtime_ns])
        except OSError:
            times.append([folder, None])
    return times


def _settled(folders: Sequence[str], now: float, *, problems: bool) -> bool:
    quiet = _MENDED if problems else _SETTLED
    return all(not isinstance(when, int) or when < (now - quiet) * 1e9 for _, when in _times(folders))


def _joined(environments: Sequence[Environment], system: Mapping[str, str]) -> Environment:
    """One environment: a package that only a further interpreter sees says which one, by its place in the list."""
    whole = Environment()
    for one in environments:
        place = len(whole.interpreters)
        fresh = [its for its in one.interpreters if its not in whole.interpreters]
        if not fresh and one.interpreters:
            continue
        known = {(package.name, package.version, package.digest) for package in whole.packages}
        packages = [
            replace(package, extra={**package.extra, "interpreter": place}) if place else package
            for package in one.packages
            if (package.name, package.version, package.digest) not in known
        ]
        whole = replace(
            whole,
            interpreters=(*whole.interpreters, *fresh),
            packages=(*whole.packages, *packages),
            conda=(*whole.conda, *(package for package in one.conda if package not in whole.conda)),
            problems=tuple(dict.fromkeys([*whole.problems, *one.problems])),
            extra={**one.extra, **whole.extra},
        )
    return replace(whole, system=dict(sorted({**whole.system, **system}.items())))
