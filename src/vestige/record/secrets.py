"""A quick look whether words might hold a secret, so that the slow look is taken only then."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Secrets go with these, in lower case.
MARKS = (
    "key", "token", "secret", "pass", "pwd", "auth", "cred", "bearer", "://", "sk-", "sk_", "pk_", "rk_", "gho_", "ghp_", "ghs_",
    "ghu_", "ghr_", "github_pat", "glpat", "xox", "akia", "asia", "eyj", "hf_", "npm_", "pypi-", "sg.", "sig=", "private",
    "cookie", "session", "api", "aiza", "ya29", "dop_", "shpat", "sq0",
)  # fmt: skip
_NAMES = ("KEY", "TOKEN", "SECRET", "PASS", "PWD", "CREDENTIAL", "AUTH")
#: Programs that take a password in a short option.
TELLING = ("mysql", "mariadb", "curl", "wget", "sshpass", "psql", "redis-cli", "ldap", "smbclient", "docker", "mongo", "rclone")


def suspicious(words: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether redaction must be asked: a word that secrets go with, a long jumble, or the value of a secret's variable."""
    if words and os.path.basename(words[0]).startswith(TELLING):
        return True
    for word in words:
        lower = word.lower()
        if any(mark in lower for mark in MARKS):
            return True
        if len(word) >= 20 and not word.startswith(("-", "/", ".")) and not set("/. ") & set(word) and _jumbled(word):
            return True
    return any(value in word for value in values(environ) for word in words)


def values(environ: Mapping[str, str]) -> list[str]:
    """The values of variables whose names say that they are secret."""
    return [
        value
        for name, value in environ.items()
        if len(value) >= 8 and name not in ("PWD", "OLDPWD") and any(mark in name.upper() for mark in _NAMES)
    ]


def _jumbled(word: str) -> bool:
    return any(c.isdigit() for c in word) and any(c.isalpha() for c in word)


def key(folder: str) -> bytes:
    """The key of this user's hashes of secrets, made at the first use; 0600, and never exported.

    Where it cannot be kept, one that lasts for this process.
    """
    path = os.path.join(folder, "key")
    for _ in range(2):
        try:
            with open(path, "rb") as file:
                found = file.read()
            if len(found) == 32:
                return found
        except OSError:
            pass
        fresh = os.urandom(32)
        temporary = f"{path}.{os.getpid()}"
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.write(descriptor, fresh)
            finally:
                os.close(descriptor)
            try:
                os.link(temporary, path)
            except FileExistsError:
                continue
            finally:
                os.unlink(temporary)
        except OSError:
            return fresh
        else:
            return fresh
    return fresh
