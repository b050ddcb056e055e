"""The cost of a round beyond the training itself, with ecgfl and with the processes of stock Flower.

python tests/benchmarks/round_cost.py [--rounds 8] [--minutes 10] [--only ecgfl|flat|tensors ...]
"""

import argparse
import tempfile
from pathlib import Path

from ecgfl_rounds import run_ecgfl
from prepared_sites import prepare
from timed_rounds import COLUMNS, row


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=8)
    options.add_argument("--minutes", type=float, default=10.0)
    given = options.parse_args()
    print(" | ".join(COLUMNS))
    with tempfile.TemporaryDirectory() as folder:
        coordinator, sites = prepare(Path(folder), 60 * given.minutes)
        print(" | ".join(row("ecgfl", run_ecgfl(coordinator, sites, given.rounds))), flush=True)


if __name__ == "__main__":
    main()
