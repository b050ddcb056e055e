"""Pair marks of beats by their distance."""

import numpy as np
from numpy.typing import NDArray


def nearest(places: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each value of `wanted`, return the index of the closest value of `places`, the left one of two equally close ones.

    places : shape (n,), at least one, ascending. wanted : shape (m,), in any order. Both are sample numbers.
    """
    right = np.clip(np.searchsorted(places, wanted), 0, places.size - 1)
    left = np.clip(right - 1, 0, None)
    return np.where(np.abs(places[left] - wanted) <= np.abs(places[right] - wanted), left, right)
