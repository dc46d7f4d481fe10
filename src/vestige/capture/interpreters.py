"""Which interpreter a program is, asked of the program itself: once, for as long as its file stays the same.

Python is asked with `-I -S`, so that neither the user's variables nor `.pth` files nor `sitecustomize` run
anything. A virtual environment is then found as Python itself finds it, by the `pyvenv.cfg` beside the name
by which it was called: hence a path is never resolved here. Scripts that bear an interpreter's name (the shims of
version managers) are not run at all: what they start is seen on its own.
"""

from __future__ import annotations

import os

from vestige.capture import digest
from vestige.model import plain, wire
from vestige.model.environment import Interpreter
from vestige.model.values import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: Seconds for one answer. A Python on a network file system that has not been read yet takes three.
PATIENCE = 10.0

_LANGUAGES = {
    "python": "python",
    "pypy": "python",
    "R": "R",
    "Rscript": "R",
    "node": "node",
    "nodejs": "node",
    "deno": "deno",
    "bun": "bun",
    "perl": "perl",
    "julia": "julia",
    "ruby": "ruby",
    "php": "php",
    "lua": "lua",
    "luajit": "lua",
    "guile": "guile",
    "octave-cli": "octave",
    "octave-gui": "octave",
}
_PROGRAMS = (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe")

# Understood by Python 2.6 and later: what is on a machine is what must be described.
_QUESTION = """
import json, sys
prefix, with_base = sys.argv[1:3]
base = getattr(sys, "base_prefix", sys.prefix)
if prefix:
    sys.prefix = sys.exec_prefix = prefix
import site
prefixes = [sys.prefix] + ([base] if with_base else [])
try:
    folders = site.getsitepackages(prefixes)
except TypeError:
    site.PREFIXES = prefixes
    folders = site.getsitepackages()
implementation = getattr(getattr(sys, "implementation", None), "name", None)
if implementation is None:
    import platform
    implementation = platform.python_implementation().lower()
level = "" if sys.version_info[3] == "final" else {"alpha": "a", "beta": "b", "candidate": "rc"}[sys.version_info[3]]
print(json.dumps({
    "version": "%d.%d.%d" % sys.version_info[:3] + (level and level + str(sys.version_info[4])),
    "implementation": implementation, "build": " ".join(sys.version.split()),
    "prefix": sys.prefix, "base_prefix": base, "folders": folders,
}))
"""


@value(kw_only=True)
class Answer:
    """What an interpreter said of itself, and where the packages lie that it finds without being told.
    `sees_user`: whether a user's own site would be among them."""

    interpreter: Interpreter
    folders: tuple[str, ...] = ()
    sees_user: bool = True
    problems: tuple[str, ...] = ()


def resolve(path: str) -> str | None:
    """The interpreter that runs when `path` is executed: itself, or the one that its first line names; None if neither is one."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError):
        return None
    try:
        head = os.read(fd, 256)
    except OSError:
        return None
    finally:
        os.close(fd)
    if head.startswith(b"#!"):
        words = head[2:].split(b"\n", 1)[0].split(None, 1)
        named = os.fsdecode(words[0]) if words else ""
        # Where it is `env`, the interpreter that env starts is seen on its own.
        return resolve(named) if language(named) is not None and named != path else None
    return path if language(path) is not None and head.startswith(_PROGRAMS) else None


def language(path: str) -> str | None:
    """The language whose interpreter bears such a name, or None."""
    name = os.path.basename(path).removesuffix(".exe")
    if name in _LANGUAGES:
        return _LANGUAGES[name]
    stem, _, variant = name.partition("-")
    stem = stem.rstrip("0123456789.tdmu") if stem[:3] in {"pyt", "pyp"} else stem.rstrip("0123456789.")
    return _LANGUAGES.get(stem) if variant in {"", "dbg", "intel64", "32", "64"} else None


def ask(path: str, cache_dir: str | None = None) -> Answer:
    """What the interpreter at `path` says of itself, from the cache where its file and its `pyvenv.cfg` are unchanged."""
    key = state(path)
    name = os.path.join(cache_dir, f"interpreter-{digest.of_bytes(os.fsencode(path))[7:31]}.json") if cache_dir else None
    if name is not None and (known := _remembered(name, key)) is not None:
        return known
    if language(path) is None:
        nobody = Interpreter(language=os.path.basename(path), version=None, executable=path)
        return Answer(interpreter=nobody, problems=(f"{path} is no interpreter that is known",))
    answer = _python(path) if language(path) == "python" else _other(path)
    if name is not None and not answer.problems:
        document = {
            "state": key,
            "interpreter": wire.encode(answer.interpreter),
            "folders": answer.folders,
            "sees_user": answer.sees_user,
        }
        remember(name, wire.compact(document))
    return answer


def state(path: str) -> list[object]:
    """What must stay the same for an interpreter's answer to stay true."""
    configuration = configuration_of(path)
    return [1, path, _signature(path), configuration, _signature(configuration) if configuration else None]


def configuration_of(path: str) -> str | None:
    """The `pyvenv.cfg` of a virtual environment, beside the executable or one folder up (PEP 405)."""
    folder = os.path.dirname(os.path.abspath(path))
    for place in (folder, os.path.dirname(folder)):
        if os.path.isfile(found := os.path.join(place, "pyvenv.cfg")):
            return found
    return None


def remember(name: str, data: bytes) -> None:
    """Write a file of the cache, whole or not at all; a cache that cannot be written is none."""
    temporary = f"{name}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(name), 0o700, exist_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
        with open(fd, "wb") as file:
            file.write(data)
        os.replace(temporary, name)
    except OSError:
        try:
            os.unlink(temporary)
        except OSError:
            return


def _remembered(name: str, key: list[object]) -> Answer | None:
    try:
        with open(name, "rb") as file:
            document = plain.loads(file.read())
        if document["state"] != key:
            return None
        return Answer(
            interpreter=wire.decode(Interpreter, document["interpreter"]),
            folders=tuple(document["folders"]),
            sees_user=bool(document["sees_user"]),
        )
    except Exception:
        return None


def _signature(path: str) -> list[int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ino]


def _python(path: str) -> Answer:
    configuration = configuration_of(path)
    prefix = os.path.dirname(configuration) if configuration else ""
    with_base = "1" if configuration and _sees_base(configuration) else ""
    said, problem = _output([path, "-I", "-S", "-B", "-c", _QUESTION, prefix, with_base])
    if said is None:
        said, problem = _output([path, "-E", "-s", "-S", "-B", "-c", _QUESTION, prefix, with_base])
    try:
        found = plain.loads(said or "")
        kind = "virtualenv" if prefix else "conda" if os.path.isdir(os.path.join(found["prefix"], "conda-meta")) else "system"
        interpreter = Interpreter(
            language="python",
            executable=path,
            version=found["version"],
            implementation=found["implementation"],
            build=found["build"],
            prefix=found["prefix"],
            base_prefix=found["base_prefix"],
            kind=kind,
        )
        return Answer(interpreter=interpreter, folders=tuple(found["folders"]), sees_user=not prefix or bool(with_base))
    except (ValueError, KeyError, TypeError) as error:
        problem = problem or f"{path} cannot say which Python it is: {error}"
        return Answer(interpreter=Interpreter(language="python", version=None, executable=path), problems=(problem,))


def _sees_base(configuration: str) -> bool:
    try:
        with open(configuration, encoding="utf-8", errors="replace") as file:
            pairs = [line.partition("=") for line in file.read(1 << 16).splitlines()]
    except OSError:
        return False
    return any(
        name.strip().lower() == "include-system-site-packages" and value.strip().lower() == "true" for name, _, value in pairs
    )


def _other(path: str) -> Answer:
    import re

    its = language(path) or os.path.basename(path)
    if its == "R" and (version := _version_of_r(path)) is not None:
        return Answer(interpreter=Interpreter(language=its, version=version, executable=path))
    said, problem = _output([path, "-v" if its == "lua" else "--version"])
    found = re.search(r"\d+\.\d+[\w.+\-]*", said or "")
    if found is None:
        problem = problem or f"{path} does not say its version"
        return Answer(interpreter=Interpreter(language=its, version=None, executable=path), problems=(problem,))
    return Answer(interpreter=Interpreter(language=its, version=found[0], executable=path))


def _version_of_r(path: str) -> str | None:
    """R's program cannot be asked without its shell script; its base package says the version."""
    home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(path))))
    for place in (home, os.path.join(home, "lib", "R"), os.path.join(home, "lib64", "R"), os.path.dirname(os.path.dirname(path))):
        try:
            with open(os.path.join(place, "library/base/DESCRIPTION"), encoding="utf-8", errors="replace") as file:
                for line in file:
                    if line.startswith("Version:"):
                        return line.partition(":")[2].strip()
        except OSError:
            continue
    return None


def _output(argv: list[str]) -> tuple[str | None, str | None]:
    """What a program prints, and else the problem. It runs in `/`, where no module of the user's shadows another."""
    import subprocess

    try:
        done = subprocess.run(
            argv,
            cwd="/",
            env=_plain(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, f"{argv[0]} did not say its version within {PATIENCE:.0f} s"
    except (OSError, ValueError) as error:
        return None, f"{argv[0]} cannot be asked for its version: {getattr(error, 'strerror', None) or error}"
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0:
        return None, f"{argv[0]} failed when asked for its version: {' '.join(text.split()[-12:])}"
    return text, None


def _plain(environ: Mapping[str, str]) -> dict[str, str]:
    """What a program needs to start, and nothing that makes it do more."""
    return {
        name: value
        for name, value in environ.items()
        if name in {"PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR"} or name.startswith("LC_")
    }
