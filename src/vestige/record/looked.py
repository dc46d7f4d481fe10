"""What a run looked at beside the files that it read: folders that it listed, and files that it looked for in vain."""

from __future__ import annotations

import os
from itertools import islice

from vestige.model import plain, wire
from vestige.observe.conclusion import Conclusion
from vestige.observe.listings import holds_modules
from vestige.record.context import relative

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from vestige.observe.listings import Content

#: Folders, names in one of them, names in all of them, files looked for in vain: no more than these are recorded.
_FOLDERS = 1000
_NAMES = 10_000
_ALL = 100_000
_ABSENT = 1000
_ASKED = 10_000


def names_in(folder: str) -> list[str] | None:
    """The names in a folder; None where it cannot be listed, or has very many."""
    try:
        with os.scandir(folder) as entries:
            found = [entry.name for entry in islice(entries, _NAMES + 1)]
    except (OSError, ValueError):
        return None
    return found if len(found) <= _NAMES else None


def listings(
    conclusion: Conclusion, names: Mapping[str, list[str] | None], content: Callable[[str, list[str] | None], Content], root: str
) -> bytes | None:
    """The folders on whose names the run depends, as an object; None where there are none. `names` are those that were seen
    when each was listed."""
    lines: list[str] = []
    left = _ALL
    for sight in conclusion.listings[:_FOLDERS]:
        if not os.path.isdir(sight.what):
            continue  # removed by the run
        listed = names[sight.what] if sight.what in names else names_in(sight.what)
        found = content(sight.what, listed)
        if sight.search and (holds_modules(found.names or ()) or _holds_packages(sight.what, found.names or ())):
            continue
        left -= len(found.names or ())
        entry: dict[str, object] = {"path": relative(sight.what, root)}
        if found.names is not None and left >= 0:
            entry["names"] = list(found.names)
            now = content(sight.what, names_in(sight.what))
            if now.made:
                entry["made"] = list(now.made)
        if sight.like:
            entry["like"] = list(sight.like)
        lines.append(plain.dumps(_escaped(entry), sort_keys=True))
    return ("[" + ",\n".join(lines) + "]\n").encode() if lines else None


def _holds_packages(folder: str, names: Iterable[str]) -> bool:
    return any(os.path.isfile(os.path.join(folder, name, "__init__.py")) for name in islice(names, 50))


def absent(conclusion: Conclusion, root: str) -> list[str]:
    """Files that were looked for in vain where the run also found something: in the project, and beside its inputs."""
    folders = {os.path.dirname(use.path) for use in conclusion.inputs}
    top = root.rstrip("/") + "/"
    found = [
        relative(sight.what, root)
        for sight in conclusion.absent
        if sight.what.startswith(top) or os.path.dirname(sight.what) in folders
    ]
    return found[:_ABSENT]


def asked(conclusion: Conclusion, root: str) -> list[str]:
    """Files that were there, and of which the run has only asked how large or how old they are, or whether they are there."""
    return [relative(sight.what, root) for sight in conclusion.asked[:_ASKED]]


def _escaped(entry: dict[str, object]) -> dict[str, object]:
    """An entry of which one name is not UTF-8 has all of them percent-encoded, and says so."""
    texts = [text for value in entry.values() for text in ([value] if isinstance(value, str) else value)]  # type: ignore[attr-defined]
    if not any(wire.escape(text)[1] for text in texts):
        return entry
    from urllib.parse import quote_from_bytes

    def quote(text: str) -> str:
        return quote_from_bytes(os.fsencode(text))

    quoted = {key: quote(value) if isinstance(value, str) else [quote(one) for one in value] for key, value in entry.items()}  # type: ignore[attr-defined]
    return {**quoted, "encoding": "percent"}
