"""Reading what others recorded: every path first, then the files that the records name, then one record after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from vestige.errors import NotFoundError, UnreadableError, VestigeError
from vestige.exchange import asimov, capsula, compose, footsteps, ntrk, records
from vestige.exchange.contents import Contents, same
from vestige.exchange.interface import Format, Reading, Told
from vestige.exchange.recognise import Source, sources
from vestige.model import wire
from vestige.model.files import Digest
from vestige.model.run import Run
from vestige.model.values import replace, value
from vestige.record.context import absolute, relative
from vestige.store.project import Place
from vestige.store.records import Records

Progress = Callable[[int, int], None]

_MARK = f'"{compose.IMPORTED}"'.encode()


@value
class Earlier:
    """What is here: the digests of imported sources, each with its run; the ids of all records; which contents are the same; and
    of scripts that were recorded here, by name and command, the ids: an `info.txt` of theirs is no record of its own."""

    sources: dict[Digest, str]
    ids: frozenset[str]
    same: dict[Digest, Digest]
    scripts: dict[tuple[str | None, tuple[str, ...]], str]

    def view(self, told: Told) -> str | None:
        """The run of ours of which this is a view."""
        return self.scripts.get((told.run.name, told.run.command)) if told.format == "footsteps" else told.id


def read(paths: Sequence[str], root: str, format: Format | None, progress: Progress) -> Reading:  # noqa: A002  # as it is called
    """Everything that the paths hold. `root` is that of the project, for paths that nothing else tells.

    What cannot be read becomes a note. Raises NotFoundError where a path holds nothing that is known.
    """
    found: list[Source] = []
    for path in paths:
        found += sources(path, format, lambda _: progress(0, 1))
    into = Reading()
    several = len(found) > 1
    for number, source in enumerate(dict.fromkeys(found), 1):
        try:
            _read(source, root, into, (lambda _, __: None) if several else progress)
        except UnreadableError as error:
            into.notes.append(str(error))
        progress(number, len(found))
    if not into.told and not into.records:
        if into.notes:
            raise UnreadableError(f"nothing could be read: {into.notes[0]}", hint="nothing was written")
        raise NotFoundError(f"there is no record in {', '.join(paths)}")
    return into


def _read(source: Source, root: str, into: Reading, progress: Progress) -> None:
    if source.format == "capsula":
        capsula.read_capsule(source.path, into)
    elif source.format == "footsteps":
        footsteps.read_info(source.path, into)
    elif source.format == "asimov":
        asimov.read_environment(source.path, into)
    elif source.format == "vestige":
        records.read_records(source.path, into)
    elif ntrk.is_sidecar(source.path):
        ntrk.read_sidecar(source.path, root, into)
    else:
        ntrk.read_log(source.path, into, progress)


def earlier(store: Records, progress: Progress) -> Earlier:
    """What the store holds already. A damaged record is passed over."""
    sources: dict[Digest, str] = {}
    ids: set[str] = set()
    known: dict[Digest, Digest] = {}
    scripts: dict[tuple[str | None, tuple[str, ...]], str] = {}
    paths = list(store.paths())
    for number, path in enumerate(paths, 1):
        progress(number, len(paths))
        try:
            with open(path, "rb") as file:
                data = file.read()
            document = wire.load_document(data, path)
            ids.add(document["id"])
            if _MARK not in data and document.get("kind") != "script":
                continue
            run = store.load(path)
        except (OSError, VestigeError):
            continue
        origin = run.extra.get(compose.IMPORTED)
        if isinstance(origin, dict) and isinstance(origin.get("digest"), str):
            sources[origin["digest"]] = run.id
            known |= same((*run.inputs, *run.outputs))
        elif run.kind == "script":
            scripts[run.name, run.command] = run.id
    return Earlier(sources, frozenset(ids), known, scripts)


def unknown(told: Iterable[Told], before: Earlier) -> tuple[list[Told], list[str]]:
    """What is new, each once and in the order of time; and the ids of what is known already."""
    sources = dict(before.sources)
    new, known = [], []
    for one in sorted(told, key=lambda one: one.time):
        identity = compose.source_digest(one)
        run_id = sources.get(identity) or before.view(one) or compose.run_id(one)
        if identity in sources or run_id in before.ids:
            known.append(run_id)
        else:
            new.append(one)
        sources[identity] = run_id
    return new, list(dict.fromkeys(run_id for run_id in known if run_id in before.ids))


def composed(told: Iterable[Told], contents: Contents, into: compose.Sink, notes: list[str]) -> Iterator[Run]:
    """The records, one after the other. One that would not be sound becomes a note. Raises OSError."""
    for one in told:
        try:
            yield compose.compose(one, contents, into)
        except UnreadableError as error:
            notes.append(f"{one.source}: {error}")


def here(run: Run, place: Place) -> Run:
    """A record of ours from another project: its paths are absolute then, unless both projects lie at one place."""
    theirs = run.project
    if theirs is None or theirs.id == place.id or theirs.root == place.root:
        return run

    def mapped(path: str) -> str:
        return relative(absolute(path, theirs.root), place.root)

    return replace(
        run,
        cwd=mapped(run.cwd),
        script=None if run.script is None else replace(run.script, path=mapped(run.script.path)),
        inputs=tuple(replace(use, path=mapped(use.path)) for use in run.inputs),
        outputs=tuple(replace(use, path=mapped(use.path)) for use in run.outputs),
        inputs_object=None,
        outputs_object=None,
    )


__all__ = ["Earlier", "composed", "earlier", "here", "read", "unknown"]
