"""The MIT-BIH Arrhythmia Database into a validated, segmented store, beside reading it alone.

python tests/benchmarks/ingest_mitdb.py [--jobs 2] [--runs 3]

Reading alone is `wfdb.rdrecord` and `wfdb.rdann` of the 48 records, one after the other. Times are wall times of whole commands,
the best of the runs; all are taken in turn, so that another program's load meets them alike.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import wfdb
from watched import ecgfl

MITDB = (
    Path(os.environ.get("ECGFL_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    / "mitdb"
)


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
    read_alone()  # the files come into the system's cache
    for _ in range(arguments.runs):
        times["reading alone"].append(read_alone())
        with tempfile.TemporaryDirectory() as folder:
            home = ("--home", str(Path(folder) / "home"), "--quiet")
            ecgfl(*home, "init", "--site", "benchmark")
            for command, paths in (("ingest", (str(MITDB),)), ("segment", ())):
                run = ecgfl(*home, command, *paths, "--jobs", str(arguments.jobs))
                times[command].append(run.seconds)
                print(f"{command}: {run.seconds:.1f} s, {run.mib:.0f} MiB at most", flush=True)
    best = {name: min(found) for name, found in times.items()}
    print(", ".join(f"{name} {seconds:.2f} s" for name, seconds in best.items()))
    together = best["ingest"] + best["segment"]
    print(
        f"ingest {best['ingest'] / best['reading alone']:.1f}, both {together / best['reading alone']:.1f} times reading alone"
    )


if __name__ == "__main__":
    main()
