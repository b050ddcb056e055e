"""What the values of a column give away: whether its decimal mark separates thousands."""

import numpy as np
from numpy.typing import NDArray


class Thousands:
    """Whether the decimal mark of a column separates thousands: "1,024" beside "980", but never "0,98" nor "1,02"."""

    def __init__(self) -> None:
        self._whole = self._parts = self._third = 0
        self._largest = 0.0
        self._is_possible = True

    def add(self, values: NDArray[np.float64]) -> None:
        size = np.abs(values[np.isfinite(values)])
        is_part = size != np.floor(size)
        parts = size[is_part]
        self._whole += size.size - parts.size
        self._largest = max(self._largest, float(size[~is_part].max(initial=0.0)))
        self._parts += parts.size
        thousandths = parts * 1000
        is_exact = np.abs(thousandths - np.round(thousandths)) < 1e-6
        self._is_possible &= bool((is_exact & (parts >= 1) & (parts < 1000)).all())
        self._third += int((np.round(thousandths) % 10 != 0).sum())

    def are_likely(self) -> bool:
        has_both = self._parts > 0 and self._whole > self._parts // 20 and 100 <= self._largest < 1000
        return self._is_possible and has_both and self._third > self._parts // 2
