"""Write the parts of the manual that come from the code: one page a verb, and the configuration."""

from __future__ import annotations

import os

from vestige.cli import help as helping
from vestige.cli import verbs
from vestige.config import KEYS, Key
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
| `[items]` | none | named sets of files, which `vestige run --item NAME` takes along |
| `[classify]` | none | patterns of paths, and the role of what fits: it stands over the built-in rules |

A pattern of `[classify]` fits a path as a record has it (relative to the project's root, or absolute), the rest of it from one
of its folders on, or its name; `*` stands for slashes, too, and `~/` for your home folder. The first that fits counts. `trace`,
`status`, `show`, `log` and whatever else asks apply it to all runs, old ones included; records are not changed. `vestige show
RUN --all` shows what is hidden, and by which rule. Files of packages and of the system can be linked from the first run on that
was recorded under such a pattern: before, they were not hashed one by one.
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
    return _CONFIGURATION + "\n".join(rows) + "\n" + _TABLES + _FILE + text() + "```\n"


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
