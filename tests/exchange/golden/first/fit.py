import sys
from pathlib import Path

import capsula


@capsula.monitor(directory=Path(__file__).parent, include_return_value=True, items=("fit",))
def fit(n, seed=None):
    if n < 0:
        raise ValueError("negative")
    Path("out.csv").write_text("x" * n + "\n")
    return n


fit(int(sys.argv[1]))
# changed
