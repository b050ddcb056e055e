"""Measure the time and memory to read a day of ECG as CSV.

python tests/benchmarks/csv_day.py [--hours 24] [--leads 3]

The file has a time column in seconds and whole microvolts, as loggers write them. It is in a
temporary folder (0.6 GB for three leads at 256 Hz). Seconds are wall time; the memory is the
additional peak of the process.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas  # noqa: F401  so that its memory does not count for the file
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.tables.adapter import CsvAdapter

BLOCK = 1 << 17


def of_seconds(rows: np.ndarray, fs: float) -> list[str]:
    return [f"{row / fs:.6f}" for row in rows.tolist()]


def of_the_day(rows: np.ndarray, fs: float) -> list[str]:
    """Return times of day that begin an hour before midnight."""
    seconds = rows / fs + 23 * 3600
    hours, rest = np.divmod(seconds % 86400, 3600)
    minutes, rest = np.divmod(rest, 60)
    return [
        f"{int(hour):02d}:{int(minute):02d}:{second:09.6f}"
        for hour, minute, second in zip(
            hours.tolist(), minutes.tolist(), np.floor(rest * 1e6).tolist(), strict=True
        )
        for second in (second / 1e6,)
    ]


def write_day(
    path: Path, hours: float, fs: float, leads: int, times: Callable[[np.ndarray, float], list[str]]
) -> int:
    """Write the file and return its number of rows."""
    names = [f"lead {number + 1} (uV)" for number in range(leads)]
    length = round(hours * 3600 * fs)
    random = np.random.default_rng(1)
    with path.open("w", encoding="ascii") as file:
        file.write(",".join(["time_s" if times is of_seconds else "time", *names]) + "\n")
        for start in range(0, length, BLOCK):
            rows = np.arange(start, min(start + BLOCK, length))
            columns = [
                times(rows, fs),
                *(map(str, random.integers(-3000, 3000, rows.size).tolist()) for _ in range(leads)),
            ]
            file.writelines(",".join(cells) + "\n" for cells in zip(*columns, strict=True))
    return length


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1024 if sys.platform != "darwin" else 1 << 20
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--fs", type=float, default=256)
    parser.add_argument("--leads", type=int, default=1)
    parser.add_argument("--clock", action="store_true", help="times of day instead of seconds")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "day.csv"
        rows = write_day(
            path, given.hours, given.fs, given.leads, of_the_day if given.clock else of_seconds
        )
        before = peak_mb()
        start = time.perf_counter()
        recording = CsvAdapter().read(path, ReadOptions())
        seconds = time.perf_counter() - start
        assert recording.length == rows
        size = path.stat().st_size / 1e6
        print(
            f"{rows} rows, {given.leads} leads, {size:.0f} MB: {seconds:.1f} s,"
            f" {peak_mb() - before:.0f} MB in addition to {before:.0f}"
        )


if __name__ == "__main__":
    main()
