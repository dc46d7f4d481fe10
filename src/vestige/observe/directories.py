"""Directories that are one thing: a zarr store, a parquet set, a saved model, or simply very many files."""

from __future__ import annotations

from vestige.observe.conclusion import ObservedUse, OfDirectory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_MANY = 500  # uses that make a directory one thing


def directories(outputs: Iterable[ObservedUse], made: Iterable[str], of_directory: OfDirectory | None) -> list[ObservedUse]:
    """The outermost of the folders that the run `made` and that bear a known marker or hold more than 500 outputs.

    `outputs` are its outputs; they stay what they are, a directory is listed beside its members.
    """
    folders = set(made)
    if not folders:
        return []
    inside: dict[str, list[ObservedUse]] = {}
    marked: set[str] = set()
    for use in outputs:
        folder, _, name = use.path.rpartition("/")
        if use.link is None and folder in folders and (bearer := _bearer(folder, name, folders)):
            marked.add(bearer)
        while folder in folders:
            if folder.endswith(_SUFFIXES):
                marked.add(folder)
            inside.setdefault(folder, []).append(use)
            folder = folder.rpartition("/")[0]
    things: list[ObservedUse] = []
    outermost = "\0"
    for folder in sorted(inside, key=lambda name: name + "/"):
        if not folder.startswith(outermost) and (folder in marked or _counts(folder, inside[folder], marked) > _MANY):
            things.append(_thing(folder, inside[folder], of_directory))
            outermost = folder + "/"
    return things


def _bearer(folder: str, name: str, made: set[str]) -> str | None:
    """The folder that a file of this name makes one thing, if it is a marker."""
    if name in _MARKERS:
        return folder
    if folder.endswith("/_delta_log"):
        return folder.rpartition("/")[0]
    if not name.endswith(".parquet"):
        return None
    if "=" not in folder.rpartition("/")[2]:
        return folder if name.startswith("part-") else None
    while "=" in folder.rpartition("/")[2] and folder.rpartition("/")[0] in made:
        folder = folder.rpartition("/")[0]
    return folder


def _counts(top: str, uses: list[ObservedUse], marked: set[str]) -> int:
    """How many things lie below a folder: a marked folder in it counts once, whatever it holds."""
    if len(uses) <= _MANY:
        return len(uses)
    things = set()
    for use in uses:
        thing = folder = use.path
        while len(folder := folder.rpartition("/")[0]) > len(top):
            if folder in marked:
                thing = folder
        things.add(thing)
    return len(things)


def _thing(folder: str, uses: list[ObservedUse], of_directory: OfDirectory | None) -> ObservedUse:
    files = {use.path[len(folder) + 1 :]: use for use in uses if use.link is None}
    digests = {name: use.digest for name, use in files.items() if use.digest is not None}
    roles = [use.role for use in uses]
    return ObservedUse(
        path=folder,
        role=max(sorted(set(roles)), key=roles.count),
        access="write",
        digest=of_directory(digests) if of_directory is not None and digests and len(digests) == len(files) else None,
        size=sum(use.size or 0 for use in files.values()),
        first=min(use.first for use in uses),
        last=max(use.last for use in uses),
        by=tuple(sorted({process for use in uses for process in use.by})),
        kind="directory",
    )


_MARKERS = frozenset(
    {
        *(
            ".zarray",
            ".zgroup",
            ".zattrs",
            ".zmetadata",
            "zarr.json",
            "saved_model.pb",
            "_SUCCESS",
            "_metadata",
            "_common_metadata",
        ),
        *("_CHECKPOINT_METADATA", ".metadata", "MLmodel", "dataset_info.json", "__tiledb_group.tdb", "__tiledb_array.tdb"),
    }
)
_SUFFIXES = (".zarr", ".parquet", ".n5", ".lance", ".tiledb", ".ome.zarr", ".mlmodel", ".mlpackage")
