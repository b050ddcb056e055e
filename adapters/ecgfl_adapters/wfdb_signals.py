"""The samples that a WFDB header describes, checked against what it says about them."""

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.errors import LIBRARY_ERRORS, FileMissing, FileUnreadable
from ecgfl_adapters.recording import Remark
from ecgfl_adapters.wfdb_header import Header, SignalSpec

_BYTES_PER_SAMPLE = {
    "8": Fraction(1),
    "16": Fraction(2),
    "24": Fraction(3),
    "32": Fraction(4),
    "61": Fraction(2),
    "80": Fraction(1),
    "160": Fraction(2),
    "212": Fraction(3, 2),
    "310": Fraction(4, 3),
    "311": Fraction(4, 3),
}
_COMPRESSED = {"508", "516", "524"}
MAX_COMPRESSION = 1 << 14
"""Samples a byte: a FLAC block of at most 65,535 equal samples takes a dozen bytes."""
# "No sample": the lowest code of each format. Format 8 stores differences and has none.
_INVALID = {
    "16": -(2**15),
    "24": -(2**23),
    "32": -(2**31),
    "61": -(2**15),
    "80": -(2**7),
    "160": -(2**15),
    "212": -(2**11),
    "310": -(2**9),
    "311": -(2**9),
    "508": -(2**7),
    "516": -(2**15),
    "524": -(2**23),
}


class Samples(NamedTuple):
    """ADC units of every signal, each of shape (frames * samples per frame,), and what was put up with."""

    signals: list[NDArray[np.int32]]
    remarks: tuple[Remark, ...]


def read_samples(header: Header, *, force: bool) -> Samples:
    """Every signal that a header describes. force : read signals whose checksum is wrong.

    Raises `FileMissing` for a signal file that is not there and `FileUnreadable` for one that is cut off, not of the stated
    format, or whose checksum is not the header's.
    """
    _check_files(header)
    samples: list[NDArray[np.int32]] = [np.asarray(signal) for signal in _read_signals(header)]
    wrong = [_wrong_sum(header, signal, values) for signal, values in zip(header.signals, samples, strict=True)]
    problems = [problem for problem in wrong if problem is not None]
    if problems and not force:
        raise FileUnreadable(
            header.path, problems[0], "The signal file was damaged or changed: copy it again. --force reads it all the same"
        )
    return Samples(samples, tuple(Remark("checksum", problem, "Copy the files again and compare them.") for problem in problems))


def to_float(signal: SignalSpec, values: NDArray[np.int32], baseline: float, step: float) -> NDArray[np.float32]:
    """`(values - baseline) * step`, with NaN for the format's invalid code."""
    physical = ((values.astype(np.float64) - baseline) * step).astype(np.float32)
    invalid = _INVALID.get(signal.fmt)
    if invalid is not None:
        physical[values == invalid] = math.nan
    return physical


def _read_signals(header: Header) -> Sequence[NDArray[np.int32]]:
    import wfdb  # brings pandas along: only when a record is read

    name = str(header.path.resolve().with_suffix(""))
    if "://" in name or "::" in name:
        raise FileUnreadable(header.path, "the path holds '://' or '::'", "Rename the folder: only local files are read")
    # wfdb 4.3.1 gives big-endian samples as one array only.
    in_one = any(signal.fmt == "61" for signal in header.signals) and all(signal.per_frame == 1 for signal in header.signals)
    try:
        record = wfdb.rdrecord(name, physical=False, smooth_frames=in_one, return_res=32)
        return list(record.d_signal.T) if in_one else record.e_d_signal
    except LIBRARY_ERRORS as error:
        files = ", ".join(sorted({signal.file for signal in header.signals}))
        fmts = ", ".join(sorted({signal.fmt for signal in header.signals}))
        raise FileUnreadable(
            header.path,
            f"the samples in {files} cannot be read as the header states them: {header.length} samples a signal in format {fmts}",
            "Copy the .hea and .dat files again",
        ) from error


def _check_files(header: Header) -> None:
    for file in dict.fromkeys(signal.file for signal in header.signals):
        signals = [signal for signal in header.signals if signal.file == file]
        path = header.path.with_name(file)
        fmt = signals[0].fmt
        if fmt not in _BYTES_PER_SAMPLE and fmt not in _COMPRESSED:
            raise FileUnreadable(header.path, f"signal file {file} has unknown format {fmt}", "Convert the record to format 16")
        if not path.is_file():
            raise FileMissing(path, f"the signal file that {header.path.name} names is not there", "Copy it beside the header")
        if any(signal.skew > (header.length or 0) for signal in signals):
            skew = max(signal.skew for signal in signals)
            raise FileUnreadable(
                header.path,
                f"a signal of {file} has the skew {skew}, more than the record's {header.length or 0} samples",
                "Copy the .hea file again from where the record was made",
            )
        if fmt in _COMPRESSED:
            _check_compressed(header, path, signals)
        else:
            _check_size(header, path, signals)


def _check_size(header: Header, path: Path, signals: list[SignalSpec]) -> None:
    per_frame = sum(signal.per_frame for signal in signals)
    actual = path.stat().st_size
    frames = 1 if header.length is None else header.length
    expected = signals[0].offset + math.ceil(frames * per_frame * _BYTES_PER_SAMPLE[signals[0].fmt])
    if frames == 0 or actual < expected:
        raise FileUnreadable(
            path,
            f"{actual} bytes, but {header.path.name} states {frames} samples x {per_frame} signals in format {signals[0].fmt}, "
            f"which is {expected} bytes",
            "The file is cut off or empty: copy it again",
        )


def _check_compressed(header: Header, path: Path, signals: list[SignalSpec]) -> None:
    """A FLAC file says how many samples it holds: https://www.rfc-editor.org/rfc/rfc9639#name-streaminfo."""
    with path.open("rb") as file:
        begin = file.read(26)
    expected = signals[0].offset + (header.length or 0) * signals[0].per_frame
    held = int.from_bytes(begin[18:26], "big") % (1 << 36) if begin[:4] == b"fLaC" and len(begin) == 26 else None
    if held is None:
        raise FileUnreadable(
            path,
            f"not a FLAC file, as format {signals[0].fmt} has them",
            "The file is damaged: copy the .hea and .dat files again",
        )
    if held < expected or expected > MAX_COMPRESSION * path.stat().st_size:
        raise FileUnreadable(
            path,
            f"{path.stat().st_size} bytes that hold {held} samples a signal by their own account, but {header.path.name} states "
            f"{expected}",
            "The file is cut off or damaged: copy the .hea and .dat files again",
        )


def _wrong_sum(header: Header, signal: SignalSpec, values: NDArray[np.int32]) -> str | None:
    """What is wrong with a signal's checksum, in words."""
    if signal.checksum is None or signal.skew:  # skewed signals are shifted on reading: their sum is not the file's
        return None
    actual = int(values.sum(dtype=np.int64)) & 0xFFFF
    if actual == signal.checksum & 0xFFFF:
        return None
    shown = actual - 0x10000 if actual > 0x7FFF else actual
    number = header.signals.index(signal) + 1
    return f"the checksum of signal {number} is {shown}, but the header states {signal.checksum}"
