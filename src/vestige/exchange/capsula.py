"""Capsules: the folders that Capsula made of runs, in both generations, and those that Vestige exports as such.

    context.json, pre-run-info.json, post-run-info.json              the first generation, and Vestige's own
    pre-run-report.json, in-run-report.json, post-run-report.json    the later one
    REPO.diff, and whatever files were collected                     both

A context alone is a capture. What the later generation does not write down (the words of a command, its exit code, the time) is
said in the record; the time is then that of the folder's name, which is the local time of the machine that made it.
"""

from __future__ import annotations

import os
import re
import time

from vestige.errors import UnreadableError
from vestige.exchange import surroundings
from vestige.exchange.capsules import Capsule
from vestige.exchange.documents import Document, canonical, inner, instant, is_digest, items, load, read, text, texts, whole
from vestige.exchange.interface import Claim, Reading, Told
from vestige.exchange.spans import seconds
from vestige.model.files import Access, Digest
from vestige.model.run import FileReference, Kind, Observation, Run, Status
from vestige.model.values import replace
from vestige.observe import declared

#: By these files a folder is known as a capsule.
FIRST = ("context.json", "pre-run-info.json", "post-run-info.json")
LATER = ("pre-run-report.json", "in-run-report.json", "post-run-report.json")
_GAP = "imported from Capsula: it knew the files that its configuration named, and saw no others"
#: The keys of the later generation's reports; any other is a value that the program recorded.
_KEYS = frozenset(
    {"cwd", "cpu", "platform", "git", "file", "command", "env", "function", "time", "exception", "inputs", "__fails"}
)
_STAMP = re.compile(r"(?:(.*)_)?(\d{8})_(\d{6})(?:_[A-Za-z0-9]{1,16})?", re.DOTALL)


def is_capsule(names: frozenset[str]) -> bool:
    """Whether a folder with these names in it is one. `context.json` alone is a common name: it is asked what it holds."""
    return any(name in names for name in (*FIRST[1:], *LATER, FIRST[0]))


def read_capsule(folder: str, into: Reading) -> None:
    """Read one capsule. Raises UnreadableError where it holds nothing that can be read; a damaged part becomes a note."""
    documents: dict[str, Document] = {}
    damaged = []
    for name in (*FIRST, *LATER):
        path = os.path.join(folder, name)
        if os.path.lexists(path):
            try:
                documents[name] = load(read(path), path)
            except UnreadableError as error:
                damaged.append(str(error))
    if not documents:
        raise UnreadableError(damaged[0] if damaged else f"{folder} is not a capsule: it holds none of {', '.join(FIRST)}")
    into.notes += damaged
    capsule = Capsule(os.path.abspath(folder), documents)
    told = _later(capsule) if any(name in documents for name in LATER) else _first(capsule)
    problems = (*told.run.problems, *damaged, *capsule.problems)
    into.told.append(replace(told, run=replace(told.run, problems=problems)))


# --- the first generation, and our own -------------------------------------------------------------------------------


def _first(capsule: Capsule) -> Told:
    context, before, after = (capsule.document(name) for name in FIRST)
    capsule.moved_from(text(context, "root_directory") or text(before, "root_directory") or text(after, "root_directory"))
    began, ended = instant(text(before, "timestamp")), instant(text(after, "timestamp"))
    took = seconds(after.get("run_time"))
    started = began if began is not None else ended - (took or 0.0) if ended is not None else None
    moment = started if started is not None else _from_name(capsule)
    kind: Kind = "function" if text(before, "function_name") else "command" if before or after else "capture"
    code, exception = whole(after, "exit_code"), inner(after, "exception_info")
    command = texts(before, "args") if kind == "command" else ()
    cwd, script = capsule.place(text(before, "cwd") or text(context, "cwd") or "."), declared.script(command)
    files = [*_files(capsule, context, "read"), *_files(capsule, after, "write")]
    repositories = [surroundings.Repository(name, one, "path") for name, one in inner(context, "git").items()]
    run = Run(
        id="",
        name=capsule.name,
        kind=kind,
        status=_status(kind, code, failed=bool(exception), ended=bool(after), capsule=capsule),
        ended=_iso(ended),
        duration=took,
        command=command,
        script=FileReference(path=os.path.normpath(os.path.join(cwd, script))) if script else None,
        function=_called(before, after) if kind == "function" else None,
        cwd=cwd,
        exit_code=code,
        code=surroundings.code(repositories, capsule),
        variables={name: one for name, one in inner(context, "environment_variables").items() if isinstance(one, str)},
        host=text(inner(context, "platform"), "node") or "",
        observation=Observation(method="none", gaps=(_GAP,)),
    )
    written = {name: after.get(name) for name in ("stdout", "stderr")}
    streams = {name: one.encode("utf-8", "surrogatepass") for name, one in written.items() if isinstance(one, str)}
    timed = began is not None or ended is not None
    return Told(
        format="capsula",
        source=capsule.folder,
        time=moment,
        key=canonical(*capsule.documents.values(), *([] if timed else [capsule.name])),
        run=run,
        id=surroundings.ours(context, before, after),
        files=tuple(files),
        environment=surroundings.environment(inner(context, "platform")),
        machine=surroundings.machine(inner(context, "platform"), inner(context, "cpu")),
        streams=streams,
        diffs=capsule.diffs(),
    )


def _files(capsule: Capsule, document: Document, access: Access) -> list[Claim]:
    found = []
    for path, one in inner(document, "files").items():
        if not isinstance(one, dict):
            capsule.problems.append(f"{path} was to be collected, and was not there")
            continue
        algorithm = text(one, "hash_algorithm") or "sha256"
        digits = one.get("file_hash", one.get("hash"))
        found.append(_claim(capsule, path, algorithm, digits, access, (capsule.inside(path),)))
    return found


def _claim(capsule: Capsule, path: str, algorithm: str, digits: object, access: Access, places: tuple[str, ...]) -> Claim:
    digest: Digest | None = None
    if is_digest(algorithm, digits):
        digest = f"{algorithm}:{digits}"
    elif digits is not None:
        capsule.problems.append(f"the digest of {path} cannot be read")
    else:
        capsule.problems.append(f"{path} was collected without a digest")
    return Claim(path=capsule.place(path), digest=digest, access=access, places=places)


def _called(before: Document, after: Document) -> dict[str, object]:
    arguments: dict[str, object] = {f"[{position}]": one for position, one in enumerate(items(before, "args"))}
    arguments |= inner(before, "kwargs")
    exception = inner(after, "exception_info")
    return {
        "module": _module(text(before, "source_file")),
        "name": text(before, "function_name"),
        "file": text(before, "source_file"),
        "line": whole(before, "source_line"),
        "arguments": arguments,
        "result": after.get("return_value"),
        "exception": _exception(exception, "error_type", "error_message", "error_details"),
    }


# --- the later generation --------------------------------------------------------------------------------------------


def _later(capsule: Capsule) -> Told:
    before, within, after = (capsule.document(name) for name in LATER)
    every = {key: one for part in (before, within, after) for key, one in part.items()}
    capsule.moved_from(text(before, "cwd") or text(after, "cwd"), _folder_then(before, after))
    moment = _from_name(capsule)
    calls = inner(before, "function") or inner(after, "function")
    kind: Kind = "function" if calls else "command" if within or after else "capture"
    took = seconds(inner(within, "time").get("execution_time"))
    unwatched = False
    raised = next((one for one in inner(within, "exception").values() if isinstance(one, dict) and text(one, "exc_type")), {})
    if kind != "capture" and not within:
        unwatched = _others_were_watched(capsule)
        why = "other capsules here have one, so an exception ended the run" if unwatched else "perhaps nothing was watched"
        capsule.problems.append(f"there is no {LATER[1]}: {why}")
    _not_recorded(capsule, kind)
    files = [*_collected(capsule, before, "read"), *_collected(capsule, after, "write")]
    repositories = [surroundings.Repository(name, one, "working_dir") for name, one in inner(every, "git").items()]
    run = Run(
        id="",
        name=capsule.name,
        kind=kind,
        status="failed" if raised or unwatched else "finished",
        ended=_iso(moment + took) if took is not None else None,
        duration=took,
        function=_bound(calls, raised) if kind == "function" else None,
        cwd=capsule.place(text(every, "cwd") or "."),
        code=surroundings.code(repositories, capsule),
        variables={name: one for name, one in inner(every, "env").items() if isinstance(one, str)},
        host=text(inner(every, "platform"), "node") or "",
        values=_values(within, moment),
        observation=Observation(method="none", gaps=(_GAP,)),
        extra=surroundings.commands(inner(before, "command"), inner(after, "command")),
    )
    return Told(
        format="capsula",
        source=capsule.folder,
        time=moment,
        key=canonical(*capsule.documents.values(), capsule.name),
        run=run,
        id=surroundings.ours(before, within, after),
        files=tuple(files),
        environment=surroundings.environment(inner(every, "platform")),
        machine=surroundings.machine(inner(every, "platform"), inner(every, "cpu")),
        diffs=capsule.diffs(),
    )


def _others_were_watched(capsule: Capsule) -> bool:
    """Whether the vault has capsules with the report that is written only where a run ends by itself."""
    vault = os.path.dirname(capsule.folder)
    try:
        return any(os.path.isfile(os.path.join(vault, name, LATER[1])) for name in os.listdir(vault))
    except OSError:
        return False


def _not_recorded(capsule: Capsule, kind: Kind) -> None:
    for part in capsule.documents.values():
        for what, named in inner(part, "__fails").items():
            for name, one in named.items() if isinstance(named, dict) else ():
                reason = text(one, "exc_value") if isinstance(one, dict) else None
                capsule.problems.append(f"{what} {name}: {reason or 'failed'}")
    if kind == "command":
        began = _STAMP.fullmatch(capsule.name)
        what = f", which began with '{began[1]}'," if began and began[1] else ""
        capsule.problems.append(f"Capsula recorded neither the command{what} nor its exit code")


def _folder_then(*parts: Document) -> str | None:
    """Where the capsule lay when it was made, as the paths of what was put into it tell."""
    for part in parts:
        for one in inner(part, "git").values():
            if isinstance(one, dict) and (path := text(one, "diff_file")):
                return os.path.dirname(path)
        for one in inner(part, "file").values():
            if isinstance(one, dict):
                if copied := texts(one, "copied_to"):
                    return os.path.dirname(copied[0])
                if moved := text(one, "moved_to"):
                    return moved
    return None


def _collected(capsule: Capsule, document: Document, access: Access) -> list[Claim]:
    found = []
    for path, one in inner(document, "file").items():
        if isinstance(one, dict):
            hashed = inner(one, "hash")
            places = [capsule.place(copy) for copy in texts(one, "copied_to")] + [capsule.inside(path)]
            if not hashed and len(places) == 1 and not text(one, "moved_to"):
                capsule.problems.append(f"{path} was not there, or nothing was noted of it")
                continue
            found.append(
                _claim(capsule, path, text(hashed, "algorithm") or "sha256", hashed.get("digest"), access, tuple(places))
            )
    return found


def _bound(calls: Document, raised: Document) -> dict[str, object]:
    name, call = next(iter(calls.items()))
    call = call if isinstance(call, dict) else {}
    return {
        "module": _module(text(call, "file_path")),
        "name": name,
        "file": text(call, "file_path"),
        "line": whole(call, "first_line_no"),
        "arguments": inner(call, "bound_args"),
        "result": None,
        "exception": _exception(raised, "exc_type", "exc_value", "traceback"),
    }


def _values(within: Document, moment: float) -> dict[str, object]:
    """What the program recorded: everything in the middle report that is no part of Capsula's own, and further times."""
    own = {key: one for key, one in within.items() if key not in _KEYS}
    times = inner(within, "time").items()
    own |= {f"time.{name}": span for name, one in times if name != "execution_time" and (span := seconds(one)) is not None}
    stamp = surroundings.timestamp(moment)
    return {key: [{"value": one, "time": stamp}] for key, one in own.items()}


# --- what both share -------------------------------------------------------------------------------------------------


def _status(kind: Kind, code: int | None, *, failed: bool, ended: bool, capsule: Capsule) -> Status:
    if kind != "capture" and not ended:
        capsule.problems.append("there is no post-run-info.json: nothing tells how the run ended")
        return "interrupted"
    return "failed" if failed or code else "finished"


def _exception(found: Document, kind: str, message: str, trace: str) -> dict[str, object] | None:
    if not text(found, kind):
        return None
    return {"type": found.get(kind), "message": found.get(message), "traceback": found.get(trace)}


def _module(path: str | None) -> str | None:
    return os.path.splitext(os.path.basename(path))[0] if path else None


def _from_name(capsule: Capsule) -> float:
    """When a capsule was made: by its name, else by the time of its oldest document."""
    named = _STAMP.fullmatch(capsule.name)
    if named is not None:
        try:
            found = time.mktime(time.strptime(named[2] + named[3], "%Y%m%d%H%M%S"))
        except (ValueError, OverflowError):
            pass
        else:
            capsule.problems.append("the time is that of the folder's name, taken as local time")
            return found
    capsule.problems.append("the time is that of the files of the capsule: it does not say its own")
    return capsule.oldest()


def _iso(moment: float | None) -> str | None:
    return None if moment is None else surroundings.timestamp(moment)


__all__ = ["FIRST", "LATER", "is_capsule", "read_capsule"]
