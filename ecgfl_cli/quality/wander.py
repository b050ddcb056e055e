"""How far the baseline moves: breathing, sweating, a loose or dragged electrode."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from ecgfl_cli.quality.limits import Limits
from ecgfl_cli.quality.parts import Stretches, touches

COARSE_FS = 8.0
"""Hertz; means over an eighth of a second hold all that is below `wander_hz`, and little of the QRS."""


@dataclass(frozen=True)
class Wander:
    """mv : peak to peak within `wander_block_s`, which `wander_share` of the time exceeds. worst : the block in which it is
    largest, as samples [start, stop)."""

    mv: float
    worst: tuple[int, int]


def wander(samples: NDArray[np.float32], fs: float, lost: Stretches, limits: Limits) -> Wander | None:
    """What is left below `limits.wander_hz` by a Butterworth filter of second order, forwards and backwards.

    A block with a NaN or with a part of the time that is `lost` tells nothing.
    """
    width = max(1, round(fs / COARSE_FS))
    coarse = samples[: samples.size // width * width].reshape(-1, width).mean(axis=1, dtype=np.float32)
    known = np.isfinite(coarse) & ~touches(lost, width, coarse.size)
    length = max(1, round(limits.wander_block_s * fs / width))
    if coarse.size < max(length, 10) or not known.any():
        return None
    places = np.arange(coarse.size)
    whole = np.interp(places, places[known], coarse[known].astype(np.float64))
    # No bound of site.toml may make the filter raise.
    edge = min(max(limits.wander_hz * 2 * width / fs, 1e-3), 0.9)
    slow = sosfiltfilt(butter(2, edge, output="sos"), whole - np.median(whole))
    blocks = slow.size // length * length
    swing = np.ptp(slow[:blocks].reshape(-1, length), axis=1)
    swing[~known[:blocks].reshape(-1, length).all(axis=1)] = np.nan
    judged = swing[~np.isnan(swing)]
    if not judged.size:
        return None
    worst = int(np.nanargmax(swing)) * length * width
    return Wander(float(np.quantile(judged, 1.0 - min(limits.wander_share, 1.0))), (worst, worst + length * width))
