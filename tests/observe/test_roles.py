"""Paths as literal tables: what a file was to the run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.observe.roles import Rules, Setting, is_source, role

SETTING = Setting(
    root="/home/ada/p",
    store="/home/ada/p/.vestige",
    home="/home/ada",
    temporary=("/tmp", "/var/tmp", "/scratch/job7"),
    prefixes=("/usr", "/opt/py312", "/home/ada/p/env"),
    caches=("/home/ada/.cache", "/big/cache"),
    own=("/home/ada/.cache/vestige", "/home/ada/.local/state/vestige"),
    executed=frozenset({"/home/ada/p/build", "/home/ada/p/nb.ipynb", "/home/ada/p/q.sql", "/srv/tool"}),
)

READ = {
    # the project
    "/home/ada/p/data/train.csv": "data",
    "/home/ada/p/model.joblib": "data",
    "/home/ada/p/README": "data",
    "/home/ada/p/train.py": "code",
    "/home/ada/p/src/model.R": "code",
    "/home/ada/p/lib/fast.cpython-311-x86_64-linux-gnu.so": "code",
    "/home/ada/p/lib/libfast.so.1.2": "code",
    "/home/ada/p/Makefile": "code",
    "/home/ada/p/main.tex": "code",
    "/home/ada/p/refs.bib": "data",
    "/home/ada/p/params.yaml": "config",
    "/home/ada/p/params.yml": "config",
    "/home/ada/p/pyproject.toml": "config",
    "/home/ada/p/a.json": "config",
    "/home/ada/p/a.INI": "config",
    "/home/ada/p/.env": "config",
    "/home/ada/p/build": "code",
    "/home/ada/p/nb.ipynb": "code",
    "/home/ada/p/other.ipynb": "data",
    "/home/ada/p/q.sql": "code",
    "/home/ada/p/dump.sql": "data",
    "/home/ada/p/.venv/lib/python3.11/site-packages/numpy/core.py": "library",
    "/home/ada/p/env/bin/activate": "library",
    "/home/ada/p/node_modules/left-pad/index.js": "library",
    "/home/ada/p/renv/library/R-4.3/x/R/x.rdb": "library",
    "/home/ada/p/__pycache__/train.cpython-311.pyc": "cache",
    "/home/ada/p/__pycache__/train.cpython-311.pyc.139876": "cache",
    "/home/ada/p/.venv/lib/python3.11/__pycache__/os.cpython-311.pyc": "library",
    "/home/ada/p/.pytest_cache/v/x": "cache",
    "/home/ada/p/.cache/x": "cache",
    "/home/ada/p/.cache/huggingface/hub/m.bin": "data",
    "/home/ada/p/cache/x.npy": "data",
    "/home/ada/p/tmp/x.npy": "data",
    "/home/ada/p/usr/lib/x": "data",
    "/home/ada/p/.gitignore": "data",
    "/home/ada/p/.git/HEAD": "drop",
    "/home/ada/p/sub/.git": "drop",
    "/home/ada/p/.hg/store/x": "drop",
    "/home/ada/p/.vestige/project": "drop",
    "/home/ada/p/sub/.vestige/project": "drop",
    # other places
    "/home/ada/pp/data.csv": "data",
    "/home/ada/lib/mine.py": "code",
    "/srv/tool": "code",
    "/data/raw.parquet": "data",
    "/mnt/x/params.yaml": "config",
    "/home/ada/q/.git/config": "drop",
    "/usr/bin/python3.11": "system",
    "/usr/lib/x86_64-linux-gnu/libc.so.6": "system",
    "/lib64/ld-linux-x86-64.so.2": "system",
    "/etc/ld.so.cache": "system",
    "/etc/matplotlibrc": "system",
    "/usr/share/zoneinfo/UTC": "system",
    "/var/lib/x": "system",
    "/run/media/ada/stick/a.csv": "data",
    "/nix/store/abc-python/bin/python": "system",
    "/opt/matlab/bin/matlab": "system",
    "/opt/measurements/2024.csv": "data",
    "/usr/lib/python3.11/os.py": "library",
    "/usr/lib/python3/dist-packages/yaml/__init__.py": "library",
    "/usr/lib/R/library/stats/R/stats.rdb": "library",
    "/opt/py312/lib/x": "library",
    "/opt/conda/lib/libmkl.so": "library",
    "/home/ada/miniconda3/envs/e/lib/x.so": "library",
    "/home/ada/.local/lib/python3.11/site-packages/x.py": "library",
    "/home/ada/.local/share/uv/python/cpython-3.12/bin/python": "library",
    "/home/ada/R/x86_64-pc-linux-gnu-library/4.3/x/R/x": "library",
    "/home/ada/.julia/packages/CSV/x/src/CSV.jl": "library",
    "/home/ada/.cargo/registry/src/x.rs": "library",
    "/home/ada/.cache/matplotlib/fontlist.json": "cache",
    "/big/cache/x": "cache",
    "/home/ada/.cache/vestige/abc/index.sqlite": "drop",
    "/home/ada/.local/state/vestige/key": "drop",
    "/home/ada/.cache/huggingface/hub/models--bert/blobs/x": "data",
    "/home/ada/.cache/torch/hub/checkpoints/resnet.pth": "data",
    "/home/ada/.cache/torch/kernels/x": "cache",
    "/home/ada/scikit_learn_data/covtype/x": "data",
    "/home/ada/nltk_data/corpora/words": "data",
    "/home/ada/.keras/datasets/mnist.npz": "data",
    "/home/ada/.keras/keras.json": "config",
    "/home/ada/.config/matplotlib/matplotlibrc": "config",
    "/home/ada/.condarc": "config",
    "/home/ada/.Rprofile": "config",
    "/home/ada/.gitconfig": "config",
    "/home/ada/.python_history": "cache",
    "/home/ada/.fonts/a.ttf": "system",
    "/home/ada/.local/bin/tool.py": "code",
    "/home/ada/.local/share/app/table.csv": "data",
    "/tmp/in.csv": "data",
    "/tmp/script.py": "code",
    "/dev/shm/in.npy": "data",
    # no files at all
    "/dev/null": "drop",
    "/dev/fd/3": "drop",
    "/proc/self/maps": "drop",
    "/sys/fs/cgroup/x": "drop",
    "/memfd:x (deleted)": "drop",
    "/home/ada/p/#12 (deleted)": "drop",
    "pipe:[123]": "drop",
    "socket:[1]": "drop",
}

WRITTEN = {
    "/home/ada/p/out.csv": "data",
    "/home/ada/p/results.json": "data",
    "/home/ada/p/generated.py": "code",
    "/home/ada/p/__pycache__/x.pyc": "cache",
    "/tmp/out.csv": "temporary",
    "/tmp/script.py": "temporary",
    "/scratch/job7/x": "temporary",
    "/scratch/job77/x": "data",
    "/home/ada/out.csv": "data",
    "/home/ada/.cache/torch/hub/m.pth": "data",
    "/home/ada/.config/app/state": "cache",
    "/home/ada/.viminfo": "cache",
    "/usr/local/bin/tool": "system",
    "/home/ada/.local/lib/python3.11/site-packages/x.py": "library",
}


@pytest.mark.parametrize(("path", "expected"), READ.items(), ids=READ)
def test_the_role_of_a_file_that_was_read(path: str, expected: str) -> None:
    assert role(path, SETTING) == expected


@pytest.mark.parametrize(("path", "expected"), WRITTEN.items(), ids=WRITTEN)
def test_the_role_of_a_file_that_was_written(path: str, expected: str) -> None:
    assert role(path, SETTING, written=True) == expected


@pytest.mark.parametrize("root", ["/tmp/x", "/opt/x", "/usr/src/x", "/dev/shm/x", "/home/ada/.cache/x", "/var/lib/x", "/etc/x"])
def test_inside_the_root_beats_every_place(root: str) -> None:
    setting = SETTING._replace(root=root, store=f"{root}/.vestige", prefixes=("/usr", "/opt"))
    assert role(f"{root}/a.csv", setting) == "data"
    assert role(f"{root}/a.csv", setting, written=True) == "data"
    assert role(f"{root}/a.py", setting) == "code"
    assert role(f"{root}/a.json", setting) == "config"
    assert role(f"{root}/.venv/lib/a.py", setting) == "library"


@pytest.mark.parametrize("root", ["/home/ada", "/", ""])
def test_where_there_is_no_project_places_rule(root: str) -> None:
    setting = SETTING._replace(root=root, store="/home/ada/.local/state/vestige/detached/x")
    assert role("/home/ada/a.csv", setting) == "data"
    assert role("/home/ada/.bashrc", setting) == "config"
    assert role("/home/ada/.cache/x", setting) == "cache"
    assert role("/usr/lib/x.so", setting) == "system"
    assert role("/dev/null", setting) == "drop"


def test_why_a_file_is_none_of_the_runs() -> None:
    paths = ("/dev/null", "/home/ada/p/.vestige/x", "/home/ada/.cache/vestige/x", "/home/ada/p/.git/HEAD", "/home/ada/p/a")
    assert [Rules(SETTING).dropped(path) for path in paths] == ["device", "store", "own", "versions", None]


def test_a_name_that_merely_begins_like_the_root_lies_outside() -> None:
    assert role("/home/ada/p2/.venv", SETTING._replace(root="/home/ada/p", prefixes=("/home/ada/p2",))) == "library"
    assert role("/home/ada/p-old/x", SETTING._replace(caches=("/home/ada/p-old",))) == "cache"


@pytest.mark.parametrize("name", ["a.py", "a.PY", "A.R", "Snakefile", "x.so", "x.so.3", "x.cpp"])
def test_names_of_source(name: str) -> None:
    assert is_source(name)


@pytest.mark.parametrize("name", ["a", "a.csv", ".py.bak", "py", "", "a.ipynb", "a.sql", "a.json", "a.d"])
def test_names_of_no_source(name: str) -> None:
    assert not is_source(name)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40), st.booleans())
def test_every_path_has_a_role(path: str, written: bool) -> None:
    assert role("/" + path, SETTING, written=written) in {
        "data", "config", "code", "cache", "temporary", "library", "system", "drop",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "role", "why"),
    [
        ("/dev/null", "drop", "a device, or what the kernel tells"),
        ("/home/ada/p/.git/HEAD", "drop", "internals of version control, which the commit stands for"),
        ("/home/ada/p/.vestige/x", "drop", "in the store"),
        ("/home/ada/.cache/vestige/x", "drop", "of Vestige itself"),
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", "system", "below /usr/"),
        ("/etc/ld.so.cache", "system", "below /etc/"),
        ("/opt/py312/bin/python", "library", "below /opt/py312/"),
        ("/home/ada/p/.venv/lib/a.py", "library", "in a folder .venv/"),
        ("/srv/lib/python3.11/json.py", "library", "below /lib/python3."),
        ("/home/ada/p/__pycache__/a.cpython-311.pyc", "cache", "*.pyc are made from other files"),
        ("/home/ada/p/.pytest_cache/x", "cache", "in a folder .pytest_cache/"),
        ("/big/cache/x", "cache", "below /big/cache/"),
        ("/home/ada/p/a.yaml", "config", "its name ends in .yaml"),
        ("/home/ada/p/a.csv", "data", "no other rule fits"),
    ],
)
def test_every_role_has_a_rule_that_can_be_told(path: str, role: str, why: str) -> None:
    assert Rules(SETTING).why(path) == (role, why)


def test_what_is_left_in_a_temporary_folder_says_so() -> None:
    assert Rules(SETTING).why("/tmp/x", written=True) == ("temporary", "left in a temporary folder outside the project")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40), st.booleans())
def test_the_rule_is_told_of_the_role_that_is_given(path: str, written: bool) -> None:
    given, why = Rules(SETTING).why("/" + path, written=written)
    assert given == role("/" + path, SETTING, written=written)
    assert why


@pytest.mark.parametrize("path", [*READ])
def test_every_known_place_has_a_rule(path: str) -> None:
    assert Rules(SETTING).why(path)[1]
