#!/usr/bin/env python3
"""Makes the data of the workloads, the same bytes on every machine: python generate.py --data DIR [WORKLOAD ...]

Each workload gets a folder of little-endian NumPy files in C order: X (float32), y (int32 or float32), Xt and yt (rows held
out), init (first centres). L2 is sparse: X_data, X_indices, X_indptr. P1 is one CSV file. Sums over all files are printed
with --sums, to compare machines. NumPy, scikit-learn (F1), SciPy (L2) and polars (P1) are needed.
"""
import argparse
import hashlib
import pathlib
import time

import numpy as np

FEATURES = np.float32


def normal(rng, *shape):
    return rng.standard_normal(shape, dtype=FEATURES)


def logistic(z):
    return 1 / (1 + np.exp(-z))


# ---- k-means: clouds around centres, with so much overlap that twenty rounds do not converge ----

def clouds(rng, rows, centres, spread):
    member = rng.integers(0, len(centres), rows)
    points = normal(rng, rows, centres.shape[1])
    points *= FEATURES(spread)
    points += centres[member].astype(FEATURES)
    return points


def with_start(rng, points, k):
    return {"X": points, "init": points[rng.choice(len(points), k, replace=False)]}


def k1():
    """1,000,000 x 16, 30 clouds, 10 first centres."""
    rng = np.random.default_rng(101)
    return with_start(rng, clouds(rng, 1_000_000, rng.uniform(-3, 3, (30, 16)), 1.5), 10)


def k2():
    """200,000 x 128, 150 clouds, 100 first centres."""
    rng = np.random.default_rng(102)
    return with_start(rng, clouds(rng, 200_000, rng.standard_normal((150, 128)), 1.5), 100)


def images(rng, rows):
    """28 x 28 grey images like scanned digits: ten classes of six prototypes each, every prototype with eight ways to bend."""
    def smooth(count):
        field = rng.standard_normal((count, 28, 28))
        for _ in range(6):
            around = [np.roll(field, step, axis) for axis in (1, 2) for step in (1, -1)]
            field = (field + around[0] + around[1] + around[2] + around[3]) / 5
        return (field / field.std(axis=(1, 2), keepdims=True)).reshape(count, 784).astype(FEATURES)

    y, x = np.mgrid[0:28, 0:28]
    window = np.exp(-(((y - 13.5) / 9) ** 4 + ((x - 13.5) / 8) ** 4)).ravel().astype(FEATURES)
    prototypes, bends = smooth(60), smooth(480).reshape(60, 8, 784)
    which = rng.integers(0, 60, rows)
    out = np.empty((rows, 784), FEATURES)
    for p in range(60):
        own = np.flatnonzero(which == p)
        out[own] = prototypes[p] + (normal(rng, len(own), 8) * FEATURES(0.45)) @ bends[p]
    out += normal(rng, rows, 784) * FEATURES(0.25)
    out = np.clip((out - 0.55) * 130 * window, 0, 255)
    out[out < 12] = 0
    return np.floor(out).astype(FEATURES), (which % 10).astype(np.int32)


def k3():
    """100,000 x 784 images, three quarters of the pixels 0, 10 first centres."""
    rng = np.random.default_rng(103)
    return with_start(rng, images(rng, 100_000)[0], 10)


# ---- tables with a label; the last rows are held out ----

def held_out(features, labels, test, **more):
    """`labels` go to y and yt, `more` to NAME and NAMEt."""
    n = len(features) - test
    out = {"X": features[:n], "Xt": features[n:], "y": labels[:n], "yt": labels[n:]}
    for name, values in more.items():
        out |= {name: values[:n], name + "t": values[n:]}
    return out


def f1():
    """200,000 + 50,000 x 20, five classes, ten informative columns and five redundant ones."""
    from sklearn.datasets import make_classification
    x, y = make_classification(250_000, 20, n_informative=10, n_redundant=5, n_classes=5, n_clusters_per_class=2,
                               class_sep=1.0, flip_y=0.02, random_state=111)
    return held_out(x.astype(FEATURES), y.astype(np.int32), 50_000)


def f2():
    """1,000,000 + 100,000 x 28, two classes, like particle collisions: 21 measured columns and seven computed from them."""
    rng = np.random.default_rng(112)
    rows = 1_100_000
    z = normal(rng, rows, 21)
    x = np.empty((rows, 28), FEATURES)
    x[:, :21] = z
    energy, angle, tag = (0, 3, 5, 9, 13, 17), (2, 4, 7, 11, 15, 19), (8, 12, 16, 20)
    for j in energy:
        x[:, j] = np.exp(0.5 * z[:, j])
    for j in angle:
        x[:, j] = np.mod(z[:, j] * 2, 6.2831855) - 3.1415927
    for j in tag:
        x[:, j] = (z[:, j] > 0.6) * FEATURES(1) + (z[:, j] > 1.4)
    c = [x[:, j] for j in range(28)]  # views: later columns are seen as they are filled

    def mass(e1, e2, a1, a2, p1, p2):
        bend = np.cosh(np.clip(c[a1] - c[a2], -3, 3)) - np.cos(c[p1] - c[p2])
        return np.sqrt(2 * c[e1] * c[e2] * bend + 0.01)

    x[:, 21] = mass(0, 3, 1, 6, 2, 4)
    x[:, 22] = mass(5, 9, 6, 10, 7, 11)
    x[:, 23] = mass(13, 17, 14, 18, 15, 19)
    x[:, 24] = c[0] + c[5] + 0.3 * c[21]
    x[:, 25] = np.abs(c[1] - c[10])
    x[:, 26] = c[3] * np.cos(c[4]) + c[9] * np.cos(c[11])
    x[:, 27] = np.log1p(c[22] * c[23])
    score = (0.9 * np.tanh(c[21] - 2.2) - 0.8 * (np.abs(c[27] - 1.6) < 0.55) + 0.5 * c[26] * (c[8] > 0)
             + 0.4 * np.sin(1.5 * c[6]) * c[10] + 0.5 * (c[12] * (c[24] > 3)) - 0.25 * c[25] + 0.35)
    score += 0.3 * normal(rng, rows)
    return held_out(x, (rng.random(rows) < logistic(2.2 * score)).astype(np.int32), 100_000)


def f3():
    """200,000 + 50,000 x 30, a number: Friedman's first function with interactions, and columns that mean nothing."""
    rng = np.random.default_rng(113)
    x = rng.random((250_000, 30), dtype=FEATURES)
    c = [x[:, j] for j in range(9)]
    y = (10 * np.sin(np.pi * c[0] * c[1]) + 20 * (c[2] - 0.5) ** 2 + 10 * c[3] + 5 * c[4]
         + 6 * np.abs(c[5] - 0.5) * c[6] + 4 * (c[7] > 0.7) * c[8] + rng.standard_normal(250_000))
    return held_out(x, y.astype(FEATURES), 50_000)


def l1():
    """200,000 + 50,000 x 100, ten normal classes, neighbouring columns correlated, columns of unequal scale."""
    rng = np.random.default_rng(121)
    y = rng.integers(0, 10, 250_000).astype(np.int32)
    noise = normal(rng, 250_000, 100)
    for j in range(1, 100):
        noise[:, j] = 0.5 * noise[:, j - 1] + FEATURES(0.8660254) * noise[:, j]
    x = noise + (rng.standard_normal((10, 100)) * 0.25).astype(FEATURES)[y]
    x *= rng.uniform(0.5, 2, 100).astype(FEATURES)
    return held_out(x, y, 50_000)


def l2():
    """60,000 + 10,000 x 784 images from 0 to 1 with their classes, sparse."""
    import scipy.sparse
    x, y = images(np.random.default_rng(122), 70_000)
    sparse = scipy.sparse.csr_matrix((x / FEATURES(255)).astype(FEATURES))
    out = {"y": y[:60_000], "yt": y[60_000:]}
    for name, part in (("X", sparse[:60_000]), ("Xt", sparse[60_000:])):
        out |= {name + "_data": part.data, name + "_indices": part.indices.astype(np.int32),
                name + "_indptr": part.indptr.astype(np.int32)}
    return out


def l3():
    """2,000,000 + 100,000 x 50: two classes for L3, and a number (yr) for LR; columns scaled from 0.25 to 4."""
    rng = np.random.default_rng(123)
    rows, columns = 2_100_000, 50
    x = normal(rng, rows, columns)
    w = (rng.standard_normal(columns) * 2.5 / np.sqrt(columns)).astype(FEATURES)
    z = x @ w + FEATURES(0.3)
    y = (rng.random(rows, dtype=FEATURES) < logistic(z)).astype(np.int32)
    number = z + normal(rng, rows)
    x *= np.geomspace(0.25, 4, columns).astype(FEATURES)
    return held_out(x, y, 100_000, yr=number)


def p1(folder):
    """5,000,000 x 20 as CSV: id, nine numbers (one in twenty missing), eight categories of 3 to 200 levels (3 % missing), a day,
    and a label of two classes."""
    import polars as pl
    rng = np.random.default_rng(131)
    rows = 5_000_000
    table, score = {"id": np.arange(rows)}, np.zeros(rows, FEATURES)
    for j in range(9):
        scale, sign = FEATURES(10 ** (j % 3)), (-1) ** j
        v = normal(rng, rows) * scale + FEATURES(j)
        score += FEATURES(0.3 * sign) * (v - j) / scale
        column = pl.Series(f"num{j}", np.round(v.astype(np.float64), 6))
        table[f"num{j}"] = column.set(pl.Series(rng.random(rows) < 0.05), None)
    for j, levels in enumerate((3, 5, 8, 12, 20, 50, 100, 200)):
        share = 1 / np.arange(1, levels + 1) ** 0.7
        level = np.searchsorted(np.cumsum(share / share.sum()), rng.random(rows)).clip(0, levels - 1)
        score += (rng.standard_normal(levels) * 0.4).astype(FEATURES)[level]
        names = pl.Series([f"c{j}_level{i:03d}" for i in range(levels)])
        column = names.gather(pl.Series(level.astype(np.uint32))).alias(f"cat{j}")
        table[f"cat{j}"] = column.set(pl.Series(rng.random(rows) < 0.03), None)
    table["day"] = pl.Series((np.datetime64("2020-01-01") + rng.integers(0, 1500, rows)).astype("datetime64[D]"))
    table["label"] = (rng.random(rows) < logistic(score - 0.5)).astype(np.int8)
    pl.DataFrame(table).write_csv(folder / "data.csv", float_precision=6)


ARRAYS = {"K1": k1, "K2": k2, "K3": k3, "F1": f1, "F2": f2, "F3": f3, "L1": l1, "L2": l2, "L3": l3}


def make(workload, folder):
    """Writes a workload, last of all the mark that it is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    if workload == "P1":
        p1(folder)
    else:
        for name, values in ARRAYS[workload]().items():
            np.save(folder / f"{name}.npy", np.ascontiguousarray(values))
    (folder / ".done").touch()


def sums(folder):
    for path in sorted(folder.glob("*.npy")) + sorted(folder.glob("*.csv")):
        with open(path, "rb") as file:
            print(hashlib.file_digest(file, "sha256").hexdigest(), path.parent.name + "/" + path.name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--sums", action="store_true", help="print the SHA-256 of every file")
    parser.add_argument("workloads", nargs="*", help="default: all")
    args = parser.parse_args()
    for workload in args.workloads or [*ARRAYS, "P1"]:
        folder = args.data / workload
        if not (folder / ".done").exists():
            start = time.time()
            make(workload, folder)
            print(f"{workload}: {time.time() - start:.0f} s")
        if args.sums:
            sums(folder)


if __name__ == "__main__":
    main()
