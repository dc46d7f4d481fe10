"""What footsteps left beside a script's results: `info.txt`, `package_versions.txt` and a copy of the script.

The sections of `info.txt` begin with a line of their own; no line of a diff looks like one. The folder is what the run made: the
files in it are its outputs, as they are on the day of the import. The time is that of `info.txt`, which says none.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator

from vestige.errors import UnreadableError
from vestige.exchange import listings
from vestige.exchange.documents import read
from vestige.exchange.interface import Claim, Reading, Told
from vestige.model.code import Code
from vestige.model.environment import Environment, Interpreter
from vestige.model.run import FileReference, Observation, Run

INFO, PACKAGES = "info.txt", "package_versions.txt"
_HEADERS = ("Command:", "System:", "Python:", "Git Hash:", "Uncommitted changes:", "Current working dir:")
_COMMIT = re.compile(r"(?:.*-g)?([0-9a-f]{7,64})")
_ORIGIN = re.compile(r"(\S+)/tree/\S+")
_GAP = "imported from footsteps: it saw no files; what lies in the folder of results is taken for what the script wrote"
_PROBLEM = "footsteps records neither when a run ended nor how; the time is that of info.txt"
#: More files than this below one folder of results are not taken one by one.
_MOST = 100_000


def is_info(path: str) -> bool:
    """Whether a file is an `info.txt` of footsteps, or of ours."""
    try:
        with open(path, "rb") as file:
            return file.read(len(_HEADERS[0]) + 1).rstrip(b"\r\n") == _HEADERS[0].encode()
    except OSError:
        return False


def read_info(path: str, into: Reading) -> None:
    """Read one. Raises UnreadableError where it is none."""
    data = read(path)
    found = _sections(data)
    if not found.get("Command:") or "Current working dir:" not in found:
        missing = next(header for header in _HEADERS if not found.get(header))
        raise UnreadableError(f"{path} is no info.txt of footsteps: it has no section '{missing}'")
    folder = os.path.dirname(os.path.abspath(path))
    cwd = _one(found["Current working dir:"])
    into.told.append(_told(path, folder, data, found, cwd))


def _sections(data: bytes) -> dict[str, bytes]:
    """The sections by their headers, each as it stands. A section goes on until the next header in their order: a command may
    hold a line that looks like one, and so may the last, the name of a folder."""
    headers = [header.encode() for header in _HEADERS]
    lines = data.replace(b"\r\n", b"\n").splitlines(keepends=True)
    found: dict[str, list[bytes]] = {}
    at = -1
    for line in lines:
        word = line.rstrip(b"\n")
        later = headers.index(word) if word in headers else -1
        if later > at:
            at = later
            found[_HEADERS[at]] = []
        elif at >= 0:
            found[_HEADERS[at]].append(line)
    return {header: b"".join(parts) for header, parts in found.items()}


def _one(section: bytes) -> str:
    """What stands in a section of one line."""
    return os.fsdecode(section.removesuffix(b"\n"))


def _told(path: str, folder: str, data: bytes, found: dict[str, bytes], cwd: str) -> Told:
    python = _one(found.get("Python:", b""))
    problems = [_PROBLEM]
    words = _words(_one(found["Command:"]), problems)
    command = words if _starts_python(words, python) else (python, *words)
    script = _script(words, folder)
    here = _cwd_here(folder, cwd)
    copy = os.path.join(folder, os.path.basename(script)) if script else None
    changes = found.get("Uncommitted changes:", b"")
    outputs = list(_outputs(folder, {INFO, PACKAGES, *([os.path.basename(copy)] if copy else [])}))
    if len(outputs) >= _MOST:
        problems.append(f"only {_MOST:,} of the files in {folder} were taken")
    run = Run(
        id="",
        name=_name(folder, here),
        kind="script",
        command=command,
        cwd=here,
        host=_one(found.get("System:", b"")),
        script=FileReference(path=os.path.normpath(os.path.join(here, script))) if script else None,
        code=_code(_one(found.get("Git Hash:", b"")), changes, problems),
        observation=Observation(method="none", gaps=(_GAP,)),
        problems=tuple(problems),
    )
    files = outputs
    if copy is not None and os.path.isfile(copy):
        place = os.path.normpath(os.path.join(here, script or ""))
        files = [Claim(path=place, digest=None, role="code", places=(copy,), found=True), *outputs]
    return Told(
        format="footsteps",
        source=path,
        time=os.path.getmtime(path),
        key=data + b"\0" + os.fsencode(os.path.basename(folder)),
        run=run,
        files=tuple(files),
        environment=_environment(folder, python),
        diffs={"uncommitted changes": changes} if changes else {},
    )


def _words(text: str, problems: list[str]) -> tuple[str, ...]:
    """The command line. Ours is quoted; footsteps puts a blank between the words and no quotes around any."""
    try:
        quoted = shlex.split(text)
    except ValueError:
        quoted = []
    if shlex.join(quoted) == text and "'" in text:
        return tuple(quoted)
    problems.append("the command stands without quotes: a word that held a blank is taken apart")
    return tuple(text.split())


def _starts_python(words: tuple[str, ...], python: str) -> bool:
    return not python or not words or words[0] == python or os.path.basename(words[0]).startswith("python")


def _script(words: tuple[str, ...], folder: str) -> str | None:
    """The script: the first word that is named as one is, or whose copy lies in the folder."""
    for word in words[:3]:
        name = os.path.basename(word)
        if name.endswith((".py", ".pyw", ".ipynb")) or (name and name != INFO and os.path.isfile(os.path.join(folder, name))):
            return word
    return None


def _cwd_here(folder: str, cwd: str) -> str:
    """The working directory; where the project has moved, the folder around `results/`."""
    if cwd and (os.path.isdir(cwd) or (folder + "/").startswith(cwd.rstrip("/") + "/")):
        return os.path.normpath(cwd)
    parts = folder.split("/")
    if "results" in parts[:-1]:
        return "/".join(parts[: len(parts) - 1 - parts[::-1].index("results")]) or "/"
    return os.path.dirname(folder)


def _name(folder: str, cwd: str) -> str:
    """What the run was called: the folder below `results/`."""
    for root in (os.path.join(cwd, "results"), cwd):
        if folder.startswith(root.rstrip("/") + "/"):
            return folder[len(root.rstrip("/")) + 1 :]
    return os.path.basename(folder)


def _code(text: str, changes: bytes, problems: list[str]) -> Code | None:
    """The commit, abbreviated as it is; behind it may stand a page of the origin."""
    lines = text.split("\n")
    said = lines[0].strip()
    commit = _COMMIT.fullmatch(said)
    if not said or said.startswith("("):
        return None
    if commit is None:
        problems.append(f"the commit is known by the name '{said}' alone")
    page = next((found[1] for line in lines[1:] if (found := _ORIGIN.fullmatch(line.strip()))), None)
    remotes = {} if page is None else {"origin": page}
    return Code(commit=commit[1] if commit else None, remotes=remotes, dirty=bool(changes) or None)


def _outputs(folder: str, but: set[str]) -> Iterator[Claim]:
    count = 0
    for place, folders, names in os.walk(folder):
        folders.sort()
        # a folder of results inside this one is another run's
        folders[:] = [name for name in folders if not is_info(os.path.join(place, name, INFO))]
        for name in sorted(names):
            path = os.path.join(place, name)
            if (place == folder and name in but) or not os.path.isfile(path) or os.path.islink(path):
                continue
            yield Claim(path=path, digest=None, access="write", moment=os.path.getmtime(path), found=True)
            count += 1
            if count >= _MOST:
                return


def _environment(folder: str, python: str) -> Environment | None:
    interpreter = Interpreter(language="python", version=None, executable=python)
    path = os.path.join(folder, PACKAGES)
    try:
        listed = tuple(listings.pip(read(path).decode("utf-8", "replace")))
    except UnreadableError as error:
        return Environment(interpreters=(interpreter,), problems=(str(error),)) if python else None
    return Environment(interpreters=(interpreter,), packages=listed)


__all__ = ["INFO", "PACKAGES", "is_info", "read_info"]
