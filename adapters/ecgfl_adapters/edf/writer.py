"""Writes EDF+C files with pyedflib."""

import math
import re
import warnings
from contextlib import closing
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.channel_kinds import is_ecg
from ecgfl_adapters.edf.padding import length_note
from ecgfl_adapters.quantise import MAX_COUNT, scale_of
from ecgfl_adapters.recording import BeatLabel, Lead, Recording

NO_DATE = datetime(1985, 1, 1)
"""Start of an anonymous recording: https://www.edfplus.info/specs/edfplus.html#additionalspecs."""

MOST_PER_RECORD = 64
"""Largest average number of annotations per data record that EDFlib writes."""

ANNOTATION_STEP = 1e-4
"""Resolution in seconds of the times of annotations that EDFlib writes."""

DURATION_DIGITS = 5
"""Decimals of a data record's duration in seconds that EDFlib writes."""


class _Grid(NamedTuple):
    """Data records of `samples` samples that last `seconds`."""

    samples: int
    seconds: float


class _Signal(NamedTuple):
    """A lead in EDF: its header for pyedflib, and complete data records of digital values."""

    header: dict[str, Any]
    counts: NDArray[np.int16]


def write_edf(recording: Recording, folder: Path) -> tuple[Path, ...]:
    """Write `NAME.edf` under `folder`.

    Samples keep their quantisation step (to about one part in 10 million, because EDF's numbers
    have eight characters) if their range fits 16 bits, else the finest step that fits. Labels
    become annotations with the WFDB symbol as text. The header is anonymous.

    EDF holds complete data records, so the last sample is repeated to the end of the last one. The
    recording field states the true length ("samples=N"), which `EdfAdapter.read` uses. Lead names
    are cut to 16 ASCII characters, and get the prefix "ECG" if they would not be known as ECG. An
    empty list of labels reads back as None.

    Parameters
    ----------
    recording : Recording
        The leads, in millivolts, and the labels.
    folder : Path
        Folder of the file.

    Returns
    -------
    tuple of Path
        The file.

    Raises
    ------
    ValueError
        If samples are missing (gaps need EDF+D, which EDFlib does not write), or if the labels are
        too many or too close for EDFlib.
    """
    absent = [lead.name for lead in recording.leads if np.isnan(np.asarray(lead.samples)).any()]
    if absent:
        raise ValueError(
            f"EDF+C cannot hold gaps, but samples are missing in {', '.join(absent)}: "
            "write WFDB or CSV instead"
        )
    grid = _record_grid(recording.fs)
    records = max(1, -(-recording.length // grid.samples))
    fs = grid.samples / grid.seconds
    labels = recording.labels or ()
    _check_labels(labels, records, fs)
    signals = [_signal(lead, fs, records * grid.samples) for lead in recording.leads]
    path = folder / f"{recording.name}.edf"
    _write(path, grid, signals, labels, length_note(recording.length))
    return (path,)


def _check_labels(labels: tuple[BeatLabel, ...], records: int, fs: float) -> None:
    """Raise `ValueError` for labels that EDFlib would drop or move to another sample."""
    if len(labels) > MOST_PER_RECORD * records:
        raise ValueError(
            f"EDF cannot hold {len(labels)} labels in {records} data records, at most "
            f"{MOST_PER_RECORD} in each: write WFDB or CSV instead"
        )
    samples = np.array([label.sample for label in labels], dtype=np.int64)
    onsets = np.round(samples / fs / ANNOTATION_STEP) * ANNOTATION_STEP
    if np.any(np.rint(onsets * fs) != samples):
        raise ValueError(
            f"EDF cannot hold labels at {fs:g} Hz: its times have steps of {ANNOTATION_STEP:g} s; "
            "write WFDB or CSV instead"
        )


def _write(
    path: Path,
    grid: _Grid,
    signals: list[_Signal],
    labels: tuple[BeatLabel, ...],
    note: str,
) -> None:
    import pyedflib  # a C library that is loaded only when a file is written

    records = signals[0].counts.size // grid.samples
    fs = grid.samples / grid.seconds
    with closing(pyedflib.EdfWriter(str(path), len(signals), pyedflib.FILETYPE_EDFPLUS)) as writer:
        with warnings.catch_warnings():
            # Until the duration is set, pyedflib warns that the rates are inaccurate.
            warnings.filterwarnings("ignore", message="Forcing a specific record_duration")
            warnings.filterwarnings("ignore", message="Sample frequency")
            # EDFlib cuts off further decimals: 9.32237 would become 9.32236.
            writer.setDatarecordDuration(grid.seconds + 10.0**-DURATION_DIGITS / 4)
            writer.setSignalHeaders([signal.header for signal in signals])
        writer.setStartdatetime(NO_DATE)
        writer.setRecordingAdditional(note)
        writer.set_number_of_annotation_signals(-(-len(labels) // records))
        blocks = np.stack([signal.counts.reshape(records, -1) for signal in signals], axis=1)
        for block in blocks:
            _check(path, writer.blockWriteDigitalShortSamples(np.ascontiguousarray(block).ravel()))
        for label in labels:
            _check(path, writer.writeAnnotation(label.sample / fs, -1, label.symbol))


def _check(path: Path, code: int) -> None:
    """Raise `OSError` when EDFlib reports that it could not write."""
    if code < 0:
        raise OSError(f"{path}: EDFlib could not write to the file (code {code})")


def _record_grid(fs: float) -> _Grid:
    """Return the fewest whole seconds that hold whole samples.

    If there are none, return the record of 1 to 10 s with the closest rate.
    """
    exact = Fraction(fs).limit_denominator(10)
    if abs(float(exact) - fs) <= 1e-9 * fs:
        return _Grid(exact.numerator, float(exact.denominator))
    grids = (
        _Grid(samples, round(samples / fs, DURATION_DIGITS))
        for samples in range(math.ceil(fs), math.ceil(10 * fs))
    )
    return min(grids, key=lambda grid: abs(grid.samples / grid.seconds - fs))


def _physical_limit(value: float) -> float:
    """Return `value` as closely as the 8 characters of an EDF header field can state it.

    EDFlib writes at most six decimals. pyedflib counts the characters of Python's text, which is
    shorter for a whole number without a decimal point.
    """
    for digits in range(6, -1, -1):
        text = f"{value:.{digits}f}"
        if len(text) <= 8:
            return float(text) if digits else int(text)
    raise ValueError(f"{value} needs more than the 8 characters of an EDF header field")


def _signal(lead: Lead, fs: float, length: int) -> _Signal:
    step_mv, baseline = scale_of(lead)
    low, high = (
        _physical_limit(edge * step_mv * 1000)
        for edge in (-MAX_COUNT - baseline, MAX_COUNT - baseline)
    )
    step = (high - low) / (2 * MAX_COUNT)
    microvolts = np.asarray(lead.samples, dtype=np.float64) * 1000
    counts = np.rint((microvolts - low) / step) - MAX_COUNT
    padded = np.pad(
        np.clip(counts, -MAX_COUNT, MAX_COUNT).astype(np.int16),
        (0, length - lead.samples.size),
        mode="edge",
    )
    header = {
        "label": _label(lead.name),
        "dimension": "uV",
        "sample_frequency": fs,
        "physical_min": low,
        "physical_max": high,
        "digital_min": -MAX_COUNT,
        "digital_max": MAX_COUNT,
        "transducer": "",
        "prefilter": "",
    }
    return _Signal(header, padded)


def _label(name: str) -> str:
    ascii_name = re.sub(r"[^ -~]", "_", name).strip()
    return (ascii_name if is_ecg(ascii_name) else f"ECG {ascii_name}")[:16].strip()
