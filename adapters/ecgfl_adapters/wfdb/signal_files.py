"""Checks the signal files of a WFDB record against its header."""

import math
from fractions import Fraction
from pathlib import Path

from ecgfl_adapters.bounded import check_stored
from ecgfl_adapters.companions import absence, companion, content_of
from ecgfl_adapters.errors import FileMissing, FileUnreadable
from ecgfl_adapters.wfdb.header import NULL, SignalSpec, WfdbHeader

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
"""Largest number of samples per byte: a FLAC block of at most 65,535 equal samples has a dozen
bytes.
"""


def check_files(header: WfdbHeader) -> int:
    """Check the signal files, and return the number of frames from the header or from the files."""
    frames_of: dict[str, int] = {}
    for file in dict.fromkeys(signal.file for signal in header.signals if signal.fmt != NULL):
        signals = [signal for signal in header.signals if signal.file == file]
        path = companion(header.path, file)
        fmt = signals[0].fmt
        if fmt not in _BYTES_PER_SAMPLE and fmt not in _COMPRESSED:
            raise FileUnreadable(
                header.path,
                f"signal file {file} has unknown format {fmt}",
                "Convert the record to format 16",
            )
        absent = absence(path)
        if absent is not None:
            raise FileMissing(
                path, f"the signal file that {header.path.name} names {absent.problem}", absent.fix
            )
        if not path.is_file():
            raise FileMissing(
                path,
                f"the signal file that {header.path.name} names is not there",
                "Copy it beside the header",
            )
        content = content_of(path)
        check_stored(content)
        frames_of[file] = (
            _held_compressed(header, content, signals)
            if fmt in _COMPRESSED
            else _held(header, content, signals)
        )
    if header.length is None and len(set(frames_of.values())) > 1:
        shown = ", ".join(f"{file} {frames}" for file, frames in frames_of.items())
        raise FileUnreadable(
            header.path,
            f"the header states no number of samples, and its files hold different ones: {shown}",
            "Write the number as the fourth field of the header's first line",
        )
    frames = header.length or next(iter(frames_of.values()), 0)
    if not frames:
        raise FileUnreadable(
            header.path,
            "the header states no number of samples, and no signal file",
            "Copy the .hea and .dat files again",
        )
    if any(signal.skew > frames for signal in header.signals):
        skew = max(signal.skew for signal in header.signals)
        raise FileUnreadable(
            header.path,
            f"a signal has the skew {skew}, more than the record's {frames} samples",
            "Copy the .hea file again from where the record was made",
        )
    return frames


def _held(header: WfdbHeader, path: Path, signals: list[SignalSpec]) -> int:
    """Return the number of frames in a signal file.

    Raises `FileUnreadable` when the header states more.
    """
    per_frame = sum(signal.per_frame for signal in signals)
    actual = path.stat().st_size
    frames = header.length or 1
    expected = signals[0].offset + math.ceil(frames * per_frame * _BYTES_PER_SAMPLE[signals[0].fmt])
    if actual < expected:
        stated = "no number of" if header.length is None else str(frames)
        raise FileUnreadable(
            path,
            f"{actual} bytes, but {header.path.name} states {stated} samples x {per_frame} signals "
            f"in format {signals[0].fmt}, "
            f"which is {'at least ' if header.length is None else ''}{expected} bytes",
            "The file is cut off or empty: copy it again",
        )
    return math.floor((actual - signals[0].offset) / _BYTES_PER_SAMPLE[signals[0].fmt]) // per_frame


def _held_compressed(header: WfdbHeader, path: Path, signals: list[SignalSpec]) -> int:
    """Return the number of frames in a compressed signal file.

    Raises `FileUnreadable` when the header states more.

    A FLAC file says how many samples it holds:
    https://www.rfc-editor.org/rfc/rfc9639#name-streaminfo.
    """
    with path.open("rb") as file:
        begin = file.read(26)
    stored = (
        int.from_bytes(begin[18:26], "big") % (1 << 36)
        if begin[:4] == b"fLaC" and len(begin) == 26
        else None
    )
    if stored is None:
        raise FileUnreadable(
            path,
            f"not a FLAC file, as format {signals[0].fmt} has them",
            "The file is damaged: copy the .hea and .dat files again",
        )
    frames = header.length or max(1, (stored - signals[0].offset) // signals[0].per_frame)
    expected = signals[0].offset + frames * signals[0].per_frame
    if stored < expected or expected > MAX_COMPRESSION * path.stat().st_size:
        raise FileUnreadable(
            path,
            f"{path.stat().st_size} bytes whose own header states {stored} samples per signal, but "
            f"{header.path.name} states {expected}",
            "The file is cut off or damaged: copy the .hea and .dat files again",
        )
    return frames
