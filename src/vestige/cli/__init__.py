"""The command line: one file a verb, which parses, calls the library, prints and exits."""

from __future__ import annotations

import errno
import os
import sys

from vestige.errors import VestigeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from vestige.cli.arguments import Verb

_RECORDING = ("run", "track", "monitor")
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG, errno.EIO)


def main(words: Sequence[str] | None = None) -> int:
    """Do what the words say and return the exit code. The one place where errors become lines."""
    recording = words is None and sys.argv[1:2] and sys.argv[1] in _RECORDING
    words = list(sys.argv[1:] if words is None else words)
    state = _State()
    try:
        if recording:
            _collect_less()
        code = _dispatch(words, state)
        if sys.stdout is not None:
            sys.stdout.flush()
        if recording:
            _leave(code)
    except VestigeError as error:
        _say(f"{error}; {error.hint}" if error.hint and not str(error).endswith("?") else str(error))
        return state.code(error.exit_code)
    except BrokenPipeError:
        _silence()
        return 141  # what a program that SIGPIPE ends is seen to return
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        _debug()
        _say(_what(error))
        if error.errno in _FULL:
            _silence()  # what was not written is not tried once more at the end
        return state.code(1)
    except Exception as error:
        _debug()
        _say(f"a defect in Vestige: {_where(error)}; please report it, with what VESTIGE_DEBUG=1 shows")
        return state.code(1)
    return code


def _collect_less() -> None:
    """Next to nothing that a recording makes is garbage in a circle; looking for some costs more than the command line."""
    import gc

    gc.set_threshold(100_000, 20, 20)


def _leave(code: int) -> None:
    """End without taking the interpreter apart, a millisecond that somebody would wait for."""
    if sys.stderr is not None:
        sys.stderr.flush()
    os._exit(code)


def _what(error: OSError) -> str:
    """The file and the reason; a hidden file of ours stands for its folder."""
    if not isinstance(error.filename, str | bytes):
        return f"the answer cannot be written: {error.strerror}" if error.errno in _FULL else error.strerror or str(error)
    folder, name = os.path.split(os.fsdecode(error.filename))
    return f"{folder if name.startswith('.tmp-') else os.path.join(folder, name)}: {error.strerror}"


class _State:
    """What is known so far of the verb, for errors: where exit code 1 says "different", a failure is 2."""

    __slots__ = ("comparing",)

    def __init__(self) -> None:
        self.comparing = False

    def code(self, code: int) -> int:
        return 2 if self.comparing and code == 1 else code


def _dispatch(words: list[str], state: _State) -> int:
    if words and words[0] in _RECORDING:
        from vestige.cli import run
        from vestige.cli.arguments import parse

        arguments = parse(run.VERB, words[1:])
        return _help(run.VERB) if arguments.switch("help") else run.main(arguments)
    return _any(words, state)


def _any(words: list[str], state: _State) -> int:
    from vestige.cli import verbs
    from vestige.cli.arguments import parse

    before = _leading(words)
    if before == ["--version"]:
        from vestige import __version__

        print(f"vestige {__version__}")
        return 0
    rest = words[len(before) :]
    if not rest:
        if any(word in ("-h", "--help") for word in before) or not before:
            from vestige.cli.help import overview

            return overview()
        rest = ["help"]
    name = verbs.resolve(rest[0])
    row = verbs.row(name)
    arguments = parse(row, [*before, *rest[1:]])
    if arguments.switch("help"):
        return _help(row)
    state.comparing = row.comparing == "always" or (bool(row.comparing) and arguments.switch(row.comparing))
    return verbs.action(name)(arguments)


def _leading(words: list[str]) -> list[str]:
    """The options before the verb."""
    position = 0
    while position < len(words) and words[position].startswith("-") and words[position] != "--":
        position += 2 if words[position] == "--project" else 1
    return words[:position]


def _help(row: Verb) -> int:
    from vestige.cli.help import page

    return page(row)


def _say(text: str) -> None:
    """What went wrong, on standard error; whatever names are in it cannot harm a terminal."""
    from vestige.report.style import printable

    line = "\n  ".join(printable(one) for one in text.split("\n  "))  # a list of ours is indented; other breaks are in names
    try:
        os.write(2, f"vestige: {line}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        pass


def _silence() -> None:
    """Let nothing more be written into a pipe that nobody reads."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
    except OSError:
        pass


def _debug() -> None:
    if os.environ.get("VESTIGE_DEBUG"):
        import traceback

        traceback.print_exc()


def _where(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace is not None else ""
    return f"{type(error).__name__}: {error}{place}"
