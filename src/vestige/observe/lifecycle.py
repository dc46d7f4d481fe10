"""Which file stands under which name at each point of a journal: identity through renames, links and removals.

A *file* here is what an inode is to a kernel, as far as the journal shows it. Events are written before the call that
they tell of, so some tell of calls that failed. Signatures put that right: when a name turns out to lead to another
inode than it should, what the signature says is believed.
"""

from __future__ import annotations

from vestige.observe.interface import Stat

# What a run did to a file, as bits of `File.state`.
READ = 1  # the content that was there before the run was read
EXECUTED = 2
IMPLIED = 4  # not opened, but what was read was made from it (bytecode)
UPDATED = 8  # opened for reading and writing, not truncated
OVERLAID = 16  # opened for writing, not truncated; or truncate(2)
APPENDED = 32
TRUNCATED = 64
REMOVED = 128  # unlinked or renamed away from where it lay when the run began
EMPTIED = 256  # by the shell, for this run: what lay there before is not known
STDOUT = 512  # the run's standard output: an output even if nothing was written

WRITING = UPDATED | OVERLAID | APPENDED | TRUNCATED


class File:
    """One file. `origin` is where it lay when the run began, `before` its signature then; both None if the run made it."""

    # Most files are only read: what they do not need stays with the class.
    identity: tuple[int, int] | None = None
    state = 0
    digest: str | None = None
    kept = False
    #: how many times it was opened for reading and writing
    updates = 0
    first_read = last_read = first_write = last_write = 0
    readers: set[int] | None = None
    writers: set[int] | None = None
    #: names that were given to it by link(2)
    linked: frozenset[str] = frozenset()
    #: the names before and after its last rename, and what lay under the new one
    was: str | None = None
    became: str | None = None
    displaced: File | None = None
    #: the last name that it lost
    gone: str | None = None

    def __init__(self, origin: str | None, before: Stat | None) -> None:
        self.origin = origin
        self.before = before
        self.names: list[str] = []

    def read(self, seq: int, process: int) -> None:
        self.first_read = self.first_read or seq
        self.last_read = seq
        if self.readers is None:
            self.readers = {process}
        else:
            self.readers.add(process)

    def write(self, seq: int, process: int) -> None:
        self.first_write = self.first_write or seq
        self.last_write = seq
        if self.writers is None:
            self.writers = {process}
        else:
            self.writers.add(process)


class Link:
    """A symbolic link, and whether the run made it."""

    __slots__ = ("born", "by", "first", "last", "text", "used")

    def __init__(self, text: str, *, born: bool) -> None:
        self.text = text
        self.born = born
        self.used = False
        self.first = self.last = 0
        self.by: set[int] = set()

    def touch(self, seq: int, process: int) -> None:
        self.first = self.first or seq
        self.last = seq
        self.by.add(process)


class Folder:
    """A folder that the run made."""

    __slots__ = ("by", "seq")

    def __init__(self, seq: int, process: int) -> None:
        self.seq = seq
        self.by = process


class Names:
    """Every name that the run has used, and what it leads to now."""

    def __init__(self) -> None:
        self.files: list[File] = []
        self.at: dict[str, File] = {}
        #: what lay under a name when the run began
        self.first: dict[str, File] = {}
        self.links: dict[str, Link] = {}
        self.folders: dict[str, Folder] = {}
        self._by_identity: dict[tuple[int, int], File] = {}
        self._left: dict[str, File] = {}  # what led a name last, of those that it leads to no more
        self._inside: dict[str, set[str]] = {}

    def find(self, name: str, signature: Stat | None) -> File:
        """The file at a name that is known to be there; one not seen before was there when the run began."""
        file = self.at.get(name)
        if signature is None:
            return file or self._discover(name, None)
        identity = (signature[4], signature[3])
        if file is not None:
            if file.identity == identity:
                return file
            if file.identity is None:
                if file.before is None and file.origin is not None:
                    file.before = signature
                self._identify(file, identity)
                return file
            if (restored := self._restore(name, file, signature)) is not None:
                return restored
            other = self._by_identity.get(identity)
            if other is None and _same_under_another_number(file, signature):
                self._identify(file, identity)
                return file
            self.detach(name)
            if other is not None and other.names:
                return self._again(name, other)
            return self._discover(name, signature)
        other = self._by_identity.get(identity)
        if other is not None and other.names:
            return self._again(name, other)
        return self._restore(name, None, signature) or self._discover(name, signature)

    def create(self, name: str) -> File:
        """A file that the run makes at a name where nothing is."""
        self.vacate(name)
        file = File(None, None)
        self.files.append(file)
        return self._attach(name, file)

    def making(self, name: str) -> File | None:
        """The file that another is just making at a name: two that create it at once see both that nothing is there."""
        file = self.at.get(name)
        return file if file is not None and file.origin is None and file.identity is None and file.was is None else None

    def vacate(self, name: str) -> None:
        """Nothing is at a name, as the event before a call says. A file that was renamed to it is still where it was."""
        file = self.at.get(name)
        if file is not None and file.became == name and file.was is not None and file.was not in self.at:
            self._undo_rename(file, name, file.was)
        else:
            self.detach(name)

    def detach(self, name: str) -> None:
        """The name leads to nothing any more."""
        file = self.at.pop(name, None)
        if file is None:
            return
        file.names.remove(name)
        file.gone = name
        self._left[name] = file
        if file.origin == name:
            file.state |= REMOVED
        if not file.names and file.identity is not None and self._by_identity.get(file.identity) is file:
            del self._by_identity[file.identity]
        self._forget(name)

    def link(self, name: str, file: File) -> None:
        """A second name for a file."""
        self._attach(name, file)
        file.linked |= {name}

    def unlink(self, name: str) -> None:
        """The name is removed, whatever it led to."""
        if name in self.at:
            self.detach(name)
        elif name in self.links:
            del self.links[name]
            self._forget(name)
        elif self.folders.pop(name, None) is not None:
            self._forget(name)

    def add_link(self, name: str, link: Link) -> None:
        self.links[name] = link
        self._remember(name)

    def add_folder(self, name: str, folder: Folder) -> None:
        self.folders[name] = folder
        self._remember(name)

    def move(self, old: str, new: str) -> None:
        """Everything under `old` stands under `new` from now on; what stood there is gone."""
        displaced = self.at.get(new)
        if new not in self._inside:
            self.unlink(new)
        moving = [old, *self.below(old)]
        for name in moving:
            self._inside.pop(name, None)
        for name in moving:
            self._move_one(name, new + name[len(old) :])
        if (file := self.at.get(new)) is not None:
            file.displaced = displaced

    def exchange(self, one: str, other: str) -> None:
        """renameat2(2) with RENAME_EXCHANGE: each takes the other's name."""
        aside = one + "\0"  # a name that no file can have
        self.move(one, aside)
        self.move(other, one)
        self.move(aside, other)

    def give_back(self, name: str, was: str) -> None:
        """The renaming from `was` to `name` has failed."""
        self._undo_rename(self.at[name], name, was)

    def stay(self, file: File, name: str) -> None:
        """Its removal from this name has failed."""
        if file.origin == name:
            file.state &= ~REMOVED
        self._attach(name, file)
        if file.identity is not None:
            self._by_identity[file.identity] = file

    def below(self, folder: str) -> list[str]:
        """Every name inside of a folder that has been seen, outer ones first."""
        found = [folder]
        for name in found:
            found.extend(self._inside.get(name, ()))
        return found[1:]

    def holds(self, folder: str) -> bool:
        """Whether names inside of this folder have been seen."""
        return folder in self._inside

    def _move_one(self, old: str, new: str) -> None:
        file = self.at.pop(old, None)
        if file is not None:
            self._forget(old)
            file.names.remove(old)
            if file.origin == old:
                file.state |= REMOVED
            elif file.origin == new:
                file.state &= ~REMOVED
            if not old.endswith("\0"):
                file.was, file.became, file.displaced = old, new, None
            self.detach(new)
            self._attach(new, file)
        elif old in self.links:
            self._forget(old)
            link = self.links.pop(old)
            link.born = True
            self.add_link(new, link)
        elif old in self.folders:
            self._forget(old)
            self.add_folder(new, self.folders.pop(old))

    def _restore(self, name: str, file: File | None, signature: Stat) -> File | None:
        """What lay at a name before, if the signature says that it never left: its removal, or the renaming of `file` over it,
        has failed."""
        identity = (signature[4], signature[3])
        before = self._left.get(name)
        if before is None or before is file or before.identity != identity or before.names:
            before = self.first.get(name)
            if before is None or before is file or before.before != signature:
                return None
        if file is not None and file.became == name and file.was is not None and file.was not in self.at:
            self._undo_rename(file, name, file.was)
        else:
            self.detach(name)
        self.stay(before, name)
        self._identify(before, identity)
        return before

    def _undo_rename(self, file: File, name: str, was: str) -> None:
        self.detach(name)
        if file.displaced is not None:
            self._left[name] = file.displaced
        file.was = file.became = file.displaced = None
        self.stay(file, was)

    def _again(self, name: str, file: File) -> File:
        """A name of a file that is known by another: a hard link from before the run, or a rename that failed."""
        if file.was == name and file.became is not None and self.at.get(file.became) is file:
            self._undo_rename(file, file.became, name)
            return file
        if file.origin is not None:
            self.first.setdefault(name, file)
        return self._attach(name, file)

    def _attach(self, name: str, file: File) -> File:
        self.at[name] = file
        file.names.append(name)
        self._remember(name)
        return file

    def _discover(self, name: str, signature: Stat | None) -> File:
        file = File(name, signature)
        self.files.append(file)
        self.first.setdefault(name, file)
        if signature is not None:
            self._identify(file, (signature[4], signature[3]))
        return self._attach(name, file)

    def _identify(self, file: File, identity: tuple[int, int]) -> None:
        file.identity = identity
        self._by_identity[identity] = file

    def _remember(self, name: str) -> None:
        while name:
            folder = name.rpartition("/")[0]
            inside = self._inside.get(folder)
            if inside is not None:
                inside.add(name)
                return
            self._inside[folder] = {name}
            name = folder

    def _forget(self, name: str) -> None:
        if name not in self._inside and (inside := self._inside.get(name.rpartition("/")[0])) is not None:
            inside.discard(name)


def _same_under_another_number(file: File, signature: Stat) -> bool:
    """Overlay and network file systems may number a file anew, when it is copied up or looked up again."""
    if file.origin is None or file.state & WRITING:
        return True
    return file.before is not None and file.before[:2] == signature[:2]
