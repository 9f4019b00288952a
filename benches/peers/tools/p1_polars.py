"""P1 by hand: polars reads and prepares, scikit-learn fits and scores. Prints its steps as JSON."""
import json
import pathlib
import sys
import time
import warnings

import numpy as np
import polars as pl
import scipy.sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

warnings.filterwarnings("ignore")
NUMBERS = [f"num{j}" for j in range(9)]
CATEGORIES = [f"cat{j}" for j in range(8)]
MISSING = "__missing__"
PENALTY, TOL, MAX_ITER = 1e-6, 1e-5, 100


def texts(table, column):
    return table[column].cast(pl.String).fill_null(MISSING)


class Preparation:
    """Means and spreads of the numbers, levels of the categories; learnt on training rows."""

    def __init__(self, train):
        self.fill = train.select([pl.col(c).mean() for c in NUMBERS]).row(0)
        filled = self.filled(train)
        self.mean, self.spread = filled.mean(0, dtype=np.float64), filled.std(0, dtype=np.float64)
        self.levels = {c: sorted(texts(train, c).unique().to_list()) for c in CATEGORIES}

    def filled(self, table):
        return table.select([pl.col(c).fill_null(m).cast(pl.Float32) for c, m in zip(NUMBERS, self.fill)]).to_numpy()

    def __call__(self, table):
        n, width = len(table), len(NUMBERS)
        slots = np.empty((n, width + len(CATEGORIES)), np.int32)
        values = np.ones(slots.shape, np.float32)
        slots[:, :width] = np.arange(width)
        values[:, :width] = (self.filled(table) - self.mean) / self.spread
        for j, column in enumerate(CATEGORIES):
            levels = self.levels[column]
            places = list(range(width, width + len(levels)))
            slots[:, len(NUMBERS) + j] = texts(table, column).replace_strict(
                levels, places, default=width, return_dtype=pl.Int32).to_numpy()
            width += len(levels)
        stored = slots.shape[1]
        offsets = np.arange(0, stored * n + 1, stored, dtype=np.int32)
        return scipy.sparse.csr_matrix((values.ravel(), slots.ravel(), offsets), shape=(n, width))


def main(path):
    start = time.perf_counter()
    types = {c: pl.Float32 for c in NUMBERS} | {c: pl.Categorical for c in CATEGORIES}
    table = pl.read_csv(path, schema_overrides=types)
    read = time.perf_counter()
    held_out = table["id"] % 5 == 0
    train, test = table.filter(~held_out), table.filter(held_out)
    prepare = Preparation(train)
    x, xt = prepare(train), prepare(test)
    prepared = time.perf_counter()
    model = LogisticRegression(C=1 / (x.shape[0] * PENALTY), tol=TOL, max_iter=MAX_ITER).fit(x, train["label"].to_numpy())
    fitted = time.perf_counter()
    auc = roc_auc_score(test["label"].to_numpy(), model.decision_function(xt))
    print(json.dumps({"area_under_roc": float(auc), "read_s": read - start, "prepare_s": prepared - read,
                      "fit_s": fitted - prepared, "rounds": int(model.n_iter_[0])}))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
