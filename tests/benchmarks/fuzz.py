"""Ingest thousands of mutated files, and count the faults.

python tests/benchmarks/fuzz.py [--inputs 20000] [--seed 1]

Mutated WFDB, EDF and CSV recordings are ingested by the usual code, in worker processes with limits
of 8 GiB of memory and 10 s per file. Faults are crashes, hangs, unexpected exceptions, anything
that a worker itself writes, and records in the store that cannot be read again. The exit code is 1
if there are any.
"""

import argparse
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "adapters"))

import mutations
from ecgfl_adapters.protocol import ReadOptions
from real_data import DATA

from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import make_keys
from ecgfl_cli.store.catalogue import open_catalogue
from ecgfl_cli.store.ingest import ingest
from ecgfl_cli.store.reading import Reading
from ecgfl_cli.store.validate import validate_store

BATCH = 400
SECONDS = 10.0
MEMORY = 8 << 30

OUTCOMES = {"usable", "unlabelled", "rejected", "refused"}
FAULTS = {
    "crash": re.compile("crashed"),
    "hang": re.compile("took more than"),
    "surprise": re.compile("cannot be examined|cannot be written|reader failed with|\n"),
}


def limit_memory() -> None:
    """Limit the memory of this process and of those that it starts, if the system supports it."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


@contextmanager
def stderr_in(path: Path) -> Iterator[None]:
    """Redirect the stderr of this process and its workers to a file."""
    before = os.dup(2)
    with path.open("ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


def one_batch(
    folder: Path,
    good: list[mutations.Files],
    options: ReadOptions,
    numbers: range,
    counts: Counter[str],
) -> None:
    home, reading = Home(folder / "home"), Reading(options=options)
    home.root.mkdir()
    make_keys(home)
    paths = []
    for number in numbers:
        random = Random(number)
        paths.append(
            mutations.write(mutations.mutated(random.choice(good), random), folder / f"{number}")
        )
    with open_catalogue(home.catalogue) as catalogue:
        for number, result in zip(
            numbers, ingest(paths, reading, home, catalogue, 2, SECONDS), strict=True
        ):
            counts[result.status or "refused"] += 1
            for fault, pattern in FAULTS.items():
                if pattern.search(result.error or ""):
                    counts[fault] += 1
                    print(f"{fault} by {number}: {result.error}", flush=True)
        stored = {row.record for row in catalogue.rows()}
    for record, found in validate_store(home, Reading(), 2):
        if isinstance(found, str):
            counts["damaged record"] += 1
            print(f"damaged record {record}: {found}", flush=True)
    left = {path.name for path in home.records.iterdir()} ^ stored
    counts["left in the store"] += len(left)


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--inputs", type=int, default=20_000)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    limit_memory()
    good = mutations.seeds(DATA if (DATA / "mitdb" / "100.hea").is_file() else None)
    counts: Counter[str] = Counter()
    started = time.monotonic()
    first = given.seed * 1_000_000
    for batch, start in enumerate(range(first, first + given.inputs, BATCH)):
        name = ("wfdb", "edf", "csv")[batch % 3]
        numbers = range(start, min(start + BATCH, first + given.inputs))
        with TemporaryDirectory() as folder:
            stderr = Path(folder) / "stderr"
            with stderr_in(stderr):
                one_batch(
                    Path(folder),
                    good[name],
                    mutations.OPTIONS.get(name, ReadOptions()),
                    numbers,
                    counts,
                )
            for line in stderr.read_text(errors="replace").splitlines():
                counts["line of a worker"] += 1
                print(f"{name} {start}: {line}", flush=True)
        print(
            f"{numbers.stop - first} inputs, {time.monotonic() - started:.0f} s: {dict(counts)}",
            flush=True,
        )
    return 1 if any(number for name, number in counts.items() if name not in OUTCOMES) else 0


if __name__ == "__main__":
    sys.exit(main())
