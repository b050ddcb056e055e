"""A column that counts the rows and starts again from time to time, as OpenSignals' nSeq does: it
shows lost rows.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.errors import FileUnreadable


class Counter:
    """Takes the column chunk by chunk, and refuses a file with lost rows: how many there are,
    nobody can tell.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: float | None = None
        self._modulus: float | None = None

    def add(self, values: NDArray[np.float64], line: int) -> None:
        """line : of the chunk's first row.

        A counter that stands still counts nothing. Raises `FileUnreadable`.
        """
        joined = values if self._last is None else np.concatenate(([self._last], values))
        before = 1 if self._last is not None else 0
        for at in np.flatnonzero(np.diff(joined) != 1).tolist():
            high, low = float(joined[at]), float(joined[at + 1])
            if high == low == 0:
                continue
            modulus = high - low + 1
            if (
                low >= high
                or modulus != (self._modulus or modulus)
                or int(modulus) & (int(modulus) - 1)
            ):
                raise FileUnreadable(
                    self._path,
                    f"rows are missing near line {line + at + 1 - before}: the counter goes from "
                    f"{high:g} to {low:g}",
                    "Export the stretches before and after as two files, or describe such files in "
                    "site.toml under [[csv]] "
                    "with time = 0 and their leads, if the counter is wrong",
                )
            self._modulus = modulus
        self._last = float(joined[-1])
