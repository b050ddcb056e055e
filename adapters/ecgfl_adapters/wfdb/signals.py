"""Reads the samples that a WFDB header describes, and checks them against the header."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.companions import companion, content_of
from ecgfl_adapters.errors import FileUnreadable
from ecgfl_adapters.missing_codes import LONG_RUN, Code, MissingCodes
from ecgfl_adapters.recording import Remark
from ecgfl_adapters.samples import AT_A_TIME
from ecgfl_adapters.timeline import check_span
from ecgfl_adapters.wfdb.header import NULL, SignalSpec, WfdbHeader
from ecgfl_adapters.wfdb.signal_files import check_files

ENOUGH_SIGNALS = 3
"""Minimum number of signals whose equal checksums are a placeholder, because two leads may be
equal.
"""

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


MOST_SAMPLES = 1 << 29
"""Largest number of samples in all leads that are read.

They are in memory together; a week of three leads at 250 Hz has 454 million.
"""

_LARGE = 1 << 24
"""Number of samples from which a file is decoded in parts."""

MOST_DECODED = 1 << 27
"""Largest number of samples in a record that must be decoded as a whole because of its format or a
skew.
"""

_PIECEWISE = {"16", "24", "32", "61", "80", "160", "212"}
"""Formats in which any part of a file can be decoded by itself."""


class DecodedSamples(NamedTuple):
    """The requested signals in ADC units, and remarks on faults that were tolerated.

    Each signal has the shape (frames * samples per frame,).
    """

    signals: list[NDArray[np.int32]]
    remarks: tuple[Remark, ...]


def read_samples(
    header: WfdbHeader, chosen: Sequence[int], fs: float, *, force: bool
) -> DecodedSamples:
    """Read some of the signals that a header describes, and check all of them.

    Parameters
    ----------
    header : WfdbHeader
        WfdbHeader of the record.
    chosen : sequence of int
        Indices of the signals to return.
    fs : float
        Frames per second.
    force : bool
        Read signals even if their checksum is wrong.

    Raises
    ------
    FileMissing
        If a signal file does not exist.
    FileUnreadable
        If a signal file is cut off, has another format or a wrong checksum, or the record is too
        long.
    """
    frames = check_files(header)
    check_span(header.path, frames, fs, frames)
    _check_memory(header, chosen, frames)
    samples, sums = _read_signals(header, chosen, frames)
    wrong = [
        _wrong_sum(header, signal, total)
        for signal, total in zip(header.signals, sums, strict=True)
    ]
    problems = [problem for problem in wrong if problem is not None]
    if problems and _are_placeholders(header):
        stated = next(signal.checksum for signal in header.signals if signal.checksum is not None)
        return DecodedSamples(samples, (Remark("checksum-placeholder", *_not_computed(stated)),))
    if problems and not force:
        raise FileUnreadable(
            header.path,
            problems[0],
            "The signal file was damaged or changed: copy it again. --force reads it all the same",
        )
    return DecodedSamples(
        samples,
        tuple(
            Remark("checksum", problem, "Copy the files again and compare them.")
            for problem in problems
        ),
    )


def _are_placeholders(header: WfdbHeader) -> bool:
    """Return whether a converter wrote the same placeholder for every checksum.

    It is 0, -1, or any number that three signals or more have.
    """
    stated = [signal.checksum & 0xFFFF for signal in header.signals if signal.checksum is not None]
    return len(set(stated)) == 1 and (stated[0] in {0, 0xFFFF} or len(stated) >= ENOUGH_SIGNALS)


def _not_computed(checksum: int) -> tuple[str, str]:
    return (
        f"the header states the checksum {checksum} for every signal, which is a placeholder: "
        "damage would not be noticed",
        "Compare the signal files with the original if it has checksums.",
    )


def to_float(
    signal: SignalSpec, values: NDArray[np.int32], baseline: float, step: float
) -> tuple[NDArray[np.float32], tuple[Code, ...]]:
    """Return `(values - baseline) * step` with NaN for missing samples, and further codes for them.

    A signal without samples is NaN throughout.

    Parameters
    ----------
    signal : SignalSpec
        Its line in the header.
    values : array
        The samples in ADC units, shape (n,).
    baseline : float
        ADC units at 0 mV.
    step : float
        Millivolts per ADC unit.
    """
    if signal.fmt == NULL:
        return np.full(values.shape, math.nan, dtype=np.float32), ()
    physical = np.empty(values.shape, dtype=np.float32)
    parts = [slice(start, start + AT_A_TIME) for start in range(0, values.size, AT_A_TIME)]
    for part in parts:
        physical[part] = (values[part].astype(np.float64) - baseline) * step
    invalid = _INVALID.get(signal.fmt)
    if invalid is not None:
        physical[values == invalid] = math.nan
    ends = set(_INVALID.values())  # a converter may have kept the code of another format
    codes = MissingCodes(
        ends,
        shortest=LONG_RUN,
        step=1 / signal.gain if signal.gain else 1.0,
        baseline=signal.baseline,
    )
    for part in parts if values.size > _LARGE else [slice(None)]:
        codes.add(values[part] if invalid is None else values[part][values[part] != invalid])
    codes_found = codes.found()
    for code in codes_found:
        physical[values == code.value] = math.nan
    return physical, codes_found


def _check_memory(header: WfdbHeader, chosen: Sequence[int], frames: int) -> None:
    """Raise `FileUnreadable` if the samples would need too much memory."""
    count = frames * sum(header.signals[index].per_frame for index in chosen)
    if count > MOST_SAMPLES:
        raise FileUnreadable(
            header.path,
            f"its leads have {count} samples together, more than the {MOST_SAMPLES} that are read "
            "of a WFDB record",
            "Name fewer leads with --lead NAME, convert it to EDF, which is read in parts, or "
            "export it in parts",
        )
    decoded = frames * sum(signal.per_frame for signal in header.signals if signal.fmt != NULL)
    if decoded > MOST_DECODED and not _is_piecewise(header):
        raise FileUnreadable(
            header.path,
            f"it has {decoded} samples, more than the {MOST_DECODED} that are read of a skewed or "
            "compressed WFDB record",
            "Convert it to format 16 or to EDF, or export it in parts",
        )


def _is_piecewise(header: WfdbHeader) -> bool:
    return all(
        signal.fmt in _PIECEWISE and not signal.skew
        for signal in header.signals
        if signal.fmt != NULL
    )


def _read_signals(
    header: WfdbHeader, chosen: Sequence[int], frames: int
) -> tuple[list[NDArray[np.int32]], list[int]]:
    """Return the chosen signals, and the sum of the samples of every signal.

    The sum is 0 for a signal without samples.
    """
    per_frame = sum(signal.per_frame for signal in header.signals if signal.fmt != NULL)
    step = (
        max(1, AT_A_TIME // max(1, per_frame)) * 12
        if frames * per_frame > _LARGE and _is_piecewise(header)
        else frames
    )
    samples = [
        np.zeros(frames * header.signals[index].per_frame, dtype=np.int32) for index in chosen
    ]
    sums = [0] * len(header.signals)
    for start in range(0, frames, step):
        decoded = _decoded(header, frames, start, min(start + step, frames))
        for number, values in enumerate(decoded):
            if values is not None:
                sums[number] += int(values.sum(dtype=np.int64))
        for place, index in enumerate(chosen):
            values = decoded[index]
            if values is not None:
                first = start * header.signals[index].per_frame
                samples[place][first : first + values.size] = values
    return samples, sums


def _decoded(
    header: WfdbHeader, frames: int, start: int, stop: int
) -> list[NDArray[np.signedinteger] | None]:
    """Decode the frames [start, stop) of all signals; None for a signal without samples.

    This calls wfdb's segment decoder, which `wfdb.rdrecord` calls too. `rdrecord` itself is not
    used because it reads the header again, fails on other date formats and on names in another
    case, and follows links.
    """
    from wfdb.io import _signal  # loads pandas, so only when a record is read

    folder = str(header.path.parent.absolute())
    if "://" in folder or "::" in folder:
        raise FileUnreadable(
            header.path,
            "the path holds '://' or '::'",
            "Rename the folder: only local files are read",
        )
    stored = [signal for signal in header.signals if signal.fmt != NULL]
    try:
        signals = _signal._rd_segment(
            file_name=[
                str(content_of(companion(header.path, signal.file)).absolute()) for signal in stored
            ],
            dir_name=folder,
            pn_dir=None,
            fmt=[signal.fmt for signal in stored],
            n_sig=len(stored),
            sig_len=frames,
            byte_offset=[signal.offset for signal in stored],
            samps_per_frame=[signal.per_frame for signal in stored],
            skew=[signal.skew for signal in stored],
            init_value=[signal.initial for signal in stored],
            sampfrom=start,
            sampto=stop,
            channels=list(range(len(stored))),
            ignore_skew=False,
            return_res=32,
        )
    except Exception as error:  # wfdb may raise any exception on a broken file
        files = ", ".join(sorted({signal.file for signal in stored}))
        fmts = ", ".join(sorted({signal.fmt for signal in stored}))
        raise FileUnreadable(
            header.path,
            f"the samples in {files} cannot be read as the header states them: {frames} samples a "
            f"signal in format {fmts}",
            "Copy the .hea and .dat files again",
        ) from error
    samples = iter(signals)
    return [None if signal.fmt == NULL else np.asarray(next(samples)) for signal in header.signals]


def _wrong_sum(header: WfdbHeader, signal: SignalSpec, total: int) -> str | None:
    """Return what is wrong with the checksum of a signal, or None.

    `total` is the sum of its samples.
    """
    if (
        signal.checksum is None or signal.fmt == NULL or signal.skew
    ):  # reading shifts skewed signals, so their sum is not that of the file
        return None
    actual = total & 0xFFFF
    if actual == signal.checksum & 0xFFFF:
        return None
    shown = actual - 0x10000 if actual > 0x7FFF else actual
    number = header.signals.index(signal) + 1
    return f"the checksum of signal {number} is {shown}, but the header states {signal.checksum}"
