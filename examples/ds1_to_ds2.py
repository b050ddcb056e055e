"""Train a model in two hospitals, each with half of MIT-BIH DS1, and measure it on DS2.

python examples/ds1_to_ds2.py MITDB_FOLDER WORK_FOLDER

Split of the records: de Chazal et al., IEEE Trans Biomed Eng 51:1196, 2004.
"""

import argparse
from pathlib import Path

from local_federation import ecgfl, federate, make_homes

DS1 = (
    101,
    106,
    108,
    109,
    112,
    114,
    115,
    116,
    118,
    119,
    122,
    124,
    201,
    203,
    205,
    207,
    208,
    209,
    215,
    220,
    223,
    230,
)
DS2 = (
    100,
    103,
    105,
    111,
    113,
    117,
    121,
    123,
    200,
    202,
    210,
    212,
    213,
    214,
    219,
    221,
    222,
    228,
    231,
    232,
    233,
    234,
)


def main(mitdb: Path, work: Path) -> None:
    """Train on DS1 at two sites and evaluate on DS2."""
    seen, unseen = ([mitdb / f"{record}.hea" for record in records] for records in (DS1, DS2))
    sites = {"north": seen[::2], "south": seen[1::2]}
    make_homes(work, sites)
    federate(work, list(sites), "--rounds", 5, "--from-scratch")
    ecgfl(work / "north", "predict", *unseen, "--out", work / "ds2", "--format", "wfdb")
    ecgfl(work / "north", "evaluate", "--test", work / "ds2", *unseen)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Train on DS1 in two hospitals and measure the model on DS2."
    )
    parser.add_argument("mitdb", type=Path, help="folder of the MIT-BIH Arrhythmia Database")
    parser.add_argument("work", type=Path, help="folder for the homes and results")
    arguments = parser.parse_args()
    main(arguments.mitdb, arguments.work)
