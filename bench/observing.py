"""What seeing costs: over the bare program, over the same run unobserved, and beside strace and ReproZip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Command, Cost, Row, alternate

PYTHON = sys.executable
VESTIGE = str(Path(PYTHON).parent / "vestige")
TIMES = int(os.environ.get("BENCH_TIMES", "30"))

OPENS = """#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
    char name[32];
    for (int i = 0; i < 20000; i++) {
        sprintf(name, "many/%d", i % 5000);
        close(open(name, O_RDONLY));
    }
    return 0;
}
"""

ANALYSIS = """import numpy, pandas
table = pandas.read_csv("table.csv")
table.to_parquet("table.parquet")
again = pandas.read_parquet("table.parquet")
matrix = numpy.random.default_rng(0).random((1200, 1200))
for _ in range(4):
    matrix = matrix @ matrix / 1200
again.groupby("a").mean().to_csv("means.csv")
"""


@dataclass(frozen=True)
class Program:
    """A program to be observed. `opened`: how many files it opens, where that is the question; `reach`: over the bare one."""

    name: str
    argv: tuple[str, ...]
    reach: float | None
    opened: int | None = None
    before: Callable[[], object] | None = None
    processes: bool = False


def rows(folder: Path) -> list[Row]:
    """One line a program and observer."""
    _prepare(folder)
    found: list[Row] = []
    for program in _programs(folder):
        commands = {name: Command(argv, str(folder), environ, program.before) for name, argv, environ in _observers(program)}
        costs = alternate(commands, max(3, TIMES // 6 if program.processes else TIMES), warm=1)
        if shutil.which("reprozip") and not program.processes:
            environ = {**os.environ, "REPROZIP_USAGE_STATS": "off"}
            testrun = Command(["reprozip", "testrun", *program.argv], str(folder), environ, program.before)
            try:
                costs |= alternate({"reprozip": testrun}, max(2, TIMES // 10), warm=0)
            except RuntimeError as error:
                print(f" ({error})", end="", file=sys.stderr)
        found += _rows(program, costs)
    return found


def _rows(program: Program, costs: dict[str, Cost]) -> list[Row]:
    bare, none = costs["bare"].cpu, costs["unobserved"].cpu
    found = []
    for name in ("vestige", "strace", "reprozip"):
        if name not in costs:
            continue
        over = costs[name].cpu - bare
        figure = f"{costs[name].cpu / bare:.2f} times"
        against = f"bare {bare * 1000:.0f} ms"
        reach, ok = "", None
        if name == "vestige":
            seeing = costs[name].cpu - none
            figure = f"{(bare + seeing) / bare:.2f} times; the whole run {figure}"
            if program.opened:
                figure = f"{seeing / program.opened * 1e6:.1f} µs a file; {figure}"
                reach, ok = "under 30 µs a file", seeing / program.opened < 30e-6
            elif program.reach:
                reach, ok = f"{program.reach} times", (bare + seeing) / bare <= program.reach
            against += f", unobserved +{(none - bare) * 1000:.0f} ms"
        elif program.opened:
            figure = f"{over / program.opened * 1e6:.1f} µs a file; {figure}"
        found.append(Row(f"{program.name}: {name}", figure, against, reach, ok))
    return found


def _observers(program: Program) -> list[tuple[str, list[str], dict[str, str] | None]]:
    observers: list[tuple[str, list[str], dict[str, str] | None]] = [
        ("bare", list(program.argv), None),
        ("unobserved", [VESTIGE, "run", "--observe", "none", *program.argv], None),
        ("vestige", [VESTIGE, "run", *program.argv], None),
    ]
    if shutil.which("strace"):
        strace = ["strace", "-f", "--seccomp-bpf", "-e", "trace=%file", "-o", "/dev/null"]
        observers.append(("strace", [*strace, *program.argv], None))
    return observers


def _programs(folder: Path) -> list[Program]:
    fresh = lambda name: lambda: shutil.rmtree(folder / name, ignore_errors=True)  # noqa: E731
    return [
        Program("20,000 opened files", ("./opens",), None, opened=20_000),
        Program("import pandas, scikit-learn", (PYTHON, "imports.py"), 1.05),
        Program("an analysis in Python", (PYTHON, "analysis.py"), 1.05),
        Program("300 short processes", ("bash", "-c", "for i in {1..300}; do /bin/true; done"), 1.15),
        Program("make of 25 C files", ("make", "-s", "-j2", "-C", "built"), 1.15, before=_clean(folder / "built")),
        Program("cp -r of 3,000 files", ("cp", "-r", "tree", "copy"), 2.2, before=fresh("copy")),
        Program("a build of 10,000 processes", ("make", "-s", "-j2", "-C", "large"), 1.15, processes=True),
    ]


def _clean(built: Path) -> Callable[[], object]:
    return lambda: [path.unlink() for path in built.iterdir() if path.suffix == ".o" or path.name == "all"]


def _prepare(folder: Path) -> None:
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    (folder / ".gitignore").write_text("*\n")
    (folder / "opens.c").write_text(OPENS)
    subprocess.run(["gcc", "-O2", "-o", "opens", "opens.c"], cwd=folder, check=True)
    (folder / "many").mkdir()
    for number in range(5000):
        (folder / "many" / str(number)).write_text("x")
    (folder / "imports.py").write_text("import pandas, sklearn.ensemble\n")
    (folder / "analysis.py").write_text(ANALYSIS)
    (folder / "table.csv").write_text("a,b,c\n" + "".join(f"{i % 7},{i},{i * i % 101}\n" for i in range(60_000)))
    built = folder / "built"
    built.mkdir()
    headers = "".join(
        f"#include <{name}.h>\n" for name in ("stdio", "stdlib", "string", "math", "time", "errno", "unistd", "fcntl")
    )
    for number in range(25):
        (built / f"f{number}.c").write_text(f'{headers}int f{number}(int x) {{ return printf("%d", x + {number}); }}\n')
    (built / "main.c").write_text("int main(void) { return 0; }\n")
    names = " ".join(f"f{number}.o" for number in range(25))
    (built / "Makefile").write_text(f"all: main.o {names}\n\t$(CC) -o $@ $^\n")
    tree = folder / "tree"
    for number in range(3000):
        (tree / f"d{number // 100}").mkdir(parents=True, exist_ok=True)
        (tree / f"d{number // 100}" / f"f{number}").write_text(f"{number}\n" * 20)
    large = folder / "large"
    large.mkdir()
    steps = " ".join(f"s{number}" for number in range(5000))
    (large / "Makefile").write_text(f".PHONY: all {steps}\nall: {steps}\n{steps}:\n\t@/bin/true; /bin/true\n")
