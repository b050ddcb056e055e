"""Reads WFDB annotation files, such as `100.atr`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecgfl_adapters.companions import content_of
from ecgfl_adapters.errors import LabelsUnreadable
from ecgfl_adapters.label_axis import TableAxis, samples_at_numbers
from ecgfl_adapters.label_files import check_label_count, label_bytes
from ecgfl_adapters.protocol import LabelRequest
from ecgfl_adapters.recording import BeatLabel
from ecgfl_adapters.symbols import in_order
from ecgfl_adapters.timeline import check_rate

_FIRST_NON_BEAT_CODE = 59
"""Smallest code of a word in a WFDB annotation file that adds to another:
https://physionet.org/physiotools/wag/annot-5.htm.
"""


def read_annotations(path: Path, request: LabelRequest) -> tuple[BeatLabel, ...]:
    """Read a WFDB annotation file.

    Parameters
    ----------
    path : Path
        The annotation file.
    request : LabelRequest
        The rates and the axis to which the samples belong.

    Returns
    -------
    tuple of BeatLabel
        All annotations, beats and others, in order of their samples.

    Raises
    ------
    LabelsUnreadable
        If the file is cut off or not a WFDB annotation file.
    """
    raw = label_bytes(path)
    labels = in_order(_read(path, raw, request.fs, request.clock_fs or request.fs))
    return labels if request.axis is None else in_order(_on_axis(labels, request.axis))


def _read(path: Path, raw: bytes, fs: float, clock_fs: float) -> list[BeatLabel]:
    import wfdb  # loads pandas, so only when a file is read

    if len(raw) < 2 or len(raw) % 2 or raw[-2:] != b"\0\0":
        raise LabelsUnreadable(
            path,
            f"WFDB annotation file of {len(raw)} bytes has no end-of-file mark (two zero bytes): "
            "cut off, or another format",
            "Copy the file again, or leave labels out with --labels none",
        )
    if not any(raw):
        return []
    codes = np.frombuffer(raw, "<u2") >> 10
    # Words of texts may be counted too.
    check_label_count(path, int(np.count_nonzero((codes > 0) & (codes < _FIRST_NON_BEAT_CODE))))
    content = content_of(path)
    _refuse_remote_name(content)
    try:
        annotation = wfdb.rdann(
            str(content.absolute().with_suffix("")),
            content.suffix[1:],
            return_label_elements=["symbol"],
        )
        stated = float(annotation.fs) if annotation.fs else clock_fs
        samples = [int(sample) for sample in annotation.sample]
        symbols = list(annotation.symbol)
    except Exception as error:
        raise LabelsUnreadable(
            path,
            f"not a WFDB annotation file ({error})",
            "Copy the file again, or leave labels out with --labels none",
        ) from error
    check_rate(path, stated)
    if samples and min(samples) < 0:
        raise LabelsUnreadable(
            path, f"annotation at sample {min(samples)}", "Export the annotations again"
        )
    if stated != fs:
        samples = [round(sample * fs / stated) for sample in samples]
    # A code without a symbol says nothing about a beat, and could not be written again.
    return [
        BeatLabel(sample, symbol)
        for sample, symbol in zip(samples, symbols, strict=True)
        if isinstance(symbol, str)
    ]


def _refuse_remote_name(path: Path) -> None:
    """Raise `LabelsUnreadable` for a path with "://" or "::".

    The wfdb package opens files through fsspec, which takes such paths for addresses.
    """
    if "://" in str(path) or "::" in str(path.absolute()):
        raise LabelsUnreadable(
            path,
            "the path holds '://' or '::'",
            "Rename the folder or file: only local files are read",
        )


def _on_axis(labels: Sequence[BeatLabel], axis: TableAxis) -> list[BeatLabel]:
    numbers = np.array([label.sample for label in labels], dtype=np.int64)
    symbols = [label.symbol for label in labels]
    samples = samples_at_numbers(numbers, symbols, axis)
    return [
        BeatLabel(sample, symbol) for sample, symbol in zip(samples.tolist(), symbols, strict=True)
    ]
