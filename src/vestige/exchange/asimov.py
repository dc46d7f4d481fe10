"""The environments that asimov captured when it built an analysis: `environment.json`, and the lists of pip and conda."""

from __future__ import annotations

import os

from vestige.errors import UnreadableError
from vestige.exchange import listings
from vestige.exchange.documents import Document, canonical, instant, load, read, text
from vestige.exchange.interface import Reading, Told
from vestige.model.environment import Environment, Interpreter
from vestige.model.run import Observation, Run

_GAP = "imported from asimov: the environment of the moment at which the analysis was built; nothing was executed"
_KINDS = {"conda": "conda", "virtualenv": "virtualenv", "venv": "virtualenv", "system": "system"}


def is_environment(document: Document) -> bool:
    """Whether a document is one of asimov's."""
    return text(document, "python_version") is not None and text(document, "environment_type") is not None


def read_environment(path: str, into: Reading) -> None:
    """Read one set. Raises UnreadableError where it is none; a list that cannot be read is said in the record."""
    document = load(read(path), path)
    if not is_environment(document):
        raise UnreadableError(f"{path} is no environment of asimov: it names no python_version and environment_type")
    moment = instant(text(document, "timestamp"))
    if moment is None:
        raise UnreadableError(f"{path} does not say when the environment was captured: 'timestamp' holds no time")
    base = path.removesuffix(".json")
    problems: list[str] = []
    pip = _listed(f"{base}-pip.txt", problems)
    conda = _listed(f"{base}-conda.txt", problems) if document["environment_type"] == "conda" else ""
    executable = text(document, "python_executable") or ""
    interpreter = Interpreter(
        language="python",
        version=str(document["python_version"]).partition(" ")[0],
        build=str(document["python_version"]).partition(" ")[2] or None,
        executable=executable,
        prefix=os.path.dirname(os.path.dirname(executable)) or None,
        kind=_KINDS.get(str(document["environment_type"])),
        extra={"conda_environment": name} if (name := text(document, "conda_env_name")) else {},
    )
    environment = Environment(
        interpreters=(interpreter,),
        packages=tuple(listings.pip(pip)),
        conda=tuple(listings.conda(conda)),
        problems=tuple(problems),
    )
    folder = os.path.dirname(os.path.abspath(path))
    run = Run(
        id="",
        name=os.path.basename(folder) or None,
        kind="capture",
        cwd=folder,
        observation=Observation(method="none", gaps=(_GAP,)),
        problems=tuple(problems),
    )
    key = canonical(document, pip, conda)
    into.told.append(Told(format="asimov", source=path, time=moment, key=key, run=run, environment=environment))


def _listed(path: str, problems: list[str]) -> str:
    try:
        return read(path).decode("utf-8", "replace")
    except UnreadableError as error:
        problems.append(str(error))
        return ""


__all__ = ["is_environment", "read_environment"]
