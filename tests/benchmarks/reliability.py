"""Whether probabilities mean what they say: of the beats called V with 70 to 80 %, how many are V?

python tests/benchmarks/reliability.py HOME LEAD RECORD...

LEAD is a lead's name, or - for all of them. Beats are those that the model finds itself, each with the nearest label within
EC57's match window; a detection without one is no V. F and Q are left out, and so is the learning period.
"""

import sys
from pathlib import Path

import numpy as np
from ecgfl_adapters.discovery import read
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Recording
from ecgfl_adapters.wfdb.leads import WfdbOptions
from numpy.typing import NDArray

from ecgfl_cli.beats.aami import BeatClass, classify_all
from ecgfl_cli.evaluation.ec57 import LEARNING_PERIOD_S, MATCH_WINDOW_S
from ecgfl_cli.models.site_models import registry_of
from ecgfl_cli.prediction.pipeline import Classifier
from ecgfl_cli.prediction.prediction import Prediction
from ecgfl_cli.site.home import Home

EDGES = np.array([0.0, 0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 1.0])


def outcomes(
    recording: Recording, prediction: Prediction
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Probability of each detection that counts, and whether it is V."""
    labels = recording.labels or ()
    classes = classify_all([label.symbol for label in labels])
    samples = np.array([label.sample for label in labels])[classes >= 0]
    classes = classes[classes >= 0]
    right = np.clip(np.searchsorted(samples, prediction.samples), 1, samples.size - 1)
    nearest = np.where(
        prediction.samples - samples[right - 1] <= samples[right] - prediction.samples,
        right - 1,
        right,
    )
    own = np.abs(samples[nearest] - prediction.samples) <= MATCH_WINDOW_S * recording.fs
    found = np.where(own, classes[nearest], BeatClass.N)
    counts = np.isin(found, (BeatClass.N, BeatClass.S, BeatClass.V)) & (
        prediction.samples >= LEARNING_PERIOD_S * recording.fs
    )
    counts &= ~np.isnan(prediction.probabilities)
    return prediction.probabilities[counts], found[counts] == BeatClass.V


def main(home: Path, lead: str, records: list[Path]) -> None:
    classifier = Classifier(registry_of(Home(home), None), None)
    options = ReadOptions(
        leads=() if lead == "-" else (lead,), format_options=(WfdbOptions(assume_gain=True),)
    )
    pairs = []
    for path in records:
        recording = read(path, "auto", options)
        pairs.append(outcomes(recording, classifier.predict(recording)))
    probability, is_pvc = (np.concatenate(column) for column in zip(*pairs, strict=True))
    place = np.clip(np.searchsorted(EDGES, probability, side="right") - 1, 0, EDGES.size - 2)
    error = 0.0
    print("| probability | beats | mean probability | V |\n|---|---|---|---|")
    for index in range(EDGES.size - 1):
        chosen = place == index
        if chosen.any():
            said, true = float(probability[chosen].mean()), float(is_pvc[chosen].mean())
            error += abs(said - true) * float(chosen.mean())
            print(
                f"| {EDGES[index]:g} to {EDGES[index + 1]:g} | {chosen.sum()} | {100 * said:.1f} % | {100 * true:.1f} % |"
            )
    print(
        f"Expected calibration error {100 * error:.2f} %, Brier score {np.mean((probability - is_pvc) ** 2):.4f}"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], [Path(record) for record in sys.argv[3:]])
