"""From names and files to uses: the last step, which asks what the file system and the known digests say at the end."""

from __future__ import annotations

from vestige.observe import lifecycle
from vestige.observe.conclusion import Access, Clock, Final, Hidden, Known, ObservedUse, OfDirectory
from vestige.observe.directories import directories
from vestige.observe.interface import Stat
from vestige.observe.lifecycle import File, Link, Names
from vestige.observe.roles import Placed, Rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_TICK = 20_000_000  # nanoseconds within which two writes may leave the same time on a file


class Judge:
    """Turns what is known of names and files into uses, with what a file system and a store of digests say at the end."""

    def __init__(
        self,
        names: Names,
        rules: Rules,
        roles: Mapping[str, Placed],
        clock: Clock | None,
        final: Final,
        digest: Known,
        of_directory: OfDirectory | None,
    ) -> None:
        """`roles`: those that are known already of names that were only read; they may lack any."""
        self._names = names
        self._rules = rules
        self._roles = roles
        self._clock = clock
        self._ask = final
        self._digest = digest
        self._of_directory = of_directory
        self._finals: dict[str, Stat | None] = {}
        self.inputs: list[ObservedUse] = []
        self.outputs: list[ObservedUse] = []
        self.software: list[ObservedUse] = []
        self.hidden: list[Hidden] = []

    def judge(self) -> None:
        """Fill the lists above."""
        for file in self._names.files:
            self._undo_failed_rename(file)
        for file in reversed(self._names.files):  # a number may have been given out again: the last to bear it has it
            self._undo_failed_removal(file)
        for file in self._names.files:
            written, changed = self._outputs_of(file)
            read = file.origin is not None and self._input_of(file, file.origin, changed=changed)
            if not (written or read):
                self._hide(file)
        for name, link in self._names.links.items():
            self._link(name, link)
        self.outputs += directories(self.outputs, self._names.folders, self._of_directory)
        for uses in (self.inputs, self.outputs, self.software):
            uses[:] = [use for use in uses if use.role != "drop"]
            uses.sort(key=lambda use: (use.first, use.path))

    # -- outputs -----------------------------------------------------------------------------------------------------

    def _outputs_of(self, file: File) -> tuple[bool, bool]:
        """List the file under the names where it is something new: whether there is one, and whether its content is new."""
        changed = listed = False
        for name in sorted(file.names):
            new = self._is_new(file, name)
            if not new and not file.state & lifecycle.WRITING:
                continue
            found = self._final(name)
            if found is None:
                continue
            if not new:
                if not self._has_changed(file, name, found):
                    continue
                changed = True
            self._output(file, name, found, self._names.first.get(name))
            listed = True
        return listed, changed

    def _output(self, file: File, name: str, found: Stat, lay: File | None) -> None:
        if lay is not None and lay.state & lifecycle.EMPTIED:
            lay = None
        before = lay.digest if lay is not None else None
        if before is None and lay is not None and lay.before is not None:
            before = self._digest_before(lay, name, lay.before, changed=bool(lay.state & lifecycle.WRITING))
        self.outputs.append(
            ObservedUse(
                path=name,
                role=self._role(name, written=True),
                access=_output_access(file, name, lay),
                digest=self._digest(name, found),
                size=found.size,
                signature=found,
                existed=lay is not None,
                replaced=lay.before if lay is not None else None,
                before=before,
                first=file.first_write,
                last=file.last_write,
                by=_sorted(file.writers),
                kept=lay is not None and lay.kept,
            )
        )

    def _is_new(self, file: File, name: str) -> bool:
        """Whether it is the run that put the file at this name."""
        return self._names.first.get(name) is not file and file.origin != name

    def _has_changed(self, file: File, name: str, found: Stat) -> bool:
        """Whether a file that was opened for writing where it lay is another version now."""
        before = file.before
        if before is None or file.state & lifecycle.STDOUT:
            return True
        whole = file.state & lifecycle.TRUNCATED
        if before[:2] != found[:2]:
            if whole:
                return True
            old, new = file.digest or self._digest(name, before), self._digest(name, found)
            return old is None or new is None or old != new
        mapped = file.state & lifecycle.UPDATED and file.digest is not None
        if before == found and not mapped and not self._racy(file, before):
            return False
        if whole and before.ctime_ns != found.ctime_ns:
            return True  # written, and its time set back
        new = self._digest(name, found)
        return file.digest is not None and new is not None and file.digest != new

    def _racy(self, file: File, before: Stat) -> bool:
        if self._clock is None:
            return True
        return abs(self._clock.at(file.first_write) * 1e9 - before.mtime_ns) <= _TICK

    def _hide(self, file: File) -> None:
        name = file.origin or file.gone or file.was or (file.names[0] if file.names else "")
        if file.origin is None:
            self.hidden.append(Hidden(name, "was to be written, and is not there" if file.names else "written and removed"))
        elif file.state & lifecycle.REMOVED and self._final(file.origin) is None:
            self.hidden.append(Hidden(name, "removed, and not read"))
        elif file.state & lifecycle.WRITING:
            self.hidden.append(Hidden(name, "opened for writing, and not changed"))

    # -- inputs ------------------------------------------------------------------------------------------------------

    def _input_of(self, file: File, origin: str, *, changed: bool) -> bool:
        """List what the file was before the run changed it, if the run read that or kept some of it."""
        state = file.state
        moved = file.names != [origin] and any(self._is_new(file, name) and self._final(name) is not None for name in file.names)
        read = state & (lifecycle.READ | lifecycle.EXECUTED | lifecycle.IMPLIED | lifecycle.UPDATED)
        partly = state & (lifecycle.OVERLAID | lifecycle.APPENDED) and (changed or moved)
        gone = bool(state & lifecycle.REMOVED) and self._final(origin) is None
        if not (read or partly or (moved and not state & lifecycle.TRUNCATED)):
            return False
        here = self._names.at.get(origin) is file
        signature = file.before or (self._final(origin) if here else None)
        if signature is None:
            return False
        place = self._role(origin)
        software = place in ("library", "system")
        use = ObservedUse(
            path=origin,
            role=place,
            access=_input_access(file, changed=changed),
            # An environment sums software up: it is known by its packages, not file by file.
            digest=file.digest if software else self._digest_before(file, origin, signature, changed=changed),
            size=signature.size,
            signature=signature,
            existed=True,
            first=file.first_read or file.first_write,
            last=file.last_read or file.first_write,
            by=_sorted(file.readers or file.writers),
            deleted=gone,
            kept=file.kept,
        )
        (self.software if software else self.inputs).append(use)
        return True

    def _digest_before(self, file: File, origin: str, signature: Stat, *, changed: bool) -> str | None:
        found = file.digest or self._digest(origin, signature)
        if found is not None or changed:
            return found
        for name in file.names:  # renamed or linked: the time of the change of status is another
            now = self._final(name)
            if now is not None and now[:2] == signature[:2] and (found := self._digest(name, now)):
                return found
        return None

    def _link(self, name: str, link: Link) -> None:
        if not link.born and not link.used:
            return
        found = self._final(name)
        if link.born and found is None:
            return
        place = self._role(name, written=link.born)
        if not link.born and place in ("library", "system"):
            return
        lay = self._names.first.get(name) if link.born else None
        use = ObservedUse(
            path=name,
            role=place,
            access="link",
            signature=found,
            existed=not link.born or lay is not None,
            replaced=lay.before if lay is not None else None,
            before=lay.digest if lay is not None else None,
            first=link.first,
            last=link.last,
            by=_sorted(link.by),
            link=link.text,
        )
        (self.outputs if link.born else self.inputs).append(use)

    def _role(self, name: str, *, written: bool = False) -> Placed:
        if not written and (known := self._roles.get(name)) is not None and name not in self._rules.executed:
            return known
        return "drop" if self._rules.dropped(name) else self._rules.role(name, written=written)

    # -- the file system at the end ------------------------------------------------------------------------------------

    def _final(self, name: str) -> Stat | None:
        if name in self._finals:
            return self._finals[name]
        found = self._finals[name] = self._ask(name)
        return found

    def _undo_failed_rename(self, file: File) -> None:
        """The journal tells of a renaming before it is tried. Where the file is still at the old name, it failed."""
        was = file.was
        if was is None or len(file.names) != 1 or was in self._names.at:
            return
        name, identity = file.names[0], file.identity
        here, there = self._final(was), self._final(name)
        if here is None or (there is not None and (identity is None or (there.device, there.inode) == identity)):
            return
        if identity is None or (here.device, here.inode) == identity:
            self._names.give_back(name, was)

    def _undo_failed_removal(self, file: File) -> None:
        if file.names or file.gone is None or file.identity is None or file.gone in self._names.at:
            return
        here = self._final(file.gone)
        if here is not None and (here.device, here.inode) == file.identity:
            self._names.stay(file, file.gone)


def _output_access(file: File, name: str, lay: File | None) -> Access:
    if name in file.linked and (file.origin is not None or any(other not in file.linked for other in file.names)):
        return "link"
    if lay is None:
        return "write"
    if lay is not file:
        return "update" if lay.state & lifecycle.READ else "write"
    state = file.state
    if not state & lifecycle.TRUNCATED and state & lifecycle.APPENDED and not state & (lifecycle.UPDATED | lifecycle.OVERLAID):
        return "append"
    if state & (lifecycle.READ | lifecycle.UPDATED | lifecycle.OVERLAID | lifecycle.APPENDED):
        return "update"
    return "write"


def _input_access(file: File, *, changed: bool) -> Access:
    state = file.state
    if state & (lifecycle.READ | lifecycle.IMPLIED):
        return "read"
    if state & lifecycle.EXECUTED:
        return "execute"
    if state & lifecycle.UPDATED:
        return "update" if changed else "read"
    if state & (lifecycle.OVERLAID | lifecycle.APPENDED):
        return "append"  # kept in part, and not read: it can be in nothing else that the run wrote
    return "link" if file.linked else "read"


def _sorted(processes: set[int] | None) -> tuple[int, ...]:
    if not processes:
        return ()
    found = tuple(sorted(processes))
    return found if found[0] >= 0 else found[1:]
