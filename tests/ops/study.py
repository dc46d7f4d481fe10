"""A project with real files, a real store, and records put together by hand: each says just what a test needs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vestige.capture import digest
from vestige.model import wire
from vestige.model.environment import Environment, Interpreter, Package
from vestige.model.files import FileUse
from vestige.model.machine import Machine
from vestige.model.run import Observation, ProjectReference, Run, Stream
from vestige.ops.project import Project, open_project
from vestige.record.code import CodeOfRun
from vestige.record.context import Context
from vestige.record.identity import new_id, timestamp
from vestige.store import project

#: 2026-11-21 09:00 UTC; each run starts a minute after the one before.
BEGIN = 1_795_251_600.0


class Study:
    """A project in a folder."""

    def __init__(self, root: Path, *, git: bool = False) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        if git:
            subprocess.run(["git", "init", "-q", "-b", "main", str(root)], check=True)
        (root / "vestige.toml").touch()
        self.place = project.prepare(project.locate(str(root)))
        self.opened = open_project(str(root))
        self.runs: list[Run] = []

    @property
    def project(self) -> Project:
        """Opened anew: as another call would see it."""
        return open_project(str(self.root))

    def write(self, path: str, text: str) -> Path:
        """Write a file."""
        full = self.root / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_text(text)
        return full

    def commit(self) -> None:
        """Commit everything."""
        for command in (["add", "-A"], ["commit", "-qm", "x", "--allow-empty"]):
            subprocess.run(["git", "-C", str(self.root), *command], check=True)

    def use(self, path: str, *, written: bool, keep: bool = True, role: str = "data") -> FileUse:
        """A use of a file as it is now."""
        full = os.path.join(self.root, path)
        content = digest.of_file(full)[1]
        assert content is not None
        if keep:
            self.opened.objects.put_file(full, content)
        size = os.path.getsize(full)
        access = "write" if written else "read"
        return FileUse(path=path, digest=content, size=size, role=role, access=access, kept=keep)  # type: ignore[arg-type]

    def record(
        self,
        command: Sequence[str] = ("python", "step.py"),
        *,
        reads: Sequence[str] = (),
        writes: Sequence[str] = (),
        code: bool = False,
        packages: Mapping[str, str] | None = None,
        machine: Machine | None = None,
        streams: Mapping[str, bytes] | None = None,
        keep: bool = True,
        change: Mapping[str, object] | None = None,
    ) -> Run:
        """Write a record of a run that read and wrote these files as they are now; `change` replaces fields of it."""
        begin = BEGIN + 60 * len(self.runs)
        context = Context()
        if code:
            taken = CodeOfRun(self.place, self.opened.config)
            taken.take()
            taken.tell(context)
            taken.complete(context)
            assert not context.problems, context.problems
        run = Run(
            id=new_id(),
            user="ada",
            host="node17",
            started=timestamp(begin),
            ended=timestamp(begin + 2.5),
            duration=2.5,
            sequence=int(begin * 1e6),
            project=ProjectReference(id=self.place.id or "", root=str(self.root)),
            command=tuple(command),
            exit_code=0,
            code=context.code,
            environment=self._put(_environment(packages)) if packages is not None else None,
            machine=self._put(machine) if machine is not None else None,
            inputs=tuple(self.use(path, written=False, keep=keep) for path in reads),
            outputs=tuple(self.use(path, written=True, keep=keep) for path in writes),
            streams={
                name: Stream(digest=self.opened.objects.put(data), size=len(data)) for name, data in (streams or {}).items()
            },
            observation=Observation(method="notify", events=7),
        )
        if change:
            run = replace(run, **change)  # type: ignore[arg-type]
        self.opened.records.write(run)
        self.runs.append(run)
        return run

    def _put(self, value: object) -> str:
        return self.opened.objects.put(wire.dump(wire.encode(value)))


def _environment(packages: Mapping[str, str]) -> Environment:
    return Environment(
        interpreters=(Interpreter(language="python", version="3.11.7", executable="/usr/bin/python3", kind="system"),),
        packages=tuple(Package(name=name, version=version) for name, version in packages.items()),
    )
