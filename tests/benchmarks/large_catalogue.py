"""Measure `dataset list` and the training split of a site with a thousand Holter recordings.

python tests/benchmarks/large_catalogue.py [--records 1000]

The catalogue has rows of 24 hours with counts and findings like those of a hospital, but no
recordings. The program measures the command `dataset list` (table and JSON) and, in this process,
reading all states and choosing a training split.
"""

import argparse
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from watched import ecgfl

from ecgfl_cli.site.home import Home
from ecgfl_cli.store.catalogue import Catalogue, RecordRow, open_catalogue
from ecgfl_cli.store.splits import new_splits

FS, DAY = 256.0, 24 * 3600
STATES = ("usable",) * 8 + ("unlabelled", "rejected")
FINDING = {
    "severity": "warning",
    "code": "clipping",
    "message": "lead II has its peaks cut off",
    "fix": "Check the range.",
}


def fill(catalogue: Catalogue, records: int) -> None:
    chance = random.Random(0)
    row = RecordRow(
        *("", "", "", "", "usable", FS, round(FS * DAY), ("I", "II", "V5"), "II", "edf", "0" * 64),
        *({}, {}, ("113100",), "2026-01-01T00:00:00+00:00"),
    )
    for _ in range(records):
        record, patient, person, source = (f"{chance.getrandbits(64):016x}" for _ in range(4))
        pvcs = chance.choice((0, 0, 12, 3000))
        counts = {"N": 100_000, "S": chance.randrange(50), **({"V": pvcs} if pvcs else {})}
        catalogue.put(
            replace(
                row,
                record=record,
                patient=patient,
                person=person,
                source=source,
                status=chance.choice(STATES),
                counts=counts,
            ),
            [FINDING] * chance.randrange(6),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1000)
    records = parser.parse_args().records
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        ecgfl("--home", str(home.root), "init", "--site", "benchmark")
        with open_catalogue(home.catalogue) as catalogue:
            fill(catalogue, records)
            started = time.perf_counter()
            rows = catalogue.rows()
            catalogue.assign(new_splits(rows, catalogue.splits()))
            held_out = sum(split == "held-out" for split in catalogue.splits().values())
            seconds = time.perf_counter() - started
            print(
                f"{len(rows)} records: states read and {held_out} patients held out in"
                f" {seconds:.3f} s"
            )
        for options in ((), ("--json",)):
            run = ecgfl("--home", str(home.root), *options, "dataset", "list")
            command = " ".join((*options, "dataset list"))
            print(f"ecgfl {command}: {run.seconds:.2f} s, {run.largest_mib:.0f} MiB")


if __name__ == "__main__":
    main()
