"""What is known of a run that has no record yet: one that is alive, or one that nobody could finish."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from vestige.capture import digest
from vestige.errors import VestigeError
from vestige.model.files import Digest
from vestige.model.run import Run
from vestige.model.values import replace
from vestige.observe.classify import Follower
from vestige.observe.interface import Stat, parse
from vestige.observe.roles import Setting, role
from vestige.record import compose, surroundings
from vestige.record.context import NAME as CAPTURED
from vestige.record.context import Context
from vestige.record.digests import Digests, stat_of
from vestige.record.recorder import final, readlink
from vestige.record.said import Said
from vestige.record.tail import Tail
from vestige.store import journal, project
from vestige.store.journal import Active, State
from vestige.store.project import Place

_LATEST = 2.0  # seconds after the last sign of life within which a file may have been written


def runs(active: Iterable[Active]) -> Iterator[Run]:
    """A provisional record for each active run that can be read."""
    for each in active:
        try:
            yield run(each)
        except (VestigeError, OSError, KeyError, TypeError, ValueError, AttributeError):
            continue


def run(active: Active) -> Run:
    """The record as far as it goes: files that are as the journal's last event left them are its outputs.

    Raises NotFoundError and DamagedError where there is no started record.
    """
    started = active.started()
    state = journal.state(active)
    store = os.path.dirname(os.path.dirname(active.path))
    place = Place(started["project"]["root"], store, id=started["project"]["id"])
    setting = surroundings.setting(place)
    follower = Follower(setting, readlink)
    digests = Digests(active.path, digest.DigestCache(os.path.join(project.cache_dir(place), "digests.sqlite")))
    for event in parse(Tail(active.path, started.get("outer"), started).lines()):
        follower.feed(event)
        if event.op == "h" and event.signature is not None and event.path is not None:
            digests.learn(event.path, event.signature, event.text, kept=bool(event.flags))
    try:
        context = Context.load(active.document(CAPTURED))
    except VestigeError:
        context = Context()
    ended = active.ended()
    said = Said(active.path)
    for _ in said.news():
        pass
    conclusion = follower.conclude(final, _digests(digests, setting, active, state), of_directory=digest.of_directory)
    digests.flush()
    found = compose.compose(
        compose.Parts(
            started=started,
            conclusion=conclusion,
            context=context,
            root=place.root,
            ended=ended,
            values=said.values(),
            function=active.function(),
            method=started.get("method") or "notify",
            gaps=("the run was not finished: what is known of it comes from its journal",) if state == "lost" else (),
            recovered=state == "lost",
        )
    )
    return replace(found, status=state)


def _digests(digests: Digests, setting: Setting, active: Active, state: State) -> Callable[[str, Stat], Digest | None]:
    """Digests of what is there now, of a lost run only where nobody can have written it since."""
    last = active.last_sign() + _LATEST

    def of(path: str, signature: Stat) -> Digest | None:
        if digests.tried(signature):
            return digests.known(signature)
        if role(path, setting) in ("library", "system", "drop"):
            return None
        if state == "lost" and signature.mtime_ns / 1e9 > last:
            return None
        return digests.take(path, signature)[1] if stat_of(path) == signature else None

    return of
