import sys
from pathlib import Path

import capsula


@capsula.run()
def fit(n, seed=None):
    capsula.record("accuracy", 0.9)
    if n < 0:
        raise ValueError("negative")
    Path("out.csv").write_text("x" * n + "\n")
    return n


fit(int(sys.argv[1]))
