"""scikit-learn; with --onedal the same code on oneDAL through scikit-learn-intelex."""
import pathlib
import sys
import tempfile
import time
import warnings

ONEDAL = "--onedal" in sys.argv
if ONEDAL:
    sys.argv.remove("--onedal")
    from sklearnex import patch_sklearn
    patch_sklearn(verbose=False)

import numpy as np

import common
from common import PENALTY, ROUNDS, THREADS, TOL, TREES, Case, arrays

warnings.filterwarnings("ignore")


def kmeans(workload):
    def case(data):
        from sklearn.cluster import KMeans
        x, first = arrays(data / workload, "X", "init")

        def once():
            return KMeans(len(first), init=first, n_init=1, max_iter=ROUNDS, tol=0, algorithm="lloyd").fit(x)

        def judge(results):
            model = results[-1]
            return {"distortion": common.distortion(x, model.cluster_centers_), "rounds": int(model.n_iter_)}
        return Case(f"lloyd, k {len(first)}, {ROUNDS} rounds from given centres, f32", once, judge)
    return case


def converged(x, first):
    from sklearn.cluster import KMeans
    model = KMeans(10, init=np.ascontiguousarray(first, np.float32), n_init=1, max_iter=300, tol=1e-4).fit(x)
    return common.distortion(x, model.cluster_centers_)


def seeding(settings, start):
    """`start(x, seed)` gives ten centres; every repetition has a seed of its own."""
    def case(data):
        x, = arrays(data / "K1", "X")
        done = []

        def once():
            done.append(None)
            return start(x, len(done))

        def judge(results):
            return {"distortion_init": float(np.median([common.distortion(x, first) for first in results])),
                    "distortion": float(np.median([converged(x, first) for first in results]))}
        return Case(settings, once, judge)
    return case


def greedy(x, seed):
    from sklearn.cluster import kmeans_plusplus
    return kmeans_plusplus(x, 10, random_state=seed)[0]


def daal(method):
    def start(x, seed):
        import daal4py
        engine = daal4py.engines_mt2203(seed=seed)
        return daal4py.kmeans_init(10, fptype="float", method=method, engine=engine).compute(x).centroids
    return start


def forest(workload):
    def case(data):
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
        x, y = arrays(data / workload, "X", "y")
        trees, depth = TREES[workload]
        kind, subset = (RandomForestRegressor, 1 / 3) if workload == "F3" else (RandomForestClassifier, "sqrt")

        def once():
            return kind(trees, max_depth=depth, max_features=subset, n_jobs=THREADS, random_state=1).fit(x, y)

        def judge(results):
            return common.forest_quality(workload, results[-1].predict, data / workload)
        return Case(f"{trees} trees, depth {depth}, bootstrap, f32", once, judge)
    return case


def one_vs_rest(workload, solver):
    def case(data):
        from sklearn.linear_model import LogisticRegression
        from sklearn.multiclass import OneVsRestClassifier
        folder = data / workload
        x = common.sparse(folder, "X") if workload == "L2" else arrays(folder, "X")[0]
        y, = arrays(folder, "y")
        one = LogisticRegression(C=1 / (x.shape[0] * PENALTY), solver=solver, tol=TOL, max_iter=500)

        def once():
            return OneVsRestClassifier(one, n_jobs=THREADS).fit(x, y)

        def judge(results):
            model = results[-1]
            w = np.vstack([e.coef_ for e in model.estimators_])
            b = [e.intercept_[0] for e in model.estimators_]
            test = common.sparse(folder, "Xt") if workload == "L2" else arrays(folder, "Xt")[0]
            return (common.optimum(x, y[:, None] == np.arange(len(w)), w, b)
                    | common.accuracy(model.predict(test), *arrays(folder, "yt"))
                    | {"rounds": int(max(np.max(e.n_iter_) for e in model.estimators_))})
        return Case(f"{solver}, class by class, tol {TOL}, f32", once, judge)
    return case


def binary(solver):
    def case(data):
        from sklearn.linear_model import LogisticRegression
        x, y = arrays(data / "L3", "X", "y")

        def once():
            return LogisticRegression(C=1 / (len(x) * PENALTY), solver=solver, tol=TOL, max_iter=500).fit(x, y)

        def judge(results):
            model = results[-1]
            test, truth = arrays(data / "L3", "Xt", "yt")
            return (common.optimum(x, y[:, None] == 1, model.coef_, model.intercept_)
                    | common.accuracy(model.predict(test), truth) | {"rounds": int(np.max(model.n_iter_))})
        return Case(f"{solver}, tol {TOL}, f32", once, judge)
    return case


def least_squares(data):
    from sklearn.linear_model import LinearRegression, Ridge
    x, y = arrays(data / "L3", "X", "yr")

    def once():
        # scikit-learn's own least squares takes six times as long as its Cholesky ridge with next to no penalty.
        return (LinearRegression() if ONEDAL else Ridge(alpha=1e-6, solver="cholesky")).fit(x, y)

    def judge(results):
        model = results[-1]
        test, truth = arrays(data / "L3", "Xt", "yrt")
        return common.squares(x, y, model.coef_, model.intercept_) | common.r2(model.predict(test), truth)
    return Case("LinearRegression, f32" if ONEDAL else "Ridge by Cholesky, alpha 1e-6, f32", once, judge)


def f1_forest(data, threads):
    """Fitting takes more than a minute and is not what S1 measures: it is done once for both of its parts."""
    import joblib
    import sklearn
    from sklearn.ensemble import RandomForestClassifier
    kept = pathlib.Path(tempfile.gettempdir()) / f"peers-s1-forest-{sklearn.__version__}.joblib"
    if kept.exists():
        model = joblib.load(kept)
    else:
        trees, depth = TREES["F1"]
        model = RandomForestClassifier(trees, max_depth=depth, max_features="sqrt", n_jobs=THREADS, random_state=1)
        joblib.dump(model.fit(*arrays(data / "F1", "X", "y")), kept)
    model.n_jobs = threads
    return model


def f1_logistic(data):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(*arrays(data / "F1", "X", "y"))


def one_by_one(fit, settings, calls):
    """Single rows of numbers, without filling and encoding: less work than Emberline's pipeline does."""
    def case(data):
        model = fit(data)
        rows, truth = arrays(data / "F1", "Xt", "yt")

        def once():
            times = []
            for i in range(calls + 20):
                row = rows[i % len(rows)][None]
                start = time.perf_counter()
                model.predict(row)
                times.append((time.perf_counter() - start) * 1e6)
            return times[20:]

        def judge(results):
            return ({"p50_us": float(np.percentile(results[-1], 50)), "p99_us": float(np.percentile(results[-1], 99))}
                    | common.accuracy(model.predict(rows), truth))
        return Case(settings, once, judge)
    return case


def batch(data):
    model = f1_forest(data, THREADS)
    rows, truth = arrays(data / "F1", "Xt", "yt")

    def judge(results):
        return common.accuracy(results[-1], truth)
    return Case("forest of 100 trees, depth 16", lambda: model.predict(rows), judge)


CASES = {w: kmeans(w) for w in ("K1", "K2", "K3")} | {w: forest(w) for w in TREES} | {
    "K4:k-means++": seeding("k-means++, oneDAL's seeds", daal("plusPlusDense")) if ONEDAL
    else seeding("greedy k-means++", greedy),
    "L1": one_vs_rest("L1", "lbfgs"),
    "L2": one_vs_rest("L2", "lbfgs"),
    "L3": binary("lbfgs" if ONEDAL else "newton-cholesky"),
    "LR": least_squares,
    "S1:forest": one_by_one(lambda data: f1_forest(data, 1), "forest alone, one row of numbers a call", 300),
    "S1:logistic": one_by_one(f1_logistic, "scale and logistic regression, one row of numbers a call", 2000),
    "S1:batch": batch,
}
if ONEDAL:
    CASES["K4:k-means||"] = seeding("k-means||, oneDAL's seeds", daal("parallelPlusDense"))

if __name__ == "__main__":
    common.main(CASES, __doc__)
