#!/usr/bin/env python3
"""How Emberline's time grows: with four times the rows, and with one thread instead of two.

    python growth.py --data DIR --out DIR [WORKLOAD ...]

Every fourth row makes the smaller data, so that both are of one kind; the settings are those of the workload. Runs of the three kinds
are made by run.py, one after the other, without other tools.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

import numpy

HERE = pathlib.Path(__file__).resolve().parent
DENSE = ["K1", "K2", "K3", "F1", "F2", "F3", "L1", "L3"]
# Data of another workload.
SHARED = {"LR": "L3"}


def quarter(source, target):
    """Every fourth row of the training data; test rows and first centres as they are."""
    if (target / ".done").exists():
        return
    target.mkdir(parents=True, exist_ok=True)
    for file in source.glob("*.npy"):
        if file.stem in ("X", "y", "yr"):
            numpy.save(target / file.name, numpy.ascontiguousarray(numpy.load(file)[::4]))
        elif not (target / file.name).exists():
            os.link(file, target / file.name)
    (target / ".done").touch()


def measure(args, data, out, threads):
    """The median seconds of each workload."""
    command = [sys.executable, HERE / "run.py", "--data", data, "--out", out, "--peers", "", "--threads", str(threads),
               "--reps", str(args.reps), "--seconds", str(args.seconds), *args.workloads]
    for name in ("bench", "cli"):
        if getattr(args, name):
            command += [f"--{name}", getattr(args, name)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    records = map(json.loads, open(out / "results.jsonl"))
    return {r["workload"]: r.get("wall_s") for r in records}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD")
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--bench", help="as for run.py")
    parser.add_argument("--cli", help="as for run.py")
    args = parser.parse_args()
    args.workloads = args.workloads or DENSE + list(SHARED)
    for name in args.workloads:
        folder = SHARED.get(name, name)
        quarter(args.data / folder, args.out / "quarter" / folder)
    small = measure(args, args.out / "quarter", args.out / "small", 2)
    whole = measure(args, args.data, args.out / "whole", 2)
    alone = measure(args, args.data, args.out / "alone", 1)
    print("| work | a quarter of the rows | all rows | growth | one thread | share of two threads |\n|---|---|---|---|---|---|")
    for name in args.workloads:
        n, all_rows, one = small.get(name), whole.get(name), alone.get(name)
        if None in (n, all_rows, one):
            print(f"| {name} | not measured | | | | |")
        else:
            print(f"| {name} | {n:.3f} s | {all_rows:.3f} s | {all_rows / n:.2f} | {one:.3f} s | {one / all_rows:.2f} |")


if __name__ == "__main__":
    main()
