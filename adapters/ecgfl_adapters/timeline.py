"""Putting samples on one continuous axis, with NaN where the source has a gap."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.errors import FileUnreadable

MAX_SECONDS = 31 * 86400
"""Longest time axis that is accepted: a broken time stamp must not fill the memory."""


def check_span(path: Path, samples: int, fs: float) -> None:
    """Raises `FileUnreadable` when `samples` at `fs` hertz last longer than any recording does."""
    if samples / fs > MAX_SECONDS:
        raise FileUnreadable(
            path,
            f"the time stamps span {samples / fs / 86400:.1f} days, more than {MAX_SECONDS // 86400}",
            "Look for a broken time stamp, and export the recording again",
        )


def spread(values: NDArray[np.float32], positions: NDArray[np.int64], length: int) -> NDArray[np.float32]:
    """The first `positions.size` of `values`, shape (n,), at `positions` of an axis of `length` samples that is NaN elsewhere."""
    values = values[: positions.size]
    if values.size == length:
        return values
    axis = np.full(length, math.nan, dtype=np.float32)
    axis[positions] = values
    return axis
