"""A shell in which every command is recorded: the user's own, with a library before it that puts `vestige run` before what it
executes (`launch/native/shell.c`). Nothing stands between the user and the shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

from vestige import launch
from vestige.errors import CouldNotError, ExistsError, UsageError
from vestige.model.values import value

_SEPARATOR = "\x1f"
_WORDS = "VESTIGE_SHELL_WORDS"
_POSIX = ("sh", "dash", "ash", "ksh", "ksh93", "mksh")


@value
class Shell:
    """A program that is to take our place, its arguments and its environment."""

    program: str
    words: tuple[str, ...]
    environ: Mapping[str, str]


def shell(program: str | None = None, *, environ: Mapping[str, str] | None = None, quiet: bool = False) -> Shell:
    """The shell that records every command, by default the one that SHELL names; whoever executes it, in this very process,
    is in it. `quiet`: its runs say nothing when they end.

    Raises UsageError for a shell that is not known, ExistsError inside such a shell, CouldNotError where it cannot be had.
    """
    environ = dict(os.environ if environ is None else environ)
    if "VESTIGE_SHELL" in environ:
        raise ExistsError("this is a vestige shell already", hint="every command in it is recorded; exit leaves it")
    library = os.path.join(os.path.dirname(launch.__file__), "_shell.abi3.so")
    if not os.path.exists(library):
        raise CouldNotError("the library for this was not built", hint="install Vestige where there is a C compiler, on Linux")
    if " " in library or ":" in library:
        raise CouldNotError(f"{library} cannot be loaded: there is a blank or a colon in the path")
    found = _program(program or environ.get("SHELL") or "/bin/sh", environ)
    shells = os.path.join(os.path.dirname(launch.__file__), "shells")
    words, changes = _begins(found, shells, environ)
    said = ["run", *(["--quiet"] if quiet else []), "--"]
    own = _SEPARATOR.join([str(os.getpid()), sys.executable, "-P", "-m", "vestige", *said])
    preload = ":".join(filter(None, [library, environ.get("LD_PRELOAD")]))
    environ |= {**changes, "LD_PRELOAD": preload, _WORDS: own, "VESTIGE_SHELL": "0"}
    _try(found, environ)
    return Shell(found, (os.path.basename(found), *words), environ)


def _program(name: str, environ: Mapping[str, str]) -> str:
    found = shutil.which(name, path=environ.get("PATH"))
    if found is None:
        raise UsageError(f"there is no shell {name}", hint="vestige shell bash")
    return os.path.abspath(found)


def _begins(program: str, shells: str, environ: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """What makes a shell read our file before the first prompt: arguments and variables."""
    name = os.path.basename(program)
    if name == "bash":
        return ["--rcfile", os.path.join(shells, "bashrc"), "-i"], {}
    if name == "zsh":
        theirs = {"VESTIGE_ZDOTDIR": environ["ZDOTDIR"]} if "ZDOTDIR" in environ else {}
        return ["-i"], {"ZDOTDIR": os.path.join(shells, "zsh"), **theirs}
    if name in _POSIX:
        theirs = {"VESTIGE_ENV": environ["ENV"]} if "ENV" in environ else {}
        return ["-i"], {"ENV": os.path.join(shells, "shrc"), **theirs}
    raise UsageError(f"{name} is not a shell that Vestige knows", hint="vestige shell bash; bash, zsh and sh are known")


def _try(program: str, environ: Mapping[str, str]) -> None:
    """Whether the shell loads the library, which one that is linked statically does not. Raises CouldNotError."""
    words = [program, "-c", f'printf %s "${{{_WORDS}-gone}}"']
    try:
        done = subprocess.run(words, env=environ, capture_output=True, timeout=10, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CouldNotError(f"{program} does not start: {error}") from error
    if not done.stdout.endswith(b"gone"):
        raise CouldNotError(f"{program} does not load libraries", hint="vestige shell bash, or vestige run CMD")
