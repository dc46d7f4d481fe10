"""Recording a command: the launcher's side, from the first line to the exit status.

Three processes, forks of this one, so that nothing is loaded twice:

    launcher   what the user started: streams, terminal, signals, exit status
    watcher    its child, in a session of its own: parent of the command, answers the kernel, writes the journal
    recorder   the watcher's child: code, environment, digests, and in the end the record

The watcher is the command's ancestor since Yama lets only ancestors read memory. The launcher never waits for the
other two while the command runs; when it has ended, for a second at most.
"""

from __future__ import annotations

import errno
import os
import select
import sys
import time

from vestige.errors import RecordingError, RefusedError, VestigeError
from vestige.launch import child, serve, signals, streams
from vestige.record import identity, secrets
from vestige.record.journal import Begun, begin
from vestige.record.options import Options, Outcome
from vestige.store import project

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PATIENCE = 1.0  # seconds that the exit status may wait for the record to be complete
_PR_SET_CHILD_SUBREAPER = 36
_DESCRIPTORS = 24  # how many files we open at a time, at most
_MANY = 1024  # that nobody looks twice where it is likely enough
#: What keeps a command from starting because of us: nobody answers for its filter any more, or we hold too much open.
_OURS = frozenset({errno.ENOSYS, errno.EPIPE, errno.EMFILE, errno.ENFILE})


def record(argv: Sequence[str], options: Options) -> Outcome:
    """Run a command and record it; its exit code is passed on, whatever becomes of the record.

    Raises RefusedError, and RecordingError where Vestige cannot record, both with `strict` only, before the command starts.
    """
    environ = _environment() if options.environ is None else dict(options.environ)
    found = child.find_program(argv[0], environ.get("PATH"), options.cwd)
    if options.config.pre_capture and options.kind == "command" and "VESTIGE_RUN_ID" not in environ and identity.leads(environ):
        _prepare(options)
    for problem in options.problems:
        _say(options, f"vestige: {problem}")
    begun: Begun | None
    try:
        begun = begin(argv, environ, options)
        if options.kind == "command" and identity.is_task(environ):
            from vestige.record import step

            if (mark := step.join(begun, environ)) is not None:
                environ[step.VARIABLE] = mark
    except Exception as error:
        if options.strict:
            raise RecordingError(f"nothing can be recorded: {_reason(error)}", hint="nothing was run") from error
        _say(options, f"vestige: {_reason(error)}; the command runs unrecorded")
        begun = None
    if begun is not None and (options.strict or options.config.dirty == "refuse") and options.kind == "command":
        _refuse_dirty(begun, options)
    if begun is not None and options.config.collect and options.kind == "command":
        _collect(begun, options)
    if isinstance(found, int):
        word = "not found" if found == 127 else "cannot be executed"
        _say(options, f"vestige: {argv[0]}: {word}", always=True)
        if begun is None:
            return Outcome(found, None, complete=True)
        _never_started(begun, options, found, f"{argv[0]}: {word}")
        return Outcome(found, begun.id, complete=True)
    return _run(found, argv, environ, options, begun)


def _run(program: str, argv: Sequence[str], environ: dict[str, str], options: Options, begun: Begun | None) -> Outcome:
    from vestige.record import watch

    if begun is not None:
        environ["VESTIGE_RUN_ID"] = begun.id
        environ["VESTIGE_RUN_NAME"] = begun.name or begun.id[-8:]
        environ["VESTIGE_RUN_DIR"] = begun.folder
        environ.pop("VESTIGE_WORKER", None)  # of a script around us, whose workers tell of themselves
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # None where it is closed
            stream.flush()
    standard = streams.inspect(stdin=options.stdin, stdout=options.stdout, stderr=options.stderr)
    import _socket

    try:
        standard.open(begun.folder if begun else None, options.config.streams)
        _make_sure_of_room()
        ours, theirs = _socket.socketpair()
        done_read, done_write = os.pipe()
        _become_subreaper()
        watcher = os.fork()
    except OSError as error:
        return _alone(program, argv, environ, options, begun, standard, str(error.strerror))
    if watcher == 0:
        status = 1
        try:
            ours.close()
            os.close(done_read)
            watch.main(program, list(argv), environ, options, begun, standard, theirs.fileno(), done_write)
            status = 0
        except BaseException:
            import traceback

            traceback.print_exc()  # into the log of the run's folder
        finally:
            os._exit(status)
    theirs.close()
    os.close(done_write)
    standard.close_child_side()
    result = serve.serve(standard, ours.fileno(), watcher)
    ours.close()
    code = serve.exit_code(result)
    if result.exec_errno in _OURS or (result.status is None and not result.command):
        why = os.strerror(result.exec_errno or errno.ECHILD)
        return _alone(program, argv, environ, options, begun, standard, why)
    if result.exec_errno:
        _say(options, f"vestige: {argv[0]}: {os.strerror(result.exec_errno)}", always=True)
    if begun is not None and result.status is not None and not os.path.exists(os.path.join(begun.folder, "ended.json")):
        _end_for_the_watcher(begun, result.status)
    summary = _await(done_read)
    os.close(done_read)
    _close(options, begun, summary, result.unwritten)
    if standard.held is not None:
        signals.let_go(standard.held)
    run_id = begun.id if begun else None
    return Outcome(code, run_id, complete=summary is not None, interrupted=result.interrupted)


def _alone(
    program: str,
    argv: Sequence[str],
    environ: dict[str, str],
    options: Options,
    begun: Begun | None,
    standard: streams.Streams,
    why: str,
) -> Outcome:
    """The command has not been started, and cannot be with us in between: become it. Nothing of it is recorded."""
    if begun is not None:
        begun.discard()
    if options.confine is not None or options.stdin or options.stdout or options.stderr:
        raise RecordingError(f"{argv[0]} cannot be started: {why}")
    _say(options, f"vestige: recording is not possible ({why}); the command runs unrecorded")
    for name in ("VESTIGE_RUN_ID", "VESTIGE_RUN_NAME", "VESTIGE_RUN_DIR"):
        environ.pop(name, None)
    _become_subreaper(0)
    if options.cwd is not None:
        os.chdir(options.cwd)
    try:
        child.replace(program, argv, environ, standard)
    except OSError as error:
        _say(options, f"vestige: {argv[0]}: {error.strerror}", always=True)
        return Outcome(child.NOT_FOUND if error.errno == errno.ENOENT else child.NOT_EXECUTABLE, None, complete=True)
    raise AssertionError  # we are the command now


def _end_for_the_watcher(begun: Begun, status: int) -> None:
    """The watcher was killed: we know how the command ended, unless the record is complete already."""
    if os.path.isdir(begun.folder):
        try:
            begun.end(status)
        except OSError:
            pass


def _await(done: int) -> str | None:
    """What the recorder says at its end; None where it takes longer than our patience."""
    deadline = time.monotonic() + _PATIENCE
    text = b""
    poll = select.poll()
    poll.register(done, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        if not poll.poll(left * 1000):
            break
        block = os.read(done, 4096)
        if not block:
            return os.fsdecode(text) if text else None
        text += block
    return None


def _close(options: Options, begun: Begun | None, summary: str | None, unwritten: str | None) -> None:
    """The one closing line."""
    if begun is None:
        return
    name = f" {begun.name}" if begun.name else ""
    if summary is None and unwritten is not None:
        _say(options, f"vestige: {begun.id[-8:]}{name} · its record cannot be written ({unwritten}); vestige log tries again")
        return
    if summary is None:
        _say(options, f"vestige: {begun.id[-8:]}{name} · finishing in the background")
        return
    for line in summary.split("\n"):
        if line:
            _say(options, line)


def _say(options: Options, line: str, *, always: bool = False) -> None:
    """A line on standard error: where that is a terminal, or where it was asked for."""
    if options.echo == "never" and not always:
        return
    try:
        if always or options.echo == "always" or os.isatty(2):
            os.write(2, _harmless(line).encode("utf-8", "backslashreplace") + b"\n")
    except OSError:
        pass


def _harmless(line: str) -> str:
    """A line that is one line, and tells a terminal nothing, whatever names are in it."""
    if line.isprintable():
        return line
    shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)
    return shown.replace("\\udc", "\\x")  # a byte that is not UTF-8, as `os.fsdecode` carries it


def _reason(error: Exception) -> str:
    if not isinstance(error, OSError):
        return f"{type(error).__name__}: {error}"
    place, store, _ = (os.fsdecode(error.filename) if error.filename else "the store").partition("/.vestige/")
    place += store.rstrip("/")  # what lies in it is ours, and says nothing to a user
    return f"{place} cannot be written ({error.strerror})"


def _environment() -> dict[str, str]:
    """Ours, but for what Python itself puts into it where the locale is C (PEP 538)."""
    environ = dict(os.environ)
    if environ.get("LC_CTYPE") in ("C.UTF-8", "C.utf8", "UTF-8"):
        try:
            with open("/proc/self/environ", "rb", 0) as file:
                given = [one for one in file.readall().split(b"\0") if one.startswith(b"LC_CTYPE=")]
        except OSError:
            return environ
        if given:
            environ["LC_CTYPE"] = os.fsdecode(given[0][9:])  # in its place: programs see the order
        else:
            del environ["LC_CTYPE"]
    return environ


def _refuse_dirty(begun: Begun, options: Options) -> None:
    from vestige.record.code import uncommitted

    paths = uncommitted(options.place, options.config)
    if paths:
        begun.discard()
        listed = "".join(f"\n  {path}" for path in paths[:20])
        raise RefusedError(f"refusing to run: commit your changes first (every run maps to a commit){listed}")


def _prepare(options: Options) -> None:
    """Run what the configuration wants to be run before anything is captured."""
    from vestige.record import before

    problem = before.prepare(options.place.root, options.config)
    if problem is not None and options.strict:
        raise RefusedError(f"refusing to run: {problem}")
    if problem is not None:
        options.problems = (*options.problems, problem)


def _collect(begun: Begun, options: Options) -> None:
    """Collect files as they are before the command starts."""
    from vestige.record.collecting import Collection

    try:
        Collection(begun.folder, begun.started["options"], begun.place, options.config).begin()  # type: ignore[arg-type]
    except Exception as error:
        _say(options, f"vestige: collect: {_reason(error)}")  # the recorder tries again, and says so in the record


def _never_started(begun: Begun, options: Options, code: int, problem: str) -> None:
    """A record of a command that could not be started."""
    from vestige.record import recorder

    try:
        begun.end(code << 8, problem=problem)
        recorder.finish(begun.folder, options.config, nothing_ran=True)
    except (OSError, VestigeError):
        pass  # a full disk: the next command tries again


def _make_sure_of_room() -> None:
    """Raise OSError where so few files may be open that the watcher would get into trouble, and the command with it."""
    limit = os.sysconf("SC_OPEN_MAX")
    if 0 <= limit < _MANY and limit - len(os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")) < _DESCRIPTORS:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def _become_subreaper(whether: int = 1) -> None:
    """Should the watcher be killed, its child becomes ours, and its status can still be passed on."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, whether, 0, 0, 0)


__all__ = ["Options", "Outcome", "identity", "project", "record", "secrets"]
