"""Which variables a run worked under: by name and value where they may matter, by keyed hash otherwise.

Listed with their value are those on the list below (they steer interpreters, libraries, schedulers and numerics),
those that the user's configuration names, and those that differ from the login session's own: what someone set
for this run, or in this shell. Of the rest only a keyed hash is kept, so that "has it changed?" has an answer.
"""

from __future__ import annotations

import os

from vestige.model.run import Redaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Goes up when the same variables give another list, so that what was remembered is not used.
FORM = 1
#: Longer values (shell functions, terminal colours) are kept as hashes.
LONGEST = 8192

_ALLOWED = frozenset(
    [
        "PATH", "MANPATH", "LANG", "LANGUAGE", "TZ", "SHELL", "HOME", "USER", "LOGNAME", "TMPDIR", "VIRTUAL_ENV",
        "LOADEDMODULES", "MODULEPATH", "DISPLAY", "SOURCE_DATE_EPOCH", "CC", "CXX", "FC", "CFLAGS", "CXXFLAGS", "FFLAGS",
        "LDFLAGS", "CPPFLAGS", "MAKEFLAGS", "PKG_CONFIG_PATH", "CPATH", "LIBRARY_PATH", "C_INCLUDE_PATH", "CLASSPATH",
        "JAVA_HOME", "GOPATH", "GOMAXPROCS", "HOSTNAME", "KMP_AFFINITY", "NODE_PATH", "NODE_OPTIONS", "NODE_ENV",
        "PERL5LIB", "PERL_HASH_SEED", "RUBYLIB", "JOB_ID", "JOB_NAME", "QUEUE", "RANK", "WORLD_SIZE", "LOCAL_RANK",
        "MASTER_ADDR", "MASTER_PORT", "NO_COLOR", "CI",
    ]
)  # fmt: skip
_PREFIXES = (
    "PYTHON", "LD_", "DYLD_", "LC_", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "BLIS_", "NUMEXPR_", "VECLIB_", "BLAS_",
    "CUDA_", "CUDNN_", "CUBLAS_", "NVIDIA_", "NCCL_", "ROCR_", "HIP_", "HSA_", "ROCM_", "MIOPEN_", "SLURM_", "PBS_", "LSB_",
    "SGE_", "OAR_", "FLUX_", "TORCH", "PYTORCH_", "XLA_", "JAX_", "TF_", "KERAS_", "NUMBA_", "HF_", "TRANSFORMERS_",
    "HUGGINGFACE_", "TOKENIZERS_", "MPLBACKEND", "MPLCONFIGDIR", "CONDA_", "MAMBA_", "PIXI_", "UV_", "PIP_", "SPACK_",
    "EASYBUILD_", "EBROOT", "EBVERSION", "LMOD_", "APPTAINER_", "SINGULARITY_", "OMPI_", "PMI_", "PMIX_", "I_MPI_", "MPICH_",
    "UCX_", "FI_", "R_", "JULIA_", "RENV_", "DASK_", "RAY_", "SPARK_", "XDG_", "GDAL_", "PROJ_", "HDF5_", "NETCDF_", "ITK_",
    "FSL", "FREESURFER_", "SUBJECTS_DIR", "AFNI_", "ANTSPATH",
)  # fmt: skip
#: What every shell and terminal changes by itself, and no program's result hangs on.
_RESTLESS = frozenset(
    [
        "_", "PWD", "OLDPWD", "SHLVL", "LINES", "COLUMNS", "LS_COLORS", "PS1", "PS2", "PS4", "PROMPT_COMMAND", "TERM",
        "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "TERM_SESSION_ID", "COLORTERM", "WINDOWID", "WINDOWPATH", "STY", "TMUX",
        "TMUX_PANE", "HISTFILE", "HISTSIZE", "HISTCONTROL", "LESSOPEN", "LESSCLOSE", "PAGER", "EDITOR", "VISUAL",
    ]
)  # fmt: skip
_RESTLESS_PREFIXES = (
    "BASH_FUNC_", "SSH_", "XDG_SESSION_", "XDG_SEAT", "XDG_VTNR", "DBUS_", "VSCODE_", "GNOME_", "KDE_", "KONSOLE_", "VTE_",
    "ITERM_", "KITTY_", "ALACRITTY_", "WEZTERM_", "WT_", "GPG_", "P9K_", "STARSHIP_", "ZSH", "OMP_SHELL",
)  # fmt: skip


def variables(
    environ: Mapping[str, str],
    allow: Iterable[str],
    key: bytes,
    login: Mapping[str, str] | None = None,
) -> tuple[dict[str, str], dict[str, str], tuple[Redaction, ...]]:
    """The variables with their values, the hashes of the others (`hmac:…`), and what was taken out.

    `allow` holds further names, with `*` if wanted. `login` are the variables that the login session began with (by
    default: found out); where they are not known, none counts as set for the run. Those of Vestige are left out.
    """
    from vestige.model import redaction

    login = login_variables() if login is None else login
    known = redaction.known_values(environ)
    wanted = tuple(allow)
    listed: dict[str, str] = {}
    others: dict[str, str] = {}
    redactions: list[Redaction] = []
    for name in sorted(environ):
        value = environ[name]
        if name.startswith("VESTIGE_"):
            continue
        if len(value) <= LONGEST and _matters(name, value, wanted, login):
            listed[name], taken = redaction.redact_variable(name, value, known, key)
            redactions += taken
        else:
            others[name] = "hmac:" + redaction.fingerprint(value, key)
    return listed, others, tuple(redactions)


def login_variables() -> dict[str, str]:
    """The variables with which the login session began: those of its leader, as that was started.

    Empty where that is not to be had: it is another user's, or there is no other process.
    """
    for pid in _leaders(os.getpid()):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                data = file.read()
        except OSError:
            continue
        pairs = (part.partition(b"=") for part in data.split(b"\0"))
        return {os.fsdecode(name): os.fsdecode(value) for name, equals, value in pairs if equals}
    return {}


def _leaders(pid: int) -> list[int]:
    """The leaders of the sessions that a process lies in, the nearest first, without the processes that were
    forked from one program with it: those may have begun sessions of their own, and are not what the user began."""
    own: set[int] = set()
    sessions: dict[int, None] = {}
    command: bytes | None = _proc(pid, "cmdline")
    while pid > 0 and len(sessions) < 64:
        fields = _proc(pid, "stat").rpartition(b")")[2].split()
        if len(fields) < 4:
            break
        if command is not None and _proc(pid, "cmdline") == command:
            own.add(pid)
        else:
            command = None
        sessions[int(fields[3])] = None
        pid = int(fields[1])
    return [leader for leader in sessions if leader > 0 and leader not in own]


def _proc(pid: int, name: str) -> bytes:
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def _is_wanted(name: str, wanted: tuple[str, ...]) -> bool:
    from fnmatch import fnmatchcase

    return any(fnmatchcase(name, pattern) for pattern in wanted)


def _matters(name: str, value: str, wanted: tuple[str, ...], login: Mapping[str, str]) -> bool:
    if wanted and _is_wanted(name, wanted):
        return True
    if name in _RESTLESS or name.startswith(_RESTLESS_PREFIXES):
        return False
    if name in _ALLOWED or name.startswith(_PREFIXES):
        return True
    return bool(login) and login.get(name) != value
