"""Detect beats."""

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.beats.conditioning import pieces
from ecgfl_cli.beats.qrs_decision import beats_among
from ecgfl_cli.beats.qrs_envelope import candidates

REFRACTORY_SECONDS = 0.2
"""Shortest interval between two beats (Pan & Tompkins, IEEE Trans Biomed Eng 32:230, 1985)."""

PEAK_SEARCH_SECONDS = 0.08
"""Largest distance of a detection or an annotation from the R peak: half the width of a wide
QRS."""

SHORTEST_SECONDS = 1.0
LOWEST_FS = 30
"""Smallest sampling rate in hertz. Below it, the signal does not contain the band of the QRS."""

FLAT_MV = 1e-6
"""Smallest peak-to-peak amplitude of a piece that can contain a beat."""

FAINT = 0.05
"""Humps below this share of the lead's large beats are noise of the amplifier while the lead is
off. Beats of mitdb DS1 and svdb reach 0.13 or more, except 10 of svdb 853 in ten seconds without
that lead."""

STRETCH_SECONDS, LARGE_STRETCHES = 10.0, 0.75
"""The size of large beats is this quantile of the highest beats of such stretches, so that
artefacts in a quarter of the time do not change it, nor a lead that is off most of the time."""


def detect(conditioned: NDArray[np.float32], fs: float) -> NDArray[np.int64]:
    """Detect the R peaks of a conditioned lead, in each piece between two gaps.

    Parameters
    ----------
    conditioned : array of float32, shape (n,)
        The lead in millivolts; NaN in gaps.
    fs : float
        Sampling rate in hertz.

    Returns
    -------
    array of int64
        Ascending sample numbers.
    """
    detected, heights = [np.empty(0, dtype=np.int64)], [np.empty(0)]
    for piece in pieces(conditioned) if fs >= LOWEST_FS else []:
        signal = conditioned[piece]
        if signal.size >= SHORTEST_SECONDS * fs and np.ptp(signal) > FLAT_MV:
            beats = beats_among(candidates(signal, fs), fs)
            detected.append(piece.start + beats.samples)
            heights.append(beats.height)
    peaks, height = np.concatenate(detected), np.concatenate(heights)
    if peaks.size:
        _, first = np.unique((peaks / (STRETCH_SECONDS * fs)).astype(np.int64), return_index=True)
        large = np.quantile(np.maximum.reduceat(height, first), LARGE_STRETCHES)
        peaks = peaks[height >= FAINT * large]
    return align(conditioned, peaks, fs)


def highest_near(
    conditioned: NDArray[np.float32], candidates: NDArray[np.int64], fs: float
) -> NDArray[np.int64]:
    """Return the position of the largest deflection near each candidate, of either polarity.

    Candidates must be inside the lead.
    """
    reach = round(PEAK_SEARCH_SECONDS * fs)
    size = np.pad(np.nan_to_num(np.abs(conditioned)), reach)
    around = size[candidates[:, None] + np.arange(2 * reach + 1)]
    return np.asarray(np.clip(candidates - reach + around.argmax(axis=1), 0, conditioned.size - 1))


def align(
    conditioned: NDArray[np.float32], candidates: NDArray[np.int64], fs: float
) -> NDArray[np.int64]:
    """Move each candidate to the largest deflection near it, of either polarity.

    Of two within the refractory time, the larger is kept. Detections and reference annotations both
    take this step, so that training and prediction cut the same windows.
    """
    inside = candidates[(candidates >= 0) & (candidates < conditioned.size)].astype(np.int64)
    if not inside.size:
        return inside
    peaks = np.unique(highest_near(conditioned, inside, fs))
    height = np.nan_to_num(np.abs(conditioned[peaks]))
    kept: list[int] = []
    for index, peak in enumerate(peaks):
        if kept and peak - peaks[kept[-1]] < REFRACTORY_SECONDS * fs:
            if height[index] > height[kept[-1]]:
                kept[-1] = index
            continue
        kept.append(index)
    return np.asarray(peaks[kept], dtype=np.int64)


def nearest(positions: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, for each target, the index of the closest position.

    Parameters
    ----------
    positions : array of int64, shape (n,)
        Ascending sample numbers, at least one.
    targets : array of int64, shape (m,)
        Sample numbers in any order.

    Returns
    -------
    array of int64, shape (m,)
        Of two equally close positions, the left one.
    """
    right = np.clip(np.searchsorted(positions, targets), 0, positions.size - 1)
    left = np.clip(right - 1, 0, None)
    is_left = np.abs(positions[left] - targets) <= np.abs(positions[right] - targets)
    return np.where(is_left, left, right)
