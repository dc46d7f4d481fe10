"""ntrk's records: a line each in `.ntrk/runs.jsonl`, and the same beside each output, in `.NAME.ntrk`.

The order of the lines is the order in time, but their times are whole seconds: within one second the later line is set a
microsecond later, so that the order of the lines holds there, too. Across seconds the times count, since a merge by git may have
reordered the lines.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from vestige.errors import UnreadableError
from vestige.exchange.documents import Document, canonical, inner, instant, is_digest, items, load, read, text, texts, whole
from vestige.exchange.interface import Claim, Reading, Told
from vestige.model.code import Code
from vestige.model.files import Access, Digest
from vestige.model.run import FileReference, Observation, Run

FOLDER, LOG = ".ntrk", "runs.jsonl"
_VERSION = 1
_GAP = "imported from ntrk: it knew the files that the command line named, and saw no others"
_PROBLEM = "ntrk records neither when a run started nor with which packages, variables or machine"

Progress = Callable[[int, int], None]


def is_sidecar(path: str) -> bool:
    """Whether a file is named as ntrk's sidecars are."""
    name = os.path.basename(path)
    return name.startswith(".") and name.endswith(".ntrk") and len(name) > len("..ntrk")


def read_log(path: str, into: Reading, progress: Progress) -> None:
    """Read every line; one that is damaged, or newer, becomes a note. Raises UnreadableError where there is no file."""
    data = read(path)
    folder = os.path.dirname(os.path.abspath(path))
    root = os.path.dirname(folder) if os.path.basename(folder) == FOLDER else folder
    in_second: dict[float, int] = {}
    lines = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                told = _told(load(line, f"{path}: line {number}"), path, f"{path}: line {number}", root, in_second)
                into.told.append(told)
            except UnreadableError as error:
                into.notes.append(str(error))
        progress(number, len(lines))


def read_sidecar(path: str, root: str, into: Reading) -> None:
    """Read what lies beside an output. `root` is where its paths begin, if its own place does not tell.

    A file that is not what the sidecar describes is no reason not to believe what was recorded; it is said.
    """
    document = load(read(path), path)
    here = os.path.abspath(path)
    beside = os.path.join(os.path.dirname(here), os.path.basename(here)[1 : -len(".ntrk")])
    named = text(document, "sidecar_for")
    if named is not None:
        top = beside[: -len(named)].rstrip("/") or "/"
        root = top if beside.endswith("/" + named) and _is_root(top) else _root_above(here) or root
    told = _told(document, path, path, root, {}, beside)
    into.told.append(told)


def _is_root(folder: str) -> bool:
    return any(os.path.exists(os.path.join(folder, name)) for name in (FOLDER, ".git", ".vestige", "vestige.toml"))


def _root_above(path: str) -> str | None:
    folder = os.path.dirname(path)
    while folder != os.path.dirname(folder):
        if os.path.isfile(os.path.join(folder, FOLDER, LOG)):
            return folder
        folder = os.path.dirname(folder)
    return None


def _told(document: Document, source: str, where: str, root: str, in_second: dict[float, int], beside: str | None = None) -> Told:
    version = document.get("v", _VERSION)
    if not isinstance(version, int) or version > _VERSION:
        raise UnreadableError(f"{where} has ntrk's format {version}; this Vestige reads up to {_VERSION}")
    moment = instant(text(document, "ts"))
    if moment is None or moment < 0:
        raise UnreadableError(f"{where} does not say when the run was: 'ts' holds no time")
    command = texts(document, "command")
    if not command or len(command) != len(items(document, "command")):
        raise UnreadableError(f"{where} does not say what was run: 'command' holds no list of words")
    later = in_second.get(moment, 0)
    in_second[moment] = later + 1
    files = [*_claims(document, "inputs", "read", where, root), *_claims(document, "outputs", "write", where, root)]
    if beside is not None:
        files = [_with_place(one, beside) for one in files]
    identity = {key: item for key, item in document.items() if key != "sidecar_for"}
    git, script = inner(document, "git"), inner(document, "script")
    branch = text(git, "branch")
    run = Run(
        id="",
        kind="command",
        command=command,
        cwd=os.path.normpath(os.path.join(root, text(document, "cwd") or ".")),
        exit_code=0,
        code=Code(commit=text(git, "commit"), branch=None if branch == "HEAD" else branch, dirty=False) if git else None,
        script=_script(script, root),
        observation=Observation(method="none", gaps=(_GAP,)),
        problems=(_PROBLEM,),
    )
    time = moment + min(later, 999_999) / 1e6
    return Told(format="ntrk", source=source, time=time, key=canonical(identity), run=run, files=tuple(files))


def _script(script: Document, root: str) -> FileReference | None:
    path = text(script, "path")
    if path is None:
        return None
    blob = text(script, "blob")
    return FileReference(path=os.path.normpath(os.path.join(root, path)), digest=_digest(script), git_blob=blob)


def _claims(document: Document, key: str, access: Access, where: str, root: str) -> list[Claim]:
    found = []
    for one in items(document, key):
        path = text(one, "path") if isinstance(one, dict) else None
        if path is None or "\0" in path:
            raise UnreadableError(f"{where} names a file without a path, among its {key}")
        place = os.path.normpath(os.path.join(root, path))
        found.append(Claim(path=place, digest=_digest(one), size=whole(one, "size"), access=access))
    return found


def _with_place(claim: Claim, beside: str) -> Claim:
    if claim.access != "write" or claim.path == beside:
        return claim
    return Claim(path=claim.path, digest=claim.digest, size=claim.size, access=claim.access, places=(beside,))


def _digest(document: Document) -> Digest | None:
    digits = document.get("md5")
    return f"md5:{digits}" if is_digest("md5", digits) else None


__all__ = ["FOLDER", "LOG", "is_sidecar", "read_log", "read_sidecar"]
