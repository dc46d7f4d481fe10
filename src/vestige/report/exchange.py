"""What came of an import, as lines and as a document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from vestige.model.run import Run, short
from vestige.ops.import_records import Imported
from vestige.report.style import count, printable

_NAMES = {"ntrk": "ntrk", "capsula": "Capsula", "footsteps": "footsteps", "asimov": "asimov"}


def lines(imported: Imported, project: str | None = None) -> Iterator[str]:
    """How much of what was imported, and how much was there before; into which `project`, if not the one around us."""
    where = "" if project is None else f" in {printable(project)}"
    for system, number in Counter(origin(run) for run in imported.runs).items():
        runs = [run for run in imported.runs if origin(run) == system]
        named = f": {short(runs[0].id)}" if number == 1 else ""
        yield f"imported {count(number, 'run')} of {_NAMES.get(system, 'Vestige')}{named}{where}"
    if imported.known:
        alone = "already imported" if not imported.runs else "were already imported"
        yield f"{count(len(imported.known), 'run')} {alone}{where}"
    if imported.forgotten:
        yield f"{count(len(imported.forgotten), 'run')} left out: forgotten on purpose"
    if imported.notes:
        yield f"{count(len(imported.notes), 'place')} could not be read"


def notes(imported: Imported) -> Iterator[str]:
    """What could not be read, one line each."""
    return (f"vestige: {printable(note)}" for note in imported.notes)


def document(imported: Imported) -> dict[str, Any]:
    """The same for programs: ids, and what could not be read."""
    return {
        "imported": [{"run": run.id, "from": origin(run)} for run in imported.runs],
        "known": list(imported.known),
        "forgotten": list(imported.forgotten),
        "notes": list(imported.notes),
    }


def origin(run: Run) -> str:
    """The system that recorded a run first."""
    found = run.extra.get("imported")
    return str(found.get("from")) if isinstance(found, dict) else "vestige"


__all__ = ["document", "lines", "notes", "origin"]
