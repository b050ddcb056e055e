"""Writes CSV files."""

import csv
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.labels import LABELS_SUFFIX
from ecgfl_adapters.recording import Recording

FS_COMMENT = "fs_hz"
STEP_COMMENT = "step_mv"

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""First characters that make a spreadsheet run a cell as a formula:
https://owasp.org/www-community/attacks/CSV_Injection.
"""


def write_csv(recording: Recording, folder: Path) -> tuple[Path, ...]:
    """Write `NAME.csv` and, if there are labels, `NAME.labels.csv` under `folder`.

    Comments state the rate and the quantisation steps, so that they are read back exactly. Values
    have two decimals more than the step needs; an empty cell stands for NaN.
    """
    times = np.arange(recording.length) / recording.fs
    columns = [_texts(times, _decimals(1.0 / recording.fs))]
    columns += [
        _texts(np.asarray(lead.samples, dtype=np.float64), _decimals(lead.step_mv))
        for lead in recording.leads
    ]
    path = folder / f"{recording.name}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {FS_COMMENT}: {recording.fs!r}\n")
        file.write(
            f"# {STEP_COMMENT}: {' '.join(repr(float(lead.step_mv)) for lead in recording.leads)}\n"
        )
        csv.writer(file, lineterminator="\n").writerow(
            ["time_s", *(csv_cell(f"{lead.name} (mV)") for lead in recording.leads)]
        )
        file.writelines(f"{','.join(row)}\n" for row in zip(*columns, strict=True))
    if recording.labels is None:
        return (path,)
    labels = folder / f"{recording.name}{LABELS_SUFFIX}"
    with labels.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["sample", "symbol"])
        writer.writerows(recording.labels)
    return (path, labels)


def csv_cell(text: str) -> str:
    """Return a text for a cell of a CSV file.

    A text that a spreadsheet would run as a formula gets an apostrophe in front. This is for names
    and other texts; numbers, also negative ones, are written unchanged.
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _decimals(step: float) -> int:
    return max(0, math.ceil(-math.log10(step))) + 2


def _texts(values: NDArray[np.float64], decimals: int) -> list[str]:
    return ["" if math.isnan(value) else f"{value:.{decimals}f}" for value in values.tolist()]
