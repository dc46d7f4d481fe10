"""Which untracked files are source."""

from __future__ import annotations

import pytest

from vestige.capture.sources import NO, PERHAPS, YES, Filter, by_name, exclude_patterns

NAMES = {
    b"train.py": YES,
    b"a/b/Train.PY": YES,
    b"model.R": YES,
    b"analysis.Rmd": YES,
    b"kernel.cu": YES,
    b"fit.jl": YES,
    b"nb.ipynb": YES,
    b"q.sql": YES,
    b"run.sh": YES,
    b"Makefile": YES,
    b"sub/Snakefile": YES,
    b"Dockerfile": YES,
    b"Dockerfile.gpu": YES,
    b"requirements.txt": YES,
    b"requirements-dev.txt": YES,
    b"pyproject.toml": YES,
    b"environment.yml": YES,
    b"uv.lock": YES,
    b".gitignore": YES,
    b"params.yaml": YES,
    b"vestige.toml": YES,
    b"notes.txt": NO,
    b"out.csv": NO,
    b"report.json": NO,
    b"fig.png": NO,
    b"weights.pt": NO,
    b"data.tar.gz": NO,
    b"other.lock": NO,
    b"tool": PERHAPS,
    b"tool.v2": PERHAPS,
    b".hidden": PERHAPS,
    b".py": PERHAPS,
    b"name.": PERHAPS,
    b"\xff\n": PERHAPS,
    b"py": PERHAPS,
}


@pytest.mark.parametrize("path", NAMES)
def test_a_name_tells_source_from_data(path: bytes) -> None:
    assert by_name(path) == NAMES[path]


def test_environments_caches_and_dependencies_are_left_out_however_they_are_called() -> None:
    paths = [b"env3/pyvenv.cfg", b"conda/e/conda-meta/history", b"src/a.py"]
    admits = Filter(paths).admits
    for left_out in (
        b"env3/lib/python3.11/x.py",
        b"env3/bin/activate.fish",
        b"conda/e/bin/tool.py",
        b".venv/a.py",
        b"a/b/__pycache__/c.py",
        b"web/node_modules/x/y.js",
        b"x.egg-info/a.py",
        b".vestige/code.git/a.py",
        b"deep/.git/hooks/a.sh",
        b"mlruns/0/a.yaml",
    ):
        assert not admits(left_out), left_out
    for taken in (b"src/a.py", b"a.py", b"env3.py", b"conda/a.py", b"environment/a.py", b"src/venv.py", b"clone/"):
        assert admits(taken), taken


def test_a_path_may_be_deeper_than_python_recurses() -> None:
    assert Filter([]).admits(b"d/" * 3000 + b"a.py")
    assert not Filter([]).admits(b".venv/" + b"d/" * 3000 + b"a.py")


def test_patterns_for_git_name_folders_alone() -> None:
    assert all(pattern.endswith("/") for pattern in exclude_patterns())
    assert ".venv/" in exclude_patterns()
