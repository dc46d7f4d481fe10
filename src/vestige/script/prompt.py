"""Asks a person for the name of a run. The question goes to standard error, so that a program's output stays its own."""

from __future__ import annotations

import os
import sys

from vestige.errors import UsageError
from vestige.script.names import checked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

QUESTION = "Input name of experiment:"


def asker() -> Callable[[str], str] | None:
    """Who can be asked: the terminal, the person before a notebook, or nobody."""
    if _in_notebook():
        return _in_a_notebook
    try:
        if sys.stdin is not None and os.isatty(0) and sys.stdin.fileno() == 0 and os.isatty(2):
            return _on_a_terminal
    except (OSError, ValueError):
        pass
    return None


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    kernel = getattr(shell() if callable(shell) else None, "kernel", None)
    return bool(getattr(kernel, "_allow_stdin", False))


def _in_a_notebook(_: str) -> str:
    while True:
        try:
            return checked(input(QUESTION + " "))  # the notebook's own
        except UsageError as error:
            print(f"{error}", file=sys.stderr)


def _on_a_terminal(root: str) -> str:
    complete = _completion(root)
    try:
        while True:
            line = _line()
            try:
                return checked(line.strip())
            except UsageError as error:
                os.write(2, f"vestige: {error}\n".encode("utf-8", "replace"))
    finally:
        complete()


def _line() -> str:
    os.write(2, QUESTION.encode() + b"\n")
    # `input` draws with readline only where standard output is a terminal, and then onto it: it is lent the other one.
    saved = os.dup(1)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
        os.dup2(2, 1)
        return input()
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def _completion(root: str) -> Callable[[], None]:
    """Have Tab complete the names of earlier runs; returns what puts everything back."""
    try:
        import readline
    except ImportError:
        return lambda: None
    before, delimiters = readline.get_completer(), readline.get_completer_delims()
    readline.set_completer(lambda text, state: _nth(names(root, text), state))
    readline.set_completer_delims("")
    readline.parse_and_bind("tab: complete")
    length = readline.get_current_history_length()

    def restore() -> None:
        readline.set_completer(before)
        readline.set_completer_delims(delimiters)
        while readline.get_current_history_length() > length:
            readline.remove_history_item(readline.get_current_history_length() - 1)

    return restore


def names(root: str, begins: str) -> list[str]:
    """Names of runs below a folder that begin so; one level at a time, as paths are completed."""
    folder, _, last = begins.rpartition("/")
    try:
        with os.scandir(os.path.join(root, folder) or ".") as entries:
            found = [entry.name for entry in entries if entry.is_dir() and entry.name.startswith(last) and entry.name[0] != "."]
    except OSError:
        return []
    prefix = folder + "/" if folder else ""
    return sorted(prefix + name + ("/" if not _is_run(os.path.join(root, prefix + name)) else "") for name in found)


def _is_run(folder: str) -> bool:
    return os.path.exists(os.path.join(folder, "info.txt"))


def _nth(found: list[str], state: int) -> str | None:
    return found[state] if state < len(found) else None
