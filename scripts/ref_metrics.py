#!/usr/bin/env python3
"""Writes tests/fixtures/metrics.json: scores with ties, single-class columns and extreme shares, and what
scikit-learn (or, where it has no such function, numpy from the definition) makes of them.
    pip install numpy scikit-learn; scripts/ref_metrics.py tests/fixtures/metrics.json"""
import json
import sys

import numpy as np
import sklearn
from sklearn import metrics as m


def fixed(y, share):
    """Best TPR with at least this TNR, and best TNR with at least this TPR, over all thresholds."""
    def best(own, other, share):
        return max(a for a, b in zip(own, other) if b >= share)
    s = column
    cuts = np.concatenate([[np.inf], np.unique(s)])
    tpr = [np.sum((s >= c) & (y == 1)) / np.sum(y == 1) for c in cuts]
    tnr = [np.sum((s < c) & (y == 0)) / np.sum(y == 0) for c in cuts]
    return best(tpr, tnr, share), best(tnr, tpr, share)


def bins(y, s):
    place = np.minimum((s * 15).astype(int), 14)
    gaps = [(np.sum(place == b), abs(np.mean(y[place == b] - s[place == b])))
            for b in range(15) if np.any(place == b)]
    return sum(n * g for n, g in gaps) / len(s), max(g for _, g in gaps)


def of_column(y, s, threshold):
    both, any_positive = 0 < y.sum() < len(y), y.sum() > 0
    d = (s >= threshold).astype(int)
    out = {}
    if both:
        out["auroc"] = m.roc_auc_score(y, s)
        out["auprc"] = m.average_precision_score(y, s)
        out["balanced_accuracy"] = m.balanced_accuracy_score(y, d)
        out["matthews"] = m.matthews_corrcoef(y, d)
        for share in (90, 95):
            out[f"sensitivity_at_spec{share}"], out[f"specificity_at_sens{share}"] = fixed(y, share / 100)
    if any_positive:
        out["f1"] = m.f1_score(y, d, zero_division=0)
        out["f2"] = m.fbeta_score(y, d, beta=2, zero_division=0)
        tn, fp, fn, tp = m.confusion_matrix(y, d, labels=[0, 1]).ravel()
        out["g2"] = tp / (tp + fp + 2 * fn)
        out["sensitivity"] = m.recall_score(y, d)
        out["f1_max"] = max(m.f1_score(y, s >= c) for c in np.unique(s))
    if y.sum() < len(y):
        out["specificity"] = m.recall_score(y, d, pos_label=0)
    if d.sum() > 0:
        out["precision"] = m.precision_score(y, d)
    if s.min() >= 0 and s.max() <= 1:
        out["brier"] = np.mean((s - y) ** 2) if not both else m.brier_score_loss(y, s)
        out["ece"], out["mce"] = bins(y, s)
    return {k: float(v) for k, v in out.items()}


def of_table(Y, S, thresholds):
    D = S >= thresholds
    best = []
    for step in range(101):
        P = S >= step / 100
        if P.any() and Y.any():
            rows = P.any(1)
            p = np.mean((P & Y)[rows].sum(1) / P[rows].sum(1))
            has = Y.any(1)
            r = np.mean((P & Y)[has].sum(1) / Y[has].sum(1))
            best.append(2 * p * r / (p + r) if p + r > 0 else 0.0)
    w = 1 / np.maximum(Y.sum(1, keepdims=True), 1)
    tp, fp, fn = ((w * x).sum(0) for x in (D & Y, D & ~Y, ~D & Y))
    some = tp + fp + fn > 0
    tp, fp, fn = tp[some], fp[some], fn[some]
    f1 = [m.f1_score(Y[:, k], D[:, k]) for k in range(Y.shape[1]) if (Y[:, k] | D[:, k]).any()]
    return {"sample_fmax": max(best), "fbeta_normalized": float(np.mean(5 * tp / (5 * tp + fp + 4 * fn))),
            "gbeta_normalized": float(np.mean(tp / (tp + fp + 2 * fn))), "challenge_f_measure": float(np.mean(f1)),
            "exact_match": float(m.accuracy_score(Y, D))}


rng = np.random.default_rng(7)
n = 97
y = rng.integers(0, 2, n)
rare = (np.arange(n) == 13).astype(int)
columns = [
    ("informative", y, np.round(rng.random(n) * 0.7 + 0.3 * y, 3), 0.5),
    ("ties", y, rng.integers(0, 5, n) / 4, 0.5),
    ("all tied", y, np.full(n, 0.25), 0.25),
    ("one positive", rare, np.round(rng.random(n), 2), 0.9),
    ("one negative", 1 - rare, np.round(rng.random(n), 2), 0.3),
    ("no positive", 0 * y, rng.random(n), 0.5),
    ("no negative", 0 * y + 1, rng.random(n), 0.75),
    ("never called", y, rng.random(n) / 4, 0.5),
    ("never there, never called", 0 * y, rng.random(n) / 4, 0.5),
    ("always called", y, 0.5 + rng.random(n) / 2, 0.5),
    ("logits", y, np.round(rng.normal(size=n) + y, 1), 0.0),
    ("skewed", (rng.random(n) < 0.1).astype(int), rng.random(n) ** 6, 0.1),
]
out = {"scikit-learn": sklearn.__version__, "numpy": np.__version__, "columns": []}
for name, labels, column, threshold in columns:
    out["columns"].append({"name": name, "threshold": threshold, "labels": labels.tolist(),
                           "scores": column.tolist(), "metrics": of_column(labels, column, threshold)})
chosen = [c for c in columns if c[0] not in ("logits",)]
out["table"] = of_table(np.stack([c[1] for c in chosen], 1) == 1, np.stack([c[2] for c in chosen], 1),
                        np.array([c[3] for c in chosen]))
json.dump(out, open(sys.argv[1], "w"))
open(sys.argv[1], "a").write("\n")
