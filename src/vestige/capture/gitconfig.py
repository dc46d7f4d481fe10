"""git's configuration read by hand: remotes, filters, and what bears on the bytes of files (git-config(1))."""

from __future__ import annotations

import os

#: What git takes for white space.
_BLANK = " \t\r\n"


class Configuration:
    """What matters of a repository's configuration, and of its user's and its system's."""

    __slots__ = ("attributes_file", "autocrlf", "excludes_file", "filters", "remotes", "sha256")

    def __init__(self) -> None:
        self.remotes: dict[str, str] = {}
        self.filters: set[str] = {"lfs"}
        self.sha256 = False
        self.autocrlf = False
        self.attributes_file: str | None = None
        self.excludes_file: str | None = None


def load(common: str | None, git_dir: str | None) -> Configuration:
    """The configuration of a repository, or of its user alone.

    Conditions of `includeIf` are not judged: what they include may add filters only.
    """
    found = Configuration()
    environment, home = os.environ, os.environ.get("HOME", "")
    files = [] if environment.get("GIT_CONFIG_NOSYSTEM") else [environment.get("GIT_CONFIG_SYSTEM", "/etc/gitconfig")]
    if "GIT_CONFIG_GLOBAL" in environment:
        files.append(environment["GIT_CONFIG_GLOBAL"])
    else:
        base = environment.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
        files += [os.path.join(base, "git", "config"), os.path.join(home, ".gitconfig")]
    for path in files:
        _take(found, path, home)
    if common is not None and git_dir is not None:
        _take(found, os.path.join(common, "config"), home, local=True)
        if git_dir != common:
            _take(found, os.path.join(git_dir, "config.worktree"), home, local=True)
    return found


def parse(text: str) -> list[tuple[str, str, str, str]]:
    """Section, subsection, key and value of every line of a configuration file (git-config(1), "Syntax")."""
    entries = []
    section = subsection = ""
    lines = iter(text.replace("\r\n", "\n").split("\n"))
    for raw in lines:
        line = raw.strip(_BLANK)
        if line.startswith("["):
            title, _, line = line[1:].partition("]") if '"' not in line else _quoted_title(line)
            section, _, subsection = title.partition(" ")
            if not subsection and "." in section:
                section, _, subsection = section.partition(".")
            subsection = subsection.strip(_BLANK)
            if subsection.startswith('"'):
                subsection = subsection[1:-1].replace('\\"', '"').replace("\\\\", "\\")
            section, line = section.lower(), line.strip(_BLANK)
        if not line or line[0] in "#;":
            continue
        key, equals, value = line.partition("=")
        while value.endswith("\\") and (len(value) - len(value.rstrip("\\"))) % 2:
            value = value[:-1] + next(lines, "")
        entries.append((section, subsection, key.strip(_BLANK).lower(), _value(value) if equals else "true"))
    return entries


def _take(into: Configuration, path: str, home: str, depth: int = 0, *, local: bool = False, certain: bool = True) -> None:
    text = read_text(path, 1 << 20)
    for section, subsection, key, value in parse(text) if text else ():
        if section == "filter" and subsection:
            into.filters.add(subsection)
        elif section in {"include", "includeif"} and key == "path" and depth < 5:
            target = os.path.join(os.path.dirname(path), _expanded(value, home))
            _take(into, target, home, depth + 1, local=local, certain=certain and section == "include")
        elif not certain:
            continue
        elif section == "remote" and subsection and key == "url" and local:
            into.remotes.setdefault(subsection, value)
        elif section == "extensions" and key == "objectformat":
            into.sha256 = value.lower() == "sha256"
        elif section == "core" and key == "autocrlf":
            into.autocrlf = value.lower() not in {"false", "no", "off", "0", ""}
        elif section == "core" and key == "attributesfile":
            into.attributes_file = _expanded(value, home)
        elif section == "core" and key == "excludesfile":
            into.excludes_file = _expanded(value, home)


def _expanded(path: str, home: str) -> str:
    return os.path.join(home, path[2:]) if path.startswith("~/") else path


def _quoted_title(line: str) -> tuple[str, str, str]:
    at_quote = line.index('"') + 1
    while at_quote < len(line) and line[at_quote] != '"':
        at_quote += 2 if line[at_quote] == "\\" else 1
    title, _, rest = line[at_quote:].partition("]")
    return line[1:at_quote] + title, "]", rest


def _value(text: str) -> str:
    """A value with quotes and escapes undone and comments cut off."""
    out, held, quoted, escaped = [], "", False, False
    for sign in text.strip(_BLANK):
        if escaped:
            out.append(held + {"n": "\n", "t": "\t", "b": "\b"}.get(sign, sign))
            held, escaped = "", False
        elif sign == "\\":
            escaped = True
        elif sign == '"':
            quoted = not quoted
        elif sign in "#;" and not quoted:
            break
        elif sign in " \t" and not quoted:
            held += sign
        else:
            out.append(held + sign)
            held = ""
    return "".join(out)


def read_text(path: str, limit: int = 65536) -> str:
    """The beginning of a text file; empty where it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return ""
    try:
        return os.fsdecode(os.read(fd, limit))
    except OSError:
        return ""
    finally:
        os.close(fd)
