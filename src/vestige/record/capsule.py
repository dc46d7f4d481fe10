"""Capsules: a run as a folder, in the form that Capsula gave it, for people whose scripts read that form.

    context.json                              where, with what code, environment, files, CPU
    pre-run-info.json, post-run-info.json     what was executed, and how it ended; not of a bare capture
    NAME.diff                                 what was not committed, of each repository
    …                                         the files that were collected by copy or by move

Everything is rendered from the record. What a record does not know is null; what holds a secret is left out of the changes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar

from vestige.config import Capsule
from vestige.errors import ExistsError, VestigeError
from vestige.model import plain, wire
from vestige.model.code import Code, Repository
from vestige.model.environment import Environment
from vestige.model.files import Digest
from vestige.model.machine import Machine
from vestige.model.run import Collected, Run
from vestige.record.changes import of_code
from vestige.record.context import absolute
from vestige.store import publish
from vestige.store.code import CodeStore
from vestige.store.objects import Objects
from vestige.store.project import Place

CONTEXT, BEFORE, AFTER = "context.json", "pre-run-info.json", "post-run-info.json"
_BUILD = re.compile(r"\S+ \((?P<no>[^,)]*),?\s*(?P<date>[^)]*)\) \[(?P<compiler>[^\]]*)\]")
_IMPLEMENTATIONS = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalVM", "jython": "Jython", "ironpython": "IronPython"}
_LONGEST = 200  # bytes of a name that comes from a configuration

Document = dict[str, Any]
T = TypeVar("T", Machine, Environment)


def put(run: Run, place: Place, terms: Capsule) -> str:
    """Write a run's capsule into the vault, under a name of its own; returns the folder. Raises OSError, VestigeError."""
    vault = os.path.join(place.root, os.path.expanduser(terms.vault))
    if not os.path.isdir(vault):
        publish.make_folder(vault)
        publish.publish(os.path.join(vault, ".gitignore"), b"*\n", durable=False)
    wanted = os.path.join(vault, _moment(run.started).strftime(terms.template).strip("/") or "capsule")
    publish.make_folder(os.path.dirname(wanted))
    hidden = _built(run, place, vault, cpu=terms.cpu)
    try:
        return _claimed(hidden, wanted)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise


def write(run: Run, place: Place, folder: str, *, cpu: bool = True) -> None:
    """Write a run's capsule as this folder, which must be empty, or not there. Raises ExistsError, OSError, VestigeError."""
    target = os.path.abspath(folder)
    if os.path.lexists(target) and not (os.path.isdir(target) and not os.listdir(target)):
        raise ExistsError(f"{folder} is there, and not empty", hint="give another folder with -o")
    publish.make_folder(os.path.dirname(target))
    hidden = _built(run, place, os.path.dirname(target), cpu=cpu)
    try:
        os.rename(hidden, target)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise


def _claimed(hidden: str, wanted: str) -> str:
    for number in count():
        name = f"{wanted}_{number}" if number else wanted
        try:
            os.mkdir(name)
        except FileExistsError:
            continue
        os.rename(hidden, name)  # over the empty one, which nobody else takes for theirs
        return name
    raise AssertionError


def _built(run: Run, place: Place, beside: str, *, cpu: bool) -> str:
    folder = os.path.join(beside, f"{publish.TEMPORARY}{os.getpid()}-{os.urandom(6).hex()}")
    os.mkdir(folder, publish.folder_mode(beside) & 0o777)
    try:
        _Writer(run, place, folder).write(cpu=cpu)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


class _Writer:
    """Writes one capsule into a folder that is empty."""

    def __init__(self, run: Run, place: Place, folder: str) -> None:
        self._run = run
        self._objects = Objects(place.store)
        self._code = CodeStore(os.path.join(place.store, "code.git"))
        self._folder = folder
        self._root = run.project.root if run.project is not None else place.root
        self._taken = {CONTEXT, BEFORE, AFTER}

    def write(self, *, cpu: bool) -> None:
        run = self._run
        machine = self._machine()
        context = self._where() | {
            "platform": self._platform(machine),
            "environment_variables": dict(run.variables),
            "git": self._git(),
            "files": self._files(after=False),
            "cpu": _cpu(machine) if cpu and machine is not None else None,
            "vestige": {"id": run.id},
        }
        self._put(CONTEXT, context)
        if run.kind != "capture":
            self._put(BEFORE, self._where() | {"timestamp": _stamp(run.started)} | self._called())
            after = {"root_directory": self._root, "timestamp": _stamp(run.ended), "run_time": _span(run.duration)}
            self._put(AFTER, after | {"files": self._files(after=True)} | self._outcome())
        for one in run.collected:
            if one.way != "digest" and one.digest is not None:
                self._copy(one, one.digest)

    def _where(self) -> Document:
        return {"root_directory": self._root, "cwd": absolute(self._run.cwd, self._root)}

    def _platform(self, machine: Machine | None) -> Document | None:
        if machine is None:
            return None
        words = [machine.system, machine.kernel, machine.architecture]
        if machine.libc:
            words += ["with", machine.libc.replace(" ", "")]
        return {
            "machine": machine.architecture,
            "node": machine.host,
            "platform": "-".join(words),
            "release": machine.kernel,
            "version": machine.extra.get("kernel_version"),
            "system": machine.system,
            "processor": machine.architecture,
            "python": _python(self._environment()),
        }

    def _git(self) -> Document:
        code = self._run.code
        if code is None:
            return {}
        own = next((one.name for one in code.repositories if one.path == "." and one.name), None)
        found: list[tuple[str, str, Code | Repository]] = []
        if code.commit is not None or code.branch is not None:
            found.append((own or os.path.basename(self._root.rstrip("/")) or "repository", ".", code))
        found += [(one.name or one.path, one.path, one) for one in code.repositories if one.path != "."]
        return {name: self._repository(name, path, one) for name, path, one in found}

    def _repository(self, name: str, path: str, one: Code | Repository) -> Document:
        diff = self._name(f"{_as_name(name)}.diff")
        changes = of_code(one, self._code, self._objects, f"{name}.diff")
        if changes is not None:
            self._put_bytes(diff, changes)
        return {
            "path": path,
            "sha": one.commit,
            "branch": one.branch,
            "remotes": [{"name": remote, "url": url} for remote, url in one.remotes.items()],
            "is_dirty": one.dirty,
        }

    def _files(self, *, after: bool) -> Document:
        """What was collected, and beside it the data that the run read or wrote."""
        found = {one.path: _digest(one.other or one.digest) for one in self._run.collected if (one.item is not None) is after}
        for use in self._run.outputs if after else self._run.inputs:
            if use.role in ("data", "config") and use.kind is None and use.digest is not None and not use.deleted:
                found.setdefault(use.path, _digest(use.digest))
        return found

    def _called(self) -> Document:
        run = self._run
        if run.function is None:
            return {"args": list(run.command)}
        said = run.function.get("arguments")
        return {
            "source_file": run.function.get("file"),
            "source_line": run.function.get("line"),
            "function_name": run.function.get("name"),
            "args": [],
            "kwargs": dict(said) if isinstance(said, dict) else {},
        }

    def _outcome(self) -> Document:
        run = self._run
        if run.function is not None:
            said = run.function.get("exception")
            keys = {"error_type": "type", "error_message": "message", "error_details": "traceback"}
            raised = {ours: said.get(theirs) for ours, theirs in keys.items()} if isinstance(said, dict) else None
            return {"return_value": run.function.get("result"), "exception_info": raised}
        code = run.exit_code if run.exit_code is not None or run.signal is None else 128 + run.signal
        return {"stdout": self._stream("stdout", "terminal"), "stderr": self._stream("stderr"), "exit_code": code}

    def _stream(self, *names: str) -> str:
        for name in names:
            stream = self._run.streams.get(name)
            if stream is not None and stream.digest is not None:
                try:
                    return self._objects.read(stream.digest).decode("utf-8", "surrogateescape")
                except VestigeError:
                    return ""
        return ""

    def _machine(self) -> Machine | None:
        return self._described(Machine, self._run.machine)

    def _environment(self) -> Environment | None:
        return self._described(Environment, self._run.environment)

    def _described(self, kind: type[T], content: Digest | None) -> T | None:
        try:
            return None if content is None else wire.decode(kind, plain.loads(self._objects.read(content)))
        except (VestigeError, ValueError):
            return None  # the record stands without

    def _copy(self, one: Collected, content: Digest) -> None:
        source = self._objects.path(content)
        if source is None:
            return  # nobody can give it back
        shutil.copyfile(source, os.path.join(self._folder, self._name(os.path.basename(one.path))))

    def _name(self, wanted: str) -> str:
        """A name that nothing else in the folder has."""
        stem, ending = os.path.splitext(wanted)
        name = next(one for one in (f"{stem}_{n}{ending}" if n else wanted for n in count()) if one not in self._taken)
        self._taken.add(name)
        return name

    def _put(self, name: str, document: Document) -> None:
        text = json.dumps(document, indent=4, ensure_ascii=False) + "\n"
        self._put_bytes(name, text.encode("utf-8", "backslashreplace"))

    def _put_bytes(self, name: str, data: bytes) -> None:
        with open(os.path.join(self._folder, name), "xb") as file:
            file.write(data)


def _python(environment: Environment | None) -> Document | None:
    known = environment.interpreters if environment is not None else ()
    its = next((one for one in known if one.language == "python"), None)
    if its is None:
        return None
    build = _BUILD.match(its.build or "")
    return {
        "executable_architecture": {"bits": None, "linkage": None},
        "build_no": build["no"] if build else None,
        "build_date": build["date"].replace(",", "") if build else None,
        "compiler": build["compiler"] if build else None,
        "branch": "",
        "implementation": _IMPLEMENTATIONS.get(its.implementation or "", its.implementation),
        "version": its.version,
    }


def _cpu(machine: Machine) -> Document:
    bits = {"x86_64": 64, "aarch64": 64, "arm64": 64, "ppc64le": 64, "riscv64": 64, "s390x": 64, "i686": 32, "armv7l": 32}
    return {
        "arch": machine.architecture.upper(),
        "bits": bits.get(machine.architecture),
        "count": machine.cpus,
        "arch_string_raw": machine.architecture,
        "brand_raw": machine.cpu,
        "flags": list(machine.flags),
    }


def _digest(content: Digest | None) -> Document:
    algorithm, _, text = (content or ":").partition(":")
    return {"hash_algorithm": algorithm or None, "file_hash": text or None}


def _as_name(name: str) -> str:
    """What can be the name of a file."""
    plain_name = name.replace("/", "_").replace("\0", "_").strip() or "repository"
    return os.fsdecode(os.fsencode(plain_name)[:_LONGEST])


def _moment(text: str | None) -> datetime:
    """A time of the record as local time."""
    try:
        return datetime.fromisoformat(text or "").astimezone()
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(time.time(), UTC).astimezone()


def _stamp(text: str | None) -> str | None:
    return None if text is None else _moment(text).isoformat()


def _span(seconds: float | None) -> str | None:
    """As ISO 8601 has it."""
    if seconds is None:
        return None
    found = timedelta(seconds=seconds)
    hours, rest = divmod(found.seconds, 3600)
    minutes, whole = divmod(rest, 60)
    fraction = f".{found.microseconds:06}".rstrip("0") if found.microseconds else ""
    parts = [f"{found.days}D" if found.days else "", "T", f"{hours}H" if hours else "", f"{minutes}M" if minutes else ""]
    return "P" + "".join(parts) + f"{whole}{fraction}S"


__all__ = ["AFTER", "BEFORE", "CONTEXT", "put", "write"]
