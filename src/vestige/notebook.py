"""What IPython loads by `%load_ext vestige`: `%%vestige` makes a cell a run, `%trace` shows how a file was made.

A cell that begins with `%%vestige NAME` is executed by the notebook itself, as every cell is, so that `await`, what it shows
and how it fails stay as they are: its first line is replaced by a call which begins the run, and the run ends when the
notebook says that the cell has ended.
"""

from __future__ import annotations

import os
import shlex
import time

from vestige import api
from vestige.errors import VestigeError
from vestige.report import html, log, style, tree
from vestige.script import cell
from vestige.script.cell import Cell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

_CELL = "%%vestige"
_LATEST = 10  # runs that `%vestige` shows
_WIDTH = 110
_loaded: list[Extension] = []


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext vestige`. Loading it again changes nothing."""
    if not any(one.shell is shell for one in _loaded):
        _loaded.append(Extension(shell))


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext vestige`."""
    for one in [one for one in _loaded if one.shell is shell]:
        one.unload()
        _loaded.remove(one)


class Extension:
    """What is added to one shell of IPython."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        #: the cells that are being executed, the outermost first: what IPython says of each, and its run if it has one
        self._going_on: list[tuple[Any, list[Cell]]] = []
        shell.register_magic_function(self.vestige, "line", "vestige")
        shell.register_magic_function(self.vestige_cell, "line", "vestige_cell")
        shell.register_magic_function(self.nested, "cell", "vestige")
        shell.register_magic_function(self.trace, "line", "trace")
        shell.input_transformers_cleanup.append(self.transform)
        shell.events.register("pre_run_cell", self.begins)
        shell.events.register("post_run_cell", self.ended)

    def unload(self) -> None:
        """Take it all away again."""
        self.shell.input_transformers_cleanup.remove(self.transform)
        self.shell.events.unregister("pre_run_cell", self.begins)
        self.shell.events.unregister("post_run_cell", self.ended)
        for kind, name in (("line", "vestige"), ("line", "vestige_cell"), ("cell", "vestige"), ("line", "trace")):
            self.shell.magics_manager.magics[kind].pop(name, None)

    # -- cells ------------------------------------------------------------------------------------------------------------

    def transform(self, lines: list[str]) -> list[str]:
        """The lines of a cell, `%%vestige NAME` replaced by what begins its run."""
        first = lines[0].split(None, 1) if lines else []
        if not first or first[0] != _CELL:
            return lines
        from IPython.core.inputtransformer2 import cell_magic  # type: ignore[import-not-found,unused-ignore]

        words = first[1].strip() if len(first) > 1 else ""
        rest = lines[1:]
        while rest and not rest[0].strip():
            rest = rest[1:]
        other: Callable[[list[str]], list[str]] = cell_magic
        rest = other(rest) if rest and rest[0].startswith("%%") else lines[1:]  # another magic has the rest
        return [f"get_ipython().run_line_magic('vestige_cell', {words!r})\n", *rest]

    def begins(self, info: Any = None) -> None:
        """IPython begins to execute a cell."""
        self._going_on.append((info, []))

    def ended(self, result: Any = None) -> None:
        """IPython has executed a cell."""
        info = getattr(result, "info", None)
        if all(one is not info for one, _ in self._going_on):
            return
        while self._going_on:
            one, cells = self._going_on.pop()
            for each in reversed(cells):
                error = getattr(result, "error_before_exec", None) or getattr(result, "error_in_exec", None)
                each.end(error, getattr(result, "result", None))
            if one is info:
                break

    def vestige_cell(self, line: str) -> None:
        """What `%%vestige` becomes; of no use by itself."""
        if not self._going_on:
            return  # executed without a word to anybody, as front ends do for their own ends
        info, cells = self._going_on[-1]
        name, ignore = _words(line)
        source = _source(getattr(info, "raw_cell", None) or "")
        try:
            python = self.shell.transform_cell(source)
        except Exception:
            python = ""  # what is wrong with it is said when it is executed
        history = getattr(getattr(self.shell, "history_manager", None), "input_hist_parsed", ())
        number = len(history) - 1 if getattr(info, "store_history", True) else None  # its last is what is being executed
        found = cell.begin(source, python, self.shell.user_ns, name=name, number=number, ignore=ignore)
        if found is not None:
            cells.append(found)

    def nested(self, line: str, cell: str) -> None:
        """Make this cell a run: %%vestige NAME [--ignore VARIABLE,…]

        Its source, the variables that it uses, the files that it reads and writes, what it logs, its result or exception and
        its duration are recorded. --ignore leaves variables out of the record.
        """
        self.shell.run_cell(f"{_CELL} {line}\n{cell}", store_history=False)

    # -- questions --------------------------------------------------------------------------------------------------------

    def vestige(self, line: str) -> object:
        """What is recorded here: %vestige"""
        if line.strip():
            _refuse("%vestige takes nothing; a cell is made a run by %%vestige NAME in its first line")
        return _asked(_recorded)

    def trace(self, line: str) -> object:
        """How a file was made: %trace PATH [--down] [--depth N]"""
        words = _split(line)
        down = "--down" in words
        words = [word for word in words if word != "--down"]
        depth = None
        if "--depth" in words[:-1]:
            at = words.index("--depth")
            depth = int(words[at + 1]) if words[at + 1].isdecimal() else _refuse("--depth takes a number")
            del words[at : at + 2]
        if len(words) != 1 or words[0].startswith("--"):
            _refuse("%trace takes a path: %trace figures/roc.png [--down] [--depth N]")
        path = os.path.expanduser(words[0])

        def ask() -> Answer:
            opened = api.open(os.path.dirname(os.path.abspath(path)))
            found = (opened if opened.exists else api.open()).trace(path, down=down, depth=depth)
            return Answer("\n".join(tree.tree(found, _STYLE, time.time())), html.of(found))

        return _asked(ask)


class Answer:
    """What a magic shows: HTML in a notebook, lines on a terminal."""

    def __init__(self, text: str, page: str | None) -> None:
        self._text = text
        self._page = page

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str | None:
        return self._page


_STYLE = style.Style(width=_WIDTH)


def _recorded() -> Answer:
    opened = api.open()
    rows = list(opened.log(limit=_LATEST + 1, values=True))
    if not rows:
        text = f"nothing is recorded in {style.printable(opened.root)} yet: %%vestige NAME makes a cell a run"
        return Answer(text, html.page([html.line(text)]))
    shown, hidden = rows[:_LATEST], len(rows) > _LATEST
    lines = log.table(shown, log.PEOPLE, _STYLE, time.time(), hidden=hidden, offered=log.shared(shown))
    return Answer("\n".join(lines), html.runs(shown, opened.root, time.time(), hidden=hidden))


def _asked(ask: Callable[[], Answer]) -> Answer:
    try:
        return ask()
    except VestigeError as error:
        _refuse(f"{error}; {error.hint}" if error.hint else str(error))


def _words(line: str) -> tuple[str | None, frozenset[str]]:
    """The name and what is to be ignored."""
    words = _split(line)
    names: list[str] = []
    ignore: list[str] = []
    while words:
        word = words.pop(0)
        option, equals, value = word.partition("=")
        if option == "--ignore":
            if not equals and not words:
                _refuse("--ignore takes names of variables: %%vestige NAME --ignore password,token")
            ignore += (value if equals else words.pop(0)).split(",")
        elif word.startswith("-"):
            _refuse(f"%%vestige has no option {word}: %%vestige NAME [--ignore VARIABLE,…]")
        else:
            names.append(word)
    return " ".join(names) or None, frozenset(one.strip() for one in ignore)


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        _refuse(f"{line.strip()} cannot be read: {error}")


def _source(raw: str) -> str:
    """What stands in a cell below the line that makes it a run."""
    lines = raw.splitlines(keepends=True)
    at = next((at for at, line in enumerate(lines) if line.split()[:1] == [_CELL]), -1)
    return "".join(lines[at + 1 :])


def _refuse(said: str) -> NoReturn:
    """One line, no traceback."""
    from IPython.core.error import UsageError  # type: ignore[import-not-found,unused-ignore]

    raise UsageError(said)
