"""Lists of packages as pip and conda print them: `name==version`, `name @ where`, a table, `name=version=build`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vestige.model.environment import CondaPackage, Package
from vestige.model.redaction import redact_url

_PINNED = re.compile(r"([A-Za-z0-9][\w.\-]*)(?:\[[^\]]*\])?\s*===?\s*([^\s;#]+)")
_PLACED = re.compile(r"([A-Za-z0-9][\w.\-]*)(?:\[[^\]]*\])?\s+@\s+(\S+)")
_EDITABLE = re.compile(r"-e\s+(\S+?)(?:#egg=([\w.\-]+))?")
_ROW = re.compile(r"([A-Za-z0-9][\w.\-]*)\s+(\d\S*)(?:\s+(\S.*?))?\s*")


def pip(text: str) -> Iterator[Package]:
    """The packages in what `pip freeze` or `pip list` printed; a line that names none is passed over."""
    for line in text.splitlines():
        if found := _PINNED.match(line):
            yield Package(name=found[1], version=found[2])
        elif found := _PLACED.match(line):
            yield Package(name=found[1], version="", origin={"url": redact_url(found[2])})
        elif found := _EDITABLE.fullmatch(line.strip()):
            url = redact_url(found[1])
            name = found[2] or url.rstrip("/").rpartition("/")[2]
            yield Package(name=name, version="", origin={"url": url, "dir_info": {"editable": True}})
        elif not line.startswith(("#", "-")) and (found := _ROW.fullmatch(line)):
            place = {"url": redact_url(found[3]), "dir_info": {"editable": True}} if found[3] else None
            yield Package(name=found[1], version=found[2], origin=place)


def conda(text: str) -> Iterator[CondaPackage]:
    """The packages in what `conda list --export` printed."""
    for line in text.splitlines():
        parts = line.strip().split("=")
        if not line.startswith("#") and len(parts) == 3 and all(parts):
            name, version, build = parts
            yield CondaPackage(name=name, version=version, build=build, channel="pypi" if build == "pypi_0" else None)


__all__ = ["conda", "pip"]
