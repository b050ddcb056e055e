"""How a beat stands in time among its neighbours."""

import numpy as np
from numpy.typing import NDArray

LOCAL_BEATS = 10
"""Beats whose median RR interval stands for the rhythm around (de Chazal, IEEE Trans Biomed Eng 51:1196, 2004, uses ten)."""

RR_FIELDS = ("previous", "next", "local")


def rr_context(peaks: NDArray[np.int64], fs: float) -> NDArray[np.float32]:
    """Previous, next and local median RR interval of each beat, in seconds.

    peaks : shape (n,), ascending sample numbers. Returns shape (n, 3); the first and last beat borrow their only interval.
    """
    if peaks.size < 2:
        return np.full((peaks.size, len(RR_FIELDS)), np.nan, dtype=np.float32)
    intervals = np.diff(peaks) / fs
    previous = np.concatenate((intervals[:1], intervals))
    following = np.concatenate((intervals, intervals[-1:]))
    padded = np.pad(previous, (LOCAL_BEATS // 2, LOCAL_BEATS - LOCAL_BEATS // 2 - 1), mode="edge")
    local = np.median(np.lib.stride_tricks.sliding_window_view(padded, LOCAL_BEATS), axis=1)
    return np.stack((previous, following, local), axis=1).astype(np.float32)
