"""A project as every verb finds it: its place, and what lies in its store, each part opened when it is first needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

from vestige.config import Config, classification, load
from vestige.errors import VestigeError
from vestige.model.files import Digest
from vestige.model.run import Run
from vestige.record.context import absolute, relative
from vestige.store import journal, project
from vestige.store.code import CodeStore
from vestige.store.interface import Index
from vestige.store.journal import Active
from vestige.store.objects import Objects
from vestige.store.project import Place
from vestige.store.records import Records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vestige.capture.digest import DigestCache
    from vestige.store.catalogue import Catalogue


class Project:
    """One project and its store."""

    def __init__(self, place: Place, config: Config | None = None) -> None:
        self.place = place
        #: called with (done, of) while an index is made, which may take a minute
        self.progress: Callable[[int, int], None] | None = None
        self.records = Records(place.store)
        if config is not None:
            self.config = config

    @property
    def root(self) -> str:
        """The project's root, absolute."""
        return self.place.root

    @property
    def store(self) -> str:
        """The folder of its store."""
        return self.place.store

    @property
    def exists(self) -> bool:
        """Whether anything was ever recorded here."""
        return os.path.isdir(self.place.store)

    @property
    def objects(self) -> Objects:
        """Contents under their digests."""
        return self.records.objects

    @cached_property
    def config(self) -> Config:
        """What is configured. Raises ConfigError."""
        return load(self.place.root)

    @cached_property
    def roles(self) -> Config:
        """The roles that are configured, whatever else is wrong with the configuration. Raises ConfigError."""
        return self.config if "config" in self.__dict__ else classification(self.place.root)

    @cached_property
    def code(self) -> CodeStore:
        """The snapshots of code."""
        return CodeStore(os.path.join(self.place.store, "code.git"))

    @cached_property
    def catalogue(self) -> Catalogue:
        """What the user's other stores hold."""
        from vestige.store.catalogue import Catalogue

        return Catalogue()

    @cached_property
    def digests(self) -> DigestCache:
        """Digests of files that have not changed since they were hashed."""
        from vestige.capture.digest import DigestCache

        return DigestCache(os.path.join(project.cache_dir(self.place), "digests.sqlite"))

    @cached_property
    def index(self) -> Index:
        """Every run and every use of a file, brought up to date; runs that were lost are finished first. Files have the roles
        that are configured. Raises ConfigError."""
        if not self.exists:
            from vestige.store.memory import MemoryIndex

            return MemoryIndex()
        self.settle()
        from vestige.store.sqlite import open_index

        found = open_index(self.place.store, project.cache_dir(self.place), active=_provisional, progress=self.progress)
        if not self.roles.classify:
            return found
        from vestige.ops.reclassified import Reclassified

        return Reclassified(found, self.roles)

    def settle(self) -> None:
        """Write the records of runs that have ended and that nobody takes care of any more; of what was lost, nobody knows how
        it ended. What cannot be written stays as it is."""
        for active in journal.list_active(self.place.store):
            if active.ended() is None or journal.is_alive(active):
                continue
            from vestige.record import recorder

            try:
                recorder.finish(active.path, self.config)
            except (VestigeError, OSError, KeyError, TypeError, ValueError, AttributeError):
                continue

    def relative(self, path: str) -> str:
        """A path, from the working directory, as a record has it: relative to the root where it lies inside, else absolute."""
        folder, name = os.path.split(os.path.abspath(path))
        return relative(os.path.join(os.path.realpath(folder), name), self.place.root)

    def absolute(self, recorded: str) -> str:
        """Where the file lies that a record names."""
        return absolute(recorded, self.place.root)

    def digest_of(self, path: str) -> Digest | None:
        """The digest of what lies at a path now (from the working directory, as any path of a user's); None where there
        is nothing that can be read. A folder's is that of all files below it."""
        from vestige.capture import digest

        try:
            if not os.path.isdir(path):
                return digest.of_file(path, self.digests)[1]
            members: dict[str, Digest] = {}
            for folder, _, names in os.walk(path):
                for name in names:
                    full = os.path.join(folder, name)
                    if (found := digest.of_file(full, self.digests)[1]) is None:
                        return None
                    members[os.path.relpath(full, path).replace(os.sep, "/")] = found
            return digest.of_directory(members)
        except (OSError, ValueError):
            return None


def _provisional(active: Sequence[Active]) -> Iterator[Run]:
    from vestige.record import provisional  # most of Vestige, and seldom needed

    return provisional.runs(active)


def open_project(start: str | None = None, explicit: str | None = None) -> Project:
    """The project that holds `start` (the working directory); `explicit` names its root. Raises UsageError."""
    return Project(project.locate(project.here() if start is None else start, explicit))


def project_of(path: str, explicit: str | None = None) -> Project:
    """Where a file is looked up first: in the project that contains it, if that has a store, else in the working directory's."""
    if explicit is None:
        found = open_project(os.path.dirname(os.path.abspath(path)))
        if found.exists:
            return found
    return open_project(None, explicit)


__all__ = ["Project", "open_project", "project_of"]
