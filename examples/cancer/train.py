"""Fit a forest to the training rows."""

import argparse
from pathlib import Path

import joblib
import numpy as np
from sklearn.ensemble import RandomForestClassifier

parser = argparse.ArgumentParser()
parser.add_argument("--depth", type=int, default=3)
depth = parser.parse_args().depth

rows = np.loadtxt("work/train.scaled.csv", delimiter=",")
model = RandomForestClassifier(n_estimators=30, max_depth=depth, random_state=0).fit(rows[:, :-1], rows[:, -1])
Path("models").mkdir(exist_ok=True)
joblib.dump(model, "models/forest.joblib")
