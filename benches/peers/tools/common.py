"""What the runners of the other tools share: data, quality in float64, and taking turns.

A runner holds a table of cases. A case is a function of the data folder that loads what the tool needs and returns a `Case`:
`once()` is the work on the clock, `judge(results)` says off the clock how good it was.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import sys
import time
import typing

import numpy as np

THREADS = int(os.environ.get("PEERS_THREADS", "2"))

# The same for every tool, Emberline's side included (its sources say so too).
ROUNDS = 20
PENALTY = 1e-4
TOL = 1e-6
TREES = {"F1": (100, 16), "F2": (50, 12), "F3": (100, 16)}
PIXELS = 784


@dataclasses.dataclass
class Case:
    settings: str
    once: typing.Callable[[], object]
    judge: typing.Callable[[list], dict]


def arrays(folder, *names):
    return [np.load(folder / f"{name}.npy") for name in names]


def sparse(folder, name):
    import scipy.sparse
    values, slots, offsets = arrays(folder, name + "_data", name + "_indices", name + "_indptr")
    return scipy.sparse.csr_matrix((values, slots, offsets), shape=(len(offsets) - 1, PIXELS))


# ---- quality ----

def parts(x, rows=50_000):
    return [(at, x[at:at + rows]) for at in range(0, x.shape[0], rows)]


def distortion(x, centres):
    centres = np.asarray(centres, np.float64)
    square = (centres * centres).sum(axis=1)
    total = 0.0
    for _, rows in parts(x):
        rows = rows.astype(np.float64)
        nearest = (rows * rows).sum(axis=1) + (square - 2 * rows @ centres.T).min(axis=1)
        total += np.maximum(nearest, 0).sum()
    return float(total)


def optimum(x, targets, coefficients, intercepts):
    """Mean logistic loss plus penalty, averaged over the problems, and the largest entry of a gradient. `targets` holds a
    column of booleans for each problem."""
    w, b = np.asarray(coefficients, np.float64), np.asarray(intercepts, np.float64).ravel()
    loss, slopes, sums = 0.0, np.zeros_like(w), np.zeros(len(w))
    for at, rows in parts(x):
        margins = np.asarray(rows @ w.T) + b
        own = targets[at:at + len(margins)]
        loss += np.logaddexp(0, np.where(own, -margins, margins)).sum()
        slope = 1 / (1 + np.exp(-margins)) - own
        slopes += np.asarray(rows.T @ slope).T
        sums += slope.sum(axis=0)
    n = x.shape[0]
    value = (loss / n + PENALTY / 2 * (w * w).sum()) / len(w)
    gradient = max(np.abs(slopes / n + PENALTY * w).max(), np.abs(sums / n).max())
    return {"objective": float(value), "grad_max": float(gradient)}


def squares(x, y, coefficients, intercept):
    w = np.asarray(coefficients, np.float64).ravel()
    loss, slope, total = 0.0, np.zeros_like(w), 0.0
    for at, rows in parts(x):
        left = rows @ w + float(np.ravel(intercept)[0]) - y[at:at + len(rows)]
        loss += (left * left).sum()
        slope += rows.T @ left
        total += left.sum()
    n = len(x)
    return {"objective": float(loss / n / 2), "grad_max": float(max(np.abs(slope / n).max(), abs(total / n)))}


def accuracy(predicted, truth):
    return {"accuracy": float((np.asarray(predicted) == truth).mean())}


def r2(predicted, truth):
    truth = np.asarray(truth, np.float64)
    left = ((truth - np.asarray(predicted, np.float64)) ** 2).sum()
    return {"r2": float(1 - left / ((truth - truth.mean()) ** 2).sum())}


def timed(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def forest_quality(workload, predict, folder):
    """Predictions of the rows held out, on the clock of their own."""
    rows, truth = arrays(folder, "Xt", "yt")
    seconds, predicted = timed(lambda: predict(rows))
    return {"predict_s": seconds} | (r2 if workload == "F3" else accuracy)(predicted, truth)


# ---- taking turns ----

def memory(line):
    for text in open("/proc/self/status"):
        if text.startswith(line):
            return int(text.split()[1]) / 1024
    return float("nan")


def forget_peak():
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass  # the peak is then that of the whole process


def serve(case):
    """`ready`, then a repetition for each line `go`; any other line ends it and prints the record."""
    before = memory("VmRSS")
    forget_peak()
    print("ready", flush=True)
    wall, results = [], []
    for line in sys.stdin:
        if line.strip() != "go":
            break
        seconds, result = timed(case.once)
        wall.append(seconds)
        results = (results + [result])[-5:]
        print(f"rep {seconds}", flush=True)
    record = {"settings": case.settings, "wall_s": float(np.median(wall)), "min_s": min(wall), "max_s": max(wall),
              "runs": len(wall), "before_mib": before, "peak_mib": memory("VmHWM")}
    record |= case.judge(results)
    print(json.dumps(record), flush=True)


def main(cases, description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("workload", choices=sorted(cases))
    args = parser.parse_args()
    serve(cases[args.workload](args.data))
