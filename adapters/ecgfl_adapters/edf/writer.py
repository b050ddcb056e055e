"""Writing EDF+C files."""

import math
import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ecgfl_adapters.channel_kinds import is_ecg
from ecgfl_adapters.edf.padding import length_note
from ecgfl_adapters.quantise import MAX_COUNT, scale_of
from ecgfl_adapters.recording import Lead, Recording

if TYPE_CHECKING:
    import edfio


class _Grid(NamedTuple):
    """Data records of `samples` samples that last `seconds`."""

    samples: int
    seconds: float


def write_edf(recording: Recording, folder: Path) -> tuple[Path, ...]:
    """Write `NAME.edf` under `folder`.

    Samples keep their quantisation step (to about one part in 10 million, EDF's eight characters) where their range fits 16 bits,
    else the finest step that fits. Labels become annotations with the WFDB symbol as text. The header is anonymous.

    What EDF cannot hold: whole data records are written, so the last sample is repeated to the end of the last one; the true
    length stands in the recording field ("samples=N") and `EdfAdapter.read` honours it. Lead names are cut to 16 ASCII characters
    and get the prefix "ECG" where they would not be known as ECG. An empty list of labels reads back as None. At a rate without
    whole samples in 1 to 10 s (62.4725 Hz), edfio's record onsets carry rounding noise that EDFlib's readers may refuse.

    Raises `ValueError` for a recording with NaN: gaps need EDF+D, which edfio does not write.
    """
    import edfio  # only when a file is written

    absent = [lead.name for lead in recording.leads if np.isnan(np.asarray(lead.samples)).any()]
    if absent:
        raise ValueError(
            f"EDF+C cannot hold gaps, but samples are missing in {', '.join(absent)}: write WFDB or CSV instead"
        )
    grid = _record_grid(recording.fs)
    records = max(1, -(-recording.length // grid.samples))
    fs = grid.samples / grid.seconds
    signals = [_signal(lead, fs, records * grid.samples) for lead in recording.leads]
    annotations = [
        edfio.EdfAnnotation(label.sample / fs, None, label.symbol)
        for label in recording.labels or ()
    ]
    edf = edfio.Edf(
        signals,
        recording=edfio.Recording(additional=(length_note(recording.length),)),
        data_record_duration=grid.seconds,
        annotations=annotations,
    )
    path = folder / f"{recording.name}.edf"
    edf.write(path)
    return (path,)


def _record_grid(fs: float) -> _Grid:
    """The fewest whole seconds that hold whole samples; else the record below 10 s whose rate EDF states most closely."""
    exact = Fraction(fs).limit_denominator(10)
    if abs(float(exact) - fs) <= 1e-9 * fs:
        return _Grid(exact.numerator, float(exact.denominator))
    grids = (
        _Grid(samples, _eight_characters(samples / fs)) for samples in range(1, math.ceil(10 * fs))
    )
    return min(
        (grid for grid in grids if grid.seconds > 0),
        key=lambda grid: abs(grid.samples / grid.seconds - fs),
    )


def _eight_characters(value: float) -> float:
    """`value` as closely as an EDF header field can state it."""
    for digits in range(8, -1, -1):
        text = f"{value:.{digits}f}"
        if len(text) <= 8:
            return float(text)
    raise ValueError(f"{value} needs more than the 8 characters of an EDF header field")


def _signal(lead: Lead, fs: float, length: int) -> "edfio.EdfSignal":
    import edfio

    step_mv, baseline = scale_of(lead)
    limits = [
        _eight_characters(edge * step_mv * 1000)
        for edge in (-MAX_COUNT - baseline, MAX_COUNT - baseline)
    ]
    step = (limits[1] - limits[0]) / (2 * MAX_COUNT)
    microvolts = np.asarray(lead.samples, dtype=np.float64) * 1000
    counts = np.rint((microvolts - limits[0]) / step) - MAX_COUNT
    padded = np.pad(
        np.clip(counts, -MAX_COUNT, MAX_COUNT).astype(np.int16),
        (0, length - lead.samples.size),
        mode="edge",
    )
    return edfio.EdfSignal.from_digital(
        padded,
        fs,
        label=_label(lead.name),
        physical_dimension="uV",
        physical_range=(limits[0], limits[1]),
        digital_range=(-MAX_COUNT, MAX_COUNT),
    )


def _label(name: str) -> str:
    ascii_name = re.sub(r"[^ -~]", "_", name).strip()
    return (ascii_name if is_ecg(ascii_name) else f"ECG {ascii_name}")[:16].strip()
