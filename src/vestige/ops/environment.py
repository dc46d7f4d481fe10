"""The environment of this interpreter, as three files: one call for the build hook of a workflow manager."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime

from vestige.capture import packages
from vestige.errors import StoreError
from vestige.model import wire
from vestige.model.environment import CondaPackage, Environment, Package
from vestige.store import project, publish

NAMES = {"metadata": "environment.json", "pip": "environment-pip.txt", "conda": "environment-conda.txt"}
_CONDA_HEAD = """\
# This file may be used to create an environment using:
# $ conda create --name <env> --file <this file>
# platform: {platform}
"""


def capture_environment(directory: str | os.PathLike[str]) -> dict[str, str]:
    """Write what asimov writes of an environment into a folder: `environment.json`, `environment-pip.txt` as `pip freeze` prints
    it, and in a conda environment `environment-conda.txt` as `conda list --export` does.

    Returns the paths that were written, as `metadata`, `pip` and, in a conda environment, `conda`. Files of an earlier call are
    replaced. Neither pip nor conda need be there. Raises StoreError.
    """
    folder = os.path.abspath(os.fspath(directory))
    files = rendered(_environment(), datetime.now(UTC))
    try:
        publish.make_folder(folder)
        for kind, text in files.items():
            publish.replace(os.path.join(folder, NAMES[kind]), text.encode("utf-8", "backslashreplace"), durable=False)
    except OSError as error:
        where = os.fsdecode(error.filename) if error.filename else folder
        raise StoreError(f"{where} cannot be written: {error.strerror}") from error
    return {kind: os.path.join(folder, NAMES[kind]) for kind in files}


def rendered(environment: Environment, moment: datetime) -> dict[str, str]:
    """The text of each file, by its kind."""
    files = {"metadata": _metadata(environment, moment), "pip": _lines(environment)}
    if environment.conda or environment.interpreters[0].kind == "conda":
        files["conda"] = _conda(environment)
    return files


def _environment() -> Environment:
    captured = packages.capture(sys.executable, os.path.join(project.cache_home(), "environments"))
    return wire.decode(Environment, json.loads(captured.data()))


def _metadata(environment: Environment, moment: datetime) -> str:
    its = environment.interpreters[0]
    found = {
        "timestamp": moment.isoformat(),
        "environment_type": its.kind or "system",
        "python_version": its.build or its.version,
        "python_executable": its.executable,
    }
    if its.kind == "conda" and its.prefix is not None:
        found["conda_env_name"] = os.environ.get("CONDA_DEFAULT_ENV") or os.path.basename(its.prefix)
        found["conda_prefix"] = its.prefix
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _lines(environment: Environment) -> str:
    return "".join(f"{_frozen(package)}\n" for package in sorted(environment.packages, key=lambda one: one.name.lower()))


def _frozen(package: Package) -> str:
    """A line that pip can install from; what came from a folder of this machine, nobody else can: that is a comment."""
    origin = package.origin or {}
    url, version = origin.get("url"), origin.get("vcs_info")
    if isinstance(version, dict) and isinstance(url, str):
        commit = f"@{version['commit_id']}" if version.get("commit_id") else ""
        return f"{package.name} @ {version.get('vcs', 'git')}+{url}{commit}"
    if isinstance(url, str) and url.startswith(("http:", "https:")):
        return f"{package.name} @ {url}"
    if isinstance(url, str) and isinstance(origin.get("dir_info"), dict):
        return f"# from {url}, where nobody else can install it: {package.name}=={package.version}"
    return f"{package.name}=={package.version}"


def _conda(environment: Environment) -> str:
    head = _CONDA_HEAD.format(platform=_platform())
    return head + "".join(f"{one.name}={one.version}={one.build or ''}\n" for one in sorted(environment.conda, key=_name))


def _name(package: CondaPackage) -> str:
    return package.name


def _platform() -> str:
    """As conda calls it."""
    machine = os.uname().machine if hasattr(os, "uname") else "AMD64"
    system = {"linux": "linux", "darwin": "osx", "win32": "win"}.get(sys.platform, sys.platform)
    return f"{system}-{ {'x86_64': '64', 'AMD64': '64'}.get(machine, machine) }"
