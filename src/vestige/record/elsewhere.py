"""Work that a command hands to a scheduler: the line that records it where it is done.

`vestige run sbatch fit.sh` records the submission; what the job does happens on another machine, later. What would record it
is `vestige run` within the job script, or behind `srun`.
"""

from __future__ import annotations

import os
import shlex

from vestige.observe.conclusion import Execution

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_SUBMITTERS = frozenset({"sbatch", "qsub", "bsub"})
_STARTERS = frozenset({"srun", "mpirun", "mpiexec", "aprun", "jsrun"})
#: Their options of one letter that take no value; with all others, a value follows, as a word of its own or at once.
_SWITCHES = frozenset("bEHIkKlOQsvVXZhu")
_LONG_SWITCHES = frozenset(
    (
        *("--exclusive", "--overcommit", "--oversubscribe", "--label", "--unbuffered", "--verbose", "--quiet", "--wait"),
        *("--contiguous", "--spread-job", "--no-kill", "--pty", "--exact", "--overlap", "--multi-prog", "--kill-on-bad-exit"),
        *("--allow-run-as-root", "--tag-output", "--use-hwthread-cpus", "--parsable", "--requeue", "--no-requeue", "--hold"),
    )
)
_LARGEST = 1 << 16  # bytes of a job script that are looked at


def lines(executions: Iterable[Execution]) -> list[str]:
    """One line for each kind of scheduler that was asked, to be shown on a terminal."""
    found: dict[str, str] = {}
    for execution in executions:
        name = os.path.basename(execution.path)
        words = list(execution.argv[1:])
        if name in found or any(word in ("--version", "--help", "-h", "-V") for word in words):
            continue
        if name in _SUBMITTERS:
            found[name] = _submitted(name, words, execution.cwd or ".")
        elif name == "srun":
            found[name] = f"what {name} starts is not recorded by this run; write: {shlex.join(behind([name, *words]))}"
    return [f"vestige: {line}" for line in found.values()]


def behind(words: list[str]) -> list[str]:
    """A command line with `vestige run` before the command: behind `srun` and its options, where it begins with that."""
    position = 0
    if words and os.path.basename(words[0]) in _STARTERS:
        position = _operand(words, 1)
    if words[position : position + 2] == ["vestige", "run"]:
        return words
    return [*words[:position], "vestige", "run", *words[position:]]


def _operand(words: list[str], position: int) -> int:
    """Where the first word stands that is no option, nor the value of one."""
    while position < len(words):
        word = words[position]
        if word == "--":
            return position + 1
        if not word.startswith("-"):
            return position
        alone = word[1] in _SWITCHES if not word.startswith("--") else "=" in word or word in _LONG_SWITCHES
        joined = not word.startswith("--") and len(word) > 2 and not word[1:].isalpha()
        position += 1 if alone or joined else 2
    return len(words)


def _submitted(name: str, words: list[str], cwd: str) -> str:
    for number, word in enumerate(words):
        if word.startswith("--wrap"):
            wrapped = word.partition("=")[2] or "".join(words[number + 1 : number + 2])
            return f"what {name} submits is not recorded by this run; write: --wrap={shlex.quote(_recorded(wrapped))}"
    script = words[position] if (position := _operand(words, 0)) < len(words) else None
    line = _last_command(os.path.join(cwd, script)) if script is not None else None
    if line is None:
        return f"what {name} submits is not recorded by this run; in the job script, write vestige run before each command"
    if "vestige run" in line:
        return f"what {name} submits is recorded by runs of its own, where the job runs"
    return f"what {name} submits is not recorded by this run; in {script}, write: {_recorded(line)}"


def _recorded(line: str) -> str:
    """A line of a shell with `vestige run` in it; as it was written, but for that."""
    try:
        words = shlex.split(line)
    except ValueError:
        return f"vestige run {line}"
    if not words or os.path.basename(words[0]) not in _STARTERS:
        return f"vestige run {line}"
    before = behind(words)
    position = next((number for number, (one, other) in enumerate(zip(before, words, strict=False)) if one != other), None)
    rest = line.split(None, position) if position is not None else [line]
    return " ".join([*rest[:position], "vestige run", *rest[position:]])


def _last_command(path: str) -> str | None:
    """The last line of a job script that is a command of its own: what the job is for."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(_LARGEST)
    except (OSError, ValueError):
        return None
    found = None
    for line in text.replace("\\\n", " ").splitlines():
        words = line.split()
        if (
            words
            and not line[0].isspace()
            and not words[0].startswith("#")
            and words[0] not in _OF_THE_SHELL
            and "=" not in words[0]
        ):
            found = " ".join(words)
    return found


_OF_THE_SHELL = frozenset(
    (
        *(".", "cd", "done", "do", "else", "elif", "esac", "exit", "export", "fi", "for", "function", "if", "module", "case"),
        *("source", "then", "trap", "ulimit", "umask", "unset", "wait", "while", "{", "}", "echo", "date", "hostname", "set"),
    )
)
