"""The bytes of a file version: from the store, from the snapshot of the code, or from a file that still holds them."""

from __future__ import annotations

import os

from vestige.capture import digest as digests
from vestige.errors import ExistsError, NotKeptError, VestigeError
from vestige.model.run import short
from vestige.ops import find
from vestige.ops.find import FileVersion
from vestige.ops.project import Project
from vestige.store import publish


def content(project: Project, word: str) -> bytes:
    """The bytes of FILE@RUN, checked against their digest. Raises NotFoundError, NotKeptError, DamagedError."""
    return bytes_of(project, find.file_version(project, word))


def bytes_of(project: Project, version: FileVersion) -> bytes:
    """The same of a file version at hand."""
    if version.digest is None:
        raise NotKeptError(f"{version.path} was never hashed in run {short(version.run)}, so nothing of it was kept")
    if project.objects.has(version.digest):
        return project.objects.read(version.digest)
    for found in (_from_code(project, version), _from_disk(project, version)):
        if found is not None:
            return found
    raise NotKeptError(
        f"the bytes of {version.path} as of run {short(version.run)} were not kept",
        hint=f"vestige reproduce {short(version.run)} makes them again",
    )


def write(project: Project, word: str, path: str, *, force: bool = False) -> FileVersion:
    """Write the bytes of FILE@RUN to a path, whole or not at all; over an existing file only by `force`.

    Raises ExistsError, and what `content` does, before anything is written; OSError.
    """
    version = find.file_version(project, word)
    if not force and os.path.lexists(path):
        raise ExistsError(f"{path} exists already")
    data = bytes_of(project, version)
    mode = 0o600 if _is_private(project, version) else 0o666 & ~_umask()
    if force:
        publish.replace(path, data, mode=mode)
    elif not publish.publish(path, data, mode=mode):
        raise ExistsError(f"{path} exists already")
    return version


def _is_private(project: Project, version: FileVersion) -> bool:
    code = find.record(project, version.run).code
    kept_so = version.digest is not None and project.objects.is_private(version.digest)
    return kept_so or (code is not None and version.path in code.private)


def _from_code(project: Project, version: FileVersion) -> bytes | None:
    code = find.record(project, version.run).code
    if code is None or code.snapshot is None:
        return None
    try:
        for entry in project.code.list_tree(code.snapshot):
            if entry.path == version.path:
                data = project.code.read_blob(entry.blob)
                return data if _fits(data, version) else None
    except (VestigeError, OSError):
        pass
    return None


def _from_disk(project: Project, version: FileVersion) -> bytes | None:
    """A file that is there and has the digest: at its own path, or at another where this content was seen."""
    assert version.digest is not None
    seen = [use.path for written in (True, False) for use in project.index.uses_of(version.digest, written=written)]
    for path in dict.fromkeys([version.path, *seen]):
        try:
            with open(project.absolute(path), "rb") as file:
                data = file.read()
        except (OSError, ValueError):
            continue
        if _fits(data, version):
            return data
    return None


def _fits(data: bytes, version: FileVersion) -> bool:
    assert version.digest is not None
    return digests.of_bytes(data, version.digest.partition(":")[0]) == version.digest


def _umask() -> int:
    mask = os.umask(0o22)
    os.umask(mask)
    return mask
