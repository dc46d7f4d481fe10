"""Installed Python distributions, read from the folders they lie in: no pip, no import, no code of theirs.

What identifies the content of a distribution is BLAKE3 over the sorted rows `path NUL hash` of its RECORD, without the
rows that differ between installers of the same wheel (what they write themselves, bytecode, scripts outside).
"""

from __future__ import annotations

import json
import os

from vestige.capture import digest
from vestige.model.environment import Package
from vestige.model.files import Digest
from vestige.model.redaction import redact_url
from vestige.model.values import field, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WRITTEN_BY_INSTALLERS = frozenset(
    ["INSTALLER", "REQUESTED", "RECORD", "RECORD.jws", "RECORD.p7s", "direct_url.json", "uv_cache.json", "uv_build.json"]
)


@value(frozen=False)
class Found:
    """Packages by normalised name, the folders looked through, and what was wrong."""

    packages: dict[str, Package] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def installed(folders: Sequence[str]) -> Found:
    """The distributions in folders that are on an interpreter's path, in its order: the first of a name wins."""
    found = Found()
    waiting = list(folders)
    while waiting:
        folder = waiting.pop(0)
        if folder in found.folders:
            continue
        found.folders.append(folder)
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        here: dict[str, tuple[float, Package]] = {}
        for name in names:
            path = os.path.join(folder, name)
            if name.startswith("~"):
                continue  # what pip left when it was interrupted
            if name.endswith(".pth"):
                waiting += _named_by(path, folder)
            elif (package := _read(path, name, found)) is not None:
                _choose(here, package, path, found)
        for key, (_, package) in here.items():
            found.packages.setdefault(key, package)
    return found


def normalised(name: str) -> str:
    """A distribution's name as it is compared (PEP 503)."""
    return "-".join(part for part in name.lower().replace("_", "-").replace(".", "-").split("-") if part)


def content_of(record: bytes) -> Digest | None:
    """The identity of a distribution's content, from its RECORD; None if it is not one."""
    rows = rows_of(record)
    if rows is None:
        return None
    lines = []
    for row in rows:
        if len(row) < 2:
            return None
        path = row[0].replace("\\", "/")
        folder, _, name = path.rpartition("/")
        if path.startswith(("../", "/")) or name.endswith(".pyc"):
            continue
        if name in _WRITTEN_BY_INSTALLERS and folder.endswith(".dist-info"):
            continue
        lines.append(f"{path}\0{row[1]}")
    return digest.of_bytes("\n".join(sorted(lines)).encode("utf-8")) if lines else None


def rows_of(record: bytes) -> list[list[str]] | None:
    """The rows of a RECORD (path, `algorithm=hash`, size); None where it is not text."""
    try:
        text = record.decode("utf-8")
    except UnicodeDecodeError:
        return None
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if line]
    if '"' not in text:
        return [line.split(",") for line in lines]
    import csv

    return list(csv.reader(lines))


def _read(path: str, name: str, found: Found) -> Package | None:
    stem, suffix = os.path.splitext(name)
    if suffix == ".dist-info":
        return _from_dist_info(path, stem, found)
    if suffix == ".egg-info":
        inside = os.path.join(path, "PKG-INFO") if os.path.isdir(path) else path
        return _from_metadata(inside, stem, found)
    if suffix == ".egg":
        return _from_metadata(os.path.join(path, "EGG-INFO", "PKG-INFO"), stem, found)
    if suffix == ".egg-link":
        return _linked(path, stem, found)
    return None


def _from_dist_info(path: str, stem: str, found: Found) -> Package:
    package = _from_metadata(os.path.join(path, "METADATA"), stem, found)
    installer = (_text(path, "INSTALLER") or "").strip() or None
    tags = [line.partition(":") for line in (_text(path, "WHEEL") or "").splitlines()]
    origin = _origin(path, package.name, installer, found)
    record = _bytes(path, "RECORD")
    content = None
    # A link to a folder of the user's has no content of its own: the rows are of the link.
    if record is not None and not _editable(origin):
        content = content_of(record)
        if content is None:
            found.problems.append(f"{package.name}: RECORD in {path} is damaged")
    elif record is None and installer in {"pip", "uv"}:
        found.problems.append(f"{package.name}: RECORD in {path} is missing")
    build = [value.strip() for key, _, value in tags if key == "Build"]
    return Package(
        name=package.name,
        version=package.version,
        digest=content,
        installer=installer,
        origin=origin,
        tags=tuple(sorted(value.strip() for key, _, value in tags if key == "Tag")),
        extra={"build": build[0]} if build else {},
    )


def _origin(path: str, name: str, installer: str | None, found: Found) -> Mapping[str, object] | None:
    """Where it came from (PEP 610), without credentials. What conda wrote there is true only where it was built."""
    text = _text(path, "direct_url.json")
    if text is None or installer == "conda":
        return None
    try:
        origin = json.loads(text)
        return {**origin, "url": redact_url(str(origin["url"]))}
    except (ValueError, TypeError, KeyError, RecursionError):
        found.problems.append(f"{name}: direct_url.json in {path} is damaged")
        return None


def _editable(origin: Mapping[str, object] | None) -> bool:
    info = (origin or {}).get("dir_info")
    return isinstance(info, dict) and info.get("editable") is True


def _linked(path: str, stem: str, found: Found) -> Package | None:
    """A folder in development, as setuptools linked it before there were editable wheels."""
    lines = (_text(path) or "").splitlines()
    if not lines:
        return None
    source = lines[0].strip()
    for info in (os.path.join(source, f"{stem}.egg-info"), os.path.join(source, f"{stem.replace('-', '_')}.egg-info")):
        if os.path.isdir(info):
            package = _from_metadata(os.path.join(info, "PKG-INFO"), stem, found)
            break
    else:
        package = Package(name=stem, version="")
        found.problems.append(f"{stem}: {path} points to {source}, where there is no such package")
    origin = {"url": "file://" + source, "dir_info": {"editable": True}}
    return Package(name=package.name, version=package.version, origin=origin)


def _named_by(path: str, folder: str) -> list[str]:
    """The folders that a `.pth` file adds to the path. Its lines of code are not run."""
    found = []
    for line in (_text(path) or "").splitlines():
        if line.strip() and not line.startswith(("#", "import ", "import\t")):
            place = os.path.normpath(os.path.join(folder, line.strip()))
            if os.path.isdir(place):
                found.append(place)
    return found


def _from_metadata(path: str, stem: str, found: Found) -> Package:
    """Name and version from the head of METADATA; where it is broken, from the name of the folder."""
    head: dict[str, str] = {}
    data = _bytes(path)
    for line in (data or b"")[:16384].decode("utf-8", "replace").splitlines():
        if not line.strip():
            break
        key, _, value = line.partition(":")
        head.setdefault(key.lower(), value.strip())
    name, _, rest = stem.partition("-")
    if head.get("name") and head.get("version"):
        return Package(name=head["name"], version=head["version"])
    what = "is missing" if data is None else "is damaged"
    found.problems.append(f"{head.get('name') or name}: {os.path.basename(path)} in {os.path.dirname(path)} {what}")
    return Package(name=head.get("name") or name, version=head.get("version") or rest.partition("-")[0])


def _choose(here: dict[str, tuple[float, Package]], package: Package, path: str, found: Found) -> None:
    """Two of one name in one folder: where an installation was interrupted, the newer is what is there."""
    try:
        when = os.stat(path).st_mtime
    except OSError:
        when = 0.0
    key = normalised(package.name)
    if key in here:
        before, other = here[key]
        if other.version != package.version:
            found.problems.append(f"{package.name}: both {other.version} and {package.version} in {os.path.dirname(path)}")
        if (other.version == package.version and other.digest is not None) or before > when:
            return
    here[key] = (when, package)


def _bytes(*parts: str) -> bytes | None:
    """A file's content; never waits for the writer of a FIFO that bears its name."""
    try:
        fd = os.open(os.path.join(*parts), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError):
        return None
    try:
        data = os.read(fd, 1 << 16)
        while len(data) >= 1 << 16 and (more := os.read(fd, 1 << 20)):
            data += more
    except OSError:
        return None
    finally:
        os.close(fd)
    return data


def _text(*parts: str) -> str | None:
    data = _bytes(*parts)
    return None if data is None else data.decode("utf-8", "replace")
