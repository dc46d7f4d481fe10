"""Write the parts of the manual that come from the code: one page a verb, and the configuration."""

from __future__ import annotations

import os

from vestige.cli import help as helping
from vestige.cli import verbs
from vestige.config import CAPSULE, KEYS, Key
from vestige.ops.init import text

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(HERE, "verbs")
_CONFIGURATION = """\
# Configuration

Nothing must be configured. What is, stands in `vestige.toml` in the project's root, or in the table `[tool.vestige]` of its
`pyproject.toml`. A variable of the environment (`VESTIGE_KEEP` for `keep`) stands over the file, a flag over both. A wrong
key or value is one line that names the file, the key and the nearest right one; a recorded command runs all the same, with
the defaults, and the record says so. `vestige doctor` shows what is set, and where.

| key | default | |
|---|---|---|
"""
_TABLES = """\
| `[flags]` | none | options of your own programs that name `inputs` and `outputs` |
| `[items]` | none | named sets of files, which `vestige run --item NAME` takes along: patterns, or tables as in `[collect]` |
| `[classify]` | none | patterns of paths, and the role of what fits: it stands over the built-in rules |
| `[collect]` | none | files that each capture and each run collects when it begins |
| `[repositories]` | none | further git repositories to record, by name: `library = "../library"` |

A pattern of `[classify]` fits a path as a record has it (relative to the project's root, or absolute), the rest of it from one
of its folders on, or its name; `*` stands for slashes, too, and `~/` for your home folder. The first that fits counts. `trace`,
`status`, `show`, `log` and whatever else asks apply it to all runs, old ones included; records are not changed. `vestige show
RUN --all` shows what is hidden, and by which rule. Files of packages and of the system can be linked from the first run on that
was recorded under such a pattern: before, they were not hashed one by one.

A line of `[collect]` is a path or a pattern (`**` stands for any folders) from the project's root, and how what fits is
collected: `"poetry.lock" = { digest = "sha256", copy = true, move = false }`. `digest` names an algorithm; the BLAKE3 is
recorded in any case. `copy` keeps the content in the store, whatever its size and for as long as the record is there; `move`
does so and then removes the file, never before its content is safe; one excludes the other, and without either the digest
alone is recorded. A file that is not there is a line in the record's `problems`. A file that is, or holds, a secret is neither
copied nor moved. `[items.NAME.files]` has the same lines, for files that a run with `--item NAME` yields: they are collected
when it has ended. A moved output counts as removed on purpose: `vestige status` does not miss it.

The commands of `pre_capture` run in the project's root, by `sh -c`, before a run or a capture begins: once for a run and all
that happens inside it, never when something is reproduced. Where one fails, those after it do not run, and the record says so;
with `--strict` nothing is run. A script that records itself is captured while it runs, and so the commands run beside it. What
they print is not shown. Only `vestige run`, `vestige capture` and programs that record themselves ever run them.

With `write = true` in `[capsule]` each run also becomes a folder `VAULT/NAME`: see `vestige help export`. If the name is
taken, `_1`, `_2`, … is put behind it. A vault of our making holds a `.gitignore`, so that capsules are no uncommitted code.
"""
_FILE = """
`vestige init` writes this file, to begin with:

```toml
"""


def _choices(key: Key) -> str:
    return f"; one of {', '.join(key.choices)}" if key.choices else ""


def configuration() -> str:
    """The page about the configuration."""
    rows = [f"| `{key.name}` | `{key.default}` | {key.help}{_choices(key)} |" for key in KEYS]
    capsule = [f"| `[capsule]` `{key.name}` | `{key.default}` | {key.help} |" for key in CAPSULE]
    tables, _, prose = _TABLES.partition("\n\n")
    return "\n".join([_CONFIGURATION + "\n".join(rows), tables, *capsule, "", prose]) + _FILE + text() + "```\n"


def main() -> None:
    """Write every page anew, and remove those of verbs that are gone."""
    pages = {f"{row.name}.md": helping.markdown(row) for row in verbs.every()} | {"README.md": helping.contents()}
    os.makedirs(FOLDER, exist_ok=True)
    for name in set(os.listdir(FOLDER)) - set(pages):
        os.unlink(os.path.join(FOLDER, name))
    for name, page in pages.items():
        with open(os.path.join(FOLDER, name), "w", encoding="utf-8") as file:
            file.write(page)
    with open(os.path.join(HERE, "configuration.md"), "w", encoding="utf-8") as file:
        file.write(configuration())


if __name__ == "__main__":
    main()
