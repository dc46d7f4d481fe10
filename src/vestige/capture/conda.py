"""What conda installed into an environment, from its own notes in `conda-meta`; no conda is asked."""

from __future__ import annotations

import json
import os

from vestige.model.environment import CondaPackage
from vestige.model.redaction import redact_text, redact_url


def folder_of(prefix: str) -> str | None:
    """Where conda keeps its notes on an environment; None if it is none of conda's."""
    folder = os.path.join(prefix, "conda-meta")
    return folder if os.path.isdir(folder) else None


def installed(folder: str) -> tuple[tuple[CondaPackage, ...], tuple[str, ...]]:
    """The packages, by name, with tokens taken out of their addresses; and what could not be read."""
    packages: list[CondaPackage] = []
    problems: list[str] = []
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        return (), (f"{folder} cannot be read: {error.strerror}",)
    for name in names:
        if not name.endswith(".json") or name.startswith("."):
            continue
        path = os.path.join(folder, name)
        try:
            with open(path, "rb") as file:
                packages.append(_package(json.load(file)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            problems.append(f"conda: {path} is damaged")
            packages.append(_from_name(name))
    return tuple(sorted(packages, key=lambda package: (package.name, package.version))), tuple(problems)


def specs(folder: str) -> tuple[str, ...]:
    """What the user asked conda for, in the order of asking, from its history."""
    from ast import literal_eval

    asked: dict[str, None] = {}
    try:
        with open(os.path.join(folder, "history"), encoding="utf-8", errors="replace") as file:
            lines = [line for line in file if line.startswith("# ") and " specs: " in line]
    except OSError:
        return ()
    for line in lines:
        what, _, text = line[2:].partition(" specs: ")
        try:
            words = [str(word) for word in literal_eval(text.strip())]
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
        for word in words:
            clean = redact_url(word) if "://" in word else redact_text(word)
            if what == "remove":
                asked.pop(clean, None)
            elif what in {"update", "install"}:
                asked[clean] = None
    return tuple(asked)


def _package(document: dict[str, object]) -> CondaPackage:
    def text(key: str) -> str | None:
        value = document.get(key)
        return str(value) if value not in (None, "") else None

    url, channel = text("url"), text("channel")
    return CondaPackage(
        name=str(document["name"]),
        version=str(document["version"]),
        build=text("build") or text("build_string"),
        channel=redact_url(channel) if channel else None,
        url=redact_url(url) if url else None,
        md5=text("md5"),
        sha256=text("sha256"),
    )


def _from_name(name: str) -> CondaPackage:
    """`numpy-1.26.4-py311h64a7726_0.json` says what little it says."""
    parts = name.removesuffix(".json").rsplit("-", 2)
    if len(parts) == 3:
        return CondaPackage(name=parts[0], version=parts[1], build=parts[2])
    return CondaPackage(name=parts[0], version="")
