"""Score the test rows."""

import json

import joblib
import numpy as np
from sklearn.metrics import accuracy_score, roc_auc_score, roc_curve

rows = np.loadtxt("work/test.scaled.csv", delimiter=",")
model = joblib.load("models/forest.joblib")
scores = model.predict_proba(rows[:, :-1])[:, 1]
false_positives, true_positives, _ = roc_curve(rows[:, -1], scores)
np.savetxt("work/roc.csv", np.column_stack([false_positives, true_positives]), fmt="%.6f", delimiter=",")
result = {"accuracy": accuracy_score(rows[:, -1], scores > 0.5), "auc": roc_auc_score(rows[:, -1], scores)}
with open("metrics.json", "w") as file:
    json.dump(result, file, indent=2)
print(f"accuracy {result['accuracy']:.3f}")
