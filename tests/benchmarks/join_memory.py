"""Compare the memory of `ecgfl join` with that of the training alone.

python tests/benchmarks/join_memory.py [--minutes 60] [--rounds 2]

One of two sites takes part in a run over TLS. Then a program only loads the same site's examples
and trains the same network on them for as many epochs. It prints the largest resident memory of
each, including shared pages, and the difference.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from ecgfl_rounds import ended, join, serve, start
from prepared_sites import prepare
from watched import ecgfl, watch


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--minutes", type=float, default=60.0, help="length of each patient's ECG")
    options.add_argument("--rounds", type=int, default=2)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        coordinator, sites = prepare(folder, 60 * given.minutes)
        watched, other, *_ = sites.values()
        with ended([]) as processes:
            server, port = serve(folder / "serve.log", coordinator, given.rounds, 2)
            processes += [server, start(folder / "other.log", other, *join(port))]
            joined = ecgfl("--home", str(watched.root), *join(port))
        alone = watch(
            [sys.executable, str(Path(__file__).with_name("train_alone.py")), str(watched.root)]
        )
    print(f"training alone: {alone.largest_mib:.0f} MiB ({alone.out.strip()})")
    print(
        f"join: {joined.largest_mib:.0f} MiB, {joined.largest_mib - alone.largest_mib:.0f} MiB more"
    )


if __name__ == "__main__":
    main()
