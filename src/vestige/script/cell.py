"""One cell of a notebook as a run: its source, what it takes from the cells before it, what came of it.

What a call of a function is to `monitor`, the execution of a cell is here: the same record, of the kind `notebook`.
"""

from __future__ import annotations

import ast
import os
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

from vestige.script import session
from vestige.script.describe import describe, exception
from vestige.script.monitor import argument, without_secrets
from vestige.script.output import status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from typing import Any

_CODE = (ModuleType, type, FunctionType, BuiltinFunctionType, MethodType)
_LONGEST = 1 << 20  # characters of a source that are kept


class Cell:
    """A cell that is being executed."""

    def __init__(self, inside: session.Inside) -> None:
        self._inside = inside

    def end(self, error: BaseException | None, result: object = None) -> None:
        """It has ended, with an exception or with what its last line gave. Never raises."""
        came: dict[str, Any] = {}
        try:
            if error is not None:
                came["exception"] = without_secrets(exception(error))
            elif result is not None:
                came["result"] = without_secrets(describe(result))
            self._inside.end(status_of(error), came)
        except Exception as problem:
            session.warn_once(f"the end of a cell is not recorded: {type(problem).__name__}: {problem}")


def begin(
    source: str, python: str, space: Mapping[str, Any], *, name: str | None, number: int | None, ignore: Collection[str] = ()
) -> Cell | None:
    """Begin the run of a cell; None where nothing can be recorded. Never raises.

    `source` is what stands in it and `python` what that means, `space` the variables of the notebook, of which those that the
    cell uses are described, but not the ones to `ignore`. `number` is that of the execution.
    """
    try:
        function = {
            "module": "__main__",
            "name": name or (f"cell {number}" if number else "cell"),
            "file": _notebook(space),
            "line": None,
            "arguments": {one: argument(one, space[one], ignore) for one in _taken(python, space)},
            "result": None,
            "exception": None,
            "source": without_secrets(source[:_LONGEST]),
        }
        inside = session.session().enter("notebook", name, function=function)
        if inside is None:
            return None
        if len(source) > _LONGEST:
            session.problem(inside.begun.folder, f"only the first {_LONGEST:,} characters of the cell are kept")
        inside.resume()
    except Exception as error:
        session.warn_once(f"a cell is not recorded: {type(error).__name__}: {error}")
        return None
    return Cell(inside)


def _taken(python: str, space: Mapping[str, Any]) -> Iterable[str]:
    """The variables of the notebook that a cell uses: no functions, classes and modules, whose code is not in them."""
    try:
        names = [one.id for one in ast.walk(ast.parse(python)) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)]
    except (SyntaxError, ValueError, RecursionError):
        return []
    found = (name for name in dict.fromkeys(names) if name in space and not name.startswith("_"))
    return [name for name in found if not issubclass(type(space[name]), _CODE)]


def _notebook(space: Mapping[str, Any]) -> str | None:
    """The path of the notebook, from those that tell their kernels."""
    for path in (space.get("__vsc_ipynb_file__"), os.environ.get("JPY_SESSION_NAME")):
        if isinstance(path, str) and path.endswith(".ipynb"):
            return path
    return None
