"""PVC burden of every recording in a folder, with ecgfl as a library.

python examples/burden_of_a_folder.py HOME FOLDER
"""

import argparse
import sys
from pathlib import Path

from ecgfl_adapters import find_recordings
from ecgfl_adapters.protocol import ReadOptions

from ecgfl_cli.models.site_models import registry_of
from ecgfl_cli.prediction.pipeline import Classifier
from ecgfl_cli.prediction.predict import predict_files
from ecgfl_cli.site.home import Home
from ecgfl_cli.store.reading import Reading


def main(home: Path, folder: Path) -> None:
    """Print the PVC burden of each recording of a folder."""
    classifier = Classifier(registry_of(Home(home), None), version=None)
    recordings = find_recordings([folder]).recordings
    reading = Reading(options=ReadOptions(labels="none"))
    for _, result in predict_files(recordings, classifier, reading):
        if isinstance(result, str):
            print(result, file=sys.stderr)
            continue
        ectopy = result.prediction.ectopy
        burden = "-" if ectopy.burden_percent is None else f"{ectopy.burden_percent:.1f} %"
        print(f"{result.prediction.record}: {ectopy.pvcs} PVCs, burden {burden}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Print the PVC burden of every recording in a folder."
    )
    parser.add_argument(
        "home",
        type=Path,
        help="home of a site; the starter model is used if it has no other model",
    )
    parser.add_argument("folder", type=Path, help="folder with recordings")
    arguments = parser.parse_args()
    main(arguments.home, arguments.folder)
