"""Detects thousands separators, and numbers that mark missing samples, from the values of a column."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_RAILS = (-32768.0, 32767.0, 65535.0, -2147483648.0, 2147483647.0)
_CODES = (-999.0, 999.0, -9999.0, 9999.0, -99999.0, 99999.0, -1000000.0, -200000000.0)
"""Numbers that programs write for a missing sample: the limits of a converter's range, and round numbers."""
_RUN = 10
"""Minimum run of equal samples for one of `_CODES` to be a gap even within the signal's range."""


class Missing(NamedTuple):
    """value : as the file has it. places : True where it stands."""

    value: float
    places: NDArray[np.bool_]


def missing_samples(values: NDArray[np.float32], baseline: float, factor: float) -> list[Missing]:
    """The values that stand for missing samples: farther from the signal than it reaches, or a code in long runs.

    values : millivolts, shape (n,), `(value - baseline) * factor` of what the file has.
    """
    found = []
    finite = values[np.isfinite(values)]
    for number in (*_RAILS, *_CODES):
        scaled = np.float32((number - baseline) * factor)
        if scaled not in (finite.min(initial=np.inf), finite.max(initial=-np.inf)):
            continue
        rest = finite[finite != scaled]
        if rest.size < 2:
            continue
        low, high = float(rest.min()), float(rest.max())
        beyond = max(low - float(scaled), float(scaled) - high)
        places = values == scaled
        if beyond > high - low > 0 or (number in _CODES and beyond > 0 and _longest_run(places) >= _RUN):
            found.append(Missing(number, places))
            finite = rest
    return found


def _longest_run(places: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], places, [False])).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


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
