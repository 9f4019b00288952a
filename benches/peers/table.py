#!/usr/bin/env python3
"""The table of results: python table.py OUT [WORKLOAD ...]

Of every tool and workload the latest record counts. A ratio over tools that were not measured in turn, in one run, is marked
with a dagger: the machine may have changed in between.
"""
import json
import pathlib
import sys

from workloads import WORKLOADS


def latest(path):
    records = {}
    for line in open(path):
        record = json.loads(line)
        records.setdefault(record["workload"], {})[record["peer"]] = record
    return records


def number(value, unit):
    if unit == "us":
        return f"{value:.2f} us"
    return f"{value * 1e3:.1f} ms" if value < 0.1 else f"{value:.3f} s" if value < 10 else f"{value:.1f} s"


def mib(record):
    return f"{record['peak_mib']:.0f}" if record and "peak_mib" in record else ""


QUALITY = ("distortion", "accuracy", "r2", "objective", "grad_max", "area_under_roc")


def quality(record, workload):
    figure = WORKLOADS[workload].quality.figure if WORKLOADS[workload].quality else None
    for name in (figure, *QUALITY):
        if name and name in record:
            return f"{name} {record[name]:.7g}"
    return ""


def row(name, records):
    """Cells of a workload's line."""
    workload, own = WORKLOADS[name], records.get("emberline")
    if own is None or "fault" in own:
        return [name, own["fault"] if own else "not measured", "", "", "", "", "", ""]
    figure, unit = workload.figure, "us" if workload.figure.endswith("_us") else "s"
    others = [r for p, r in records.items() if p != "emberline" and figure in r]
    best = min(others, key=lambda r: r[figure], default=None)
    verdicts = []
    if best:
        ratio = own[figure] / best[figure]
        dagger = "" if best["run"] == own["run"] else " †"
        said, shown = f"{ratio:.3f}{dagger}", f"{best['peer']} {number(best[figure], unit)}"
        if workload.target:
            verdicts.append((ratio <= workload.target, f"ratio {said}"))
        if workload.memory:
            share = own["peak_mib"] / best["peak_mib"]
            verdicts.append((share <= workload.memory, f"memory {share:.2f} of at most {workload.memory}"))
    else:
        said, shown = "", "none measured"
    if workload.bound:
        verdicts.append((own[figure] <= workload.bound, f"at most {number(workload.bound, unit)}"))
    fault = workload.quality.fault(own, best or {}) if workload.quality else None
    missed = [what for holds, what in verdicts if not holds]
    verdict = f"quality: {fault}" if fault else "missed: " + ", ".join(missed) if missed else "met" if verdicts else "open"
    target = " and ".join(filter(None, (workload.target and f"{workload.target:g}",
                                        workload.bound and number(workload.bound, unit))))
    return [name, number(own[figure], unit), shown, said, target, verdict, quality(own, name)
            + (f" ({quality(best, name).split(' ')[-1]})" if best and quality(best, name) else ""),
            f"{mib(own)} / {mib(best)}"]


HEAD = ["work", "Emberline", "best peer", "ratio", "target", "verdict", "quality (peer's)", "peak MiB"]


def main():
    records = latest(pathlib.Path(sys.argv[1]) / "results.jsonl")
    if not records:
        sys.exit(f"nothing has been measured in {sys.argv[1]}: see `run.py`")
    asked = sys.argv[2:] or [w for w in WORKLOADS if w in records]
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD))
    for name in asked:
        print("| " + " | ".join(row(name, records.get(name, {}))) + " |")
    print("\nAll tools:\n")
    for name in asked:
        for peer, r in records.get(name, {}).items():
            figure = WORKLOADS[name].figure
            said = r["fault"] if "fault" in r else number(r[figure], "us" if figure.endswith("_us") else "s")
            runs = f", {r['runs']} runs {r['min_s']:.3g} to {r['max_s']:.3g} s" if "runs" in r else ""
            print(f"- {name} {peer}: {said}{runs}; {quality(r, name)}; {r.get('settings', '')}")
    last = max((r for tools in records.values() for r in tools.values()), key=lambda r: r["run"])
    versions = ", ".join(f"{k} {v}" for k, v in last["versions"].items())
    print(f"\n{last['run']}, {last['threads']} threads. {json.dumps(last['machine'])}\n\n{versions}\n\nBLAS: {last['blas']}")


if __name__ == "__main__":
    main()
