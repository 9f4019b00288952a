"""Random forests of XGBoost (--xgboost) and LightGBM (--lightgbm)."""
import sys

import numpy as np

import common
from common import THREADS, TREES, Case, arrays

TOOL = next((name for name in ("xgboost", "lightgbm") if f"--{name}" in sys.argv), None)
if TOOL:
    sys.argv.remove(f"--{TOOL}")

DRAWN = 0.632  # rows a tree, without replacement: what a bootstrap sample holds of distinct rows


def share(columns, workload):
    return 1 / 3 if workload == "F3" else np.sqrt(columns) / columns


def xgboost(workload, columns):
    import xgboost as xgb
    trees, depth = TREES[workload]
    kind = xgb.XGBRFRegressor if workload == "F3" else xgb.XGBRFClassifier
    return kind(n_estimators=trees, max_depth=depth, tree_method="hist", max_bin=256, subsample=DRAWN,
                colsample_bynode=share(columns, workload), n_jobs=THREADS, reg_lambda=1e-5, min_child_weight=0)


def lightgbm(workload, columns):
    import lightgbm as lgb
    trees, depth = TREES[workload]
    kind = lgb.LGBMRegressor if workload == "F3" else lgb.LGBMClassifier
    return kind(boosting_type="rf", n_estimators=trees, max_depth=depth, num_leaves=2 ** min(depth, 12), subsample=DRAWN,
                subsample_freq=1, feature_fraction_bynode=share(columns, workload), min_child_samples=1, n_jobs=THREADS,
                verbose=-1, max_bin=255)


def forest(workload):
    def case(data):
        x, y = arrays(data / workload, "X", "y")
        build = {"xgboost": xgboost, "lightgbm": lightgbm}[TOOL]

        def once():
            return build(workload, x.shape[1]).fit(x, y)

        def judge(results):
            return common.forest_quality(workload, results[-1].predict, data / workload)
        trees, depth = TREES[workload]
        return Case(f"{trees} trees, depth {depth}, {DRAWN} of the rows a tree without replacement", once, judge)
    return case


if __name__ == "__main__":
    common.main({w: forest(w) for w in TREES}, __doc__)
