"""Follows a journal event by event, and knows at any time which files the run has read and written.

Nothing here looks at a file system, a clock or a process: a callable tells where links lead, two more, at the end, what is
there and which digests are known. Events come in the order of the journal. An event may tell of a call
that failed; what is concluded from it is checked against later signatures and against the end.
"""

from __future__ import annotations

import os

from vestige.model.values import NamedTuple
from vestige.observe import declared, lifecycle, listings
from vestige.observe.conclusion import Clock, Conclusion, Execution, Final, Known, OfDirectory, Sight
from vestige.observe.interface import Event, Stat
from vestige.observe.judge import Judge
from vestige.observe.lifecycle import File, Folder, Link, Names
from vestige.observe.paths import NOTHING, Paths
from vestige.observe.processes import Processes
from vestige.observe.roles import Placed, Rules, Setting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_O_CREAT, _O_EXCL, _O_TRUNC, _O_APPEND = os.O_CREAT, os.O_EXCL, os.O_TRUNC, os.O_APPEND
_O_ACCMODE = os.O_RDONLY | os.O_WRONLY | os.O_RDWR
_O_TMPFILE = getattr(os, "O_TMPFILE", 0)
_O_PATH = getattr(os, "O_PATH", 0)
_MADE_NEW = _O_CREAT | _O_EXCL

_EXCHANGE, _FOLDER, _NOREPLACE = 1, 2, 4
_OWN = 1  # of a connection: to a process of the run itself
_SIGHTS = 100_000  # names that were looked for, folders, endpoints: of each kind, no more are remembered
_LATEST = 1e11  # seconds since the epoch: no clock says more, nor that it is no number


class Wanted(NamedTuple):
    """A file that was read, under the name it has now; its signature when it was read (None: not known)."""

    path: str
    signature: Stat | None


class Written(NamedTuple):
    """A file that was written or given another name, under the name it has now, and every process that opened it to write."""

    path: str
    pids: tuple[int, ...]


class Follower:
    """The life of every file of a run, from its journal."""

    def __init__(
        self,
        setting: Setting,
        readlink: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        """`readlink`: the text of a symbolic link, None for anything else; asked once a path, and once a folder on the way to
        one, and again after the run has changed folders or links, so it need remember nothing."""
        self._setting = setting
        self._rules = Rules(setting)
        self._names = Names()
        self._paths = Paths(self._names, self._rules, readlink)
        self._processes = Processes()
        self._roles: dict[str, Placed] = {}
        self._executed: set[str] = set()
        self._wanted: dict[int, File] = {}
        self._dirty: dict[int, File] = {}
        self._asked: dict[str, tuple[int, int, set[int]]] = {}
        self._absent: dict[str, tuple[int, int, set[int]]] = {}
        self._listings: dict[str, tuple[int, int, set[int]]] = {}
        self._looks: dict[str, set[listings.Look]] = {}
        self._listed: list[str] = []
        self._network: dict[str, tuple[int, int, set[int]]] = {}
        self._gaps: dict[str, None] = {}
        self._events = 0
        self._clock: Clock | None = None
        self._status: int | None = None
        self._ended: int | None = None
        self._on: dict[str, Callable[[Event], None]] = {
            "v": self._version, "p": self._processes.seen, "x": self._execute, "r": self._read, "w": self._write,
            "t": self._truncate, "m": self._rename, "l": self._hard_link, "s": self._symbolic_link, "u": self._unlink,
            "k": self._make_folder, "d": self._list, "a": self._miss, "q": self._ask, "h": self._hashed, "i": self._inherit,
            "n": self._unused, "c": self._connect, "g": self._gap, "e": self._end,
        }  # fmt: skip

    def feed(self, event: Event) -> None:
        """Take in the next event of the journal."""
        self._events += 1
        on = self._on.get(event[0])
        if on is not None:
            on(event)

    def wanted(self) -> list[Wanted]:
        """The files read since the last call that must be hashed as inputs; not those that the run made."""
        files, self._wanted = self._wanted, {}
        return [Wanted(file.names[0], file.before) for file in files.values() if file.names]

    def written(self) -> list[Written]:
        """The files written, or given another name, since the last call."""
        files, self._dirty = self._dirty, {}
        return [Written(name, self._processes.pids(file.writers)) for file in files.values() for name in file.names]

    def mappable(self) -> list[tuple[str, Stat]]:
        """The files that were open for reading and writing where they lay, and what they looked like before: who writes them
        through a mapping may leave that as it was."""
        return [
            (file.names[0], file.before)
            for file in self._names.files
            if file.names and file.before is not None and file.state & lifecycle.UPDATED
        ]

    def listed(self) -> list[str]:
        """The folders listed for the first time since the last call."""
        folders, self._listed = self._listed, []
        return folders

    def content(self, folder: str, names: Iterable[str] | None) -> listings.Content:
        """What was in a folder before the run changed it; `names` are there now, or were at some moment of the run."""
        return listings.content(folder, names, self._names)

    def executions(self, since: int = 0) -> tuple[Execution, ...]:
        """The programs that were started, from the `since`th on."""
        return tuple(self._processes.executions[since:])

    def conclude(
        self,
        final: Final,
        digest: Known,
        *,
        setting: Setting | None = None,
        of_directory: OfDirectory | None = None,
    ) -> Conclusion:
        """What the events so far come to. `setting` replaces the one that the follower began with.

        `final` and `digest` may be asked in any order, about any name of the run, each name and signature about once.
        """
        roles = self._roles if setting in (None, self._setting) else {}
        setting = setting or self._setting
        setting = setting._replace(executed=setting.executed | self._executed)
        judge = Judge(self._names, Rules(setting), roles, self._clock, final, digest, of_directory)
        judge.judge()
        used = {use.path for uses in (judge.inputs, judge.outputs, judge.software) for use in uses}
        return Conclusion(
            inputs=tuple(judge.inputs),
            outputs=tuple(judge.outputs),
            software=tuple(judge.software),
            processes=tuple(self._processes.all),
            executions=tuple(self._processes.executions),
            absent=_sights({path: sight for path, sight in self._absent.items() if not self._made(path)}),
            asked=_sights({path: sight for path, sight in self._asked.items() if path not in used and not self._made(path)}),
            listings=self._depended_on(setting),
            network=_sights(self._network),
            gaps=tuple(self._gaps),
            hidden=tuple(judge.hidden),
            dropped=tuple(sorted(self._paths.dropped.items())),
            versions_read="versions" in self._paths.dropped,
            events=self._events,
            clock=self._clock,
            status=self._status,
            ended=self._ended,
        )

    # -- files -------------------------------------------------------------------------------------------------------

    def _read(self, event: Event) -> None:
        _, seq, pid, path, _, flags, signature, _ = event
        if path is None or flags & _O_PATH:
            return
        process = self._processes.position(pid)
        name = self._paths.lead(path, seq, process)
        if name is not NOTHING:
            self._take(name, signature, lifecycle.READ, seq, process)

    def _take(self, name: str, signature: Stat | None, how: int, seq: int, process: int) -> None:
        """The file is read, if what is in it was there before the run."""
        file = self._names.find(name, signature)
        if file.origin is None:
            return
        if file.state & lifecycle.TRUNCATED and signature != file.before:
            return
        if not file.state & how:
            file.state |= how
            if self._role(name) not in ("library", "system"):
                if not file.state & lifecycle.WRITING:
                    self._wanted[id(file)] = file
                if name.endswith(".pyc"):
                    self._imply(name, seq, process)
        file.read(seq, process)

    def _imply(self, name: str, seq: int, process: int) -> None:
        """Bytecode stands for its source, which Python only looks at and does not open."""
        folder, _, last = name.rpartition("/")
        cached = folder.endswith("/__pycache__")
        source = f"{folder[:-12]}/{last.partition('.')[0]}.py" if cached else name[:-1]
        file = self._names.at.get(source)
        if source in self._names.links or (file is not None and (file.origin is None or file.state & lifecycle.WRITING)):
            return
        self._take(source, None, lifecycle.IMPLIED, seq, process)

    def _write(self, event: Event) -> None:
        _, seq, pid, path, _, flags, signature, _ = event
        if path is None or (_O_TMPFILE and flags & _O_TMPFILE == _O_TMPFILE):
            return
        name = self._paths.lead(path, seq, self._processes.position(pid), noting=False, made=signature is None)
        if name is NOTHING:
            return
        if not pid and self._is_told(name, signature):
            return
        if signature is None:
            if not flags & _O_CREAT:
                self._see(self._absent, name, seq, pid)
                return
            file = self._names.making(name) or self._names.create(name)
        elif flags & _MADE_NEW == _MADE_NEW:
            return
        else:
            file = self._names.find(name, signature)
            if file.origin is not None:
                self._overwrite(file, flags, signature)
        self._written(file, seq, pid)

    def _overwrite(self, file: File, flags: int, signature: Stat) -> None:
        if file.state & lifecycle.TRUNCATED and signature != file.before:
            return
        mode = flags & _O_ACCMODE
        if flags & _O_TRUNC:
            file.state |= lifecycle.TRUNCATED
            return
        if mode == os.O_RDWR:
            file.state |= lifecycle.UPDATED
            file.updates += 1
        if flags & _O_APPEND:
            file.state |= lifecycle.APPENDED
        elif mode == os.O_WRONLY:
            file.state |= lifecycle.OVERLAID

    def _truncate(self, event: Event) -> None:
        _, seq, pid, path, _, _, signature, _ = event
        if path is None or signature is None:
            return
        name = self._paths.lead(path, seq, self._processes.position(pid), noting=False)
        if name is NOTHING:
            return
        file = self._names.find(name, signature)
        if file.origin is not None and not (file.state & lifecycle.TRUNCATED and signature != file.before):
            file.state |= lifecycle.OVERLAID
        self._written(file, seq, pid)

    def _hashed(self, event: Event) -> None:
        _, seq, pid, path, _, flags, signature, text = event
        if path is None or signature is None:
            return
        name = self._paths.lead(path, seq, self._processes.position(pid), noting=False)
        if name is NOTHING:
            return
        file = self._names.find(name, signature)
        if file.origin is not None and signature == file.before:
            file.digest = text or file.digest
            file.kept = file.kept or bool(flags & 1)

    def _inherit(self, event: Event) -> None:
        _, seq, pid, path, _, flags, signature, text = event
        if path is None or signature is None:
            return
        name = self._paths.lead(path, seq, self._processes.position(pid))
        if name is NOTHING:
            return
        mode = flags & _O_ACCMODE
        if mode == os.O_RDONLY:
            self._take(name, signature, lifecycle.READ, seq, self._processes.position(pid))
            return
        file = self._names.find(name, signature)
        if mode == os.O_WRONLY and not flags & _O_APPEND:
            # A shell's `>` leaves no trace in the flags of the descriptor, but an empty file. Where it is not empty, an
            # earlier command of the same redirection has written, and we go on after it.
            if signature.size == 0:
                file.state |= lifecycle.EMPTIED | (lifecycle.STDOUT if text == "1" else 0)
                flags |= _O_TRUNC
            else:
                flags |= _O_APPEND
        self._overwrite(file, flags, signature)
        self._written(file, seq, pid)

    def _unused(self, event: Event) -> None:
        """An inherited descriptor stands where it stood: it was not read. (Whoever read the file by name has another.)

        Or a file that was opened for reading and writing, so many times, is emptied by who has not read it.
        """
        name = self._paths.lead(event.path, event.seq, self._processes.position(event.pid)) if event.path else NOTHING
        file = self._names.at.get(name)
        if file is not None and event.flags:
            file.updates -= event.flags
            if file.updates <= 0:
                file.state &= ~lifecycle.UPDATED
        elif file is not None and file.first_read == file.last_read:
            file.state &= ~lifecycle.READ
            self._wanted.pop(id(file), None)

    # -- names -------------------------------------------------------------------------------------------------------

    def _rename(self, event: Event) -> None:
        _, seq, pid, path, other, flags, signature, text = event
        old, new = self._paths.name(path), self._paths.name(other)
        names = self._names
        if old == new or (flags & _NOREPLACE and text is not None):
            return
        if NOTHING in (old, new):
            self._rename_across(old, new, seq, pid)
            return
        if signature is None and not flags & _FOLDER and old not in names.at and old not in names.links:
            return
        if flags & _FOLDER or old in names.links or new in names.links:
            self._paths.forget()
        if flags & _EXCHANGE:
            self._appear(new, _stat(text))
            self._appear(old, signature)
            touched = [file for name in (old, new) if (file := names.at.get(name)) is not None]
            names.exchange(old, new)
            for file in touched:
                self._written(file, seq, pid)
            return
        if not flags & _FOLDER:
            if text is None:
                names.vacate(new)
            self._appear(new, _stat(text))
            self._appear(old, signature, new)
        names.move(old, new)
        if flags & _FOLDER:
            for name in names.below(new):
                if (file := names.at.get(name)) is not None:
                    self._written(file, seq, pid)
        elif (file := names.at.get(new)) is not None:
            self._written(file, seq, pid)
        elif (link := names.links.get(new)) is not None:
            link.touch(seq, self._processes.position(pid))

    def _rename_across(self, old: str, new: str, seq: int, pid: int) -> None:
        """A renaming from, or to, where no file is a file of the run."""
        if new is not NOTHING:
            self._written(self._names.create(new), seq, pid)
        else:
            self._names.unlink(old)

    def _appear(self, name: str, signature: Stat | None, later: str | None = None) -> None:
        """A name of which only a signature is known is about to lead elsewhere; `later` is where."""
        if signature is None or name in self._names.links:
            return
        if name not in self._names.at and not self._paths.is_plain(name):
            text = self._paths.readlink(later) if later is not None else None
            if text is None:
                text = self._paths.readlink(name)
            if text is not None and len(os.fsencode(text)) == signature.size:
                self._names.add_link(name, Link(text, born=False))
                return
        self._names.find(name, signature)

    def _hard_link(self, event: Event) -> None:
        _, seq, pid, path, other, _, signature, _ = event
        new = self._paths.name(other)
        if path is None or new is NOTHING or new in self._names.at or new in self._names.links:
            return
        old = self._paths.name(path)
        if old is not NOTHING and (signature is not None or old in self._names.at):
            self._appear(old, signature)
            if old in self._names.links:
                link = Link(self._names.links[old].text, born=True)
                link.touch(seq, self._processes.position(pid))
                self._names.add_link(new, link)
                return
            file = self._names.find(old, signature)
            self._names.link(new, file)
        else:
            file = self._names.create(new)  # a file that had no name: O_TMPFILE
        self._written(file, seq, pid)

    def _symbolic_link(self, event: Event) -> None:
        _, seq, pid, path, other, _, _, _ = event
        name = self._paths.name(path)
        if name is NOTHING or other is None or name in self._names.at or name in self._names.links:
            return
        self._paths.made_link(name)
        link = Link(other, born=True)
        link.touch(seq, self._processes.position(pid))
        self._names.add_link(name, link)

    def _unlink(self, event: Event) -> None:
        name = self._paths.name(event.path)
        if name is NOTHING:
            return
        names = self._names
        if name in names.links:
            self._paths.forget()
        elif not event.pid and self._is_told(name, event.signature):
            return
        elif not event.flags & 1 and event.signature is not None:
            names.find(name, event.signature)
        names.unlink(name)

    def _make_folder(self, event: Event) -> None:
        _, seq, pid, path, _, _, signature, _ = event
        name = self._paths.name(path)
        if name is not NOTHING and signature is None:
            self._names.add_folder(name, Folder(seq, self._processes.position(pid)))

    def _execute(self, event: Event) -> None:
        _, seq, pid, path, cwd, _, signature, _ = event
        if path is None or signature is None:
            return
        name = self._paths.lead(path, seq, self._processes.position(pid))
        # The name by which it was called, links not followed: a virtual environment's python is known by its own only.
        execution = self._processes.executed(event, self._paths.name(path) or path)
        if name is not NOTHING:
            self._executed.add(name)
            self._take(name, signature, lifecycle.EXECUTED, seq, execution.process)
        script = declared.recognise(execution.argv).script
        if script is not None and cwd is not None:
            self._executed.add(self._paths.name(os.path.join(cwd, script)))

    # -- what is no file ---------------------------------------------------------------------------------------------

    def _list(self, event: Event) -> None:
        name = self._paths.name(event.path)
        if name is not NOTHING and name not in self._names.folders and self._role(name) not in ("library", "system"):
            if name not in self._listings:
                self._listed.append(name)
            self._see(self._listings, name, event.seq, event.pid)
            process, relative = self._processes.position(event.pid), (event.path or "").endswith(("/.", "/"))
            self._looks.setdefault(name, set()).add(listings.Look(process, relative, bool(event.flags), event.seq))

    def _depended_on(self, setting: Setting) -> tuple[Sight, ...]:
        found = listings.depended_on(self._looks, self._processes.all, self._names, setting)
        sights = _sights({path: sight for path, sight in self._listings.items() if path in found})
        return tuple(sight._replace(like=found[sight.what].like, search=found[sight.what].search) for sight in sights)

    def _miss(self, event: Event) -> None:
        name = self._paths.name(event.path)
        if name is NOTHING or (len(self._absent) >= _SIGHTS and name not in self._absent):
            return
        if self._role(name) not in ("library", "system", "cache"):
            self._see(self._absent, name, event.seq, event.pid)

    def _ask(self, event: Event) -> None:
        process = self._processes.position(event.pid)
        name = self._paths.lead(event.path, event.seq, process, noting=False) if event.path else NOTHING
        if name is not NOTHING and self._role(name) not in ("library", "system", "cache"):
            self._see(self._asked, name, event.seq, event.pid)

    def _connect(self, event: Event) -> None:
        if event.text is not None and not event.flags & _OWN:
            self._see(self._network, event.text, event.seq, event.pid)

    def _gap(self, event: Event) -> None:
        if event.text is not None:
            self._gaps[event.text] = None

    def _version(self, event: Event) -> None:
        try:
            wall = float(event.text or "")
        except ValueError:
            return
        if 0 <= wall < _LATEST:
            self._clock = Clock(event.seq, wall)

    def _end(self, event: Event) -> None:
        self._status, self._ended = event.flags, event.seq

    # -- small things ------------------------------------------------------------------------------------------------

    def _role(self, name: str) -> Placed:
        place = self._roles.get(name)
        if place is None:
            place = self._roles[name] = self._rules.role(name)
        return place

    def _is_told(self, name: str, signature: Stat | None) -> bool:
        """Whether what a comparison of folders found is known already, from whoever did it."""
        file = self._names.at.get(name)
        if file is None:
            return name in self._names.first or name in self._names.links
        return file.origin is None or bool(file.state & lifecycle.WRITING) or file.before != signature

    def _made(self, name: str) -> bool:
        file = self._names.at.get(name)
        return file is not None and file.origin is None

    def _written(self, file: File, seq: int, pid: int) -> None:
        file.write(seq, self._processes.position(pid))
        self._dirty[id(file)] = file

    def _see(self, where: dict[str, tuple[int, int, set[int]]], what: str, seq: int, pid: int) -> None:
        known = where.get(what)
        if known is None and len(where) >= _SIGHTS:
            return
        first, _, by = known or (seq, seq, set())
        by.add(self._processes.position(pid))
        where[what] = (first, seq, by)


def _sights(where: dict[str, tuple[int, int, set[int]]]) -> tuple[Sight, ...]:
    return tuple(
        Sight(what, first, last, tuple(sorted(one for one in by if one >= 0)))
        for what, (first, last, by) in sorted(where.items())
    )


def _stat(text: str | None) -> Stat | None:
    """The signature in the text of a renaming."""
    if text is None:
        return None
    try:
        size, mtime, ctime, inode, device = text.strip("[] ").split(",")
        return Stat(int(size), int(mtime), int(ctime), int(inode), int(device))
    except ValueError:
        return None
