"""PVCs in patients that no site has trained on: five federations, each without a fifth of the supraventricular database.

python tests/benchmarks/held_out_folds.py MITDB_FOLDER SVDB_FOLDER WORK_FOLDER

DS1 stands at three sites, four fifths of svdb at a fourth, as for the starter model; each federation's model is measured on the
fifth that it has not seen, and all fifths together make the gross figures.
Once with its first lead, ECG1, alone, and once with both.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from ecgfl_cli.evaluation.comparison import Comparison
from ecgfl_cli.evaluation.report import Evaluation, matrix_text

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
from local_federation import command, federate, found
from starter_model import ROUNDS, sites_of

FOLDS = 5
LEADS = ("ECG1", "-")
SHOWN = ("veb_sensitivity", "veb_ppv", "veb_f1")


def evaluated(home: Path, records: list[Path], lead: str) -> dict[str, Comparison]:
    """What the newest model at a site makes of the records, in one lead or in all of them."""
    one = () if lead == "-" else ("--lead", lead)
    done = subprocess.run(command(home, "--json", "evaluate", *one, *records), capture_output=True, text=True, check=True)
    return {
        name: Comparison(np.array(each["matrix"]["counts"], dtype=np.int64), each["hours"] * 3600)
        for name, each in json.loads(done.stdout)["records"].items()
    }


def report(title: str, evaluation: Evaluation) -> None:
    print(title)
    for name in SHOWN:
        low, high = evaluation.intervals[name] or (float("nan"), float("nan"))
        print(f"  {name}: {100 * getattr(evaluation.gross, name):.2f} ({100 * low:.2f} to {100 * high:.2f})")
    print(matrix_text(evaluation.gross), flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("mitdb", "svdb", "work"):
        options.add_argument(name, type=Path)
    chosen = options.parse_args()
    svdb = sorted(chosen.svdb.glob("*.hea"))
    found_in: dict[str, dict[str, Comparison]] = {lead: {} for lead in LEADS}
    for fold in range(FOLDS):
        unseen = svdb[fold::FOLDS]
        work = chosen.work / f"fold-{fold + 1}"
        sites = sites_of(chosen.mitdb, [record for record in svdb if record not in unseen])
        found(work, sites, "--units", "adc:200")
        federate(work, list(sites), "--rounds", ROUNDS)
        for lead in LEADS:
            records = evaluated(work / "west", unseen, lead)
            report(f"fold {fold + 1}, lead {lead}: {' '.join(records)}", Evaluation.of(records))
            found_in[lead] |= records
    for lead, records in found_in.items():
        report(f"all {len(records)} records, lead {lead}", Evaluation.of(records))


if __name__ == "__main__":
    main()
