"""The cost of a round beyond the training itself, with ecgfl and with the processes of stock Flower.

python tests/benchmarks/round_cost.py [--rounds 8] [--minutes 10] [--parts ecgfl flat tensors]

Three sites, node keys, TLS, loopback addresses, as many weights as the default architecture has. `ecgfl` are real commands that
train on synthetic recordings, each site's training cut by the two others that share the processor; `flat` and `tensors` are stock
SuperLink, SuperNodes and FedAvg, with the weights as one array or as the network's, and a nap of the same length for training,
which takes no processor from anything. Prints, in seconds, of all rounds but the first and the last (median, least, most): a
round, from its beginning to that of the next, the slowest site's training as that site measured it, the round's time beyond
that, and beyond the slowest site's measuring of the new model, too; then the first round's time beyond training, and how long all
took: with ecgfl from the start of the sites' programs, with stock Flower from `flwr run` to nodes that are there.
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
"""Where ecgfl's own part does not run, whose training tells it."""


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=8)
    options.add_argument(
        "--minutes", type=float, default=10.0, help="of ECG of each of a site's patients"
    )
    options.add_argument(
        "--parts",
        nargs="+",
        choices=("ecgfl", "flat", "tensors"),
        default=["ecgfl", "flat", "tensors"],
    )
    given = options.parse_args()
    sizes = [weights.numel() for weights in architecture(DEFAULT).build().state_dict().values()]
    training = USUAL_TRAINING_SECONDS
    print(f"{sum(sizes)} weights in {len(sizes)} arrays, {given.rounds} rounds")
    print(" | ".join(COLUMNS), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        coordinator, sites = prepare(Path(folder), 60 * given.minutes)
        if "ecgfl" in given.parts:
            found = run_ecgfl(coordinator, sites, given.rounds)
            print(" | ".join(row("ecgfl", found)), flush=True)
            training = median(each.training for each in found.rounds[1:])
        for part, layout in (("flat", [sum(sizes)]), ("tensors", sizes)):
            if part in given.parts:
                found = run_stock(coordinator, sites, given.rounds, layout, training)
                print(" | ".join(row(f"stock, {part}", found)), flush=True)


if __name__ == "__main__":
    main()
