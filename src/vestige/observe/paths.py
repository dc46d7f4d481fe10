"""From a path as a program named it to the one canonical name of the file that it leads to."""

from __future__ import annotations

import os

from vestige.observe.lifecycle import Link, Names
from vestige.observe.roles import Rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: The name of what is no file of the run.
NOTHING = ""
_MOST_LINKS = 40  # in one path, as the kernel has it
#: Names of each kind that are remembered, lest a run of very many files takes very much memory.
_REMEMBERED = 20_000


class Paths:
    """Canonical names, remembered. Links that the run made are followed as they were then; of others `readlink` tells."""

    def __init__(self, names: Names, rules: Rules, readlink: Callable[[str], str | None]) -> None:
        self.readlink = readlink
        self.dropped: dict[str, int] = {}
        self._names = names
        self._rules = rules
        self._led: dict[str, str] = {}
        self._reached: dict[str, str] = {}  # the same, where links were not noted
        self._named: dict[str, str] = {}
        self._folders: dict[str, str] = {}
        self._plain: set[str] = set()  # names that are known to be no links

    def lead(self, path: str, seq: int, process: int, *, noting: bool = True, made: bool = False) -> str:
        """The name of the file that a path leads to. Links of before the run are noted as used, if `noting`.

        Of a path where the file is only being `made` it is not asked whether it is a link.
        """
        led = self._led if noting else self._reached
        name = led.get(path)
        if name is not None:
            return name
        name = self._canonical(path)
        if name is not NOTHING and (link := self._link(name, ask=not made)) is not None:
            name = self._through(name, link, seq, process, noting=noting, made=made)
        self._plain.add(name)
        _remember(led, path, name)
        return name

    def _through(self, name: str, link: Link, seq: int, process: int, *, noting: bool, made: bool) -> str:
        """Where a link, or a chain of them, leads."""
        used = [link]
        while len(used) <= _MOST_LINKS:
            name = self.name(os.path.join(name.rpartition("/")[0] or "/", used[-1].text))
            if name is NOTHING:
                return name
            following = self._link(name, ask=not made)
            if following is None:
                break
            used.append(following)
        else:
            return NOTHING
        for one in used:
            if noting and not one.born:
                one.used = True
                one.touch(seq, process)
        return name

    def name(self, path: str | None) -> str:
        """The canonical name of a path, whose last part may be a link."""
        if path is None:
            return NOTHING
        name = self._named.get(path)
        if name is None:
            name = self._canonical(path)
            _remember(self._named, path, name)
        return name

    def _canonical(self, path: str) -> str:
        folder, _, last = path.rpartition("/")
        if last in ("", ".", ".."):
            name = self._folder(path)
        else:
            real = self._folder(folder)
            name = f"{real}/{last}" if real != "/" else "/" + last
        reason = self._rules.dropped(name)
        if reason is not None:
            self.dropped[reason] = self.dropped.get(reason, 0) + 1
            return NOTHING
        return name

    def is_plain(self, name: str) -> bool:
        """Whether a name is known to be no link."""
        return name in self._plain

    def made_link(self, name: str) -> None:
        """The run makes a link at this name: what has led to it, or through it, must be asked anew."""
        if name in self._plain or self._names.holds(name):
            self._plain.discard(name)
            self.forget()

    def forget(self) -> None:
        """A folder or a link has changed."""
        self._led.clear()
        self._reached.clear()
        self._named.clear()
        self._folders.clear()

    def _link(self, name: str, *, ask: bool) -> Link | None:
        link = self._names.links.get(name)
        if link is None and ask and name not in self._plain and name not in self._names.at:
            text = self.readlink(name)
            if text is not None:
                link = Link(text, born=False)
                self._names.add_link(name, link)
        return link

    def _folder(self, folder: str, depth: int = 0) -> str:
        """Where a folder is, every link on the way to it followed; each level is asked about once."""
        unknown = []
        while folder and folder not in self._folders:
            unknown.append(folder)
            folder = folder.rpartition("/")[0]
        real = self._folders[folder] if folder else "/"
        for level in reversed(unknown):
            real = self._folders[level] = self._step(real, level.rpartition("/")[2], depth)
        return real

    def _step(self, above: str, last: str, depth: int) -> str:
        """Where a folder's entry leads; `above` is canonical."""
        if last in ("", "."):
            return above
        if last == "..":
            return above.rpartition("/")[0] or "/"
        name = f"{above}/{last}" if above != "/" else "/" + last
        link = self._names.links.get(name)
        text = link.text if link is not None else None if name in self._plain else self.readlink(name)
        if text is None or depth >= _MOST_LINKS:
            return name
        return self._folder(os.path.join(above, text), depth + 1)


def _remember(where: dict[str, str], path: str, name: str) -> None:
    if len(where) >= _REMEMBERED:
        where.clear()
    where[path] = name
