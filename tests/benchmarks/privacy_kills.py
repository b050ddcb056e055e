"""Kill a site at many moments while it pays for trainings, and compare the ledger with what left.

python tests/benchmarks/privacy_kills.py [--kills 200] [--seed 1]

A site reserves trainings in its privacy ledger and sends their results through its outbox. It is
killed with SIGKILL at random moments and started again. The exit code is 1 if a result left, or was
logged as sent, without a reservation in the ledger.
"""

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

from ledger_kills import faults_of, kill_often

from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import make_keys


def main() -> int:
    """Kill the site, print the counts, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        home = Home(Path(folder) / "site")
        home.root.mkdir(mode=0o700)
        make_keys(home)
        began = time.monotonic()
        counts = kill_often(home, Path(folder) / "sent", options.kills, options.seed)
        seconds = time.monotonic() - began
    faults = faults_of(counts)
    print(
        f"{options.kills} kills in {seconds:.0f} s: {len(counts.reserved)} reserved, "
        f"{len(counts.logged)} logged, {len(counts.sent)} sent, {len(faults)} faults"
    )
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
