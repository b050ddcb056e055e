"""Which humps are beats.

The first pass goes forward in time with thresholds that follow the signal, after the rules of Hamilton (Computers in
Cardiology 29:101, 2002). The two after it look both ways, which a bedside monitor cannot: P and T waves that got through
give themselves away by standing next to something larger, or by adding nothing to a rhythm that is complete without them.

All constants were chosen on mitdb DS1 and every second record of svdb; see docs/accuracy.md.
"""

from statistics import median

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.beats.qrs_envelope import Candidates

REMEMBERED = 8
START_SECONDS = 10
THRESHOLD = 0.27
"""Where between the usual noise hump (0) and the usual beat (1) a beat begins."""

T_WAVE_SECONDS, T_WAVE_SLOPE = 0.36, 0.3
"""A hump so soon after a beat and less steep than this share of it is its T wave."""

SEARCH_BACK_INTERVALS, SEARCH_BACK_THRESHOLD = 1.35, 0.5
"""After so many RR intervals without a beat the highest hump since counts if it reaches this share of the threshold."""

SILENCE_SECONDS = 8
"""After so long without a beat the amplitude has changed for good: the thresholds are learned anew."""

TOO_CLOSE_SECONDS = 0.25
CLOSE_SECONDS, CLOSE_SLOPE = 0.32, 0.4
"""Of two so close the smaller goes, in the second case if it is less steep than this share of the other."""

AROUND = 8
WEAK_HEIGHT, COMPLETE_RHYTHM = 0.5, 1.2
"""A hump lower than this share of its neighbours' median goes if the interval without it is shorter than so many usual ones."""


def beats_among(humps: Candidates, fs: float) -> NDArray[np.int64]:
    """Samples of the beats, ascending."""
    if not len(humps):
        return humps.samples
    accepted = humps[_forward_pass(humps, fs)]
    accepted = accepted[_without_close_pairs(accepted, fs)]
    for _ in range(2):
        accepted = accepted[_needed(accepted)]
    return accepted.samples


def _forward_pass(humps: Candidates, fs: float) -> NDArray[np.int64]:
    """Indices of the humps that pass the moving threshold."""
    times, heights, slopes = (humps.samples / fs).tolist(), humps.height.tolist(), humps.slope.tolist()
    beat_heights = [_usual_height(humps, 0.0, fs)] * REMEMBERED
    noise_heights = [0.0] * REMEMBERED
    intervals: list[float] = []
    found: list[int] = []
    rejected: list[int] = []
    learned_at = 0.0
    place = 0

    def accept(index: int) -> None:
        if found:
            intervals.append(times[index] - times[found[-1]])
        found.append(index)
        beat_heights.append(heights[index])
        beat_heights.pop(0)

    while place < len(times):
        noise = median(noise_heights)
        threshold = noise + THRESHOLD * (median(beat_heights) - noise)
        since = times[place] - (times[found[-1]] if found else 0.0)
        usual = median(intervals[-REMEMBERED:]) if len(intervals) >= REMEMBERED // 2 else 1.0
        if found and since > SEARCH_BACK_INTERVALS * usual:
            missed = [index for index in rejected if times[index] - times[found[-1]] >= T_WAVE_SECONDS]
            best = max(missed, key=lambda index: heights[index], default=None)
            if best is not None and heights[best] > SEARCH_BACK_THRESHOLD * threshold:
                accept(best)
                rejected = [index for index in rejected if index > best]
                continue
        if since > SILENCE_SECONDS and times[place] - learned_at > SILENCE_SECONDS:
            learned_at = times[place]
            beat_heights = [_usual_height(humps, learned_at - SILENCE_SECONDS, fs)] * REMEMBERED
            noise_heights = [0.0] * REMEMBERED
            place, rejected = (rejected[0], []) if rejected else (place, rejected)
            continue
        is_t_wave = bool(found) and since < T_WAVE_SECONDS and slopes[place] < T_WAVE_SLOPE * slopes[found[-1]]
        if heights[place] > threshold and not is_t_wave:
            accept(place)
            rejected = []
        else:
            rejected.append(place)
            noise_heights.append(heights[place])
            noise_heights.pop(0)
        place += 1
    return np.array(found, dtype=np.int64)


def _usual_height(humps: Candidates, start: float, fs: float) -> float:
    """Height of a usual beat: median of the highest humps in the first seconds from `start`."""
    near = humps.height[(humps.samples >= start * fs) & (humps.samples < (start + START_SECONDS) * fs)]
    return float(np.median(np.sort(near)[-REMEMBERED:])) if near.size else 0.0


def _without_close_pairs(beats: Candidates, fs: float) -> NDArray[np.int64]:
    """Indices that stay when of two beats too close for both the smaller goes."""
    times, heights, slopes = (beats.samples / fs).tolist(), beats.height.tolist(), beats.slope.tolist()
    kept: list[int] = []
    for index in range(len(times)):
        stays = True
        while kept and stays:
            before = kept[-1]
            gap = times[index] - times[before]
            smaller, larger = (before, index) if heights[before] < heights[index] else (index, before)
            if gap >= TOO_CLOSE_SECONDS and (gap >= CLOSE_SECONDS or slopes[smaller] >= CLOSE_SLOPE * slopes[larger]):
                break
            if smaller == index:
                stays = False
            else:
                kept.pop()
        if stays:
            kept.append(index)
    return np.array(kept, dtype=np.int64)


def _needed(beats: Candidates) -> NDArray[np.bool_]:
    """False for weak beats without which the rhythm is complete; never two in a row."""
    count = len(beats)
    if count <= AROUND:
        return np.ones(count, dtype=bool)
    intervals = np.diff(beats.samples).astype(np.float64)
    without = np.full(count, np.inf)
    without[1:-1] = intervals[1:] + intervals[:-1]
    usual_interval = _local_median(np.concatenate((intervals, intervals[-1:])))
    weak = (beats.height < WEAK_HEIGHT * _local_median(beats.height)) & (without < COMPLETE_RHYTHM * usual_interval)
    weak[1:] &= ~weak[:-1]
    return ~weak


def _local_median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(values, AROUND, mode="reflect")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND + 1), axis=1)
