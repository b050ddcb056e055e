"""Decide which humps are beats.

The first pass goes forward in time with adaptive thresholds, after the rules of Hamilton (Computers
in Cardiology 29:101, 2002). Later steps use both directions, which a bedside monitor cannot: P and
T waves that passed are next to something larger, and `qrs_second_look` compares each beat with
those around it.

All constants were chosen on mitdb DS1 and every second record of svdb; see docs/accuracy.md.
"""

from statistics import median

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.beats.qrs_envelope import Candidates
from ecgfl_cli.beats.qrs_second_look import second_look

REMEMBERED = 8
START_SECONDS = 10
THRESHOLD = 0.27
"""Threshold of a beat, between the usual noise hump (0) and the usual beat (1)."""

T_WAVE_SECONDS, T_WAVE_SLOPE = 0.36, 0.3
"""A hump within this time after a beat, and less steep than this share of it, is its T wave."""

SEARCH_BACK_INTERVALS, SEARCH_BACK_THRESHOLD = 1.35, 0.5
"""After this many RR intervals without a beat, the highest hump since then is a beat if it reaches
this share of the threshold."""

SILENCE_SECONDS = 8
"""After this time without a beat, the amplitude has changed, and the thresholds are learned
again."""

TOO_CLOSE_SECONDS = 0.25
CLOSE_SECONDS, CLOSE_SLOPE = 0.32, 0.4
"""Of two beats closer than this, the smaller is removed; in the second case only if it is less
steep than this share of the other."""


def beats_among(humps: Candidates, fs: float) -> Candidates:
    """Return the humps that are beats."""
    return humps[second_look(humps, first_look(humps, fs), fs)]


def first_look(humps: Candidates, fs: float) -> NDArray[np.int64]:
    """Return the indices of humps that are beats by their size and that of earlier humps.

    Some of them are not beats.
    """
    if not len(humps):
        return np.empty(0, dtype=np.int64)
    accepted = _forward_pass(humps, fs)
    return accepted[_without_close_pairs(humps[accepted], fs)]


class _Recent:
    """The last REMEMBERED values, and their median `usual`, updated with each new value."""

    def __init__(self, values: list[float]) -> None:
        self.values = values
        self.usual = median(values) if values else 0.0

    def add(self, value: float) -> None:
        self.values.append(value)
        del self.values[:-REMEMBERED]
        self.usual = median(self.values)


def _forward_pass(humps: Candidates, fs: float) -> NDArray[np.int64]:
    """Return the indices of the humps that pass the moving threshold."""
    times, heights, slopes = (
        (humps.samples / fs).tolist(),
        humps.height.tolist(),
        humps.slope.tolist(),
    )
    beat_heights = _Recent([_usual_height(humps, 0.0, fs)] * REMEMBERED)
    noise_heights = _Recent([0.0] * REMEMBERED)
    intervals = _Recent([])
    detected: list[int] = []
    rejected: list[int] = []
    learned_at = 0.0
    place = 0

    def accept(index: int) -> None:
        if detected:
            intervals.add(times[index] - times[detected[-1]])
        detected.append(index)
        beat_heights.add(heights[index])

    while place < len(times):
        noise = noise_heights.usual
        threshold = noise + THRESHOLD * (beat_heights.usual - noise)
        since = times[place] - (times[detected[-1]] if detected else 0.0)
        usual = intervals.usual if len(intervals.values) >= REMEMBERED // 2 else 1.0
        if detected and since > SEARCH_BACK_INTERVALS * usual:
            missed = [
                index for index in rejected if times[index] - times[detected[-1]] >= T_WAVE_SECONDS
            ]
            best = max(missed, key=lambda index: heights[index], default=None)
            if best is not None and heights[best] > SEARCH_BACK_THRESHOLD * threshold:
                accept(best)
                rejected = [index for index in rejected if index > best]
                continue
        if since > SILENCE_SECONDS and times[place] - learned_at > SILENCE_SECONDS:
            learned_at = times[place]
            beat_heights = _Recent(
                [_usual_height(humps, learned_at - SILENCE_SECONDS, fs)] * REMEMBERED
            )
            noise_heights = _Recent([0.0] * REMEMBERED)
            place, rejected = (rejected[0], []) if rejected else (place, rejected)
            continue
        is_t_wave = (
            bool(detected)
            and since < T_WAVE_SECONDS
            and slopes[place] < T_WAVE_SLOPE * slopes[detected[-1]]
        )
        if heights[place] > threshold and not is_t_wave:
            accept(place)
            rejected = []
        else:
            rejected.append(place)
            noise_heights.add(heights[place])
        place += 1
    return np.array(detected, dtype=np.int64)


def _usual_height(humps: Candidates, start: float, fs: float) -> float:
    """Return the height of a usual beat: the median of the highest humps after `start` seconds."""
    near = humps.height[
        (humps.samples >= start * fs) & (humps.samples < (start + START_SECONDS) * fs)
    ]
    return float(np.median(np.sort(near)[-REMEMBERED:])) if near.size else 0.0


def _without_close_pairs(beats: Candidates, fs: float) -> NDArray[np.int64]:
    """Return the indices of the beats that stay when the smaller of two close ones is removed."""
    times, heights, slopes = (
        (beats.samples / fs).tolist(),
        beats.height.tolist(),
        beats.slope.tolist(),
    )
    kept: list[int] = []
    for index in range(len(times)):
        stays = True
        while kept and stays:
            before = kept[-1]
            gap = times[index] - times[before]
            smaller, larger = (
                (before, index) if heights[before] < heights[index] else (index, before)
            )
            if gap >= TOO_CLOSE_SECONDS and (
                gap >= CLOSE_SECONDS or slopes[smaller] >= CLOSE_SLOPE * slopes[larger]
            ):
                break
            if smaller == index:
                stays = False
            else:
                kept.pop()
        if stays:
            kept.append(index)
    return np.array(kept, dtype=np.int64)
