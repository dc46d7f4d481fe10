"""Programs of other languages and trades under `vestige run`: what they were told to read and write, and nothing else."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.record.running import last, paths, run

pytestmark = pytest.mark.programs


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "in.csv").write_text("a,b\n" + "".join(f"{number},{number * number}\n" for number in range(50)))
    return folder


def used(project: Path, *words: str, environ: Mapping[str, str] | None = None) -> tuple[set[str], set[str]]:
    """Data that a command reads and writes."""
    assert "/" in words[0] or shutil.which(words[0]), f"{words[0]} is needed for this test; make test-programs wants it installed"
    done = run(project, *words, environ=environ)
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    record = last(project)
    assert record["status"] == "finished", record
    assert record["observation"]["method"] == "notify"
    return paths(record, "inputs", "data"), paths(record, "outputs", "data")


def test_r(project: Path) -> None:
    (project / "step.R").write_text(
        "d <- read.csv('in.csv'); saveRDS(d, 'out.rds'); write.csv(readRDS('out.rds')[d$a > 40, ], 'out.csv')\n"
        "library(parallel); r <- mclapply(1:2, function(i) writeLines(as.character(i), paste0('part', i)), mc.cores = 2)\n"
        "pdf('plot.pdf'); plot(d); dev.off(); source('more.R')\n"
    )
    (project / "more.R").write_text("cat(sum(d$b), file = 'sum')\n")
    assert used(project, "Rscript", "step.R") == ({"in.csv"}, {"out.rds", "out.csv", "part1", "part2", "plot.pdf", "sum"})
    assert paths(last(project), "inputs", "code") == {"step.R", "more.R"}


def test_a_go_program_is_static_and_has_threads_of_its_own(project: Path, tmp_path: Path) -> None:
    (project / "main.go").write_text(
        'package main\n\nimport (\n\t"bytes"\n\t"fmt"\n\t"os"\n\t"os/exec"\n\t"sync"\n)\n\n'
        'func main() {\n\tdata, _ := os.ReadFile("in.csv")\n\tvar all sync.WaitGroup\n'
        "\tfor i := 0; i < 8; i++ {\n\t\tall.Add(1)\n\t\tgo func(i int) {\n\t\t\tdefer all.Done()\n"
        '\t\t\tos.WriteFile(fmt.Sprintf("part%d", i), data[i:], 0o666)\n\t\t}(i)\n\t}\n\tall.Wait()\n'
        '\tos.WriteFile("new", bytes.ToUpper(data), 0o666)\n\tos.Rename("new", "out")\n'
        '\tif exec.Command("cp", "out", "copy").Run() != nil {\n\t\tos.Exit(1)\n\t}\n}\n'
    )
    environ = {"GOCACHE": str(tmp_path / "cache"), "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0", "GO111MODULE": "off"}
    assert "main" in used(project, "go", "build", "-o", "main", "main.go", environ=environ)[1]
    assert b"/ld-linux" not in (project / "main").read_bytes()  # it names no loader: it is static
    assert used(project, "./main") == ({"in.csv"}, {*(f"part{number}" for number in range(8)), "out", "copy"})


def test_java(project: Path) -> None:
    (project / "Step.java").write_text(
        "import java.nio.file.*; import java.nio.channels.*; import java.util.stream.*;\n"
        "public class Step { public static void main(String[] words) throws Exception {\n"
        '  String all = Files.readString(Path.of("in.csv"));\n'
        '  IntStream.range(0, 4).parallel().forEach(i -> { try { Files.writeString(Path.of("part" + i), all); }'
        " catch (Exception e) { throw new RuntimeException(e); } });\n"
        '  Files.move(Files.writeString(Path.of("new"), all.toUpperCase()), Path.of("out"), StandardCopyOption.ATOMIC_MOVE);\n'
        '  try (var a = FileChannel.open(Path.of("in.csv")); var b = FileChannel.open(Path.of("copy"), StandardOpenOption.CREATE,'
        " StandardOpenOption.WRITE)) { a.transferTo(0, a.size(), b); }\n"
        '  System.exit(new ProcessBuilder("sort", "in.csv", "-o", "sorted").start().waitFor()); } }\n'
    )
    read, written = used(project, "javac", "-d", "built", "Step.java")
    assert written | paths(last(project), "outputs", "code") == {"built/Step.class"}
    assert read <= {"Step.java"}
    read, written = used(project, "java", "-cp", "built", "Step")
    assert written == {"part0", "part1", "part2", "part3", "out", "copy", "sorted"}
    assert {"in.csv"} <= read <= {"in.csv", "built/Step.class"}


def test_latex(project: Path) -> None:
    (project / "paper.tex").write_text(
        "\\documentclass{article}\n\\begin{document}\nA sum\\label{a}, on page \\pageref{a}: \\input{sum}\n\\end{document}\n"
    )
    (project / "sum.tex").write_text("42\n")
    written = used(project, "pdflatex", "-interaction=batchmode", "paper.tex")[1]
    assert written == {"paper.pdf", "paper.aux", "paper.log"}
    read = paths(last(project), "inputs", "data", "code")
    assert read == {"paper.tex", "sum.tex"}
    used(project, "pdflatex", "-interaction=batchmode", "paper.tex")
    assert paths(last(project), "inputs", "data", "code") == {"paper.tex", "sum.tex", "paper.aux"}


def test_ffmpeg(project: Path) -> None:
    make = ("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=d=1:s=64x48:r=5", "-c:v", "mpeg4", "film.mp4")
    assert used(project, *make) == (set(), {"film.mp4"})
    frames = {f"frame{number}.png" for number in range(1, 6)}
    assert used(project, "ffmpeg", "-v", "error", "-i", "film.mp4", "frame%d.png") == ({"film.mp4"}, frames)
    joined = used(project, "ffmpeg", "-v", "error", "-i", "frame%d.png", "-threads", "2", "-y", "film.mp4")
    assert joined[0] >= frames
    assert joined[1] == {"film.mp4"}


def test_gnu_parallel(project: Path) -> None:
    for number in range(6):
        (project / f"{number}.in").write_text(f"{number}\n")
    words = ("parallel", "-j2", "sort {} in.csv > {.}.out", ":::", *(f"{number}.in" for number in range(6)))
    names = {f"{number}" for number in range(6)}
    assert used(project, *words) == ({"in.csv", *(f"{name}.in" for name in names)}, {f"{name}.out" for name in names})
    words = ("sh", "-c", "parallel -j2 --pipe --block 100 'wc -l > {#}.count' < in.csv; cat *.count > all")
    read, written = used(project, *words)
    assert {path for path in read if "/.parallel/" not in path} == {"in.csv"}  # it keeps in the home folder what it found out
    assert {"1.count", "all"} <= written


def test_sqlite_with_a_second_database_and_a_log_beside_it(project: Path) -> None:
    run(project, "sqlite3", "b.db", "create table s(x); insert into s values (1), (2);")
    assert used(
        project, "sqlite3", "a.db", "pragma journal_mode=wal", "attach 'b.db' as b", "create table t as select * from b.s"
    ) == (
        {"b.db"},
        {"a.db"},
    )
    read, written = used(project, "sqlite3", "a.db", "attach 'b.db' as b", "insert into b.s select x + 1 from t")
    assert read >= {"a.db", "b.db"}
    assert written == {"b.db"}


def test_a_cluster_of_dask_and_workers_of_loky(project: Path) -> None:
    (project / "step.py").write_text(
        "from dask.distributed import LocalCluster\n"
        "from loky import get_reusable_executor\n"
        "def part(i):\n    open(f'part{i}', 'w').write(open('in.csv').read()[i:])\n    return i\n"
        "if __name__ == '__main__':\n"
        "    with LocalCluster(n_workers=2, dashboard_address=None) as cluster, cluster.get_client() as client:\n"
        "        client.gather(client.map(part, range(4)))\n"
        "    list(get_reusable_executor(2).map(part, range(4, 8)))\n"
        "    open('joined', 'w').write(''.join(open(f'part{i}').read() for i in range(8)))\n"
    )
    assert used(project, sys.executable, "step.py") == ({"in.csv"}, {"joined", *(f"part{number}" for number in range(8))})


def test_netcdf_zarr_and_pictures(project: Path) -> None:
    (project / "step.py").write_text(
        "import cv2, netCDF4, numpy, zarr\n"
        "a = numpy.loadtxt('in.csv', delimiter=',', skiprows=1)\n"
        "with netCDF4.Dataset('out.nc', 'w') as d:\n"
        "    d.createDimension('x', len(a)); d.createVariable('b', 'f8', ('x',))[:] = a[:, 1]\n"
        "zarr.save('out.zarr', a)\n"
        "cv2.imwrite('out.png', a.astype('uint8'))\n"
    )
    read, written = used(project, sys.executable, "step.py")
    assert (read, {path.split("/")[0] for path in written}) == ({"in.csv"}, {"out.nc", "out.zarr", "out.png"})
    (project / "more.py").write_text(
        "import cv2, netCDF4, zarr\n"
        "with netCDF4.Dataset('out.nc', 'a') as d: d['b'][0] = zarr.load('out.zarr')[1, 1] + cv2.imread('out.png').sum()\n"
    )
    read, written = used(project, sys.executable, "more.py")
    assert {"out.nc", "out.png"} <= read
    assert all(path in {"out.nc", "out.png"} or path.startswith("out.zarr") for path in read)
    assert written == {"out.nc"}
