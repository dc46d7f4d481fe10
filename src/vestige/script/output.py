"""The folder of a run's results: `vestige.output_dir`, `vestige.initialize`, `with vestige.start(...)`."""

from __future__ import annotations

import _thread
import os
import sys
from contextvars import ContextVar

from vestige.errors import ExistsError, UsageError
from vestige.record import identity
from vestige.script import names, session
from vestige.script.session import OUTPUT_DIR, Inside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

ROOT = "results/"

_SECTION: ContextVar[Section | None] = ContextVar("vestige_section", default=None)


class _Own:
    """The folder of this process's run, absolute, and whether it was made here, and not by the process that started us."""

    folder: str | None = None
    made_here = False
    #: the sections that are going on in any thread, in the order in which they began; and what was handed to us before them
    sections: tuple[Section, ...] = ()
    handed: str | None = None

    def __init__(self) -> None:
        self.unlock()

    def unlock(self) -> None:
        """In a forked process nobody is left to do so."""
        self.lock = _thread.RLock()


_own = _Own()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_own.unlock)


def output_dir() -> str:
    """The folder of the run that this is in, relative to the working directory, with a slash at the end.

    Where there is none yet, the run of the script begins now. Raises OSError where no folder can be made.
    """
    section = _section()
    folder = section.folder if section is not None else _own.folder or _first(None, ROOT)
    if not os.path.isdir(folder):
        session.warn(f"{folder} has vanished; it is made again, empty")
        os.makedirs(folder, exist_ok=True)
    return relative(folder)


def initialize(run_name: str | None = None, output_root: str | os.PathLike[str] = ROOT) -> str:
    """Begin the run of this script, with a name; returns its `output_dir`.

    `output_root` is where its folder is made. Without a name, one is chosen as by `output_dir`. In a process that was started
    by one that has a run, that run is joined, and its folder is the same. Raises UsageError for a name that cannot be one,
    ExistsError where this process has a run already, and OSError.
    """
    if _own.folder is not None and _own.made_here:
        raise ExistsError(
            f"this run has a folder already: {relative(_own.folder)}",
            hint="begin one inside it: with vestige.start(NAME):",
        )
    return relative(_own.folder or _first(run_name, os.fspath(output_root)))


def _section() -> Section | None:
    """The section that this is in. A thread is in that of the program, if there is one and not several side by side."""
    section = _SECTION.get()
    if section is None and _own.sections and _own.sections[-1].depth == len(_own.sections):
        return _own.sections[-1]
    return section


def _first(name: str | None, root: str) -> str:
    """The folder of this process's run, when it is asked for the first time: by one of many threads at once, perhaps."""
    with _own.lock:
        return _own.folder or _inherited() or _begin(name, root)


def _hand_on() -> None:
    """Let the processes that are started from now on know their folder."""
    folder = _own.sections[-1].folder if _own.sections else _own.folder or _own.handed
    if folder is None:
        os.environ.pop(OUTPUT_DIR, None)
    else:
        os.environ[OUTPUT_DIR] = folder


def _begin(name: str | None, root: str) -> str:
    if name is not None:
        name = names.checked(name)
    (name, folder), is_ours = _shared(name, root) if identity.is_task(os.environ) else (_made(name, root, asks=True), True)
    if is_ours:
        _say(f"Saving results to {os.path.join(root, name)}/")
    _own.folder, _own.made_here = folder, True
    session.session().join_or_begin(name, folder if is_ours else None)
    _hand_on()
    return folder


def _made(name: str | None, root: str, *, asks: bool) -> tuple[str, str]:
    """A new folder: its name, and where it lies."""
    if name is None:
        from vestige.script import prompt

        name = names.choose(root, prompt.asker() if asks else None)
    name, made = names.make_folder(root, name)
    return name, os.path.abspath(made)


def _shared(name: str | None, root: str) -> tuple[tuple[str, str], bool]:
    """The folder that all tasks of a step share, and whether it was made here."""
    from vestige.record import step

    found, place = step.step(os.environ), session.session().located()
    if found is None or place is None:
        return _made(name, root, asks=found is None), True
    what = f"{os.path.abspath(sys.argv[0] if sys.argv else '')} {os.path.abspath(root)} {name or ''}"
    try:
        text, is_ours = step.shared(place.store, found, what, lambda: "\0".join(_made(name, root, asks=False)))
    except OSError as error:
        session.warn(f"the other tasks of the step cannot be found ({error.strerror}): this one has a folder of its own")
        return _made(name, root, asks=False), True
    name, _, folder = text.partition("\0")
    return (name, folder), is_ours


def _inherited() -> str | None:
    """The folder of the process that started us, a worker: its results are its parent's."""
    folder = _own.handed if _own.sections else os.environ.get(OUTPUT_DIR)
    if folder:
        _own.folder = folder
        session.session().join_or_begin(None)
    return folder or None


def relative(folder: str) -> str:
    """A folder as `output_dir` is: from where we are now, with a slash at the end."""
    try:
        return os.path.relpath(folder) + "/"
    except (OSError, ValueError):
        return folder + "/"  # the working directory is gone, or on another drive


def start(name: str | None = None, *, output_root: str | os.PathLike[str] = ROOT) -> Section:
    """One of several runs in a program: `with vestige.start("fold-1") as run:`. One inside another is its child.

    Inside, `vestige.output_dir` is the section's own. Raises UsageError for a name that cannot be one.
    """
    return Section(name, os.fspath(output_root))


class Section:
    """A run that is a part of a program.

    `id` is its full id (None where nothing can be recorded), `name` what it is called, `output_dir` its folder.
    """

    def __init__(self, name: str | None, root: str) -> None:
        self.name = names.checked(name) if name is not None else None
        self.folder = ""
        self._root = root
        self._inside: Inside | None = None
        self._entered = False
        self.depth = 0

    @property
    def id(self) -> str | None:
        """The full id of its record."""
        return self._inside.begun.id if self._inside is not None else None

    @property
    def output_dir(self) -> str:
        """Its folder, relative to the working directory, with a slash at the end."""
        return relative(self.folder)

    def __repr__(self) -> str:
        return f"<run {self.name or ''} {(self.id or '')[-8:]}>"

    def __enter__(self) -> Self:
        if self._entered:
            raise UsageError("a run begins once", hint="take another vestige.start(NAME)")
        self._entered = True
        around = _SECTION.get()
        name = self.name or names.given() or names.invented()
        root = os.path.join(around.folder, "") if around is not None and self._root == ROOT else self._root
        self.name, folder = names.make_folder(root, name)
        self.folder = os.path.abspath(folder)
        _say(f"Saving results to {os.path.join(root, self.name)}/" if around is None else f"Saving results to {relative(folder)}")
        one = session.session()
        self._inside = one.enter("script", self.name)
        self._token = _SECTION.set(self)
        self.depth = 1 if around is None else around.depth + 1
        with _own.lock:
            if not _own.sections:
                _own.handed = os.environ.get(OUTPUT_DIR)
            _own.sections += (self,)
            _hand_on()
        if self._inside is not None:
            one.describe(self._inside.begun.folder, self.folder)
            self._inside.resume()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            _SECTION.reset(self._token)
        except ValueError:
            _SECTION.set(None)  # it was begun in another context
        with _own.lock:
            _own.sections = tuple(one for one in _own.sections if one is not self)
            _hand_on()
        if self._inside is None:
            return
        if error is not None:
            from vestige.script.describe import exception

            session.problem(self._inside.begun.folder, f"{type(error).__name__}: {exception(error)['message']}")
        self._inside.end(status_of(error))


def status_of(error: BaseException | None) -> int:
    """How a run ended, as from wait(2): well, by an exit, by Ctrl-C, or by an exception."""
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        code = error.code
        return 0 if code is None else (code & 0xFF) << 8 if isinstance(code, int) else 1 << 8
    return 2 if isinstance(error, KeyboardInterrupt) else 1 << 8


def reset() -> None:
    """Forget the run of this process, as if it had just been started: for tests and notebooks. What was going on is ended."""
    session.reset()
    os.environ.pop(OUTPUT_DIR, None)
    _own.folder, _own.made_here, _own.sections, _own.handed = None, False, (), None
    _SECTION.set(None)


def _say(line: str) -> None:
    session.say("".join(char if char.isprintable() else ascii(char)[1:-1] for char in line))
