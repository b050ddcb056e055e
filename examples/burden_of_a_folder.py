"""PVC burden of every recording in a folder, with ecgfl as a library.

python examples/burden_of_a_folder.py HOME FOLDER
"""

import argparse
from pathlib import Path

from ecgfl_adapters.discovery import find_recordings, read
from ecgfl_adapters.protocol import ReadOptions

from ecgfl_cli.models.site_models import registry_of
from ecgfl_cli.prediction.pipeline import Classifier
from ecgfl_cli.site.home import Home


def main(home: Path, folder: Path) -> None:
    classifier = Classifier(registry_of(Home(home), None), version=None)
    for path in find_recordings([folder]).recordings:
        prediction = classifier.predict(read(path, options=ReadOptions(labels="none")))
        burden = prediction.ectopy.burden_percent
        print(
            f"{prediction.record}: {prediction.ectopy.pvcs} PVCs, burden {'-' if burden is None else f'{burden:.1f} %'}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Print the PVC burden of every recording in a folder."
    )
    parser.add_argument(
        "home",
        type=Path,
        help="home of a site; the starter model is used where it has no model yet",
    )
    parser.add_argument("folder", type=Path, help="folder with recordings")
    arguments = parser.parse_args()
    main(arguments.home, arguments.folder)
