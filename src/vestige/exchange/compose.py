"""From what another system told to a record of ours: its id, its files as the project has them, and none of its secrets.

The id is a UUID version 7, made of the record's own time and a digest of its source, so that the same record always has the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from vestige.capture import digest
from vestige.errors import UnreadableError, VestigeError
from vestige.exchange.contents import STATED, Content, Contents
from vestige.exchange.interface import Claim, Told
from vestige.model import redaction, wire
from vestige.model.files import Digest, FileUse, Moment
from vestige.model.run import ProjectReference, Run, Stream
from vestige.model.secret_names import kind_of_name, secret_name
from vestige.model.values import replace, value
from vestige.record import identity, secrets
from vestige.record.context import relative
from vestige.record.keeping import Keeper
from vestige.store import project
from vestige.store.objects import Objects
from vestige.store.project import Place

#: The key of a record that tells where it came from.
IMPORTED = "imported"


@value
class Sink:
    """Where objects go, and by which rules. `key` is that of the hashes of secrets."""

    place: Place
    objects: Objects
    keeper: Keeper
    key: bytes


def sink(place: Place, objects: Objects, keeper: Keeper) -> Sink:
    """Where this user's imports go."""
    return Sink(place, objects, keeper, secrets.key(project.state_dir()))


def run_id(told: Told) -> str:
    """The id of a record, always the same."""
    if told.id is not None:
        return told.id
    bits = int(source_digest(told).partition(":")[2][:20], 16)
    milliseconds = max(int(told.time * 1000), 0) & (1 << 48) - 1
    whole = milliseconds << 80 | 7 << 76 | (bits >> 64 & 0xFFF) << 64 | 2 << 62 | bits & (1 << 62) - 1
    text = f"{whole:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def source_digest(told: Told) -> Digest:
    """What a record is known by, wherever it was read from."""
    return digest.of_bytes(told.format.encode() + b"\0" + told.key)


def claims(told: Told) -> Iterator[Claim]:
    """Every file that a record names, the script included."""
    yield from told.files
    if told.run.script is not None and told.run.script.digest is not None:
        yield Claim(path=told.run.script.path, digest=told.run.script.digest)


def compose(told: Told, contents: Contents, into: Sink) -> Run:
    """The record, with all that it refers to in the store. Raises OSError, UnreadableError."""
    run = told.run
    started = identity.timestamp(told.time)
    uses = [_use(claim, contents.of(claim), started, into) for claim in told.files]
    known = redaction.known_values(run.variables)
    command, redactions = redaction.redact_argv(run.command, run.variables, into.key)
    variables: dict[str, str] = {}
    for name, text in run.variables.items():
        variables[name], taken = redaction.redact_variable(name, text, known, into.key)
        redactions += taken
    where = relative(os.path.abspath(told.source), into.place.root)
    origin = {"from": told.format, "source": wire.escape(where)[0], "digest": source_digest(told)}
    made = replace(
        run,
        id=run_id(told),
        started=started,
        ended=run.ended or (started if told.format == "ntrk" else None),
        project=ProjectReference(id=into.place.id or "", root=into.place.root),
        command=command,
        redactions=redactions,
        cwd=relative(run.cwd, into.place.root),
        variables=variables,
        function=None if run.function is None else _clean(run.function, known),
        values=_clean(run.values, known),
        environment=None if told.environment is None else into.objects.put(wire.dump(wire.encode(told.environment))),
        machine=None if told.machine is None else into.objects.put(wire.dump(wire.encode(told.machine))),
        inputs=tuple(use for use in uses if use.access == "read"),
        outputs=tuple(use for use in uses if use.access != "read"),
        streams=_streams(told, known, into),
        problems=tuple(dict.fromkeys(redaction.redact_text(problem, known) for problem in run.problems)),
        extra={**_clean(run.extra, known), IMPORTED: origin},
    )
    return sound(_with_code(_with_script(made, contents, into), told, into))


def sound(run: Run) -> Run:
    """The record as it will be read again. Raises UnreadableError where it could not be."""
    try:
        return wire.load_run(wire.dump_run(run))
    except (VestigeError, ValueError, TypeError, RecursionError) as error:
        raise UnreadableError(f"it would make no sound record: {error}") from error


def _use(claim: Claim, content: Content, started: str, into: Sink) -> FileUse:
    kept = False
    if content.place is not None and content.digest is not None and content.size is not None:
        kept = content.digest.startswith("blake3:") and into.keeper.keep(content.place, content.digest, content.size)
    moment = Moment(0, started if claim.moment is None else identity.timestamp(claim.moment))
    return FileUse(
        path=relative(claim.path, into.place.root),
        digest=content.digest,
        size=content.size,
        role=claim.role,
        access=claim.access,
        evidence=("declared",),
        first=moment,
        last=moment,
        kept=kept,
        extra={STATED: claim.digest} if claim.digest not in (None, content.digest) else {},
    )


def _with_script(run: Run, contents: Contents, into: Sink) -> Run:
    """The script's path as the project has it, and its digest as files have theirs."""
    if run.script is None:
        return run
    claim = Claim(path=run.script.path, digest=run.script.digest)
    path = relative(run.script.path, into.place.root)
    copy = next((use for use in run.inputs if use.path == path and use.role == "code"), None)
    found = contents.of(claim).digest if claim.digest is not None else copy.digest if copy is not None else None
    return replace(run, script=replace(run.script, path=path, digest=found))


def _with_code(run: Run, told: Told, into: Sink) -> Run:
    """Remotes without passwords, repositories by their paths here, and the changes to the code as objects of the store."""
    code = run.code
    if code is None:
        return run
    diffs: dict[str, Digest] = {}
    for name, data in told.diffs.items():
        if data:
            private = bool(redaction.scan(data, redaction.known_values(os.environ)))
            diffs[name] = into.objects.put(data, private=private)
    others = tuple(
        replace(one, path=relative(one.path, into.place.root), remotes=_remotes(one.remotes)) for one in code.repositories
    )
    extra = {**code.extra, "diffs": diffs} if diffs else code.extra
    return replace(run, code=replace(code, remotes=_remotes(code.remotes), repositories=others, extra=extra))


def _remotes(remotes: Mapping[str, str]) -> dict[str, str]:
    return {name: redaction.redact_url(url) for name, url in remotes.items()}


def _streams(told: Told, known: Mapping[str, str], into: Sink) -> dict[str, Stream]:
    found = {}
    for name, data in told.streams.items():
        clean = redaction.redact_stream(data, known)
        found[name] = Stream(digest=into.objects.put(clean), size=len(clean))
    return found


def _clean(found: Any, known: Mapping[str, str], name: str = "") -> Any:
    """Any JSON without its secrets: what is named like one, and what looks like one."""
    if isinstance(found, str):
        if name and secret_name(name):
            return redaction.mark(kind_of_name(name))
        return redaction.redact_text(found, known)
    if isinstance(found, list | tuple):
        return [_clean(one, known, name) for one in found]
    if isinstance(found, Mapping):
        return {key: _clean(one, known, key) for key, one in found.items()}
    return found


__all__ = ["IMPORTED", "Sink", "claims", "compose", "run_id", "sink", "sound", "source_digest"]
