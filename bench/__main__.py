"""`make bench`: every figure that is promised, measured here and now. Names on the command line choose some of them."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import measure, workloads
from bench.measure import Row

BENCHES: dict[str, Callable[[Path], list[Row]]] = {
    "import": workloads.importing,
    "run": workloads.running,
    "observe": workloads.observing,
    "trace": workloads.tracing,
    "hash": workloads.hashing,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"no bench {unknown[0]!r}; there are: {', '.join(BENCHES)}", file=sys.stderr)
        return 64
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


sys.exit(main(sys.argv[1:]))
