"""Detects thousands separators from the values of a column."""

import numpy as np
from numpy.typing import NDArray


class Thousands:
    """Detects whether the decimal mark of a column separates thousands.

    Such a column has "1,024" beside "980", but never "0,98" or "1,02".

    Parameters
    ----------
    is_quoted : bool
        Whether the numbers are quoted because of the mark. It then separates thousands even if no
        number is below 1000.
    """

    def __init__(self, *, is_quoted: bool) -> None:
        self._is_quoted = is_quoted
        self._is_possible = True
        self._parts = self._third = 0
        self._largest_part = 0.0
        self._whole = np.zeros(1000, dtype=np.int64)

    def add(self, values: NDArray[np.float64]) -> None:
        """Take further values, shape (n,)."""
        size = np.abs(values[np.isfinite(values)])
        is_part = size != np.floor(size)
        whole, parts = size[~is_part], size[is_part]
        self._whole += np.bincount(whole[whole < 1000].astype(np.int64), minlength=1000)
        thousandths = parts * 1000
        is_exact = np.abs(thousandths - np.round(thousandths)) < 1e-6
        self._is_possible &= bool(
            (whole < 1000).all() and (is_exact & (parts >= 1) & (parts < 1000)).all()
        )
        self._parts += parts.size
        self._third += int((np.round(thousandths) % 10 != 0).sum())
        self._largest_part = max(self._largest_part, float(parts.max(initial=0.0)))

    def are_likely(self) -> bool:
        """Return whether the marks seem to separate thousands.

        Numbers below 1000 are greater than "1,024" read as 1.024; real decimals beside them are
        not.
        """
        if not self._is_possible or self._third <= self._parts // 2:
            return False
        hundreds = self._whole[100:]
        greater = hundreds[max(0, int(self._largest_part) - 99) :]
        return self._is_quoted or int(greater.sum()) > int(hundreds.sum()) // 2
