"""`<record>.ecgfl.csv`: one line a beat, for spreadsheets and statistics programs."""

import csv
import io
from pathlib import Path

import numpy as np

from ecgfl_cli.beats.aami import classify
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.prediction.prediction import Prediction

COLUMNS = ("sample", "time_s", "symbol", "class", "probability")


def write(prediction: Prediction, folder: Path) -> Path:
    """Write one row per beat and return the file's path.

    Columns: sample at the input's rate, seconds from the start, WFDB symbol, AAMI class, and
    probability of V (empty if unknown).
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for sample, symbol, probability in zip(
        prediction.samples, prediction.symbols, prediction.probabilities, strict=True
    ):
        beat_class = classify(symbol)
        rows.writerow(
            (
                int(sample),
                f"{int(sample) / prediction.fs:.6f}",
                symbol,
                "" if beat_class is None else beat_class.name,
                "" if np.isnan(probability) else f"{float(probability):.6f}",
            )
        )
    target = folder / f"{prediction.record}.ecgfl.csv"
    atomic_write_bytes(target, text.getvalue().encode())
    return target
