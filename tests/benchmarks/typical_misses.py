"""Draw typical errors of the current model: a strip from each of the records with most errors.

python tests/benchmarks/typical_misses.py HOME LEAD PICTURE.png RECORD...

A strip shows eight seconds of the lead, with the reference labels above, the model's labels below,
and the wrong beat in red. matplotlib comes with wfdb.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from ecgfl_adapters.discovery import read
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Recording
from ecgfl_adapters.wfdb.leads import WfdbOptions

from ecgfl_cli.beats.aami import BeatClass, classify_all
from ecgfl_cli.evaluation.ec57 import LEARNING_PERIOD_S, MATCH_WINDOW_S
from ecgfl_cli.models.site_models import registry_of
from ecgfl_cli.prediction.pipeline import Classifier
from ecgfl_cli.prediction.prediction import Prediction
from ecgfl_cli.site.home import Home

STRIPS, SECONDS = 6, 8.0


@dataclass(frozen=True)
class Errors:
    """The errors in a recording after the learning period.

    Attributes
    ----------
    missed
        Samples of the PVCs that the model missed.
    invented
        Samples of the N and S beats that the model classified as PVC.
    """

    recording: Recording
    prediction: Prediction
    missed: list[int]
    invented: list[int]

    @property
    def number(self) -> int:
        return len(self.missed) + len(self.invented)


def errors_of(recording: Recording, prediction: Prediction) -> Errors:
    """Return the errors. Labels and detections are paired with the nearest one, unlike in EC57."""
    labels = recording.labels or ()
    classes = classify_all([label.symbol for label in labels])
    samples = np.array([label.sample for label in labels])[classes >= 0]
    classes = classes[classes >= 0]
    called = np.array(prediction.symbols) == "V"
    missed, invented = [], []
    for sample, beat_class in zip(samples.tolist(), classes.tolist(), strict=True):
        nearest = int(np.argmin(np.abs(prediction.samples - sample)))
        near = abs(prediction.samples[nearest] - sample) <= MATCH_WINDOW_S * recording.fs
        if sample < LEARNING_PERIOD_S * recording.fs:
            continue
        if beat_class == BeatClass.V and not (near and called[nearest]):
            missed.append(sample)
        if beat_class in (BeatClass.N, BeatClass.S) and near and called[nearest]:
            invented.append(sample)
    return Errors(recording, prediction, missed, invented)


def draw(axes: plt.Axes, errors: Errors) -> None:
    kind, samples = max(
        (("missed", errors.missed), ("invented", errors.invented)), key=lambda pair: len(pair[1])
    )
    fs = errors.recording.fs
    middle = samples[len(samples) // 2]
    start, stop = int(middle - SECONDS / 2 * fs), int(middle + SECONDS / 2 * fs)
    signal = errors.recording.leads[0].samples[start:stop]
    axes.plot(np.arange(signal.size) / fs, signal, linewidth=0.8, color="black")
    low, high = float(np.nanmin(signal)), float(np.nanmax(signal))
    axes.set_ylim(low - 0.25 * (high - low), high + 0.25 * (high - low))
    for label in errors.recording.labels or ():
        if start < label.sample < stop:
            axes.text(
                (label.sample - start) / fs,
                high + 0.08 * (high - low),
                label.symbol,
                ha="center",
                fontsize=8,
            )
    for sample, symbol in zip(
        errors.prediction.samples.tolist(), errors.prediction.symbols, strict=True
    ):
        if start < sample < stop:
            wrong = abs(sample - middle) <= MATCH_WINDOW_S * fs
            axes.text(
                (sample - start) / fs,
                low - 0.2 * (high - low),
                symbol,
                ha="center",
                fontsize=8,
                color="red" if wrong else "grey",
            )
    counts = f"{len(errors.missed)} missed, {len(errors.invented)} invented"
    axes.set_title(f"{errors.recording.name}: {counts}; shown: {kind}", fontsize=8, loc="left")
    axes.set_xlim(0, SECONDS)
    axes.tick_params(labelsize=7)


def main(home: Path, lead: str, picture: Path, records: list[Path]) -> None:
    classifier = Classifier(registry_of(Home(home), None), None)
    errors_by_record = []
    for path in records:
        recording = read(
            path,
            "auto",
            ReadOptions(leads=(lead,), format_options=(WfdbOptions(assume_gain=True),)),
        )
        errors_by_record.append(errors_of(recording, classifier.predict(recording)))
    worst = sorted(errors_by_record, key=lambda errors: -errors.number)[:STRIPS]
    figure, rows = plt.subplots(
        len(worst), 1, figsize=(9, 1.5 * len(worst)), layout="constrained", squeeze=False
    )
    for axes, errors in zip(rows[:, 0], worst, strict=True):
        draw(axes, errors)
    figure.savefig(picture, dpi=90)


if __name__ == "__main__":
    main(
        Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), [Path(record) for record in sys.argv[4:]]
    )
