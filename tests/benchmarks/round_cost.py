"""Measure the cost of a round, with ecgfl and with the programs of stock Flower.

python tests/benchmarks/round_cost.py [--rounds 8] [--minutes 10] [--parts ecgfl flat tensors]

There are three sites with node keys, TLS on loopback addresses, and as many weights as the default
architecture has. `ecgfl` runs real commands that train on synthetic recordings; the three sites
share the processors. `flat` and `tensors` run the stock SuperLink, SuperNodes and FedAvg, with the
weights as one array or as the arrays of the network. Instead of training they sleep for the same
time, which takes no processor time.

It prints a row for each, over all rounds but the first and the last:

- seconds of a round, from its beginning to the beginning of the next; the training of the slowest
  site, as the site measured it; the round without this training (median, least, most), and without
  the slowest evaluation of the new model, too; the first round without its training; and the whole
  run, with ecgfl from the start of the sites, with stock Flower from `flwr run`;
- processor seconds of the coordinator and of all sites together, and KiB on the network, of a
  round (medians). They depend little on other load of the machine, unlike the durations.

All connections go through a relay that counts the bytes.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median

from ecgfl_rounds import run_ecgfl
from prepared_sites import prepare
from stock_rounds import run_stock
from timed_rounds import COLUMNS, row

from ecgfl_cli.models.architecture import DEFAULT, architecture

USUAL_TRAINING_SECONDS = 1.3
"""Time for which stock Flower sleeps if ecgfl is not measured in the same run."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=8, help="at least 3")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of each patient's ECG")
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=("ecgfl", "flat", "tensors"),
        default=["ecgfl", "flat", "tensors"],
    )
    options = parser.parse_args()
    if options.rounds < 3:
        parser.error("--rounds must be at least 3: the first and the last one do not count")
    sizes = [weights.numel() for weights in architecture(DEFAULT).build().state_dict().values()]
    training = USUAL_TRAINING_SECONDS
    print(f"{sum(sizes)} weights in {len(sizes)} arrays, {options.rounds} rounds")
    print(" | ".join(COLUMNS), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        coordinator, sites = prepare(Path(folder), 60 * options.minutes)
        if "ecgfl" in options.parts:
            run = run_ecgfl(coordinator, sites, options.rounds)
            print(" | ".join(row("ecgfl", run)), flush=True)
            training = median(result.training for result in run.rounds[1:])
        for part, layout in (("flat", [sum(sizes)]), ("tensors", sizes)):
            if part in options.parts:
                run = run_stock(coordinator, sites, options.rounds, layout, training)
                print(" | ".join(row(f"stock, {part}", run)), flush=True)


if __name__ == "__main__":
    main()
