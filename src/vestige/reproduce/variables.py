"""The variables of a step: the recorded ones, and today's where they say where programs and libraries are.

What was not set when the run was recorded is not set now, as far as the record tells; of variables whose value
was not recorded, today's value is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vestige.model.run import Run
from vestige.model.values import value


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Where programs, libraries and the user are: the environment in use decides, not the record.
_PRESENT = _words(
    """PATH PYTHONPATH PYTHONHOME LD_LIBRARY_PATH DYLD_LIBRARY_PATH LD_PRELOAD VIRTUAL_ENV MANPATH R_HOME R_LIBS R_LIBS_USER
    R_LIBS_SITE JAVA_HOME NODE_PATH NVM_DIR GOPATH GOROOT CARGO_HOME RUSTUP_HOME JULIA_DEPOT_PATH PERL5LIB RUBYLIB GEM_HOME
    CUDA_HOME CUDA_PATH PKG_CONFIG_PATH CMAKE_PREFIX_PATH CPATH LIBRARY_PATH MODULEPATH LOADEDMODULES PYENV_ROOT
    USER LOGNAME SHELL DISPLAY SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE"""
)
_PRESENT_BEGINNINGS = ("CONDA_", "MAMBA_", "PYENV_", "NIX_", "GUIX_")
#: They lead out of the workspace, or speak of another process.
_NEVER_BEGINNINGS = ("VESTIGE_", "XDG_", "SSH_", "DBUS_")
_NEVER = frozenset({"PWD", "OLDPWD", "_", "SHLVL", "HOME", "TMPDIR", "TEMP", "TMP", "TEMPDIR", "GIT_DIR", "GIT_WORK_TREE"})
_TEMPORARY = ("TMPDIR", "TEMP", "TMP", "TEMPDIR")


@value
class Private:
    """The folders that a step has for itself, and above which git must not look for a repository."""

    home: str
    temporary: str
    ceilings: tuple[str, ...]


def variables(
    run: Run, present: Mapping[str, str], private: Private, relocated: Callable[[str], str], secrets: Mapping[str, str]
) -> dict[str, str]:
    """The variables with which a run is executed again. `secrets` are given for those that were taken out;
    `relocated` leads paths into the workspace."""
    recorded = bool(run.variables or run.other_variables)
    found = {
        name: text
        for name, text in present.items()
        if _of_the_present(name) or (not _never(name) and (not recorded or name in run.other_variables))
    }
    for name, text in run.variables.items():
        if not _of_the_present(name) and not _never(name) and "«redacted:" not in text:
            found[name] = relocated(text)
    for redaction in run.redactions:
        name = redaction.at.removeprefix("variables.")
        refilled = secrets.get(name, present.get(name))
        if name != redaction.at and refilled is not None:
            found[name] = refilled
    found["HOME"] = private.home
    found["TMPDIR"] = private.temporary
    for name in _TEMPORARY[1:]:
        if name in run.variables or name in run.other_variables:
            found[name] = private.temporary
    found["GIT_CEILING_DIRECTORIES"] = ":".join(private.ceilings)
    return found


def _of_the_present(name: str) -> bool:
    return name in _PRESENT or name.startswith(_PRESENT_BEGINNINGS)


def _never(name: str) -> bool:
    return name in _NEVER or name.startswith(_NEVER_BEGINNINGS)
