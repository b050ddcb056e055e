"""Measure ingest and segment of the MIT-BIH Arrhythmia Database, and reading it alone.

python tests/benchmarks/ingest_mitdb.py [--jobs 2] [--runs 3]

Reading alone is `wfdb.rdrecord` and `wfdb.rdann` of the 48 records, one after the other. Times are
wall times of whole commands, the best of the runs. The commands alternate, so that other load of
the machine affects all of them.
"""

import argparse
import tempfile
import time
from pathlib import Path

import wfdb
from real_data import DATA
from watched import ecgfl

MITDB = DATA / "mitdb"


def read_alone() -> float:
    started = time.perf_counter()
    for header in sorted(MITDB.glob("*.hea")):
        wfdb.rdrecord(str(header.with_suffix("")))
        wfdb.rdann(str(header.with_suffix("")), "atr")
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    times: dict[str, list[float]] = {"reading alone": [], "ingest": [], "segment": []}
    read_alone()  # fills the system's file cache
    for _ in range(arguments.runs):
        times["reading alone"].append(read_alone())
        with tempfile.TemporaryDirectory() as folder:
            home = ("--home", str(Path(folder) / "home"), "--quiet")
            ecgfl(*home, "init", "--site", "benchmark")
            for command, paths in (("ingest", (str(MITDB),)), ("segment", ())):
                run = ecgfl(*home, command, *paths, "--jobs", str(arguments.jobs))
                times[command].append(run.seconds)
                print(f"{command}: {run.seconds:.1f} s, {run.mib:.0f} MiB at most", flush=True)
    best = {name: min(seconds) for name, seconds in times.items()}
    print(", ".join(f"{name} {seconds:.2f} s" for name, seconds in best.items()))
    together = best["ingest"] + best["segment"]
    alone = best["reading alone"]
    print(f"ingest {best['ingest'] / alone:.1f}, both {together / alone:.1f} times reading alone")


if __name__ == "__main__":
    main()
