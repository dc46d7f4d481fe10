"""The workloads: a small step in a project of 1,000 files, imports, short processes, a large store, many files."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from bench.measure import Command, Cost, Row, alternate, once

PYTHON = sys.executable
BIN = Path(PYTHON).parent
TIMES = int(os.environ.get("BENCH_TIMES", "30"))

STEP = """import sys
a = sys.argv
text = open(a[a.index("-i") + 1]).read()
open(a[a.index("-o") + 1], "w").write(text.upper())
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


def scripting(folder: Path) -> list[Row]:
    """Scripts and functions that record themselves; against footsteps and Capsula."""
    from bench.scripts import rows

    return rows(folder)


def observing(folder: Path) -> list[Row]:
    """What seeing costs: an opened file, and whole programs; against strace and ReproZip."""
    from bench.observing import rows

    return rows(folder)


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


def _can(command: Command) -> bool:
    """Whether a peer is able to run the program at all."""
    try:
        once(command)
    except RuntimeError:
        return False
    return True


def _wall(cost: Cost) -> float:
    return cost.wall


def _cpu(cost: Cost) -> float:
    return cost.cpu
