"""Spikes: a sample or a few that leave the line and come back, faster than a heart can."""

import numpy as np
from ecgfl_adapters.samples import Samples, blocks
from numpy.typing import NDArray

from ecgfl_cli.quality.limits import Limits
from ecgfl_cli.quality.parts import Stretches

WIDEST_SECONDS = 0.05
"""Whatever a site sets: this wide is a QRS."""

AT_A_TIME = 1 << 19
"""Samples looked at together: few enough for the processor's cache."""


def spikes_per_minute(
    samples: Samples,
    fs: float,
    unjudged: Stretches,
    beats: NDArray[np.int64],
    qrs_mv: float,
    limits: Limits,
) -> float:
    """Return the number of spikes a minute of the examined signal.

    A spike differs from both neighbours by more than `spike_qrs` of the QRS, is at most
    `spike_width_s` wide, and the signal beside it moves at most `spike_beside` of its height,
    because the slopes of a QRS are steep too. The pulse of a pacemaker precedes the beat that it
    paces. Therefore the `pacing_s` before each beat are not examined, and neither is the time that
    is `unjudged`.
    """
    height = max(limits.spike_qrs * qrs_mv, limits.spike_mv)
    widest = max(1, round(min(limits.spike_width_s, WIDEST_SECONDS) * fs))
    positions = [np.empty(0, dtype=np.int64)]
    for start in range(0, samples.size, AT_A_TIME):
        part = samples[start : start + AT_A_TIME + widest + 3]
        positions.append(start + _spikes(part, height, widest, limits.spike_beside))
    places = np.unique(np.concatenate(positions))
    inside = np.searchsorted(unjudged[:, 0], places, side="right") - 1
    if len(unjudged):
        places = places[(inside < 0) | (places >= unjudged[inside, 1])]
    following = np.searchsorted(beats, places, side="right")
    ahead = np.full(places.size, np.inf)
    paced = following < beats.size
    ahead[paced] = (beats[following[paced]] - places[paced]) / fs
    nearest, farthest = limits.pacing_s
    counted = np.count_nonzero((ahead < nearest) | (ahead > farthest))
    present = _present(samples, unjudged) / fs
    beats_there = beats.size * present * fs / samples.size
    judged = max(present - beats_there * (farthest - nearest), 0.1 * present)
    return float(60.0 * counted / judged) if judged else 0.0


def _present(samples: Samples, unjudged: Stretches) -> int:
    """Count the samples outside the stretches that are not missing."""
    count = 0
    for start, part in blocks(samples):
        present = ~np.isnan(part)
        for begin, end in np.clip(unjudged - start, 0, part.size):
            present[begin:end] = False
        count += int(np.count_nonzero(present))
    return count


def _spikes(
    part: NDArray[np.float32], height: float, widest: int, beside: float
) -> NDArray[np.int64]:
    """First sample of each spike in `part`."""
    steep = np.flatnonzero(np.abs(part[1:] - part[:-1]) > height) + 1
    positions = [np.empty(0, dtype=np.int64)]
    for width in range(1, widest + 1):
        first = steep[(steep >= 2) & (steep + width + 1 < part.size)]
        before, after = part[first - 1], part[first + width]
        inside = part[first[:, None] + np.arange(width)]
        over = inside.min(axis=1) - np.maximum(before, after)
        under = np.minimum(before, after) - inside.max(axis=1)
        size = np.maximum(over, under)
        quiet = np.maximum(
            np.abs(before - part[first - 2]), np.abs(after - part[first + width + 1])
        )
        quiet = np.maximum(quiet, np.abs(before - after))
        positions.append(first[(size > height) & (quiet < beside * size)])
    return np.concatenate(positions)
