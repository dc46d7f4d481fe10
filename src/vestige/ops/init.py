"""A configuration to begin with: every key, commented out, with what it does."""

from __future__ import annotations

import os
from collections.abc import Iterator

from vestige.config import CAPSULE, FILE, KEYS, Key
from vestige.errors import ExistsError
from vestige.ops.project import Project
from vestige.store import publish

_TABLES = """\
# Options of your own programs that name inputs and outputs, beyond -i --in --input -o --out --output.
# [flags]
# inputs = ["-t", "--table"]
# outputs = ["--save"]

# Named sets of files, relative to this folder, that `vestige run --item NAME` takes along.
# [items]
# figures = ["figures/*.png"]

# An item can also say how each of its files is collected after the run; see [collect].
# [items.tables.files]
# "tables/*.csv" = { digest = "sha256", copy = true }

# Files, relative to this folder, that every capture and every run collects when it begins: by their digest (BLAKE3, and by the
# algorithm that `digest` names), as a copy in the store, or moved there; never moved unless you say so.
# [collect]
# "poetry.lock" = { digest = "sha256", copy = true, move = false }

# Further git repositories, relative to this folder, whose state is recorded with every run.
# [repositories]
# library = "../library"

# What a file was to a run, where the rules are wrong; the first pattern that fits counts. It holds for runs that are recorded
# already, too: it is applied when you ask. Roles are data, config, code, cache, temporary, library, system.
# [classify]
# "cache/*" = "data"
"""


def init(project: Project) -> str:
    """Write the file and return its path. Raises ExistsError, OSError."""
    path = os.path.join(project.root, FILE)
    if not publish.publish(path, text().encode("utf-8"), durable=False):
        raise ExistsError(f"{path} exists already", hint="it was left as it is")
    return path


def text() -> str:
    """The file: valid TOML that says nothing, and becomes a configuration where a `#` is taken away."""
    return "\n".join(_lines()) + "\n" + _TABLES + "\n".join(_capsule()) + "\n"


def _lines() -> Iterator[str]:
    yield "# The configuration of Vestige. Nothing here is needed; take away a # to change what holds without it."
    yield "# Each key can also be set by a variable: VESTIGE_KEEP, VESTIGE_BUDGET, …"
    yield ""
    for key in KEYS:
        yield from _key(key)
        yield ""


def _capsule() -> Iterator[str]:
    yield ""
    yield "# Capsules: runs as folders, with context.json, pre-run-info.json, post-run-info.json and what was collected."
    yield "# [capsule]"
    for key in CAPSULE:
        yield from _key(key)


def _key(key: Key) -> Iterator[str]:
    choices = f" ({', '.join(key.choices)})" if key.choices else ""
    yield f"# {key.help[0].upper()}{key.help[1:]}{choices}."
    yield f"# {key.name} = {key.default}"
