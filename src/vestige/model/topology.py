"""An order in which steps can be executed, and the knots that allow none."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator, Mapping

#: What orders steps that could be executed in any order.
Rank = tuple[str, int, str]
#: For each step, those that must come before it. Steps that are only named as such are not listed.
Needs = Mapping[str, Collection[str]]


def executable(needs: Needs, rank: Callable[[str], Rank]) -> list[str]:
    """Every step after all that it needs, and as early as its rank allows. Steps in a knot, and all behind them, are left out."""
    wanted_by: dict[str, list[str]] = {}
    missing: dict[str, int] = {}
    for step, before in needs.items():
        known = {other for other in before if other in needs}
        missing[step] = len(known)
        for other in known:
            wanted_by.setdefault(other, []).append(step)
    ready = [(rank(step), step) for step, number in missing.items() if not number]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        _, step = heapq.heappop(ready)
        order.append(step)
        for other in wanted_by.get(step, ()):
            missing[other] -= 1
            if not missing[other]:
                heapq.heappush(ready, (rank(other), other))
    return order


def knots(needs: Needs) -> list[set[str]]:
    """Steps each of which needs all others of its knot (strongly connected components; Tarjan 1972, without recursion)."""
    found: list[set[str]] = []
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    on_path: set[str] = set()
    for root in needs:
        if root in index:
            continue
        work: list[tuple[str, Iterator[str]]] = [(root, iter(needs[root]))]
        index[root] = low[root] = len(index)
        path.append(root)
        on_path.add(root)
        while work:
            step, rest = work[-1]
            for other in rest:
                if other not in needs:
                    continue
                if other not in index:
                    index[other] = low[other] = len(index)
                    path.append(other)
                    on_path.add(other)
                    work.append((other, iter(needs[other])))
                    break
                if other in on_path:
                    low[step] = min(low[step], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[step])
                if low[step] == index[step]:
                    knot = {path.pop()}
                    while step not in knot:
                        knot.add(path.pop())
                    on_path -= knot
                    if len(knot) > 1 or step in needs[step]:
                        found.append(knot)
    return found
