"""Cases 81 to 88: what Python programs use, and what their libraries leave behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cases.stage import digest, project, python, recorded, used
from tests.cases.test_74_beyond_contents import stored
from tests.record.running import VESTIGE, last, paths, records, run, use

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")

__all__ = ["project"]  # the fixture

LIBRARIES = {
    "h5py": ("h5py.File('out', 'w')['a'] = [1, 2]", "h5py.File('out')['a'][:]"),
    "pyarrow": (
        "import pyarrow.parquet as p; p.write_table(pyarrow.table({'a': [1, 2]}), 'out')",
        "import pyarrow.parquet as p; p.read_table('out', memory_map=True)",
    ),
    "polars": ("polars.DataFrame({'a': [1, 2]}).write_parquet('out')", "polars.scan_parquet('out').collect()"),
    "cv2": (
        "import numpy; cv2.imwrite('out.png', numpy.zeros((4, 4))); import os; os.rename('out.png', 'out')",
        "assert cv2.imread('out').shape == (4, 4, 3)",
    ),
    "netCDF4": (
        "d = netCDF4.Dataset('out', 'w'); d.createDimension('x', 2); d.createVariable('a', 'f4', ('x',))[:] = 1; d.close()",
        "netCDF4.Dataset('out')['a'][:]",
    ),
    "pickle": ("pickle.dump([1], open('out', 'wb'))", "pickle.load(open('out', 'rb'))"),
    "numpy": ("numpy.savez(open('out', 'wb'), a=[1])", "numpy.load('out')['a']"),
}


@pytest.mark.programs
@pytest.mark.parametrize("library", LIBRARIES)
def test_case_81_whatever_library_opens_a_file(project: Path, library: str) -> None:
    write, read = LIBRARIES[library]
    written = recorded(project, sys.executable, "-c", f"import {library}\n{write}")
    assert used(written) == (set(), {"out"})
    record = recorded(project, sys.executable, "-c", f"import {library}\n{read}")
    assert used(record) == ({"out"}, set())
    assert use(record, "inputs", "out")["digest"] == use(written, "outputs", "out")["digest"]


@pytest.mark.programs
def test_case_81_a_folder_that_is_one_thing(project: Path) -> None:
    written = recorded(project, sys.executable, "-c", "import zarr; import numpy; zarr.save('out.zarr', numpy.ones(100))")
    assert use(written, "outputs", "out.zarr")["kind"] == "directory"
    read = recorded(project, sys.executable, "-c", "import zarr; assert zarr.load('out.zarr')[0] == 1")
    assert {path for path in used(read)[0] if path.startswith("out.zarr/")}


def test_case_82_modules_are_code_and_bytecode_stands_for_its_source(project: Path) -> None:
    (project / "part.py").write_text("import json\nvalue = 1\n")
    (project / "step.py").write_text("import part\n")
    first, again = (recorded(project, sys.executable, "step.py", environ={"PYTHONDONTWRITEBYTECODE": ""}) for _ in range(2))
    for record in (first, again):
        assert {"step.py", "part.py"} <= paths(record, "inputs", "code")
        assert use(record, "inputs", "part.py")["digest"] == digest("import json\nvalue = 1\n")
        assert not [path for path in paths(record, "inputs", "code", "data") if "json" in path]
    assert any(path.endswith(".pyc") for path in paths(again, "inputs", "cache"))
    packages = {package["name"] for package in stored(project, again["environment"])["packages"]}
    assert "blake3" in packages


def test_case_83_code_that_lies_elsewhere_is_code(project: Path) -> None:
    elsewhere = project.parent / "elsewhere"
    (elsewhere / "space" / "part").mkdir(parents=True)  # a name space: it has no __init__.py
    (elsewhere / "space" / "part" / "module.py").write_text("value = 1\n")
    record = recorded(project, sys.executable, "-c", "import space.part.module", environ={"PYTHONPATH": str(elsewhere)})
    found = use(record, "inputs", f"{elsewhere}/space/part/module.py")
    assert (found["role"], found["digest"]) == ("code", digest("value = 1\n"))


def test_case_83_code_that_is_installed_to_be_edited_is_code(project: Path) -> None:
    source, venv = project.parent / "source", project.parent / "venv"
    source.mkdir()
    (source / "mine.py").write_text("value = 1\n")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (packages,) = venv.glob("lib/python3*/site-packages")
    (packages / "mine.pth").write_text(f"{source}\n")
    record = recorded(project, str(venv / "bin/python"), "-c", "import mine")
    assert use(record, "inputs", f"{source}/mine.py")["role"] == "code"


def test_case_84_caches_are_neither_inputs_nor_outputs_of_the_work(project: Path) -> None:
    home = os.environ["HOME"]
    folders = [
        *("__pycache__", ".pytest_cache/v", ".ipynb_checkpoints", ".mypy_cache"),
        *(f"{home}/.cache/matplotlib", f"{home}/.cache/fontconfig", f"{home}/.cache/torch/inductor", f"{home}/.cache/pip"),
    ]
    script = f"""
import os
for folder in {folders}:
    os.makedirs(folder, exist_ok=True)
    open(folder + "/made", "w").write("x")
    open(folder + "/made").read()
open("result", "w").write("x")
"""
    record = python(project, script)
    assert used(record) == (set(), {"result"})
    assert len(paths(record, "outputs", "cache")) == len(folders)


def test_case_85_a_model_in_a_cache_is_an_input(project: Path) -> None:
    home = Path(os.environ["HOME"])
    names = [".cache/huggingface/hub/models--a/blobs/1", ".cache/torch/hub/checkpoints/model.pt", "scikit_learn_data/set.pkz"]
    for name in names:
        (home / name).parent.mkdir(parents=True)
        (home / name).write_text(name)
    snapshot = home / ".cache/huggingface/hub/models--a/snapshots/main/model.bin"
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to("../../blobs/1")
    record = recorded(project, "cat", str(snapshot), *(str(home / name) for name in names[1:]))
    assert {f"{home}/{name}" for name in names} <= used(record)[0]
    assert use(record, "inputs", f"{home}/{names[0]}")["digest"] == digest(names[0])


def test_case_86_what_was_read_before_anybody_looked_is_not_claimed(project: Path) -> None:
    """A kernel that reads data and then imports Vestige: there is no record that leaves the data out."""
    script = "open('in').read()\nimport vestige\nopen('in').read()\n"
    subprocess.run([sys.executable, "-c", script], cwd=project, check=True)
    assert records(project) == []


@pytest.mark.not_under("ptrace")
def test_case_87_workers_write_parts_and_somebody_joins_them(project: Path) -> None:
    script = """
import multiprocessing
def part(number):
    text = open("in").read()
    open(f"part{number}", "w").write(text[number:])
    return number
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(3) as pool:
        pool.map(part, range(6))
    open("joined", "w").write("".join(open(f"part{number}").read() for number in range(6)))
"""
    record = python(project, script)
    assert used(record) == ({"in"}, {"joined", *(f"part{number}" for number in range(6))})
    later = recorded(project, "cp", "part3", "copy")
    assert used(later) == ({"part3"}, {"copy"})
    traced = subprocess.run([*VESTIGE, "trace", "copy"], cwd=project, capture_output=True, text=True, check=True).stdout
    assert "step.py" in traced
    assert "in" in traced.split()


@pytest.mark.programs
@pytest.mark.parametrize("pool", ["joblib.Parallel(2)(joblib.delayed(part)(i) for i in range(4))", "dask"])
def test_case_87_workers_of_libraries_write_parts(project: Path, pool: str) -> None:
    body = "import joblib\n" + pool
    if pool == "dask":
        body = "import dask; dask.compute(*[dask.delayed(part)(i) for i in range(4)], scheduler='processes', num_workers=2)"
    script = "def part(i):\n    open(f'part{i}', 'w').write(open('in').read()[i:])\n"
    (project / "parts.py").write_text(script)
    body = "\n".join(f"    {line}" for line in body.splitlines())
    (project / "step.py").write_text(f"from parts import part\nif __name__ == '__main__':\n{body}\n")
    record = recorded(project, sys.executable, "step.py")
    assert used(record) == ({"in"}, {f"part{i}" for i in range(4)})


def test_case_88_what_an_atomic_writer_leaves_behind_when_it_dies_is_flagged(project: Path) -> None:
    script = """
import os, tempfile
def write(name, text):
    file = tempfile.NamedTemporaryFile("w", dir=".", prefix=f".{name}.", suffix=".tmp", delete=False)
    file.write(text)
    file.flush()
    if text == "second":
        os.kill(os.getpid(), 9)
    os.replace(file.name, name)
write("one", "first")
write("two", "second")
"""
    (project / "step.py").write_text(script)
    assert run(project, sys.executable, "-I", "-S", "step.py").returncode in (137, -9)
    record = last(project)
    (left,) = [path.name for path in project.glob(".two.*.tmp")]
    assert paths(record, "outputs") == {"one", left}
    (problem,) = record["problems"]
    assert left in problem
    assert "left" in problem
