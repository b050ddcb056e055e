"""Measure the calibration of the probabilities: of the beats with 70 to 80 %, how many are PVCs?

python tests/benchmarks/reliability.py HOME LEAD RECORD...

LEAD is the name of a lead, or - for all leads. Beats are the model's own detections, each with the
nearest label within EC57's match window; a detection without a label is not a PVC. Beats of the
classes F and Q and the learning period are left out.
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
    """Return the probability of each detection that counts, and whether it is a PVC."""
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
    label_classes = np.where(own, classes[nearest], BeatClass.N)
    counts = np.isin(label_classes, (BeatClass.N, BeatClass.S, BeatClass.V)) & (
        prediction.samples >= LEARNING_PERIOD_S * recording.fs
    )
    counts &= ~np.isnan(prediction.probabilities)
    return prediction.probabilities[counts], label_classes[counts] == BeatClass.V


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
    bins = np.clip(np.searchsorted(EDGES, probability, side="right") - 1, 0, EDGES.size - 2)
    error = 0.0
    print("| probability | beats | mean probability | V |\n|---|---|---|---|")
    for index in range(EDGES.size - 1):
        chosen = bins == index
        if chosen.any():
            predicted, observed = float(probability[chosen].mean()), float(is_pvc[chosen].mean())
            error += abs(predicted - observed) * float(chosen.mean())
            print(
                f"| {EDGES[index]:g} to {EDGES[index + 1]:g} | {chosen.sum()}"
                f" | {100 * predicted:.1f} % | {100 * observed:.1f} % |"
            )
    brier = np.mean((probability - is_pvc) ** 2)
    print(f"Expected calibration error {100 * error:.2f} %, Brier score {brier:.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], [Path(record) for record in sys.argv[3:]])
