"""What a file was to a run, told from its path alone.

Inside the project's root beats every rule about places: the data of a project in `/opt` are data. The rules look at
text only, so that they can be asked for every path of a run, and asked again when they have changed.
"""

from __future__ import annotations

from vestige.model.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Placed = Literal["data", "config", "code", "cache", "temporary", "library", "system", "drop"]
else:
    Placed = str

#: A role, or "drop": not a file of the run at all.


class Setting(NamedTuple):
    """Where a run took place. All paths are absolute, canonical and without a slash at the end.

    A `root` that is the home folder or `/` counts as no project: rules about places apply in it. `temporary` are the
    temporary roots, `prefixes` what interpreters are installed under, `caches` the user's cache folders, `own` what
    belongs to Vestige, `executed` files that were executed, or were the script of an interpreter.
    """

    root: str
    store: str = ""
    home: str = ""
    temporary: tuple[str, ...] = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108  # names to recognise, not to write to
    prefixes: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    executed: frozenset[str] = frozenset()


class Rules:
    """A setting, prepared so that most questions are one `startswith`."""

    def __init__(self, setting: Setting) -> None:
        self.executed = setting.executed
        self._root = "" if setting.root in ("", "/", setting.home) else setting.root + "/"
        self._depth = setting.root.count("/") + 1
        self._store = _below(setting.store)
        self._own = _below(*setting.own)
        self._caches = _below(*setting.caches)
        self._temporary = _below(*setting.temporary)
        self._prefixes = _below(*(folder for folder in setting.prefixes if folder not in _SYSTEM_PREFIXES))
        self._prefixes_inside = tuple(folder for folder in self._prefixes if self._root and folder.startswith(self._root))
        self._home = setting.home + "/" if setting.home else ""
        self._dotted = self._home + "." if self._home else "\0"
        self._suspect = (*_DEVICES, *self._store, *self._own)

    def dropped(self, path: str) -> str | None:
        """Why a file is none of the run's: `device`, `store`, `own` or `versions` (internals of version control)."""
        if path.startswith(self._suspect):
            if path.startswith(self._store):
                return "store"
            if path.startswith(self._own):
                return "own"
            if not path.startswith(_SHARED) and not (self._root and path.startswith(self._root)):
                return "device"
        if path[:1] != "/" or path.endswith(" (deleted)"):
            return "device"
        if "/." in path:
            if "/.vestige/" in path:
                return "store"
            if not _VERSIONS.isdisjoint(path.split("/")):
                return "versions"
        return None

    def role(self, path: str, *, written: bool = False) -> Placed:
        """The role of a file that is not dropped."""
        parts = path.split("/")
        if self._root and path.startswith(self._root):
            place = self._inside(path, parts[self._depth :])
        else:
            place = self._outside(path, parts, written=written)
        if place is not None:
            return place
        name = parts[-1]
        suffix = _suffix(name)
        if path in self.executed or _is_source(name, suffix):
            return "code"
        if not written and suffix.lower() in _CONFIG:
            return "config"
        return "data"

    def why(self, path: str, *, written: bool = False) -> tuple[Placed, str]:
        """The role of a file, or "drop", and the rule that says so, in words."""
        dropped = self.dropped(path)
        if dropped is not None:
            return "drop", _DROPPED[dropped]
        place = self.role(path, written=written)
        return place, self._reason(path, place)

    def _reason(self, path: str, place: Placed) -> str:
        parts = path.split("/")
        if place in ("data", "config", "code"):
            return f"its name ends in {_suffix(parts[-1])}" if _suffix(parts[-1]) and place != "data" else "no other rule fits"
        if place == "temporary":
            return "left in a temporary folder outside the project"
        marks = _LIBRARY_PARTS if place == "library" else _CACHE_PARTS
        named = next((part for part in parts if part in marks), None)
        begins = next((folder for folder in (*self._prefixes, *self._caches, *_SYSTEM) if path.startswith(folder)), None)
        if place == "cache" and path.endswith(_CACHE_SUFFIXES):
            return f"*{_suffix(parts[-1])} are made from other files"
        if place != "system" and named is not None:
            return f"in a folder {named}/"
        within = next((mark for mark in _LIBRARY_MARKS if mark in path), None)
        if place == "library" and within is not None:
            return f"below {within}"
        return f"below {begins}" if begins is not None else "in a hidden folder of your home folder"

    def _inside(self, path: str, parts: list[str]) -> Placed | None:
        if self._prefixes_inside and path.startswith(self._prefixes_inside):
            return "library"
        if path.endswith(_CACHE_SUFFIXES) and _LIBRARY_PARTS.isdisjoint(parts):
            return "cache"
        if _NOTABLE.isdisjoint(parts):
            return None
        if not _LIBRARY_PARTS.isdisjoint(parts) or "/renv/library/" in path or "/packrat/lib" in path:
            return "library"
        if _is_data_cache(path, parts):
            return "data"
        return None if _CACHE_PARTS.isdisjoint(parts) else "cache"

    def _outside(self, path: str, parts: list[str], *, written: bool) -> Placed | None:
        if not _NOTABLE.isdisjoint(parts):
            if _is_data_cache(path, parts):
                return "data"
            if not _LIBRARY_PARTS.isdisjoint(parts):
                return "library"
            if not _LIBRARY_CLUES.isdisjoint(parts) and any(mark in path for mark in _LIBRARY_MARKS):
                return "library"
        if self._prefixes and path.startswith(self._prefixes):
            return "library"
        if path.endswith(_CACHE_SUFFIXES) or not _CACHE_PARTS.isdisjoint(parts) or path.startswith(self._caches):
            return "cache"
        if path.startswith(self._temporary):
            return "temporary" if written else None
        if path.startswith(_SYSTEM) and not path.startswith(_NOT_SYSTEM):
            return "system"
        if path.startswith("/opt/") and not _INSTALLED.isdisjoint(parts[3:4]):
            return "system"
        if path.startswith(self._dotted):
            return _place_in_dotfolder(path[len(self._home) :], written=written)
        return None


def role(path: str, setting: Setting, *, written: bool = False) -> Placed:
    """The role of a file that was read, or `written`, at a canonical absolute path."""
    rules = _rules(setting)
    return "drop" if rules.dropped(path) is not None else rules.role(path, written=written)


def is_source(name: str) -> bool:
    """Whether a file of this name is written by people for machines to execute, or made from what is."""
    return _is_source(name, _suffix(name))


_PREPARED: dict[Setting, Rules] = {}


def _rules(setting: Setting) -> Rules:
    if setting not in _PREPARED:
        _PREPARED.clear()
        _PREPARED[setting] = Rules(setting)
    return _PREPARED[setting]


def _place_in_dotfolder(rest: str, *, written: bool) -> Placed | None:
    if rest.startswith(_DOT_SYSTEM):
        return "system"
    if rest.startswith(_DOT_ORDINARY):
        return None
    if written or rest.startswith(".local/state/") or rest in _DOT_CACHE or rest.endswith("_history"):
        return "cache"
    return "config"


def _is_data_cache(path: str, parts: list[str]) -> bool:
    """Caches of models and data sets: what lies there went into the result, wherever it came from."""
    if _DATA_CLUES.isdisjoint(parts):
        return False
    return any(mark in path for mark in _DATA_CACHES) and not any(mark in path for mark in _NOT_DATA)


def _is_source(name: str, suffix: str) -> bool:
    return suffix in _SOURCES or suffix.lower() in _SOURCES or name in _SOURCE_NAMES or ".so." in name


def _below(*folders: str) -> tuple[str, ...]:
    return tuple(folder + "/" for folder in folders if folder)


def _suffix(name: str) -> str:
    at = name.rfind(".")
    return name[at:] if at >= 0 else ""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DROPPED = {
    "device": "a device, or what the kernel tells",
    "store": "in the store",
    "own": "of Vestige itself",
    "versions": "internals of version control, which the commit stands for",
}
_DEVICES = ("/proc/", "/sys/", "/dev/", "/memfd:")
_SHARED = "/dev/shm/"  # noqa: S108  # a name to recognise
_VERSIONS = frozenset({".git", ".hg", ".svn", ".bzr", ".jj"})
_SOURCES = _words(
    """.py .pyw .pyi .pyx .pxd .pxi .R .r .Rmd .rmd .qmd .Rnw .sh .bash .zsh .fish .ksh .csh .awk .jl .rb .js .mjs .cjs .jsx
    .ts .tsx .pl .pm .lua .php .tcl .m .do .ado .sas .sps .c .h .cc .cpp .cxx .c++ .hh .hpp .hxx .cu .cuh .cl .f .for .f77
    .f90 .f95 .f03 .f08 .F .F90 .rs .go .java .kt .kts .scala .groovy .gradle .swift .cs .fs .vb .hs .ml .mli .ex .exs .erl
    .clj .lisp .el .scm .rkt .nim .zig .pas .asm .s .S .v .sv .vhd .vhdl .stan .bug .jags .mzn .wl .nb .mk .cmake .smk .nf
    .wdl .cwl .tex .sty .cls .gp .gnuplot .plt .j2 .jinja .jinja2 .so .pyd .dylib .dll .jar .class .wasm"""
)
_SOURCE_NAMES = _words(
    """Makefile makefile GNUmakefile Snakefile Justfile justfile Dockerfile Containerfile Rakefile Gemfile SConstruct
    SConscript CMakeLists.txt meson.build wscript BUILD WORKSPACE Jenkinsfile .Rprofile .latexmkrc"""
)
_CONFIG = _words(".yaml .yml .toml .json .json5 .jsonc .ini .cfg .conf .config .properties .env .hydra")
_LIBRARY_PARTS = _words(
    """site-packages dist-packages node_modules .venv venv .tox .nox .conda conda-meta __pypackages__ .pixi .eggs .virtualenvs
    site-library .julia .cargo .rustup .pyenv .rbenv .nvm .rvm .asdf .gem .cpanm .m2 .gradle .sdkman .opam .cabal .stack .ghcup
    .bun .deno miniconda3 miniconda anaconda3 anaconda miniforge3 miniforge mambaforge micromamba linuxbrew"""
)
_LIBRARY_MARKS = (
    *("/lib/python3.", "/lib64/python3.", "/lib/python2.", "/lib/pypy3.", "/lib/R/library/", "/R/library/", "/lib/R/"),
    *("/R/x86_64-pc-linux-gnu-library/", "/R/aarch64-unknown-linux-gnu-library/", "/renv/library/", "/share/uv/", "/share/pipx/"),
    *("/share/mamba/", "/go/pkg/mod/", "/opt/conda/", "/Python.framework/", "/lib/perl5/", "/share/perl5/", "/lib/ruby/"),
)
_LIBRARY_CLUES = frozenset({"lib", "lib64", "R", "library", "share", "go", "conda", "Python.framework"})
_CACHE_PARTS = _words(
    """__pycache__ .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .ccache .ipynb_checkpoints .snakemake .nextflow
    .matplotlib .numba_cache .npm .yarn .pnpm-store ComputeCache .nv .fontconfig .sass-cache .Rproj.user
    .parcel-cache .terraform .dvc .fuse_hidden Caches"""
)
_CACHE_SUFFIXES = (".pyc", ".pyo", ".nbi", ".nbc")
_DATA_CACHES = (
    *("/.cache/huggingface/", "/.cache/torch/", "/scikit_learn_data/", "/.keras/datasets/", "/.keras/models/", "/nltk_data/"),
    *("/tensorflow_datasets/", "/.cache/pooch/", "/.intake/cache/", "/seaborn-data/", "/.cache/kagglehub/", "/.cache/openml/"),
    *("/.astropy/cache/", "/.cache/whisper/", "/.cache/clip/", "/gensim-data/", "/mne_data/", "/.fastai/"),
    *("/.cache/tfhub_modules/", "/.cache/datasets/", "/.cache/modelscope/", "/.cache/sentence_transformers/"),
    *("/.ollama/models/", "/share/cartopy/", "/.cache/panns_data/"),
    *("/.EasyOCR/", "/.paddleocr/", "/.insightface/", "/.deepface/", "/.cache/lm-evaluation-harness/", "/scanpy_data/"),
)
#: A path of a data cache has one of these parts: told sooner than by looking for every mark.
_DATA_CLUES = frozenset(part for mark in _DATA_CACHES for part in mark.strip("/").split("/")[-1:])
_NOT_DATA = (
    *("/.cache/torch/kernels/", "/.cache/torch/inductor/", "/.cache/torch_extensions/", "/huggingface/token"),
    *("/huggingface/.locks/", "/huggingface/version", "/huggingface/accelerate/", "/__pycache__/"),
)
#: A path has a role by its place only if it has one of these parts, or by how it begins or ends.
_NOTABLE = _LIBRARY_PARTS | _LIBRARY_CLUES | _CACHE_PARTS | _DATA_CLUES | {"renv", "packrat"}
_SYSTEM_PREFIXES = frozenset({"/", "/usr", "/usr/local"})
_SYSTEM = (
    *("/usr/", "/lib/", "/lib64/", "/lib32/", "/libx32/", "/bin/", "/sbin/", "/etc/", "/var/", "/boot/", "/run/", "/snap/"),
    *("/nix/store/", "/gnu/store/", "/System/", "/Library/", "/opt/homebrew/", "/opt/local/", "/sw/", "/cvmfs/"),
)
_NOT_SYSTEM = ("/run/media/", "/var/folders/", "/run/mount/")
_INSTALLED = frozenset({"bin", "sbin", "lib", "lib64", "libexec", "share", "include", "etc", "targets", "extras", "resources"})
_DOT_SYSTEM = (".local/share/fonts/", ".fonts/", ".local/share/mime/", ".local/share/icons/", ".icons/")
_DOT_ORDINARY = (".local/share/", ".local/bin/", ".local/lib/")
_DOT_CACHE = frozenset({".viminfo", ".lesshst", ".Xauthority", ".ICEauthority", ".wget-hsts", ".rnd"})
