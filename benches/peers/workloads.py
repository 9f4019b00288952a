"""What each workload is held to, and which tools can do it."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Quality:
    """A figure that may not be worse than the peer's by more than `band` (relative), nor than a bound of its own."""
    figure: str
    band: float | None = None
    least: float | None = None
    most: float | None = None

    def fault(self, own, peer):
        """Why the ratio does not count, or nothing."""
        value = own[self.figure]
        if self.least is not None and value < self.least:
            return f"{self.figure} {value:.6g} < {self.least:.6g}"
        if self.most is not None and value > self.most:
            return f"{self.figure} {value:.6g} > {self.most:.6g}"
        if self.band is not None and self.figure in peer:
            falling = self.figure in ("distortion", "objective", "grad_max")
            worse = (value - peer[self.figure]) * (1 if falling else -1)
            if worse > self.band * abs(peer[self.figure]):
                return f"{self.figure} {value:.8g} against {peer[self.figure]:.8g}"
        return None


@dataclasses.dataclass(frozen=True)
class Workload:
    what: str
    peers: tuple[str, ...]  # the fastest that are known: measured unless others are asked for
    target: float | None = None  # Emberline's figure over the best peer's
    bound: float | None = None  # the figure itself, at most
    figure: str = "wall_s"
    memory: float | None = None  # peak memory over the best peer's
    quality: Quality | None = None


SEEDS = Quality("distortion", most=5.447e7 * 1.005)
SAME_CENTRES = Quality("distortion", band=1e-4)
SAME_OBJECTIVE = Quality("objective", band=1e-6)
BOTH = ("oneDAL", "scikit-learn")

WORKLOADS = {
    "K1": Workload("k-means 1,000,000 x 16, k 10, 20 rounds", BOTH, 0.5, quality=SAME_CENTRES),
    "K2": Workload("k-means 200,000 x 128, k 100, 20 rounds", BOTH, 0.45, quality=SAME_CENTRES),
    "K3": Workload("k-means 100,000 x 784, k 10, 20 rounds", BOTH, 0.6, quality=SAME_CENTRES),
    "K4:k-means||": Workload("seeding of K1, k-means||", ("oneDAL",), 1.0, quality=SEEDS),
    "K4:k-means++": Workload("seeding of K1, k-means++", BOTH, 1.0, quality=SEEDS),
    "F1": Workload("forest 200,000 x 20, 5 classes, 100 trees, depth 16", ("oneDAL",), 0.5,
                   quality=Quality("accuracy", least=0.897)),
    "F2": Workload("forest 1,000,000 x 28, 2 classes, 50 trees, depth 12", ("XGBoost", "oneDAL"), 0.5,
                   quality=Quality("accuracy", least=0.779)),
    "F3": Workload("regression forest 200,000 x 30, 100 trees, depth 16", ("oneDAL",), 0.5,
                   quality=Quality("r2", least=0.910)),
    "L1": Workload("one-vs-rest logistic 200,000 x 100, 10 classes", BOTH, 0.3, quality=SAME_OBJECTIVE),
    "L2": Workload("the same, sparse 60,000 x 784, 10 classes", ("scikit-learn",), 0.2, quality=SAME_OBJECTIVE),
    "L3": Workload("binary logistic 2,000,000 x 50", BOTH, 0.6, quality=SAME_OBJECTIVE),
    "LR": Workload("least squares 2,000,000 x 50", BOTH, 1.0, quality=Quality("grad_max", band=0.0)),
    "P1": Workload("CSV of 5,000,000 x 20 to an evaluated logistic regression, whole process", ("polars",), 0.3, memory=0.5,
                   quality=Quality("area_under_roc", band=2e-3)),
    "S1:forest": Workload("one record, pipeline with forest, p99 in microseconds", ("scikit-learn",), bound=20.0,
                          figure="p99_us"),
    "S1:logistic": Workload("one record, pipeline with logistic regression, p99 in microseconds", ("scikit-learn",), bound=2.0,
                            figure="p99_us"),
    "S1:batch": Workload("forest of F1 on 50,000 rows (at least 350,000 rows/s)", ("scikit-learn",), bound=50_000 / 350_000,
                         quality=Quality("accuracy", band=0.01)),
    "START": Workload("k-means on iris, whole process", ("scikit-learn",), bound=0.040),
}

# Runner and arguments of each tool, and the packages that must be there.
TOOLS = {
    "scikit-learn": ("sklearn_cases.py", (), ("scikit-learn",)),
    "oneDAL": ("sklearn_cases.py", ("--onedal",), ("scikit-learn-intelex",)),
    "XGBoost": ("boosters.py", ("--xgboost",), ("xgboost-cpu", "xgboost")),
    "LightGBM": ("boosters.py", ("--lightgbm",), ("lightgbm",)),
    "faiss": ("faiss_cases.py", (), ("faiss-cpu",)),
    "polars": ("p1_polars.py", (), ("polars",)),
}

# Workloads that are a command from start to end.
WHOLE = {"P1": ("p1.toml", {"polars": "p1_polars.py"}), "START": ("start.toml", {"scikit-learn": "start_sklearn.py"})}
