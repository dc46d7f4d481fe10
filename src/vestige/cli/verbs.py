"""Which verbs there are, in the order of the help; the row of each stands in the file of its name."""

from __future__ import annotations

from vestige.errors import UsageError
from vestige.model.spelling import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vestige.cli.arguments import Arguments, Verb

#: Group by group; behind each verb its other names.
GROUPS: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    ("Recording", (("run", "track", "monitor"), ("capture",), ("adopt",), ("shell",))),
    ("Asking", (("trace",), ("status",), ("log",), ("show",), ("diff",))),
    ("Making again", (("reproduce", "repro"), ("restore",))),
    ("Exchanging", (("export",), ("sidecar",), ("import",), ("import-config",))),
    ("Keeping", (("check",), ("gc",), ("forget",), ("doctor",), ("init",), ("completion",), ("skill",), ("help",))),
)


def resolve(word: str) -> str:
    """The verb that a word names, itself or by another name. Raises UsageError, which names the nearest."""
    for names in _names():
        if word in names:
            return names[0]
    meant = nearest(word, [name for names in _names() for name in names])
    asked = f"; did you mean 'vestige {meant}'?" if meant else ""
    raise UsageError(f"there is no verb '{word}'{asked}", hint=f"to record a command: vestige run {word} …")


def aliases(verb: str) -> tuple[str, ...]:
    """The other names of a verb."""
    return next((names[1:] for names in _names() if names[0] == verb), ())


def row(verb: str) -> Verb:
    """The row of a verb."""
    return _module(verb).VERB  # type: ignore[attr-defined, no-any-return]  # each has one, as a test shows


def action(verb: str) -> Callable[[Arguments], int]:
    """What a verb does; returns the exit code."""
    return _module(verb).main  # type: ignore[attr-defined, no-any-return]  # as above


def every() -> list[Verb]:
    """All rows, in order."""
    return [row(names[0]) for names in _names()]


def _names() -> Iterator[tuple[str, ...]]:
    for _, members in GROUPS:
        yield from members


def _module(verb: str) -> object:
    from importlib import import_module

    return import_module(f"vestige.cli.{module(verb)}")


def module(verb: str) -> str:
    """The name of a verb's file: Python keeps `import` for itself."""
    return "import_" if verb == "import" else verb.replace("-", "_")
