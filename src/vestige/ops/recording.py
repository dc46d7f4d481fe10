"""A command recorded from inside a Python program.

Recording forks the interpreter that does it and hands out its standard streams, which a program with threads, a GPU or a
notebook around it would not survive. So a fresh interpreter does it, the same as for `vestige run`: it is told what to do
through a pipe, and tells through another which run came of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from vestige import errors
from vestige.errors import RecordingError, UsageError, VestigeError
from vestige.model.run import Run
from vestige.model.values import value
from vestige.ops import find
from vestige.ops.project import Project, open_project
from vestige.ops.run import run as record
from vestige.record.options import Options
from vestige.store import journal

_PAUSE = 0.02  # seconds between two looks whether a record is complete


@value(kw_only=True)
class Request:
    """A command and how it is to be recorded; see `vestige.api.Project.run`."""

    command: tuple[str, ...]
    name: str | None = None
    tags: tuple[str, ...] = ()
    note: str | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    strict: bool = False
    observe: str | None = None
    items: tuple[str, ...] = ()
    keep: bool = False
    parent: str | None = None
    cwd: str | None = None
    environ: Mapping[str, str] | None = None
    echo: bool = False


def run(project: Project, request: Request) -> Run:
    """Run the command and return its record, whatever its exit code.

    Raises RefusedError and RecordingError, with `strict` before anything ran; UsageError for an item that is not configured.
    """
    for name in request.items:
        if project.config.item(name) is None:
            raise UsageError(f"no item '{name}' is configured", hint="items are sets of files, named in vestige.toml")
    ours, theirs = os.pipe()
    answer, tell = os.pipe()
    try:
        worker = subprocess.Popen(
            [sys.executable, "-m", __name__, project.root, str(ours), str(tell)], pass_fds=(ours, tell), env=_environment()
        )
    finally:
        os.close(ours)
        os.close(tell)
    with os.fdopen(theirs, "w", encoding="ascii") as pipe:
        document = asdict(request) | {"environ": request.environ and dict(request.environ), "ours": dict(os.environ)}
        json.dump(document, pipe)
    with os.fdopen(answer, encoding="ascii") as pipe:
        said = pipe.readline()  # not to the end: the recorder holds the pipe open for as long as it works
    code = worker.wait()
    if not said:
        raise RecordingError(f"the recording of {request.command[0]} ended with {code}")
    found = json.loads(said)
    if found["error"] is not None:
        kind = getattr(errors, found["kind"], RecordingError)
        raise kind(found["error"], hint=found["hint"])
    if found["run"] is None:
        raise RecordingError(f"{project.store} cannot be written: the command ended with {found['exit_code']}, unrecorded")
    return completed(project, found["run"])


def completed(project: Project, run_id: str) -> Run:
    """The record of a run, as soon as it is there; of one that nobody completes any more, completed here."""
    folder = os.path.join(project.store, "active", run_id)
    while os.path.isdir(folder) and project.records.path_of(run_id) is None:
        if not journal.is_alive(journal.Active(folder)):
            project.settle()
            break
        time.sleep(_PAUSE)
    return find.record(project, run_id)


def _environment() -> dict[str, str]:
    """The worker's own, in which it finds this very Vestige; it takes up ours as soon as it runs."""
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    others = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([package, *([others] if others else [])])}


def _work(root: str, ours: int, tell: int) -> None:
    os.set_inheritable(tell, False)
    with os.fdopen(ours, encoding="ascii") as pipe:
        document = json.load(pipe)
    os.environ.clear()
    os.environ.update(document["ours"])
    found: dict[str, object] = {"run": None, "exit_code": None, "error": None}
    try:
        project = open_project(root, root)
        outcome = record(document["command"], _options(project, document))
        found |= {"run": outcome.run_id, "exit_code": outcome.exit_code}
    except VestigeError as error:
        found |= {"error": str(error), "hint": error.hint, "kind": type(error).__name__}
    with os.fdopen(tell, "w", encoding="ascii") as pipe:
        pipe.write(json.dumps(found) + "\n")


def _options(project: Project, document: Mapping[str, Any]) -> Options:
    cwd, parent = document["cwd"], document["parent"]
    return Options(
        project.place,
        project.config,
        name=document["name"],
        tags=document["tags"],
        note=document["note"],
        strict=document["strict"],
        observe=document["observe"] or project.config.observe,
        inputs=document["inputs"],
        outputs=document["outputs"],
        items=document["items"],
        keep=document["keep"],
        parent=None if parent is None else find.run_id(project, parent),
        cwd=None if cwd is None else os.path.abspath(cwd),
        environ=document["environ"],
        echo="always" if document["echo"] else "never",
    )


if __name__ == "__main__":
    _work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
