"""Which files are source: what a snapshot takes of the files that git does not track.

Source is what has a source extension, the name of a project file, or `#!` at its beginning; never what
lies in an environment, a cache or another's output folder, never a secret, never above the limits.
Paths are bytes, as git gives them. Light: a recording asks this before anything else.
"""

from __future__ import annotations


class Rules:
    """What a snapshot takes: files up to `file` bytes, `whole` bytes in all; `withhold`: none that holds a secret."""

    __slots__ = ("file", "whole", "withhold")

    def __init__(self, file: int = 10 << 20, whole: int = 200 << 20, *, withhold: bool = False) -> None:
        self.file = file
        self.whole = whole
        self.withhold = withhold

    def name(self) -> bytes:
        """A name for these rules: what was found by others is not what would be found by these."""
        return b"%d %d %d" % (self.file, self.whole, self.withhold)


_LANGUAGES = (
    b"py pyw pyi pyx pxd pxi ipynb r rmd rnw qmd jl m mlx c h cc cpp cxx c++ hh hpp hxx inl cu cuh cl f for f77 f90 f95 f03 "
    b"f08 s asm go rs java kt kts scala sc groovy js jsx mjs cjs ts tsx vue svelte coffee pl pm t rb php lua sh bash zsh "
    b"fish ksh csh tcsh ps1 psm1 bat cmd awk sed sql hs lhs ml mli fs fsx clj cljs edn ex exs erl hrl nim zig d swift dart v "
    b"sv vhd vhdl nf smk wdl cwl do ado sas sps stan bug jags nlogo gms mod ampl mzn praat wl wls nb sage gp g4 y l rkt scm "
    b"ss lisp el vim tcl glsl vert frag wgsl metal halide proto thrift capnp pyf i swg cmake mk mak ninja bzl bazel gradle "
    b"sbt cabal nix dhall tf hcl j2 jinja jinja2 mako tmpl tex sty cls bst bib ltx typ rst md org adoc puml dot gv gnuplot "
    b"gnu plt html htm css scss less yaml yml toml ini cfg conf properties xsl xslt xsd dtd"
)
SOURCE_EXTENSIONS = frozenset(_LANGUAGES.split())

#: Extensions of data: such a file is not opened to look for `#!`.
_DATA = (
    b"csv tsv txt json jsonl ndjson xml parquet feather arrow orc avro xls xlsx ods npy npz mat h5 hdf5 hdf nc nc4 zarr fits "
    b"root pkl pickle joblib pt pth ckpt onnx pb tflite safetensors bin dat db sqlite sqlite3 log out err png jpg jpeg gif "
    b"svg tif tiff bmp webp eps ps pdf mp3 mp4 wav flac avi mov mkv zip gz bz2 xz zst 7z tar tgz rar whl egg jar o a so "
    b"dylib dll exe pyc pyo class lock tmp bak swp fa fasta fq fastq sam bam cram vcf bcf bed gff gtf pdb cif nii dcm doc "
    b"docx ppt pptx rds rda rdata"
)
DATA_EXTENSIONS = frozenset(_DATA.split())

_NAMES = (
    b"Makefile makefile GNUmakefile BSDmakefile Snakefile Dockerfile Containerfile Singularity Justfile justfile Rakefile "
    b"Gemfile Gemfile.lock Pipfile Pipfile.lock poetry.lock pdm.lock uv.lock pixi.lock conda-lock.yml renv.lock Cargo.lock "
    b"requirements.txt constraints.txt runtime.txt apt.txt environment.json package.json package-lock.json yarn.lock pnpm- "
    b"lock.yaml tsconfig.json composer.json go.mod go.sum pom.xml CMakeLists.txt CMakePresets.json meson.build "
    b"meson_options.txt SConstruct SConscript wscript configure.ac configure.in Makefile.am Makefile.in Jenkinsfile "
    b"Vagrantfile Procfile WORKSPACE BUILD MODULE.bazel DESCRIPTION NAMESPACE .Rprofile MANIFEST.in py.typed dvc.lock "
    b"params.json nextflow.config .gitignore .gitattributes .gitmodules .python-version .tool-versions .dockerignore "
    b".pylintrc .flake8 .coveragerc .editorconfig .clang-format LICENSE COPYING README"
)
PROJECT_FILES = frozenset(_NAMES.split())

#: Folders whose content is never source unless it is tracked.
EXCLUDED_FOLDERS = frozenset(
    b".git .vestige .hg .svn .bzr __pycache__ node_modules .venv venv site-packages .tox .nox .mypy_cache .ruff_cache "
    b".pytest_cache .hypothesis .ipynb_checkpoints .eggs .conda .pixi .Rproj.user .snakemake .nextflow mlruns wandb outputs "
    b"lightning_logs .ntrk .terraform .gradle .cache".split()
)
_EXCLUDED_ENDINGS = (b".egg-info", b".dist-info")
#: Files that only lie at the top of an environment of Python's or conda's.
ENVIRONMENT_MARKERS = frozenset({b"pyvenv.cfg", b"conda-meta/history"})

YES, NO, PERHAPS = 1, 0, 2


def by_name(path: bytes) -> int:
    """YES or NO by the name alone; PERHAPS where the beginning of the file has to tell."""
    name = path[path.rfind(b"/") + 1 :]
    dot = name.rfind(b".")
    extension = name[dot + 1 :].lower() if dot > 0 else b""
    if extension in SOURCE_EXTENSIONS or name in PROJECT_FILES:
        return YES
    if name.startswith((b"Dockerfile.", b"Makefile.")) or (name.startswith(b"requirements") and extension in {b"txt", b"in"}):
        return YES
    return NO if extension in DATA_EXTENSIONS else PERHAPS


class Filter:
    """Leaves out what lies in folders that never hold source; environments are known by what lies at their top."""

    __slots__ = ("_environments", "_known")

    def __init__(self, paths: list[bytes]) -> None:
        self._environments = frozenset(
            path[: -len(marker)] for path in paths for marker in ENVIRONMENT_MARKERS if path.endswith(b"/" + marker)
        )
        self._known: dict[bytes, bool] = {b"": True}

    def admits(self, path: bytes) -> bool:
        """Whether a path lies where source may lie."""
        return self._folder(path[: path.rstrip(b"/").rfind(b"/") + 1])

    def _folder(self, folder: bytes) -> bool:
        unknown = []
        while (known := self._known.get(folder)) is None:
            unknown.append(folder)
            parent = folder[:-1].rpartition(b"/")[0]
            folder = parent + b"/" if parent else b""
        for one in reversed(unknown):
            name = one[:-1].rpartition(b"/")[2]
            excluded = name in EXCLUDED_FOLDERS or name.endswith(_EXCLUDED_ENDINGS) or one in self._environments
            known = known and not excluded
            self._known[one] = known
        return known


def exclude_patterns() -> list[str]:
    """The excluded folders as git's ignore rules, so that git does not walk through them."""
    names = sorted(name.decode("ascii") + "/" for name in EXCLUDED_FOLDERS)
    return [*names, *("*" + ending.decode("ascii") + "/" for ending in _EXCLUDED_ENDINGS)]
