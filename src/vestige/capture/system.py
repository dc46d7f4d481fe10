"""Which package of the operating system a file came with, and in which version.

Debian's, Alpine's and Arch's package managers keep their lists as text, which is read here in one pass for all files at
once; rpm's is a database, and rpm is asked, twice for any number of files. Answers are kept until the package manager
has changed something, so that a second run with the same libraries asks nothing.
"""

from __future__ import annotations

import os
from itertools import pairwise

from vestige.capture import digest
from vestige.capture.interpreters import remember
from vestige.model import plain, wire
from vestige.model.values import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

#: Seconds for one answer of rpm.
PATIENCE = 20.0

#: A file to the package it belongs to; a package to its version.
Found = tuple[dict[str, str], dict[str, str]]

_MERGED = ("/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/")


@value
class Owners:
    """The package of each file that belongs to one (by the path that was asked for), and the versions of those packages."""

    packages: Mapping[str, str]
    versions: Mapping[str, str]
    problems: tuple[str, ...] = ()


def owners(paths: Iterable[str], cache_dir: str | None = None, root: str = "/") -> Owners:
    """The packages that files of the system belong to. A path that belongs to none is left out.

    `root` is where the system lies, for images of one.
    """
    wanted = sorted(set(paths))
    manager = next((one for one in _MANAGERS if any(os.path.exists(_below(root, place)) for place in one.places)), None)
    if manager is None or not wanted:
        return Owners({}, {})
    name = os.path.join(cache_dir, f"owners-{digest.of_bytes(os.fsencode(root))[7:31]}.json") if cache_dir else None
    state: list[object] = [manager.name, *(_time(_below(root, place)) for place in manager.places)]
    known, versions = _remembered(name, state)
    missing = [path for path in wanted if path not in known]
    problems: tuple[str, ...] = ()
    if missing:
        try:
            found, fresh = _found(manager, missing, root)
        except Exception as error:
            problems = (f"{manager.name} cannot say whose files these are: {getattr(error, 'strerror', None) or error}",)
        else:
            known.update({path: found.get(path) for path in missing})
            versions.update(fresh)
            if name is not None:
                remember(name, wire.compact({"state": state, "packages": known, "versions": versions}))
    packages = {path: package for path in wanted if (package := known.get(path)) is not None}
    used = sorted(set(packages.values()))
    return Owners(packages, {package: versions.get(package, "") for package in used}, problems)


def _found(manager: _Manager, paths: Sequence[str], root: str) -> Found:
    """Each file may be listed under another of its names: where links lead, or before `/lib` became `/usr/lib`."""
    names: dict[str, str] = {}
    for path in paths:
        for alias in _aliases(path, root):
            names.setdefault(alias, path)
    by_alias, versions = manager.look(list(names), root)
    found: dict[str, str] = {}
    for path in paths:
        for alias in _aliases(path, root):
            if alias in by_alias:
                found[path] = by_alias[alias]
                break
    return found, versions


def _aliases(path: str, root: str) -> list[str]:
    full = os.path.realpath(_below(root, path))
    base = os.path.realpath(root)
    real = full if base == "/" else full.removeprefix(base) if full.startswith(base + "/") else path
    aliases: list[str] = []
    for name in (path, real):
        aliases.append(name)
        if name.startswith("/usr/") and name[4:].startswith(_MERGED):
            aliases.append(name[4:])
        elif name.startswith(_MERGED):
            aliases.append("/usr" + name)
    return list(dict.fromkeys(aliases))


def _dpkg(paths: Sequence[str], root: str) -> Found:
    folder = _below(root, "/var/lib/dpkg/info")
    wanted = {os.fsencode(path) for path in paths}
    found: dict[str, str] = {}
    packages: set[str] = set()
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".list"):
            continue
        hits = wanted.intersection(_bytes(os.path.join(folder, name)).split(b"\n"))
        if hits:
            package = name.removesuffix(".list").partition(":")[0]
            packages.add(package)
            found.update({os.fsdecode(path): package for path in hits})
    return found, _versions(_bytes(_below(root, "/var/lib/dpkg/status")), packages, b"Package: ", b"Version: ")


def _apk(paths: Sequence[str], root: str) -> Found:
    """`P:` package, `V:` version, `F:` folder, `R:` file in the last folder; an empty line ends a package."""
    wanted = {os.fsencode(path) for path in paths}
    found: dict[str, str] = {}
    data = _bytes(_below(root, "/lib/apk/db/installed"))
    package = folder = b""
    for line in data.split(b"\n"):
        key, value = line[:2], line[2:]
        if key == b"P:":
            package, folder = value, b""
        elif key == b"F:":
            folder = value
        elif key == b"R:" and (path := b"/" + (folder + b"/" + value).lstrip(b"/")) in wanted:
            found[os.fsdecode(path)] = package.decode("utf-8", "replace")
    return found, _versions(data, set(found.values()), b"P:", b"V:")


def _pacman(paths: Sequence[str], root: str) -> Found:
    """One folder a package, with `desc` and `files`: names of sections between `%`, then lines."""
    base = _below(root, "/var/lib/pacman/local")
    wanted = {os.fsencode(path) for path in paths}
    found: dict[str, str] = {}
    versions: dict[str, str] = {}
    for name in sorted(os.listdir(base)):
        folder = os.path.join(base, name)
        if not os.path.isdir(folder):
            continue
        hits = wanted.intersection(b"/" + line for line in _bytes(os.path.join(folder, "files")).split(b"\n"))
        if hits:
            lines = _bytes(os.path.join(folder, "desc")).decode("utf-8", "replace").split("\n")
            said = dict(pairwise(lines))
            package = said.get("%NAME%", name)
            versions[package] = said.get("%VERSION%", "")
            found.update({os.fsdecode(path): package for path in hits})
    return found, versions


def _rpm(paths: Sequence[str], root: str) -> Found:
    """First the packages of all files, then the files of those packages: which line belongs to which file is not said."""
    import subprocess

    def ask(*arguments: str) -> list[bytes]:
        command = ["rpm", "--root", os.path.abspath(root), *arguments]
        environ = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False, env=environ)
        return done.stdout.split(b"\n")

    packages: set[str] = set()
    for start in range(0, len(paths), 1000):
        marked = ask("-qf", "--qf", "package\\t%{NAME}\\n", "--", *paths[start : start + 1000])
        packages |= {line[8:].decode("utf-8", "replace") for line in marked if line.startswith(b"package\t")}
    if not packages:
        return {}, {}
    listing = ask("-q", "--qf", "[%{=NAME}\\t%{=VERSION}-%{=RELEASE}\\t%{FILENAMES}\\n]", "--", *sorted(packages))
    wanted = {os.fsencode(path) for path in paths}
    found: dict[str, str] = {}
    versions: dict[str, str] = {}
    for line in listing:
        package, _, rest = line.partition(b"\t")
        version, _, path = rest.partition(b"\t")
        if path in wanted:
            name = package.decode("utf-8", "replace")
            found[os.fsdecode(path)] = name
            versions[name] = version.decode("utf-8", "replace")
    return found, versions


def _versions(data: bytes, packages: set[str], name: bytes, version: bytes) -> dict[str, str]:
    """The versions of some packages, from paragraphs in which a line of the name comes before one of the version."""
    found: dict[str, str] = {}
    current: str | None = None
    for line in data.split(b"\n"):
        if line.startswith(name):
            said = line[len(name) :].decode("utf-8", "replace").strip()
            current = said if said in packages else None
        elif current is not None and line.startswith(version):
            found.setdefault(current, line[len(version) :].decode("utf-8", "replace").strip())
    return found


@value
class _Manager:
    """A package manager: what changes whenever it changes something, and how its lists are read."""

    name: str
    places: tuple[str, ...]
    look: Callable[[Sequence[str], str], Found]


_MANAGERS = (
    _Manager("dpkg", ("/var/lib/dpkg/status", "/var/lib/dpkg/info"), _dpkg),
    _Manager("apk", ("/lib/apk/db/installed",), _apk),
    _Manager("pacman", ("/var/lib/pacman/local",), _pacman),
    _Manager(
        "rpm",
        (
            "/usr/lib/sysimage/rpm/rpmdb.sqlite",
            "/usr/lib/sysimage/rpm/rpmdb.sqlite-wal",
            "/var/lib/rpm/rpmdb.sqlite",
            "/var/lib/rpm/rpmdb.sqlite-wal",
            "/usr/lib/sysimage/rpm/Packages.db",
            "/var/lib/rpm/Packages.db",
            "/var/lib/rpm/Packages",
        ),
        _rpm,
    ),
)


def _remembered(name: str | None, state: list[object]) -> tuple[dict[str, str | None], dict[str, str]]:
    try:
        with open(name or "", "rb") as file:
            document = plain.loads(file.read())
        if document["state"] == state:
            return dict(document["packages"]), dict(document["versions"])
    except Exception:
        pass  # absent or damaged: asked anew
    return {}, {}


def _below(root: str, path: str) -> str:
    return os.path.join(root, path.lstrip("/"))


def _time(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.readall()
    except FileNotFoundError:
        return b""
