"""Several indexes that answer as one. Where two know the same run, the first one's word counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import TypeVar

from vestige.model.files import Digest, Use
from vestige.model.query import RunQuery
from vestige.model.summary import Summary
from vestige.store.interface import Index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vestige.model.run import Run

T = TypeVar("T")


class Layers:
    """An index made of indexes. What is added goes into the last."""

    __slots__ = ("layers",)

    def __init__(self, *layers: Index) -> None:
        self.layers: tuple[Index, ...] = layers

    def each(self, ask: Callable[[Index], T]) -> list[T]:
        """The answer of every layer."""
        return [ask(layer) for layer in self.layers]

    def summary(self, run_id: str) -> Summary | None:
        return next((one for one in self.each(lambda index: index.summary(run_id)) if one is not None), None)

    def matching(self, prefix: str) -> Sequence[Summary]:
        found = self._first_words(self.each(lambda index: index.matching(prefix)))
        return sorted(found, key=_age, reverse=True)

    def runs(self, query: RunQuery) -> Iterator[Summary]:
        streams = self.each(lambda index: index.runs(query))
        own = (self._unhidden(position, stream) for position, stream in enumerate(streams))
        return islice(merge(*own, key=_age, reverse=True), query.limit)

    def uses_of(self, digest: Digest, *, written: bool) -> Sequence[Use]:
        return self._newest_first(self.each(lambda index: index.uses_of(digest, written=written)))

    def uses_at(self, path: str, *, written: bool) -> Sequence[Use]:
        return self._newest_first(self.each(lambda index: index.uses_at(path, written=written)))

    def uses_by(self, run_id: str, *, written: bool, every: bool = False) -> Sequence[Use]:
        if len(self.layers) == 1:
            return self.each(lambda index: index.uses_by(run_id, written=written, every=every))[0]
        for known, uses in self.each(lambda index: (index.summary(run_id), index.uses_by(run_id, written=written, every=every))):
            if known is not None:
                return uses
        return []

    def children(self, run_id: str) -> Sequence[Summary]:
        return sorted(self._first_words(self.each(lambda index: index.children(run_id))), key=_age)

    def outputs(self) -> Iterator[Use]:
        *upper, last = self.each(lambda index: index.outputs())
        newest: dict[str, Use] = {}
        for use in (use for stream in upper for use in stream):
            if use.path not in newest or _moment(newest[use.path]) < _moment(use):
                newest[use.path] = use
        for use in last:
            other = newest.pop(use.path, use)
            yield other if _moment(use) < _moment(other) else use
        yield from newest.values()

    def add(self, run: Run) -> None:
        self.layers[-1].add(run)

    def remove(self, run_id: str) -> None:
        self.each(lambda index: index.remove(run_id))

    def _first_words(self, answers: Sequence[Sequence[Summary]]) -> list[Summary]:
        return [one for position, answer in enumerate(answers) for one in self._unhidden(position, answer)]

    def _unhidden(self, position: int, answer: Sequence[Summary] | Iterator[Summary]) -> Iterator[Summary]:
        """Of a layer's runs those that no earlier layer knows."""
        return (one for one in answer if not self._is_hidden(position, one.id))

    def _newest_first(self, answers: Sequence[Sequence[Use]]) -> Sequence[Use]:
        found = [use for position, uses in enumerate(answers) for use in uses if not self._is_hidden(position, use.run)]
        return sorted(found, key=_moment, reverse=True)

    def _is_hidden(self, position: int, run_id: str) -> bool:
        return any(layer.summary(run_id) is not None for layer in self.layers[:position])


def _age(one: Summary) -> tuple[str, int, str]:
    return one.started, one.sequence, one.id


def _moment(use: Use) -> tuple[str, int]:
    return use.time, use.seq
