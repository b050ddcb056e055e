"""Writes WFDB records."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecgfl_adapters.leads import unique_names
from ecgfl_adapters.quantise import Quantisation, counts_of, scale_of
from ecgfl_adapters.recording import BeatLabel, Recording
from ecgfl_adapters.samples import AT_A_TIME

_INVALID = -32768
_END_OF_FILE = b"\0\0"


def write_record(recording: Recording, folder: Path) -> tuple[Path, ...]:
    """See `WfdbAdapter.write`."""
    import wfdb  # loads pandas, so only when a record is written

    name = re.sub(r"[^-A-Za-z0-9_]", "_", recording.name) or "record"
    scales = [scale_of(lead) for lead in recording.leads]
    first, checksums = _write_samples(recording, scales, folder / f"{name}.dat")
    count = len(scales)
    wfdb.Record(
        record_name=name,
        n_sig=count,
        fs=recording.fs,
        sig_len=recording.length,
        file_name=[f"{name}.dat"] * count,
        fmt=["16"] * count,
        adc_gain=[1.0 / scale.step_mv for scale in scales],
        baseline=[scale.baseline for scale in scales],
        units=["mV"] * count,
        adc_res=[16] * count,
        adc_zero=[0] * count,
        init_value=first,
        checksum=checksums,
        block_size=[0] * count,
        sig_name=unique_names([_printable(lead.name) for lead in recording.leads]),
    ).wrheader(str(folder))
    written = [folder / f"{name}.hea", folder / f"{name}.dat"]
    if recording.labels is not None:
        written.append(folder / f"{name}.atr")
        write_annotations(recording.labels, written[-1])
    return tuple(written)


def _write_samples(
    recording: Recording, scales: list[Quantisation], path: Path
) -> tuple[list[int], list[int]]:
    """Write format 16: 16-bit little-endian, the samples of the leads in turn.

    `wfdb.wrsamp` takes eight times as long. Return the first count of each lead and its checksum,
    the lowest 16 bits of the sum of its counts.
    """
    first, sums = [0] * len(scales), [0] * len(scales)
    with path.open("wb") as file:
        for start in range(0, recording.length, AT_A_TIME):
            frames = np.empty((min(AT_A_TIME, recording.length - start), len(scales)), dtype="<i2")
            for place, (lead, scale) in enumerate(zip(recording.leads, scales, strict=True)):
                counts = counts_of(lead.samples[start : start + AT_A_TIME], scale)
                frames[:, place] = np.nan_to_num(counts, nan=_INVALID, copy=False)
                sums[place] += int(frames[:, place].sum(dtype=np.int64))
            if start == 0:
                first = [int(count) for count in frames[0]]
            file.write(frames.data)
    return first, [total % 0x10000 for total in sums]


def write_annotations(labels: Sequence[BeatLabel], path: Path, fs: float | None = None) -> None:
    """Write a WFDB annotation file, `path` being `RECORD.ANNOTATOR`.

    A file without labels consists of the end mark alone.

    Parameters
    ----------
    path : Path
        The file.
    labels : sequence of BeatLabel
        The labels.
    fs : float, optional
        Rate in hertz that the file states for its samples. Default: that of the record's header.
    """
    import wfdb  # loads pandas, so only when labels are written

    if not labels:  # wfdb.wrann refuses to write no annotations
        path.write_bytes(_END_OF_FILE)
        return
    samples = np.array([label.sample for label in labels], dtype=np.int64)
    symbols = [label.symbol for label in labels]
    wfdb.wrann(
        path.stem, path.suffix[1:], samples, symbol=symbols, fs=fs, write_dir=str(path.parent)
    )


def _printable(name: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", name).strip()
