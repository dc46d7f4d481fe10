"""Draw the ROC curve."""

from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

curve = np.loadtxt("work/roc.csv", delimiter=",")
plt.figure(figsize=(4, 4))
plt.plot(curve[:, 0], curve[:, 1])
plt.xlabel("false positives")
plt.ylabel("true positives")
plt.tight_layout()
Path("figures").mkdir(exist_ok=True)
plt.savefig("figures/roc.png")
