"""How far the baseline moves: breathing, sweating, a loose or dragged electrode."""

from dataclasses import dataclass

import numpy as np
from ecgfl_adapters.samples import Samples, in_rows
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from ecgfl_cli.quality.limits import Limits
from ecgfl_cli.quality.parts import Stretches, touches

COARSE_FS = 8.0
"""Sampling rate of the filter in hertz. Means over an eighth of a second contain everything below
`wander_hz` and little of the QRS."""

BLOCKS_AT_A_TIME, BLOCKS_BESIDE = 1024, 6
"""A long recording is filtered in parts with a minute of overlap, after which the start has no
effect on the filter."""


@dataclass(frozen=True)
class Wander:
    """The baseline wander of a lead.

    Attributes
    ----------
    mv : float
        Peak-to-peak amplitude in millivolts within `wander_block_s` that is exceeded for
        `wander_share` of the time.
    worst : tuple of int
        Block with the largest amplitude, as samples [start, stop).
    """

    mv: float
    worst: tuple[int, int]


def wander(samples: Samples, fs: float, lost: Stretches, limits: Limits) -> Wander | None:
    """Measure the signal below `limits.wander_hz`, by a Butterworth filter in both directions.

    Blocks with NaN or with a part of the time that is `lost` are ignored. Returns None if no block
    remains.
    """
    width = max(1, round(fs / COARSE_FS))
    coarse = np.concatenate(
        [rows.mean(axis=1, dtype=np.float32) for rows in in_rows(samples, width)]
    )
    known = np.isfinite(coarse) & ~touches(lost, width, coarse.size)
    length = max(1, round(limits.wander_block_s * fs / width))
    if coarse.size < max(length, 10) or not known.any():
        return None
    coarse[~known] = np.nan
    # No bound of site.toml may make the filter raise.
    edge = min(max(limits.wander_hz * 2 * width / fs, 1e-3), 0.9)
    swing = _swings(coarse, butter(2, edge, output="sos"), length)
    judged = swing[~np.isnan(swing)]
    if not judged.size:
        return None
    worst = int(np.nanargmax(swing)) * length * width
    return Wander(
        float(np.quantile(judged, 1.0 - min(limits.wander_share, 1.0))),
        (worst, worst + length * width),
    )


def _swings(
    coarse: NDArray[np.float32], low_pass: NDArray[np.float64], length: int
) -> NDArray[np.float32]:
    """Return the peak-to-peak amplitude of each whole block, shape (n // length,).

    A block that contains NaN has NaN.
    """
    swing = np.full(coarse.size // length, np.nan, dtype=np.float32)
    for start in range(0, swing.size, BLOCKS_AT_A_TIME):
        stop = min(start + BLOCKS_AT_A_TIME, swing.size)
        first = max(0, start - BLOCKS_BESIDE) * length
        part = coarse[first : (stop + BLOCKS_BESIDE) * length].astype(np.float64)
        known = np.flatnonzero(~np.isnan(part))
        if not known.size:
            continue
        whole = np.interp(np.arange(part.size), known, part[known])
        slow = sosfiltfilt(low_pass, whole - np.median(whole), padlen=min(part.size - 1, 9))
        inside = slice(start * length - first, stop * length - first)
        swing[start:stop] = np.ptp(slow[inside].reshape(-1, length), axis=1)
        swing[start:stop][np.isnan(part[inside]).reshape(-1, length).any(axis=1)] = np.nan
    return swing
