"""How much of the time noise hides a lead's beats."""

from dataclasses import dataclass

import numpy as np
from ecgfl_adapters.samples import Samples
from numpy.typing import NDArray

from ecgfl_cli.quality.limits import Limits
from ecgfl_cli.quality.parts import Stretches, runs, touches

COARSE_FS = 128.0
LAG_SECONDS = 0.032
"""The second difference over this time has its largest gain at 16 Hz, where muscles and electrodes
are loud, and a twelfth of it at 3 Hz, where T waves are."""

BLOCKS_AT_A_TIME = 256

HUM_BENDS = 3.0
"""Largest median size of the second difference of a sine wave: 4 times its amplitude times the
median of a sine, 0.71."""


@dataclass(frozen=True)
class Noise:
    """The noise of a lead.

    Attributes
    ----------
    share : float
        Share of the measured time, from 0 to 1.
    stretches : Stretches
        Where the noise is.
    """

    share: float
    stretches: Stretches


def noise(
    samples: Samples, fs: float, lost: Stretches, qrs_mv: float, hum_mv: float, limits: Limits
) -> Noise | None:
    """Measure noise: the median size of the second difference of a block, relative to the QRS.

    Steep waves of the heart fill less than half of a block, noise all of it (as in
    `beats.recorder_noise`). In a lead with curved waves (flutter, a small QRS between large P and T
    waves), all blocks have a large value. Therefore a block is noisy above `noise_qrs` of the QRS
    only if its value is also `noise_rise` times that of the quiet quarter of the lead, or above
    `noise_qrs_anyway`. Hum, which is another finding, raises both limits. The time that is `lost`
    is ignored.
    """
    block = round(limits.noise_block_s * fs)
    if block < 8 or samples.size < block or not qrs_mv > 0:
        return None
    bend = _bend(samples, fs, block)
    bend[touches(lost, block, bend.size)] = np.nan
    judged = bend[~np.isnan(bend)]
    if not judged.size:
        return None
    quiet = float(np.quantile(judged, 0.25))
    rise = min(limits.noise_rise * quiet, limits.noise_qrs_anyway * qrs_mv)
    noisy = bend > max(limits.noise_qrs * qrs_mv, rise) + HUM_BENDS * hum_mv
    return Noise(float(np.count_nonzero(noisy) / judged.size), runs(noisy) * block)


def _bend(samples: Samples, fs: float, block: int) -> NDArray[np.float32]:
    """Return the median size of the second difference of each whole block, shape (n // block,).

    A block that contains NaN has NaN.
    """
    width = max(1, round(fs / COARSE_FS))
    points = block // width
    lag = min(max(1, round(LAG_SECONDS * fs / width)), (points - 1) // 2)
    bends = np.empty(samples.size // block, dtype=np.float32)
    for start in range(0, bends.size, BLOCKS_AT_A_TIME):
        rows = samples[start * block : (start + BLOCKS_AT_A_TIME) * block]
        rows = rows[: rows.size // block * block].reshape(-1, block)[:, : points * width]
        coarse = sum(
            (rows[:, place::width] for place in range(1, width)), rows[:, ::width]
        ) / np.float32(width)
        size = np.abs(coarse[:, 2 * lag :] - 2 * coarse[:, lag:-lag] + coarse[:, : -2 * lag])
        middle = size.shape[1] // 2
        medians = np.partition(size, middle, axis=1)[:, middle]
        medians[np.isnan(size.sum(axis=1))] = np.nan
        bends[start : start + len(rows)] = medians
    return bends
