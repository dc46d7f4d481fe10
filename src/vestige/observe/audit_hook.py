"""Tells a journal which files a Python program uses, from inside, by an audit hook (PEP 578).

This file stands alone. `audit.environment` puts a copy of it first on the PYTHONPATH of a command that the kernel cannot be
asked about, beside a `sitecustomize` that begins it, so that every Python from 3.8 on that the command starts tells of itself
before it does anything of its own. It uses next to nothing but what an interpreter has loaded by then, and never raises into
the program.

Each event is one line, written by one write(2) to a file opened for appending: processes and threads cannot tear each
other's lines. The forms are those of `observe.interface`.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

try:
    from _json import encode_basestring_ascii as _quoted
except ImportError:  # not CPython
    from json.encoder import py_encode_basestring_ascii as _quoted

_DEVICES = ("/dev/", "/proc/", "/sys/")
_SHARED = "/dev/shm/"  # noqa: S108  # a name to recognise
_MANY = 20_000  # names remembered, so that a file that is read a thousand times is told once
_PROGRAMS = 20  # programs that are named as unobserved
_REGULAR, _FOLDER = 0o100000, 0o040000
_LONGEST = 4096  # bytes of a path that a call takes
_DESCRIPTORS = ("/dev/fd/", "/proc/self/fd/", "/dev/std")
_STANDARD = {"/dev/stdin": "0", "/dev/stdout": "1", "/dev/stderr": "2"}
_O_PATH = getattr(os, "O_PATH", 0)
_O_ACCMODE = os.O_RDONLY | os.O_WRONLY | os.O_RDWR
_BLIND = frozenset({"-I", "-E", "-S", "-IS", "-ES", "-sE", "-Es"})


class Journal:
    """A descriptor of its own, high up where programs do not look, checked before each use: a program that closes all
    descriptors gives our number to a file of its own."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.pid = 0
        self.fd = -1
        self.identity = (0, 0)
        self.open()

    def open(self) -> None:
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_CLOEXEC", 0))
        try:
            import fcntl

            for lowest in (960, 240, 50):
                try:
                    high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)
                except (OSError, ValueError):
                    continue
                os.close(fd)
                fd = high
                break
        except ImportError:
            pass
        found = os.fstat(fd)
        self.fd, self.identity = fd, (found.st_dev, found.st_ino)

    def note(
        self,
        op: str,
        path: str | None = None,
        other: str | None = None,
        flags: int = 0,
        found: os.stat_result | None = None,
        text: str | None = None,
        pid: int | None = None,
    ) -> None:
        me = os.getpid()
        if me != self.pid:
            forked, self.pid = bool(self.pid), me
            self.note("p", other="again" if forked else None, flags=os.getppid(), text=program_name())
        five = "null" if found is None else _five(found)
        line = f'["{op}",{_now()},{me if pid is None else pid},{_field(path)},{_field(other)},{flags},{five}'
        if text is not None:
            line += "," + _quoted(text.encode("utf-8", "replace").decode("utf-8"))
        self.write((line + "]\n").encode("ascii"))

    def write(self, line: bytes) -> None:
        try:
            found = os.fstat(self.fd)
            ours = (found.st_dev, found.st_ino) == self.identity
        except OSError:
            ours = False
        if not ours:
            self.open()
        os.write(self.fd, line)


class Hook:
    """What is told of each audit event that names a file, a program or an endpoint."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.note = journal.note
        self.told: set[object] = set()
        self.spawned: object = None
        self.programs: set[str] = set()
        self.handlers: dict[str, Callable[..., None]] = {
            "open": self.open,
            "import": self.imported,
            "ctypes.dlopen": self.library,
            "os.rename": self.rename,
            "os.remove": self.remove,
            "os.rmdir": self.rmdir,
            "os.mkdir": self.mkdir,
            "os.link": self.link,
            "os.symlink": self.symlink,
            "os.truncate": self.truncate,
            "os.listdir": self.listing,
            "os.scandir": self.listing,
            "sqlite3.connect": self.database,
            "socket.connect": self.connect,
            "subprocess.Popen": self.spawn,
            "os.posix_spawn": self.spawn_directly,
            "os.exec": self.execute,
            "os.system": self.system,
        }

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        handler = self.handlers.get(event)
        if handler is not None:
            try:
                handler(*args)
            except Exception:  # the program's own work comes first
                pass

    # -- files -------------------------------------------------------------------------------------------------------

    def open(self, given: object, mode: object, flags: int) -> None:
        path = _absolute(given)
        if path is not None and path.startswith(_DESCRIPTORS):
            given = path = _followed(path)
        if path is None or path == self.journal.path or (path.startswith(_DEVICES) and not path.startswith(_SHARED)):
            return
        if len(os.fsencode(path)) >= _LONGEST:
            if self.once("long"):
                long = "used a path of more than 4,096 bytes, and perhaps more: no call leads to it"
                self.note("g", text=f"{program_name()} {long}")
            return
        if flags & _O_PATH:
            return
        if not flags and isinstance(mode, str):
            flags = _flags_of(mode)
        if flags & (_O_ACCMODE | os.O_CREAT | os.O_TRUNC) and flags & (_O_ACCMODE | os.O_TRUNC):
            self.opened_to_write(path, flags, stat_of(given))
        else:
            self.opened_to_read(path, flags, stat_of(given), looked_for=mode is not None)

    def opened_to_read(self, path: str, flags: int, found: os.stat_result | None, *, looked_for: bool = True) -> None:
        if found is None:
            if looked_for and self.once(("a", path)):
                self.note("a", path)
        elif found.st_mode & 0o170000 == _REGULAR:
            if self.once((path, found.st_ino, found.st_size, found.st_mtime_ns)):
                self.note("r", path, flags=flags, found=found)
        elif found.st_mode & 0o170000 == _FOLDER:
            self.listed(path)

    def opened_to_write(self, path: str, flags: int, found: os.stat_result | None) -> None:
        if found is None:
            if flags & os.O_CREAT:
                if os.path.islink(path):  # the call makes what it leads to
                    path = os.path.realpath(path)
                self.note("w", path, flags=flags)
        elif flags & os.O_CREAT and flags & os.O_EXCL:
            pass  # it fails
        elif found.st_mode & 0o170000 == _REGULAR:
            self.note("w", path, flags=flags, found=found)

    def imported(self, *args: object) -> None:
        """`module` and, for one that is a shared library, its path."""
        if isinstance(args[1], str):
            self.library(args[1])

    def library(self, given: object) -> None:
        path = _absolute(given) if isinstance(given, (str, bytes)) else None
        if path is not None and os.sep in str(given):
            self.opened_to_read(path, os.O_RDONLY, stat_of(path), looked_for=False)

    def database(self, given: object) -> None:
        flags = os.O_RDWR | os.O_CREAT
        text = os.fsdecode(given)  # type: ignore[arg-type]
        if text.startswith("file:"):
            text, _, query = text[5:].partition("?")
            if "mode=memory" in query:
                return
            if "mode=ro" in query or "immutable=1" in query:
                flags = os.O_RDONLY
            text = "/" + text.lstrip("/") if text.startswith("//") else text
        if text and not text.startswith(":memory:"):
            self.open(text, None, flags)

    def rename(self, old: object, new: object, old_folder: int = -1, new_folder: int = -1) -> None:
        source, target = _absolute(old, old_folder), _absolute(new, new_folder)
        found = _lstat(source)
        if source is None or target is None or found is None:
            return
        replaced = _lstat(target)
        if replaced is not None and (replaced.st_dev, replaced.st_ino) == (found.st_dev, found.st_ino):
            return
        kind = 2 if found.st_mode & 0o170000 == _FOLDER else 0
        self.note("m", source, target, kind, found, None if replaced is None else _five(replaced))

    def remove(self, given: object, folder: int = -1) -> None:
        path = _absolute(given, folder)
        found = _lstat(path)
        if found is not None:
            self.note("u", path, found=found)

    def rmdir(self, given: object, folder: int = -1) -> None:
        path = _absolute(given, folder)
        found = _lstat(path)
        if found is not None:
            self.note("u", path, flags=1, found=found)

    def mkdir(self, given: object, _: int, folder: int = -1) -> None:
        path = _absolute(given, folder)
        if path is not None and _lstat(path) is None:
            self.note("k", path)

    def link(self, old: object, new: object, old_folder: int = -1, new_folder: int = -1) -> None:
        source, target = _absolute(old, old_folder), _absolute(new, new_folder)
        found = _lstat(source)
        if found is not None and target is not None and _lstat(target) is None:
            self.note("l", source, target, found=found)

    def symlink(self, text: object, new: object, folder: int = -1) -> None:
        path = _absolute(new, folder)
        if path is not None and _lstat(path) is None:
            self.note("s", path, os.fsdecode(text))  # type: ignore[arg-type]

    def truncate(self, given: object, _: int) -> None:
        path = _absolute(given)
        found = None if path is None else stat_of(path)
        if found is not None:
            self.note("t", path, found=found)

    def listing(self, given: object = None) -> None:
        path = _absolute("." if given is None else given)
        if path is not None:
            self.listed(path)

    def listed(self, path: str) -> None:
        """The import system lists a folder first, and perhaps its program then: told twice, and no more."""
        if self.once(("d", path)):
            self.note("d", path)
        elif self.once(("again", path)):
            self.note("d", path, flags=1)

    def connect(self, _: object, address: object) -> None:
        if isinstance(address, tuple) and len(address) >= 2:
            host = str(address[0])
            self.note("c", text=f"tcp:[{host}]:{address[1]}" if ":" in host else f"tcp:{host}:{address[1]}")
        elif isinstance(address, (str, bytes)):
            self.note("c", text="unix:" + os.fsdecode(address).replace("\0", "@"))

    # -- programs ----------------------------------------------------------------------------------------------------

    def announce(self) -> None:
        """This interpreter, as an execution: nobody else tells of it."""
        argv = list(getattr(sys, "orig_argv", ())) or _command_line()
        if sys.executable:
            self.note("x", sys.executable, working_folder(), found=stat_of(sys.executable), text=words_of(argv))

    def spawn(self, program: object, args: object, _: object, environ: object) -> None:
        argv = [os.fsdecode(word) for word in args] if isinstance(args, (list, tuple)) else [str(args)]
        self.spawned = argv
        self.started(os.fsdecode(program or argv[0]), argv, environ)  # type: ignore[arg-type]

    def spawn_directly(self, program: object, args: Any, environ: object) -> None:
        argv = [os.fsdecode(word) for word in args]
        if argv != self.spawned:  # else told by Popen
            self.started(os.fsdecode(program), argv, environ)  # type: ignore[arg-type]
        self.spawned = None

    def system(self, command: object) -> None:
        self.started("/bin/sh", ["sh", "-c", os.fsdecode(command)], None)  # type: ignore[arg-type]

    def execute(self, program: object, args: Any, environ: object) -> None:
        path = _absolute(program)
        found = None if path is None else stat_of(path)
        if path is None or found is None:
            return
        argv = [os.fsdecode(word) for word in args]
        if not _tells_itself(path, argv, environ):
            self.note("x", path, working_folder(), found=found, text=words_of(argv))
            self.unobserved(path)

    def started(self, program: str, argv: list[str], environ: object) -> None:
        """A child that does not tell of itself. Its number is not known here."""
        path = program if os.sep in program else _search(program)
        path = None if path is None else _absolute(path)
        found = None if path is None else stat_of(path)
        if path is None or found is None or _tells_itself(path, argv, environ):
            return
        self.note("x", path, working_folder(), flags=os.getpid(), found=found, text=words_of(argv), pid=0)
        self.unobserved(path)

    def unobserved(self, path: str) -> None:
        if path not in self.programs and len(self.programs) < _PROGRAMS:
            self.programs.add(path)
            self.note("g", text=f"{path} was started and could not be observed: what it used is not known")

    def once(self, key: object) -> bool:
        if key in self.told:
            return False
        if len(self.told) >= _MANY:
            self.told.clear()
        self.told.add(key)
        return True


def _flags_of(mode: str) -> int:
    if "+" in mode:
        return os.O_RDWR | (os.O_CREAT | os.O_TRUNC if "w" in mode else 0)
    if "w" in mode:
        return os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    if "a" in mode:
        return os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.O_RDONLY


def _absolute(given: object, folder: int = -1) -> str | None:
    """A path as it is named, made absolute; None for a descriptor, and for what cannot be told."""
    if given is None or isinstance(given, int):
        return None
    path = os.fsdecode(given)  # type: ignore[arg-type]
    if os.path.isabs(path):
        return path
    if isinstance(folder, int) and folder >= 0:
        return os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
    return os.path.join(os.getcwd(), path)


def _followed(path: str) -> str:
    """The file behind a name of a descriptor; a pipe keeps it."""
    number = _STANDARD.get(path) or path.rpartition("/")[2]
    try:
        target = os.readlink(f"/proc/self/fd/{int(number)}")
    except (OSError, ValueError):
        return path
    return target if target.startswith("/") else path


def stat_of(path: Any) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None


def _lstat(path: str | None) -> os.stat_result | None:
    try:
        return None if path is None else os.lstat(path)
    except (OSError, ValueError):
        return None


def working_folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _search(program: str) -> str | None:
    for folder in os.get_exec_path():
        path = os.path.join(folder, program)
        if os.access(path, os.X_OK):
            return path
    return None


def _tells_itself(path: str, argv: list[str], environ: object) -> bool:
    """Whether a program is a Python that will import this file, too."""
    name = os.path.basename(path)
    if not name.startswith(("python", "pypy")) and not path.endswith(".py"):
        return False
    if any(word in _BLIND for word in argv[1:3]):
        return False
    if environ is None:
        return True
    try:
        return "VESTIGE_EVENTS" in environ or b"VESTIGE_EVENTS" in environ  # type: ignore[operator]
    except TypeError:
        return True


def _command_line() -> list[str]:
    try:
        with open("/proc/self/cmdline", "rb") as file:
            return [os.fsdecode(word) for word in file.read().split(b"\0")[:-1]]
    except OSError:
        return [sys.executable]


def program_name() -> str:
    return os.path.basename(sys.executable or "python")[:15]


def _now() -> int:
    """Microseconds since the host was booted."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
    return time.monotonic_ns() // 1000


def _five(found: os.stat_result) -> str:
    return f"[{found.st_size},{found.st_mtime_ns},{found.st_ctime_ns},{found.st_ino},{found.st_dev}]"


def words_of(argv: list[str]) -> str:
    return "[" + ",".join(_quoted(word.encode("utf-8", "replace").decode("utf-8")) for word in argv) + "]"


def _field(path: str | None) -> str:
    """A path in its place: bytes that are not UTF-8 percent-encoded after a `%`."""
    if path is None:
        return "null"
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        data = path.encode("utf-8", "surrogateescape")
        path = "%" + "".join(chr(byte) if 32 < byte < 127 and byte != 37 else f"%{byte:02X}" for byte in data)
    else:
        if path.startswith("%"):
            path = "%" + path.replace("%", "%25")
    return _quoted(path)


def begin() -> None:
    """Install the hook, if a journal is named."""
    path = os.environ.get("VESTIGE_EVENTS")
    if not path:
        return
    try:
        hook = Hook(Journal(path))
        hook.announce()
        sys.addaudithook(hook)
    except Exception:  # an old Python, a journal that is gone: nothing can be told
        pass
