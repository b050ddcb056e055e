"""Puts samples on one continuous axis, with NaN in the gaps of the source."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.errors import FileUnreadable

MAX_SECONDS = 31 * 86400
"""Longest time axis that is accepted, so that a broken time stamp does not fill the memory."""

MAX_EMPTY = 1 << 28
"""Number of missing samples that is accepted on any axis (12 days at 250 Hz). More are accepted if
as many samples hold a signal.
"""

RATES = (0.1, 100_000.0)
"""Slowest and fastest sampling rate in hertz, so that a broken header does not keep a computer
busy. Whether a rate is too slow for an ECG is decided later.
"""
MAX_RATE_DIFFERENCE = 0.01
"""Largest relative difference between a rate and the time stamps: 250 and 256 Hz differ by 2.4 %, a
recorder's crystal by 0.01 %, and a wearable's nominal rate by 0.3 %.
"""


def check_rate(path: Path, fs: float) -> None:
    """Raise `FileUnreadable` for a sampling rate that no recorder has."""
    if not RATES[0] <= fs <= RATES[1]:
        raise FileUnreadable(
            path,
            f"the sampling rate is {fs:g} Hz, not between {RATES[0]:g} and {RATES[1]:,.0f}",
            "Export the recording again, or correct the rate where the file states it",
        )


def check_span(path: Path, samples: float, fs: float, held: int) -> None:
    """Raise `FileUnreadable` for a recording that is too long, or that is nearly all gaps.

    Parameters
    ----------
    path : Path
        The file, for messages.
    samples : int
        Length in samples at `fs` hertz.
    fs : float
        Sampling rate in hertz.
    held : int
        Number of samples in the file; the others are gaps.
    """
    check_rate(path, fs)
    if not samples / fs <= MAX_SECONDS:
        raise FileUnreadable(
            path,
            f"the time stamps span {samples / fs / 86400:.1f} days, more than "
            f"{MAX_SECONDS // 86400}",
            "Look for a broken time stamp, and export the recording again",
        )
    if samples - held > max(MAX_EMPTY, held):
        raise FileUnreadable(
            path,
            f"the time stamps span {samples / fs / 86400:.1f} days, of which {held / fs:.0f} s "
            "hold a signal",
            "Look for a broken time stamp; if there is none, export the parts one by one",
        )


def spread(
    values: NDArray[np.float32], positions: NDArray[np.int64], length: int
) -> NDArray[np.float32]:
    """Return values on a longer axis that is NaN elsewhere.

    Parameters
    ----------
    values : array
        Shape (n,); the first `positions.size` values are used.
    positions : array
        Their indices on the axis.
    length : int
        Length of the axis.
    """
    values = values[: positions.size]
    if values.size == length:
        return values
    axis = np.full(length, math.nan, dtype=np.float32)
    axis[positions] = values
    return axis
