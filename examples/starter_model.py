"""Train the starter model of ecgfl: a federation of five sites and three public databases.

python examples/starter_model.py MITDB_FOLDER SVDB_FOLDER QTDB_FOLDER WORK_FOLDER

Three sites share MIT-BIH DS1, the fourth has the Supraventricular Arrhythmia Database, the fifth
the QT Database. DS2 is not used. The model is then in WORK_FOLDER/coordinator/coordinator/models;
MODEL_CARD.md gives its version. Several headers of svdb state no gain: 200 units per millivolt is
WFDB's default and agrees with the other headers.
"""

import argparse
from pathlib import Path

from ds1_to_ds2 import DS1
from local_federation import federate, make_homes

ROUNDS = 20
SEED = 0


def sites_of(mitdb: Path, svdb: list[Path], qtdb: list[Path]) -> dict[str, list[Path]]:
    """Return the training recordings of each site."""
    ds1 = [mitdb / f"{record}.hea" for record in DS1]
    sites = {"north": ds1[::3], "east": ds1[1::3], "south": ds1[2::3], "west": svdb, "centre": qtdb}
    return {site: recordings for site, recordings in sites.items() if recordings}


def main(mitdb: Path, svdb: Path, qtdb: Path, work: Path, seed: int) -> None:
    """Train the starter model at five sites."""
    sites = sites_of(mitdb, sorted(svdb.glob("*.hea")), sorted(qtdb.glob("*.hea")))
    make_homes(work, sites, "--units", "adc:200")
    federate(work, list(sites), "--rounds", ROUNDS, "--from-scratch", "--seed", seed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Train the starter model on DS1, svdb and qtdb, federated over five sites."
    )
    parser.add_argument("mitdb", type=Path, help="folder of the MIT-BIH Arrhythmia Database")
    parser.add_argument(
        "svdb", type=Path, help="folder of the MIT-BIH Supraventricular Arrhythmia Database"
    )
    parser.add_argument("qtdb", type=Path, help="folder of the QT Database")
    parser.add_argument("work", type=Path, help="folder for the homes and the model")
    parser.add_argument(
        "--seed",
        type=int,
        default=SEED,
        help="seed for the initial weights (default: %(default)s, that of the starter model)",
    )
    arguments = parser.parse_args()
    main(arguments.mitdb, arguments.svdb, arguments.qtdb, arguments.work, arguments.seed)
