"""Write the parts of the manual that come from the code: one page a verb."""

from __future__ import annotations

import os

from vestige.cli import help as helping
from vestige.cli import verbs

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "verbs")


def main() -> None:
    """Write every page anew, and remove those of verbs that are gone."""
    pages = {f"{row.name}.md": helping.markdown(row) for row in verbs.every()} | {"README.md": helping.contents()}
    os.makedirs(FOLDER, exist_ok=True)
    for name in set(os.listdir(FOLDER)) - set(pages):
        os.unlink(os.path.join(FOLDER, name))
    for name, text in pages.items():
        with open(os.path.join(FOLDER, name), "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
