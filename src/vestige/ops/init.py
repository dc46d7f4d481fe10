"""A configuration to begin with: every key, commented out, with what it does."""

from __future__ import annotations

import os
from collections.abc import Iterator

from vestige.config import FILE, KEYS
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
    return "\n".join(_lines()) + "\n" + _TABLES


def _lines() -> Iterator[str]:
    yield "# The configuration of Vestige. Nothing here is needed; take away a # to change what holds without it."
    yield "# Each key can also be set by a variable: VESTIGE_KEEP, VESTIGE_BUDGET, …"
    yield ""
    for key in KEYS:
        choices = f" ({', '.join(key.choices)})" if key.choices else ""
        yield f"# {key.help[0].upper()}{key.help[1:]}{choices}."
        yield f"# {key.name} = {key.default}"
        yield ""
