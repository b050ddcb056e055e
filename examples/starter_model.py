"""Train the starter model as it ships: MIT-BIH's DS1 at three sites, the supraventricular database at a fourth.

python examples/starter_model.py MITDB_FOLDER SVDB_FOLDER WORK_FOLDER

At its end WORK_FOLDER/coordinator/coordinator/models holds the model, and MODEL_CARD.md says which one it should be. DS2 takes no
part. Several svdb headers state no gain: 200 units a millivolt is WFDB's default and fits the rest.
"""

import sys
from pathlib import Path

from ds1_to_ds2 import DS1
from local_federation import federate, found

ROUNDS = 20


def sites_of(mitdb: Path, svdb: list[Path]) -> dict[str, list[Path]]:
    ds1 = [mitdb / f"{record}.hea" for record in DS1]
    return {"north": ds1[::3], "east": ds1[1::3], "south": ds1[2::3], **({"west": svdb} if svdb else {})}


def main(mitdb: Path, svdb: Path, work: Path) -> None:
    sites = sites_of(mitdb, sorted(svdb.glob("*.hea")))
    found(work, sites, "--units", "adc:200")
    federate(work, list(sites), "--rounds", ROUNDS, "--from-scratch")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
