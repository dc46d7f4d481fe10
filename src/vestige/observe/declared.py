"""What a command line says of its inputs, outputs and script, and how that is joined with what was observed.

A flag for inputs or outputs takes every word after it up to the next one that begins with `-`, each split at commas;
`--flag=value` takes its value only. Words are cheap: `grep -i word` names no input. So a declared input counts where it
was observed, or was a file when the run began; a declared output where it was observed, or is new or changed.
"""

from __future__ import annotations

import os

from vestige.model.values import NamedTuple
from vestige.observe.conclusion import Conclusion, Known, ObservedUse
from vestige.observe.interface import Stat
from vestige.observe.roles import Placed, Setting, role

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


class Flags(NamedTuple):
    """The flags of a command that name inputs and outputs."""

    inputs: frozenset[str] = frozenset({"-i", "--in", "--input"})
    outputs: frozenset[str] = frozenset({"-o", "--out", "--output"})


class Command(NamedTuple):
    """What a command line says: the program (its name, what merely starts it passed over), the script that it was given or
    the module, and the words that stand for inputs and outputs, as they were typed."""

    program: str | None = None
    script: str | None = None
    module: str | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


class Declared(NamedTuple):
    """Canonical absolute paths of what was declared; each may be a directory, and stands for the files below it then."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


_USUAL = Flags()
_VERSION = tuple("-.0123456789")
_TICK = 10_000_000  # nanoseconds by which the clock of a file system may lag


def flags(inputs: Iterable[str] = (), outputs: Iterable[str] = ()) -> Flags:
    """The conventional flags and those of the configuration."""
    return Flags(_USUAL.inputs | frozenset(inputs), _USUAL.outputs | frozenset(outputs))


def recognise(argv: Sequence[str], known: Flags = _USUAL) -> Command:
    """Read a command line."""
    words = list(argv)[_skip_starters(argv) :]
    if not words:
        return Command()
    program = os.path.basename(words[0])
    rest = words[1:]
    script = module = None
    interpreter = _interpreter(program)
    if interpreter is not None:
        script, module, rest = _interpreted(rest, interpreter)
    inputs, outputs, plain = _scan(rest, _without(known, program))
    if interpreter is None and program not in _PASSIVE:
        script = next((word for word in [words[0], *plain] if word.endswith(_SCRIPTS)), None)
    return Command(program, script, module, tuple(inputs), tuple(outputs))


def declare(
    command: Command,
    cwd: str,
    resolve: Callable[[str], str],
    *,
    inputs: Iterable[str] = (),
    outputs: Iterable[str] = (),
) -> Declared:
    """The paths that were declared, by the command or before it. `resolve` gives the canonical path of an absolute one."""

    def paths(words: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(resolve(os.path.join(cwd, word)) for word in words if word and "\0" not in word))

    return Declared(paths([*inputs, *command.inputs]), paths([*outputs, *command.outputs]))


def script(argv: Sequence[str]) -> str | None:
    """The script that a command executes, as it was typed."""
    return recognise(argv).script


def merge(
    conclusion: Conclusion,
    declared: Declared,
    look: Callable[[str], Mapping[str, Stat]],
    digest: Known,
    setting: Setting,
    *,
    started: float,
) -> Conclusion:
    """Mark what was observed and declared, and add what was declared only, if it is true.

    `look` gives the regular files at, or below, a path as they are now; `started` is the wall clock (seconds) when the run
    began. The change time of a file cannot be set: an earlier one says that the file lay there as it is, a later one that
    it was made or changed since. What was declared is data, wherever it lies, unless its name says config or code.
    """
    inputs = _marked(conclusion.inputs, declared.inputs)
    inputs += [_declared(use) for use in conclusion.software if _is_at(use.path, declared.inputs)]
    software = tuple(use for use in conclusion.software if not _is_at(use.path, declared.inputs))
    outputs = _marked(conclusion.outputs, declared.outputs)
    written = {use.path for use in outputs}
    unchanged = {hidden.path for hidden in conclusion.hidden}
    seen = {use.path for use in inputs}
    for path, found in _files(declared.inputs, look, setting):
        if path not in seen and path not in written and found.ctime_ns < started * 1e9:
            inputs.append(_only_declared(path, found, digest, _declared_role(path, setting)))
    for path, found in _files(declared.outputs, look, setting):
        if path not in written and path not in unchanged and found.ctime_ns >= started * 1e9 - _TICK:
            place = _declared_role(path, setting, written=True)
            outputs.append(_only_declared(path, found, digest, place)._replace(access="write", existed=False))
    return conclusion._replace(inputs=tuple(inputs), outputs=tuple(outputs), software=software)


def _files(paths: Sequence[str], look: Callable[[str], Mapping[str, Stat]], setting: Setting) -> list[tuple[str, Stat]]:
    found = {path: stat for declared in paths for path, stat in look(declared).items()}
    return [(path, found[path]) for path in sorted(found) if role(path, setting) != "drop"]


def _only_declared(path: str, found: Stat, digest: Known, place: Placed) -> ObservedUse:
    return ObservedUse(
        path=path,
        role=place,
        access="read",
        digest=digest(path, found),
        size=found.size,
        signature=found,
        existed=True,
        evidence=("declared",),
    )


def _marked(uses: Sequence[ObservedUse], declared: Sequence[str]) -> list[ObservedUse]:
    return [_declared(use) if _is_at(use.path, declared) else use for use in uses]


def _declared(use: ObservedUse) -> ObservedUse:
    place = use.role if use.role in ("data", "config", "code") else "data"
    return use._replace(evidence=("observed", "declared"), role=place)


def _declared_role(path: str, setting: Setting, *, written: bool = False) -> Placed:
    place = role(path, setting, written=written)
    return place if place in ("config", "code") else "data"


def _is_at(path: str, declared: Sequence[str]) -> bool:
    return any(path == one or path.startswith(one.rstrip("/") + "/") for one in declared)


# -- the command line ------------------------------------------------------------------------------------------------------


def _scan(words: Sequence[str], known: Flags) -> tuple[list[str], list[str], list[str]]:
    """Inputs, outputs, and the words that are neither, nor flags."""
    inputs: list[str] = []
    outputs: list[str] = []
    plain: list[str] = []
    taking = plain
    for word in words:
        if word.startswith("-"):
            flag, equals, value = word.partition("=")
            taking = inputs if flag in known.inputs else outputs if flag in known.outputs else plain
            if equals:
                if taking is not plain:
                    _take(value, taking)
                taking = plain
        elif taking is plain:
            plain.append(word)
        else:
            _take(word, taking)
    return inputs, outputs, plain


def _take(word: str, into: list[str]) -> None:
    """A word, and what it comes to when split at commas: a file's own name may hold one."""
    into.append(word)
    if "," in word:
        into.extend(part for part in word.split(",") if part)


def _without(known: Flags, program: str) -> Flags:
    """The flags, less `-i` where everybody knows it to mean something else: it would name files that happen to exist."""
    return known._replace(inputs=known.inputs - {"-i"}) if program in _I_IS_NO_INPUT else known


class _Starter(NamedTuple):
    """A program that starts another: its options with a value, words of its own before the other's, its subcommand."""

    valued: frozenset[str] = frozenset()
    words: int = 0
    subcommand: str | None = None


class _Interpreter(NamedTuple):
    """A program that executes a script: options with a value, and those that give code, a module, or the script's name."""

    valued: frozenset[str] = frozenset()
    code: str = r"(?!)"
    module: str = r"(?!)"
    script: frozenset[str] = frozenset()
    only_by_option: bool = False


def _skip_starters(argv: Sequence[str]) -> int:
    """Where the program stands that does the work, after `env A=1`, `nice`, `uv run` and their like."""
    at = 0
    while at < len(argv):
        name = os.path.basename(argv[at])
        starter = _STARTERS.get(name)
        if starter is None:
            break
        following = at + 1
        if starter.subcommand is not None:
            following = _skip_options(argv, following, starter.valued)
            if following >= len(argv) or argv[following] != starter.subcommand:
                break
            following += 1
        following = _skip_options(argv, following, starter.valued, assignments=name == "env") + starter.words
        if following >= len(argv):
            break
        at = following
    return at


def _skip_options(argv: Sequence[str], at: int, valued: frozenset[str], *, assignments: bool = False) -> int:
    while at < len(argv):
        word = argv[at]
        if word == "--":
            return at + 1
        if word.startswith("-") and word != "-":
            at += 2 if word in valued else 1
        elif assignments and "=" in word:
            at += 1
        else:
            break
    return at


def _interpreter(program: str) -> _Interpreter | None:
    name = program.removesuffix(".exe")
    return _INTERPRETERS.get(name) or _INTERPRETERS.get(_unversioned(name))


def _unversioned(name: str) -> str:
    """A program's name without the version at its end: `python3.13t` is `python`."""
    short = name.removesuffix("t")
    return (short if short.endswith(_VERSION) else name).rstrip("".join(_VERSION))


def _is(expression: str, flag: str) -> bool:
    if not flag.startswith("-"):
        return False
    import re

    return re.fullmatch(expression, flag) is not None


def _interpreted(words: list[str], interpreter: _Interpreter) -> tuple[str | None, str | None, list[str]]:
    """Script, module, and the words that are the script's own."""
    at = 0
    while at < len(words):
        word = words[at]
        flag, equals, value = word.partition("=")
        if word == "--":
            at += 1
            break
        if _is(interpreter.module, flag):
            return None, value or next(iter(words[at + 1 : at + 2]), None), words[at + (1 if equals else 2) :]
        if flag in interpreter.script:
            return value or next(iter(words[at + 1 : at + 2]), None), None, words[at + (1 if equals else 2) :]
        if _is(interpreter.code, flag):
            return None, None, words[at + (1 if equals else 2) :]
        if word == "-" or not word.startswith("-"):
            break
        at += 2 if word in interpreter.valued and not equals else 1
    if words[at : at + 2] == ["CMD", "BATCH"]:  # R CMD BATCH script
        at += 2
    if at >= len(words) or words[at] == "-" or interpreter.only_by_option:
        return None, None, words[at:]
    return words[at], None, words[at + 1 :]


_PYTHON = _Interpreter(frozenset({"-W", "-X", "-Q"}), r"-[bBdEiIOPqsSuvx]*c", r"-[bBdEiIOPqsSuvx]*m")
_SHELL = _Interpreter(frozenset({"-o", "-O", "+o", "+O", "--rcfile", "--init-file"}), r"-[a-zA-Z]*c[a-zA-Z]*")
_NODE = _Interpreter(frozenset({"-r", "--require", "--import", "-C"}), r"-e|-p|-pe|--eval|--print")
_PERL = _Interpreter(frozenset({"-I", "-C", "-r"}), r"-[a-zA-Z0-9]*[eE]")
_INTERPRETERS = {
    **dict.fromkeys(("python", "pypy", "ipython", "pythonw"), _PYTHON),
    **dict.fromkeys(("sh", "bash", "zsh", "dash", "ksh", "fish", "ash"), _SHELL),
    **dict.fromkeys(("node", "nodejs", "tsx", "ts-node"), _NODE),
    **dict.fromkeys(("perl", "ruby"), _PERL),
    **dict.fromkeys(
        ("awk", "gawk", "mawk", "nawk"), _Interpreter(frozenset({"-v", "-F"}), script=frozenset({"-f"}), only_by_option=True)
    ),
    "R": _Interpreter(frozenset({"-g", "-d"}), r"-e", script=frozenset({"-f", "--file"})),
    "Rscript": _Interpreter(code=r"-e"),
    "julia": _Interpreter(frozenset({"-p", "-t", "-L", "-J", "-C", "-H", "-O", "-g"}), r"-e|-E|--eval|--print"),
    "lua": _Interpreter(frozenset({"-l"}), r"-e"),
    "php": _Interpreter(frozenset({"-d", "-c", "-z"}), r"-r|-B|-R", script=frozenset({"-f"})),
    "octave": _Interpreter(frozenset({"--path", "-p"}), r"--eval"),
    "tclsh": _Interpreter(),
    "java": _Interpreter(frozenset({"-cp", "-classpath", "--class-path", "-p"}), script=frozenset({"-jar"}), only_by_option=True),
}
_IN_CONDA = _Starter(frozenset({"-n", "--name", "-p", "--prefix", "--cwd"}), subcommand="run")
_IN_PROJECT = _Starter(
    frozenset({"-p", "--project", "-C", "-e", "--environment", "--manifest-path", "--directory"}), subcommand="run"
)
_IN_CONTAINER = _Starter(frozenset({"-B", "--bind", "--env", "-H", "--home", "--pwd", "-W"}), words=1, subcommand="exec")
_MPI = _Starter(
    frozenset({"-n", "-np", "-c", "-N", "-H", "--host", "--hostfile", "-hostfile", "-machinefile", "--map-by", "--bind-to", "-x"})
)
_STARTERS = {
    "env": _Starter(frozenset({"-u", "--unset", "-C", "--chdir"})),
    "nice": _Starter(frozenset({"-n", "--adjustment"})),
    "ionice": _Starter(frozenset({"-c", "-n", "--class", "--classdata"})),
    **dict.fromkeys(("time", "gtime"), _Starter(frozenset({"-f", "-o", "--format", "--output"}))),
    **dict.fromkeys(("nohup", "setsid", "unbuffer", "catchsegv"), _Starter()),
    "stdbuf": _Starter(frozenset({"-i", "-o", "-e", "--input", "--output", "--error"})),
    "timeout": _Starter(frozenset({"-s", "-k", "--signal", "--kill-after"}), words=1),
    "taskset": _Starter(frozenset({"-c"})),
    "numactl": _Starter(frozenset({"-N", "-m", "-C", "-i", "-p"})),
    "xvfb-run": _Starter(frozenset({"-n", "-s", "-f", "-e", "-p", "-w"})),
    "caffeinate": _Starter(frozenset({"-t", "-w"})),
    "sudo": _Starter(frozenset({"-u", "-g", "-h", "-p", "-C"})),
    **dict.fromkeys(("strace", "ltrace"), _Starter(frozenset({"-o", "-e", "-p", "-s", "-E", "-u"}))),
    **dict.fromkeys(("mpirun", "mpiexec", "orterun"), _MPI),
    "srun": _Starter(frozenset({"-n", "-N", "-c", "-p", "-A", "-t", "-J", "-w", "-o", "-e", "-i", "-D", "-G"})),
    "uv": _Starter(
        frozenset(
            {
                *("-p", "--python", "--with", "--with-editable", "--with-requirements", "--extra", "--group", "--only-group"),
                *("--project", "--directory", "--env-file", "-C", "--index"),
            }
        ),
        subcommand="run",
    ),
    **dict.fromkeys(("poetry", "pipenv", "pdm", "hatch", "rye", "pixi"), _IN_PROJECT),
    **dict.fromkeys(("conda", "mamba", "micromamba"), _IN_CONDA),
    **dict.fromkeys(("apptainer", "singularity"), _IN_CONTAINER),
}
_SCRIPTS = (
    *(".py", ".pyw", ".R", ".r", ".Rmd", ".qmd", ".sh", ".bash", ".zsh", ".fish", ".jl", ".rb", ".js", ".mjs", ".cjs", ".ts"),
    *(".pl", ".lua", ".php", ".tcl", ".m", ".do", ".sas", ".smk", ".nf", ".awk"),
)
#: Programs that read a file of source as any other file.
_PASSIVE = frozenset(
    {
        *(
            "cat",
            "cp",
            "mv",
            "rm",
            "ln",
            "ls",
            "wc",
            "head",
            "tail",
            "sort",
            "uniq",
            "cut",
            "paste",
            "tr",
            "tee",
            "touch",
            "diff",
        ),
        *("cmp", "comm", "join", "split", "sed", "grep", "egrep", "fgrep", "rg", "find", "xargs", "tar", "zip", "unzip", "gzip"),
        *("gunzip", "bzip2", "xz", "zstd", "md5sum", "sha1sum", "sha256sum", "b3sum", "file", "stat", "rsync", "scp", "install"),
        *("git", "chmod", "chown", "dd", "less", "more", "vi", "vim", "nano", "emacs", "code", "ruff", "black", "mypy", "pip"),
    }
)
_I_IS_NO_INPUT = frozenset(
    {
        *("ack", "ag", "cmp", "cp", "curl", "diff", "docker", "egrep", "fgrep", "find", "git", "grep", "gunzip", "id", "install"),
        *(
            "join",
            "less",
            "ln",
            "ls",
            "make",
            "mv",
            "nl",
            "pgrep",
            "pip",
            "podman",
            "ps",
            "rg",
            "rm",
            "rsync",
            "scp",
            "sed",
            "sftp",
        ),
        *("sort", "ssh", "strings", "sudo", "tar", "tee", "top", "tree", "uniq", "wc", "xargs", "xzgrep", "zgrep", "zip"),
    }
)
