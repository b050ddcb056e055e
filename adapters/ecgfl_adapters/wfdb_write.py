"""Writing WFDB records."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecgfl_adapters.leads import unique_names
from ecgfl_adapters.quantise import quantise
from ecgfl_adapters.recording import BeatLabel, Recording

_INVALID = -32768
_END_OF_FILE = b"\0\0"


def write_record(recording: Recording, folder: Path) -> tuple[Path, ...]:
    """See `WfdbAdapter.write`."""
    import wfdb  # brings pandas along: only when a record is written

    name = re.sub(r"[^-A-Za-z0-9_]", "_", recording.name) or "record"
    signals = np.empty((recording.length, len(recording.leads)), dtype=np.int64)
    gains, baselines = [], []
    for column, lead in enumerate(recording.leads):
        counts, step, baseline = quantise(lead)
        signals[:, column] = np.where(np.isnan(lead.samples), _INVALID, counts)
        gains.append(1.0 / step)
        baselines.append(baseline)
    wfdb.wrsamp(
        name,
        fs=recording.fs,
        units=["mV"] * len(recording.leads),
        sig_name=unique_names([_printable(lead.name) for lead in recording.leads]),
        d_signal=signals,
        fmt=["16"] * len(recording.leads),
        adc_gain=gains,
        baseline=baselines,
        write_dir=str(folder),
    )
    written = [folder / f"{name}.hea", folder / f"{name}.dat"]
    if recording.labels is not None:
        written.append(folder / f"{name}.atr")
        write_annotations(recording.labels, written[-1])
    return tuple(written)


def write_annotations(labels: Sequence[BeatLabel], path: Path, fs: float | None = None) -> None:
    """Write a WFDB annotation file, `path` being `RECORD.ANNOTATOR`. No labels make a file of the end mark alone.

    fs : rate that the file states for its samples, in hertz; None leaves that to the record's header.
    """
    import wfdb

    if not labels:  # wfdb.wrann refuses to write no annotations
        path.write_bytes(_END_OF_FILE)
        return
    samples = np.array([label.sample for label in labels], dtype=np.int64)
    symbols = [label.symbol for label in labels]
    wfdb.wrann(path.stem, path.suffix[1:], samples, symbol=symbols, fs=fs, write_dir=str(path.parent))


def _printable(name: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", name).strip()
