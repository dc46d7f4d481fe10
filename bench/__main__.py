"""`make bench`: every figure that is promised, measured here and now. Names on the command line choose some of them."""

from __future__ import annotations

import compileall
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import vestige
from bench import measure, workloads
from bench.measure import Row

BENCHES: dict[str, Callable[[Path], list[Row]]] = {
    "import": workloads.importing,
    "run": workloads.running,
    "script": workloads.scripting,
    "observe": workloads.observing,
    "trace": workloads.tracing,
    "hash": workloads.hashing,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"no bench {unknown[0]!r}; there are: {', '.join(BENCHES)}", file=sys.stderr)
        return 64
    _prepare()
    rows: list[Row] = []
    for name in names or list(BENCHES):
        started = time.monotonic()
        print(f"{name} …", file=sys.stderr, end="", flush=True)
        with tempfile.TemporaryDirectory(prefix="vestige-bench-", dir=os.environ.get("BENCH_DIR")) as folder:
            os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
            os.environ["XDG_STATE_HOME"] = str(Path(folder) / "state")
            rows += BENCHES[name](Path(folder))
        print(f" {time.monotonic() - started:.0f} s", file=sys.stderr)
    print(measure.table(rows))
    return 0


def _prepare() -> None:
    """Measure what users have: compiled modules, and no variables of Python's that change how it starts."""
    for name in [name for name in os.environ if name.startswith("PYTHON")]:
        del os.environ[name]
    compileall.compile_dir(str(Path(vestige.__file__).parent), quiet=2)


sys.exit(main(sys.argv[1:]))
