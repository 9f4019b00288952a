#!/usr/bin/env python3
"""What the machine can do at most, for the floors of docs/performance.md: python limits.py [THREADS]

Products of square matrices by the BLAS of NumPy, and reading memory by as many threads, each over its own 512 MiB.
"""
import concurrent.futures
import os
import sys
import time

THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else 2
os.environ.update({f"{name}_NUM_THREADS": str(THREADS) for name in ("OMP", "OPENBLAS", "MKL")})
for wish in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(wish, None)
import numpy as np


def best(work, reps=7):
    times = []
    for _ in range(reps):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def product(kind, n=3072):
    a, b = np.ones((n, n), kind), np.ones((n, n), kind)
    out = np.empty((n, n), kind)
    return 2 * n**3 / best(lambda: np.matmul(a, b, out=out)) / 1e9


def reading():
    parts = [np.ones(1 << 27, np.float32) for _ in range(THREADS)]
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        seconds = best(lambda: list(pool.map(np.max, parts)))
    return sum(p.nbytes for p in parts) / seconds / 1e9


print(f"{THREADS} threads: {product(np.float32):.0f} GFLOP/s in f32, {product(np.float64):.0f} in f64, reading {reading():.0f} GB/s")
