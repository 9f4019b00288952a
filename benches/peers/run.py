#!/usr/bin/env python3
"""Measures Emberline and other tools in turn: python run.py --data DIR --out DIR [WORKLOAD ...]

Every tool loads its data and waits; then they take turns, one repetition each, on the same threads, so that a change in
the machine meets all of them. Medians, quality and memory go to OUT/results.jsonl; table.py makes the table.
"""
import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import select
import signal
import statistics
import subprocess
import sys
import time

from workloads import TOOLS, WHOLE, WORKLOADS

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
# A tool whose threads spin after a repetition would slow the next one's.
PAUSE = 0.3
READY = 900  # seconds: some cases fit a model before the clock starts
POLL = 0.02


def environment(threads):
    """No wish of the shell's about threads, or about what a BLAS should take the processor for: `main` leaves every tool as
    many cores as it may use, and each counts them for itself. Workers of joblib would heed a number of threads meant for
    the whole, and two of them with two threads each are slower than with one."""
    wishes = {f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL")} | {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}
    env = {k: v for k, v in os.environ.items() if k not in wishes}
    return env | {"RAYON_NUM_THREADS": str(threads), "POLARS_MAX_THREADS": str(threads), "PEERS_THREADS": str(threads)}


class TooLong(Exception):
    pass


class Runner:
    """One tool with its data in memory."""

    def __init__(self, peer, command, env, log):
        self.peer, self.wall, self.fault, self.record = peer, [], None, None
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=env,
                                        start_new_session=True)
        self.pending = b""
        self.attempt(lambda: self.expect("ready", READY))

    def attempt(self, work):
        try:
            return work()
        except TooLong as e:
            self.fault = f"over {e} s"
        except (OSError, ValueError) as e:
            self.fault = f"failed: {e}"
        self.kill()
        return None

    def line(self, limit):
        end = time.monotonic() + limit
        while b"\n" not in self.pending:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise TooLong(f"{limit:.0f}")
            chunk = os.read(self.process.stdout.fileno(), 1 << 16)
            if not chunk:
                raise ValueError(f"it ended early, with {self.process.wait()}; see the log")
            self.pending += chunk
        line, self.pending = self.pending.split(b"\n", 1)
        return line.decode()

    def expect(self, start, limit):
        """The rest of the next line that begins so; what a tool says besides is passed over."""
        while True:
            line = self.line(limit)
            if line.startswith(start):
                return line[len(start):]

    def say(self, word):
        self.process.stdin.write(word.encode() + b"\n")
        self.process.stdin.flush()

    def once(self, limit):
        def work():
            self.say("go")
            self.wall.append(float(self.expect("rep ", limit)))
        self.attempt(work)

    def finish(self):
        def work():
            self.say("end")
            self.record = json.loads("{" + self.expect("{", READY))
            self.process.wait(timeout=60)
        if self.fault is None:
            self.attempt(work)
        self.kill()

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def take_turns(workload, commands, args, log):
    """Every tool's record, or why there is none."""
    env = environment(args.threads)
    runners = [Runner(peer, command, env, log) for peer, command in commands]

    def wants(r):
        spent, last = sum(r.wall), r.wall[-1] if r.wall else 0
        return r.fault is None and len(r.wall) < args.reps and (not r.wall or spent + last <= args.seconds)
    while any(map(wants, runners)):
        for runner in filter(wants, runners):
            runner.once(args.limit)
            time.sleep(PAUSE)
    for runner in runners:
        runner.finish()
    return [{"peer": r.peer, "fault": r.fault} if r.fault else r.record | {"peer": r.peer} for r in runners]


# ---- whole processes ----

def resident(root):
    """Bytes that a process and its descendants hold."""
    children, total, todo = {}, 0, [root]
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            parent = int(open(f"/proc/{entry}/stat").read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(entry))
    while todo:
        pid = todo.pop()
        todo += children.get(pid, [])
        try:
            total += int(open(f"/proc/{pid}/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            pass
    return total


def whole(command, env, folder, limit, log):
    """Seconds, peak MiB of the process tree, and what it printed."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=env, cwd=folder, start_new_session=True)
    peak = 0
    # Sampling takes a little of the machine; a short run is not worth it, its peak comes from the kernel.
    while not select.select([process.stdout], [], [], 0.25)[0]:
        peak = max(peak, resident(process.pid))
        if time.perf_counter() - start > limit:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise TooLong(f"{limit:.0f}")
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise ValueError(f"it ended with {process.returncode}; see the log")
    return seconds, max(peak, usage.ru_maxrss * 1024) / 2**20, output.decode()


def figures(output):
    """The numbers of the JSON object that was printed; Emberline's metrics and times are in tables of their own."""
    found = json.loads(output[output.index("{"):]) if "{" in output else {}
    found |= found.get("metrics") or {}
    found |= found.get("timings") or {}
    return {k: v for k, v in found.items() if isinstance(v, (int, float))}


def take_turns_whole(workload, commands, args, log):
    env, out = environment(args.threads), {}
    folder = args.out / "work"
    folder.mkdir(exist_ok=True)
    reps = args.reps if workload != "START" else 10 * args.reps
    for rep in range(reps):
        for peer, command in commands:
            own = out.setdefault(peer, {"peer": peer, "settings": "whole process", "wall": [], "peak": []})
            if "fault" in own or (rep and sum(own["wall"]) > args.seconds and len(own["wall"]) >= 2):
                continue
            try:
                seconds, peak, output = whole(command, env, folder, args.limit, log)
            except (TooLong, ValueError) as e:
                own["fault"] = f"over {e} s" if isinstance(e, TooLong) else str(e)
                continue
            own["wall"].append(seconds)
            own["peak"].append(peak)
            own |= figures(output)
    for own in out.values():
        wall, peak = own.pop("wall"), own.pop("peak")
        if "fault" not in own:
            own |= {"wall_s": statistics.median(wall), "min_s": min(wall), "max_s": max(wall), "runs": len(wall),
                    "peak_mib": statistics.median(peak)}
    return list(out.values())


# ---- what is there ----

def version(peer):
    for package in TOOLS[peer][2]:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def built(args):
    """The bench binary and the command line, built unless they are given."""
    if args.bench and args.cli:
        return args.bench, args.cli
    command = ["cargo", "build", "--release", "--bench", "peers", "--bin", "emberline",
               "--message-format=json"]
    output = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE).stdout
    found = {}
    for line in output.splitlines():
        message = json.loads(line)
        if message.get("executable"):
            found[message["target"]["name"]] = message["executable"]
    return args.bench or found["peers"], args.cli or found["emberline"]


def machine():
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = next((l.split(":")[1].strip() for l in info.splitlines() if l.startswith("model name")), platform.processor())
    flags = next((l.split(":")[1].split() for l in info.splitlines() if l.startswith("flags")), [])
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {"cpu": model, "cores": os.cpu_count(), "memory_gib": round(memory, 1), "system": platform.platform(),
            "instructions": next((f for f in ("avx512f", "avx2", "sse2") if f in flags), "?")}


BLAS = "import numpy, scipy.linalg, threadpoolctl; numpy.ones((2, 2)) @ numpy.ones((2, 2)); " \
       "print([(p['internal_api'], p.get('architecture'), p['num_threads']) for p in threadpoolctl.threadpool_info()])"


def commit():
    git = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=REPOSITORY, capture_output=True, text=True)
    return git.stdout.strip() or "unknown"


def provenance(args):
    blas = subprocess.run([sys.executable, "-c", BLAS], env=environment(args.threads), capture_output=True, text=True)
    versions = {peer: version(peer) for peer in TOOLS if version(peer)}
    versions |= {"emberline": commit(), "python": platform.python_version(), "numpy": importlib.metadata.version("numpy")}
    now = datetime.datetime.now(datetime.timezone.utc)
    return {"run": now.strftime("%Y-%m-%dT%H:%M:%SZ"), "threads": args.threads, "machine": machine(), "versions": versions,
            "blas": blas.stdout.strip()}


# ---- the work ----

def chosen(workload, args):
    """The tools to measure beside Emberline: those asked for, else the workload's own, where they are installed."""
    asked = WORKLOADS[workload].peers if args.peers is None else [p for p in args.peers.split(",") if p]
    for peer in asked:
        if peer not in TOOLS:
            sys.exit(f"no tool {peer}: {', '.join(TOOLS)}")
        if version(peer) is None:
            print(f"{workload}: {peer} is not installed", file=sys.stderr)
    return [p for p in asked if version(p)]


def commands(workload, peers, args, bench, cli):
    data = args.data.resolve()
    if workload in WHOLE:
        config, scripts = WHOLE[workload]
        source = data / "P1" / "data.csv"
        own = [str(cli), "train", str(HERE / config), "--overwrite", "--json", "--set", f"engine.threads={args.threads}"]
        if workload == "P1":
            own += ["--set", f'data.source="{source}"']
        others = [(p, [sys.executable, str(HERE / "tools" / scripts[p]), str(source)]) for p in peers if p in scripts]
        return [("emberline", own), *others]
    own = [str(bench), "--data", str(data), "--threads", str(args.threads), "--led", workload]
    others = []
    for peer in peers:
        script, arguments, _ = TOOLS[peer]
        others.append((peer, [sys.executable, str(HERE / "tools" / script), *arguments, "--data", str(data), workload]))
    return [("emberline", own), *others]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--reps", type=int, default=5, help="repetitions of each tool, at most")
    parser.add_argument("--seconds", type=float, default=60, help="no further repetition of a tool beyond this")
    parser.add_argument("--limit", type=float, default=200, help="seconds that one repetition may take")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", help=f"some of {','.join(TOOLS)}; empty for none; default: the fastest known")
    parser.add_argument("--bench", type=pathlib.Path, help="Emberline's bench binary; built where it is not given")
    parser.add_argument("--cli", type=pathlib.Path, help="the command emberline; built where it is not given")
    parser.add_argument("workloads", nargs="*", help=f"default: all of {' '.join(WORKLOADS)}; K4 and S1 mean all their parts")
    return parser.parse_args()


def main():
    args = arguments()
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    names = [w for asked in args.workloads or WORKLOADS for w in WORKLOADS if w == asked or w.startswith(asked + ":")]
    bench, cli = built(args)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:args.threads])
    common = provenance(args)
    with open(args.out / "log.txt", "ab") as log, open(args.out / "results.jsonl", "a") as results:
        for workload in names:
            turns = take_turns_whole if workload in WHOLE else take_turns
            work = commands(workload, chosen(workload, args), args, bench, cli)
            for record in turns(workload, work, args, log):
                results.write(json.dumps(record | common | {"workload": workload}) + "\n")
                results.flush()
                shown = {k: v for k, v in record.items() if k not in ("peer", "settings", "workload")}
                print(workload, record["peer"], json.dumps(shown), flush=True)


if __name__ == "__main__":
    main()
