"""faiss-cpu, k-means without subsampling."""
import faiss

import common
from common import ROUNDS, THREADS, Case, arrays

faiss.omp_set_num_threads(THREADS)


def kmeans(workload):
    def case(data):
        x, first = arrays(data / workload, "X", "init")

        def once():
            model = faiss.Kmeans(x.shape[1], len(first), niter=ROUNDS, max_points_per_centroid=len(x), min_points_per_centroid=1)
            model.train(x, init_centroids=first)
            return model

        def judge(results):
            return {"distortion": common.distortion(x, results[-1].centroids)}
        return Case(f"k {len(first)}, {ROUNDS} rounds from given centres, no subsampling", once, judge)
    return case


if __name__ == "__main__":
    common.main({w: kmeans(w) for w in ("K1", "K2", "K3")}, __doc__)
