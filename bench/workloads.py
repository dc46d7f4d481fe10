"""The workloads: a small step in a project of 1,000 files, imports, short processes, a large store, many files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench.measure import Command, Cost, Row, alternate

PYTHON = sys.executable
BIN = Path(PYTHON).parent
TIMES = int(os.environ.get("BENCH_TIMES", "30"))

STEP = """import sys
a = sys.argv
text = open(a[a.index("-i") + 1]).read()
open(a[a.index("-o") + 1], "w").write(text.upper())
"""

OPENS = """import os, sys
for i in range(20000):
    os.close(os.open(f"many/{i % 5000}", os.O_RDONLY))
"""


def importing(folder: Path) -> list[Row]:
    """`import vestige`, over the bare interpreter."""
    costs = alternate(
        {
            "bare": Command([PYTHON, "-c", "pass"], str(folder)),
            "vestige": Command([PYTHON, "-c", "import vestige"], str(folder)),
        },
        TIMES,
    )
    over = (costs["vestige"].cpu - costs["bare"].cpu) * 1000
    return [Row("import vestige", f"+{over:.1f} ms", "bare interpreter", "under 5 ms", over < 5)]


def running(folder: Path) -> list[Row]:
    """A small step in a git project of 1,000 files, the second time."""
    project = _project(folder / "project")
    step = ["python3", "step.py", "-i", "in.csv", "-o", "out.csv"]
    environ = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    commands = {
        "bare": Command(step, str(project), environ),
        "vestige": Command([str(BIN / "vestige"), "run", *step], str(project), environ),
        "ntrk": Command([str(BIN / "nt"), "track", *step], str(project), environ),
    }
    costs = alternate(commands, TIMES)
    bare = costs["bare"]
    rows = []
    for what, reach, of in (("wall", 1.0, _wall), ("CPU", 1.5, _cpu)):
        ours, theirs = of(costs["vestige"]) - of(bare), of(costs["ntrk"]) - of(bare)
        rows.append(
            Row(
                f"vestige run, small step: {what}",
                f"+{ours * 1000:.0f} ms",
                f"ntrk +{theirs * 1000:.0f} ms: {ours / theirs:.2f} times",
                f"at most {reach} times",
                ours <= reach * theirs,
            )
        )
    return rows


def observing(folder: Path) -> list[Row]:
    """The cost of an opened file; imports; short processes; against strace and ReproZip."""
    (folder / "many").mkdir()
    for number in range(5000):
        (folder / "many" / str(number)).write_text("x")
    (folder / "opens.py").write_text(OPENS)
    (folder / "imports.py").write_text("import pandas, sklearn.ensemble\n")
    rows = []
    programs = {
        "20,000 opened files": ([PYTHON, "-I", "opens.py"], 20_000),
        "import pandas and scikit-learn": ([PYTHON, "imports.py"], None),
        "300 short processes": (["bash", "-c", "for i in {1..300}; do /bin/true; done"], None),
    }
    for what, (argv, opened) in programs.items():
        commands = {
            "bare": Command(argv, str(folder)),
            "vestige": Command([str(BIN / "vestige"), "run", *argv], str(folder)),
        }
        if shutil.which("strace"):
            commands["strace"] = Command(
                ["strace", "-f", "--seccomp-bpf", "-e", "trace=%file", "-o", "/dev/null", *argv], str(folder)
            )
        if shutil.which("reprozip"):
            testrun = ["reprozip", "testrun", *argv]
            commands["reprozip"] = Command(testrun, str(folder), {**os.environ, "REPROZIP_USAGE_STATS": "off"})
        costs = alternate(commands, max(3, TIMES // 5), warm=1)
        bare = costs["bare"].cpu
        for name in ("vestige", "strace", "reprozip"):
            if name in costs:
                over = costs[name].cpu - bare
                each = f"; {over / opened * 1e6:.1f} µs a file" if opened else ""
                row = Row(f"{what}: {name}", f"+{over * 1000:.0f} ms CPU{each}", f"bare {bare * 1000:.0f} ms", "", None)
                if name == "vestige":
                    strace = costs["strace"].cpu - bare if "strace" in costs else None
                    ok = (opened is None or over / opened < 30e-6) and (strace is None or over < strace)
                    row = Row(row.what, row.figure, row.against, "under 30 µs a file, less than strace", ok)
                rows.append(row)
    return rows


def tracing(folder: Path) -> list[Row]:
    """`vestige trace` in a store of 100,000 runs and 1,000,000 file versions."""
    from tests.store.generate import figure, generate, generate_one

    runs = int(os.environ.get("BENCH_RUNS", "100000"))
    project = folder / "project"
    store = project / ".vestige"
    store.mkdir(parents=True)
    (store / "project").write_text("0" * 32 + "\n")
    generate(str(store), runs)
    target = figure(runs // 4 - 1)[0]
    started = time.perf_counter()
    subprocess.run([str(BIN / "vestige"), "log", "--limit", "1"], cwd=project, check=True, stdout=subprocess.DEVNULL)
    first = time.perf_counter() - started
    trace = [str(BIN / "vestige"), "trace", target]
    fresh = iter(range(runs, runs + 10 * TIMES))
    costs = alternate(
        {
            "trace": Command(trace, str(project)),
            "one more": Command(trace, str(project), before=lambda: generate_one(str(store), next(fresh), runs)),
        },
        TIMES,
    )
    more = costs["one more"].cpu - costs["trace"].cpu
    return [
        Row("bringing in one more run", f"{more * 1000:.0f} ms", "CPU", "under 30 ms", more < 0.03),
        Row(f"first indexing of {runs:,} runs", f"{first:.1f} s", "", "under 60 s", first < 60),
        Row(
            f"vestige trace among {runs:,} runs",
            f"{costs['trace'].wall * 1000:.0f} ms",
            "whole process",
            "under 150 ms",
            costs["trace"].wall < 0.15,
        ),
    ]


def hashing(folder: Path) -> list[Row]:
    """A cold gibibyte against reading it; 10,000 small files against a tight loop; and the second time."""
    from bench.hashing import rows

    return rows(folder)


def _project(project: Path) -> Path:
    source = project / "src"
    source.mkdir(parents=True)
    for number in range(1000):
        (source / f"m{number}.py").write_text(f"x = {number}\n")
    (project / "step.py").write_text(STEP)
    (project / "in.csv").write_text("a,b,c\n1,2,3\n")
    (project / ".gitignore").write_text("out.csv\n.ntrk\n.*.ntrk\n")
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "x"], ["status"]):
        subprocess.run(["git", *command], cwd=project, check=True, stdout=subprocess.DEVNULL)
    return project


def _wall(cost: Cost) -> float:
    return cost.wall


def _cpu(cost: Cost) -> float:
    return cost.cpu
