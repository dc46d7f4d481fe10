"""Further git repositories that the configuration names: their state, and a snapshot of each that lies outside the project."""

from __future__ import annotations

import os

from vestige.capture import git
from vestige.config import Config
from vestige.model.code import Code, Repository
from vestige.model.values import replace, value
from vestige.record.code import snapshots
from vestige.record.context import relative
from vestige.store.project import Place


@value
class Found:
    """The repositories, and what could not be had of them."""

    repositories: tuple[Repository, ...]
    problems: tuple[str, ...]


def look(config: Config, place: Place, code: Code) -> Found:
    """The state of what `[repositories]` names; `code` is that of the project."""
    found: list[Repository] = []
    problems: list[str] = []
    for name, path in config.repositories:
        repository = git.find(os.path.realpath(os.path.join(place.root, path)))
        if repository is None:
            problems.append(f"repositories.{name}: {path} lies in no git repository")
        else:
            one = _known(repository.top, code, place) or _taken(name, repository.top, place, config, problems)
            found.append(replace(one, name=name))
    return Found(tuple(found), tuple(problems))


def joined(code: Code | None, named: tuple[Repository, ...]) -> Code | None:
    """The code of a run with the repositories that have names."""
    if code is None or not named:
        return code
    paths = {one.path for one in named}
    return replace(code, repositories=(*(one for one in code.repositories if one.path not in paths), *named))


def _known(top: str, code: Code, place: Place) -> Repository | None:
    """The repository of the project itself, or one whose files are in the project's snapshot."""
    root = os.path.realpath(place.root)
    own = git.find(root)
    if own is not None and own.top == top:
        return Repository(path=".", commit=code.commit, branch=code.branch, remotes=code.remotes, dirty=bool(code.dirty))
    inside = relative(top, root)
    return next((one for one in code.repositories if one.path == inside), None)


def _taken(name: str, top: str, place: Place, config: Config, problems: list[str]) -> Repository:
    taking = snapshots(place, config, top)
    taken = taking.complete(taking.take())
    problems += [f"repositories.{name}: {problem}" for problem in taken.problems]
    code = taken.code
    return Repository(
        path=relative(top, os.path.realpath(place.root)),
        commit=code.commit,
        branch=code.branch,
        remotes=code.remotes,
        dirty=bool(code.dirty),
        snapshot=code.snapshot,
        base=code.base,
    )


__all__ = ["Found", "joined", "look"]
