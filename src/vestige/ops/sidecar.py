"""A file that carries its lineage with it: `.NAME.vestige` beside NAME."""

from __future__ import annotations

import os

from vestige.errors import NotFoundError, StoreError, VestigeError
from vestige.model.lineage import Version
from vestige.model.links import Linker, asked_for
from vestige.model.run import Run
from vestige.model.values import replace
from vestige.ops import find
from vestige.ops.project import Project
from vestige.record import sidecar as sidecars
from vestige.store.catalogue import CatalogueIndex
from vestige.store.records import Records


def sidecar(project: Project, path: str) -> str:
    """Write the sidecar of a file, with the records of all runs that led to it, and return its path.

    Raises NotFoundError where no run is known that made the file as it is now, AmbiguousError, StoreError.
    """
    digest = project.digest_of(path)
    if digest is None:
        raise NotFoundError(f"{path} is not there, or cannot be read", hint="a sidecar tells of a file that is there")
    size = None if os.path.isdir(path) else os.path.getsize(path)
    version, runs = _here(project, path, Version(project.relative(path), digest, size)) or _elsewhere(project, path, digest, size)
    try:
        return sidecars.write(os.path.abspath(path), version, runs)
    except OSError as error:
        raise StoreError(f"{sidecars.path_for(path)} cannot be written: {error.strerror}") from error


def _here(project: Project, path: str, version: Version) -> tuple[Version, list[Run]] | None:
    try:
        maker = find.maker(project, path)
    except NotFoundError:
        return None
    if maker.digest != version.digest:
        return None

    def load(run_id: str) -> Run | None:
        return _read(project.records, run_id)

    return version, sidecars.upstream_of(project.index, replace(version, written=maker), maker.run, project.root, load)


def _elsewhere(project: Project, path: str, digest: str, size: int | None) -> tuple[Version, list[Run]]:
    """From the other stores of this machine, as far as they are still there."""
    try:
        with project.catalogue.open() as index:
            place = project.absolute(project.relative(path))
            writes = Linker(index).link(asked_for(place, digest, size)).writes
            if project.config.catalogue and len(writes) == 1:
                version = Version(place, digest, size, writes[0])
                runs = sidecars.upstream_of(index, version, writes[0].run, "/", lambda run_id: _of_another(index, run_id))
                if runs and runs[-1].id == writes[0].run:
                    return version, runs
    except OSError:
        pass
    raise NotFoundError(f"no run is known that made {path} as it is now", hint=f"vestige trace {path} says what is known")


def _of_another(index: CatalogueIndex, run_id: str) -> Run | None:
    place = index.place_of(run_id)
    return None if place is None else _read(Records(place.store), run_id)


def _read(records: Records, run_id: str) -> Run | None:
    try:
        return records.read(run_id)
    except VestigeError:
        return None
