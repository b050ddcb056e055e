"""Arrays for columns whose length is not known in advance."""

from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.samples import AT_A_TIME

Scalar = TypeVar("Scalar", bound=np.generic)

_ENOUGH = 1 << 17
"""Number of levels from which the step does not matter, because no 16-bit signal has as many."""


def steps_of(values: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield the differences between successive values in parts, with the index of the first."""
    for start in range(0, values.size - 1, AT_A_TIME):
        yield start, np.diff(values[start : start + AT_A_TIME + 1])


class Growing(Generic[Scalar]):
    """A one-dimensional array that grows in place, without a second copy of its values."""

    def __init__(self, dtype: type[Scalar]) -> None:
        self._values: NDArray[Scalar] = np.zeros(0, dtype=dtype)

    @property
    def size(self) -> int:
        """Number of values."""
        return self._values.size

    @property
    def values(self) -> NDArray[Scalar]:
        """The values, shape (size,)."""
        return self._values

    def add(self, part: NDArray[Any]) -> None:
        """Append values, shape (n,)."""
        start = self._values.size
        self._values.resize(start + part.size, refcheck=False)
        self._values[start:] = part


class Levels:
    """The distinct values of a signal, which show its quantisation step.

    The step is the smallest difference between two values of a digitised signal.
    """

    def __init__(self) -> None:
        self._found: NDArray[np.float64] = np.zeros(0)

    def add(self, part: NDArray[np.float64]) -> None:
        """Take further values, shape (n,); NaN is ignored."""
        if self._found.size < _ENOUGH:
            self._found = np.union1d(self._found, np.unique(part[np.isfinite(part)]))

    def step(self, without: Sequence[float] = ()) -> float:
        """Return the step in the unit of the values; 0.001 if there is only one value.

        Parameters
        ----------
        without : sequence of float
            Values that are codes for missing samples.
        """
        levels = self._found[~np.isin(self._found, without)]
        steps = np.diff(levels)
        steps = steps[steps > 1e-9 * max(1.0, float(np.abs(levels).max(initial=0.0)))]
        return float(f"{steps.min():.6g}") if steps.size else 1e-3
