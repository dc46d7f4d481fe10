"""Real programs under `vestige run`: what each reads and writes, found without a word from it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.record.running import last, paths, records, run

pytestmark = pytest.mark.programs

PYTHON = sys.executable


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    (folder / "in.csv").write_text("a,b\n" + "".join(f"{i},{i * i}\n" for i in range(50)))
    return folder


def needs(*programs: str) -> None:
    for program in programs:
        assert shutil.which(program), f"{program} is needed for this test; make test-programs wants it installed"


def used(project: Path) -> tuple[set[str], set[str]]:
    """Data read and written by the newest run, inside the project."""
    record = last(project)
    assert record["status"] == "finished", record
    read, written = (
        {path for path in paths(record, which, "data", "config", "code") if not path.startswith("/")}
        for which in ("inputs", "outputs")
    )
    return read, written


def test_make_builds_a_c_program_and_a_later_run_executes_it(project: Path) -> None:
    needs("make", "gcc")
    (project / "main.c").write_text(
        '#include "part.h"\n#include <stdio.h>\nint main(void) { printf("%d\\n", part()); return 0; }\n'
    )
    (project / "part.c").write_text('#include "part.h"\nint part(void) { return 42; }\n')
    (project / "part.h").write_text("int part(void);\n")
    (project / "Makefile").write_text("prog: main.o part.o\n\tgcc -o $@ $^\n%.o: %.c part.h\n\tgcc -c -o $@ $<\n")
    run(project, "make", "-j2")
    read, written = used(project)
    assert read >= {"main.c", "part.c", "part.h", "Makefile"}
    assert written == {"main.o", "part.o", "prog"}
    run(project, "sh", "-c", "./prog > answer")
    assert "prog" in used(project)[0]
    traced = subprocess.run([PYTHON, "-m", "vestige", "trace", "answer"], cwd=project, capture_output=True, text=True, check=True)
    assert "make" in traced.stdout
    assert traced.stdout.splitlines()[-1].endswith("-> answer")


def test_a_static_binary_of_another_kind(project: Path) -> None:
    needs("busybox")
    run(project, "busybox", "sh", "-c", "busybox cut -d, -f1 in.csv | busybox sort > out")
    assert used(project) == ({"in.csv"}, {"out"})


def test_tar_and_gzip(project: Path) -> None:
    needs("tar", "gzip")
    (project / "sub").mkdir()
    (project / "sub" / "a").write_text("1")
    (project / "sub" / "b").write_text("2")
    run(project, "tar", "czf", "all.tgz", "in.csv", "sub")
    assert used(project) == ({"in.csv", "sub/a", "sub/b"}, {"all.tgz"})
    run(project, "tar", "xzf", "all.tgz", "--one-top-level=there")
    read, written = used(project)
    assert read == {"all.tgz"}
    assert written == {"there/in.csv", "there/sub/a", "there/sub/b"}


def test_rsync(project: Path) -> None:
    needs("rsync")
    run(project, "rsync", "-a", "in.csv", "copy.csv")
    assert used(project) == ({"in.csv"}, {"copy.csv"})


def test_sqlite(project: Path) -> None:
    needs("sqlite3")
    script = ".mode csv\n.import in.csv t\n.output report.txt\nselect sum(b) from t;\n"
    (project / "report.sql").write_text(script)
    run(project, "sqlite3", "data.db", ".read report.sql")
    read, written = used(project)
    assert {"in.csv", "report.sql"} <= read
    assert written == {"data.db", "report.txt"}


def test_git_reads_and_writes_files_of_the_work_tree_and_its_own_are_dropped(project: Path) -> None:
    needs("git")
    run(project, "git", "add", "in.csv")
    read, written = used(project)
    assert read == {"in.csv"}
    assert written == set()


def test_awk_sed_and_a_pipeline(project: Path) -> None:
    needs("awk", "sed")
    run(project, "sh", "-c", "awk -F, 'NR>1 {print $2}' in.csv | sed 's/^/x/' > squares; sed -i 's/x/y/' squares")
    assert used(project) == ({"in.csv"}, {"squares"})


def test_node_and_perl(project: Path) -> None:
    needs("node", "perl")
    (project / "up.js").write_text(
        "const fs=require('fs'); fs.writeFileSync('up.csv', fs.readFileSync('in.csv','utf8').toUpperCase())\n"
    )
    run(project, "node", "up.js")
    assert used(project) == ({"in.csv", "up.js"}, {"up.csv"})
    (project / "down.pl").write_text("open A,'<','up.csv'; open B,'>','down.csv'; print B lc while <A>;\n")
    run(project, "perl", "down.pl")
    assert used(project) == ({"up.csv", "down.pl"}, {"down.csv"})
    assert len(records(project)) == 2


@pytest.mark.parametrize(
    ("body", "written"),
    [
        ("pandas.read_csv('in.csv').to_csv('out.csv')", {"out.csv"}),
        ("pandas.read_csv('in.csv').to_parquet('out.parquet')", {"out.parquet"}),
        ("import h5py; h5py.File('out.h5', 'w')['a'] = pandas.read_csv('in.csv').to_numpy()", {"out.h5"}),
        ("import numpy; numpy.savez('out.npz', pandas.read_csv('in.csv').to_numpy())", {"out.npz"}),
        ("import joblib; joblib.dump(pandas.read_csv('in.csv'), 'out.joblib')", {"out.joblib"}),
        ("import sqlite3; pandas.read_csv('in.csv').to_sql('t', sqlite3.connect('out.db'))", {"out.db"}),
    ],
    ids=["csv", "parquet", "hdf5", "npz", "joblib", "sqlite"],
)
def test_python_libraries_whatever_opens_the_file(project: Path, body: str, written: set[str]) -> None:
    (project / "step.py").write_text(f"import pandas\n{body}\n")
    run(project, PYTHON, "step.py")
    assert used(project) == ({"in.csv", "step.py"}, written)


def test_hdf5_rewrites_an_existing_file_in_its_own_way(project: Path) -> None:
    (project / "step.py").write_text("import h5py\nwith h5py.File('x.h5', 'w') as f: f['a'] = [1, 2]\n")
    run(project, PYTHON, "step.py")
    assert used(project) == ({"step.py"}, {"x.h5"})
    run(project, PYTHON, "step.py")
    assert used(project) == ({"step.py"}, {"x.h5"})
    (project / "more.py").write_text("import h5py\nwith h5py.File('x.h5', 'r+') as f: f['b'] = [3]\n")
    run(project, PYTHON, "more.py")
    read, written = used(project)
    assert ("x.h5" in read, written) == (True, {"x.h5"})


def test_parallel_workers_and_the_file_that_joins_their_parts(project: Path) -> None:
    (project / "step.py").write_text(
        "import joblib\n"
        "def part(i):\n    open(f'part{i}', 'w').write(open('in.csv').read()[i:])\n    return i\n"
        "joblib.Parallel(n_jobs=2)(joblib.delayed(part)(i) for i in range(4))\n"
        "open('joined', 'w').write(''.join(open(f'part{i}').read() for i in range(4)))\n"
    )
    run(project, PYTHON, "step.py")
    read, written = used(project)
    assert read == {"in.csv", "step.py"}
    assert written == {"part0", "part1", "part2", "part3", "joined"}
