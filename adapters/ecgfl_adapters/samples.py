"""The samples of a lead, in memory or in a file that is read as they are needed."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

AT_A_TIME = 1 << 20
"""Number of samples that are processed at a time, so that a week needs no more memory than an hour.
"""


class Samples(Protocol):
    """The samples of a lead: shape (n,), float32, millivolts, NaN for missing samples.

    A numpy array is one. Reading from another may raise `AdapterError`, because its file may have
    changed.
    """

    @property
    def size(self) -> int:
        """Number of samples."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape, (size,)."""

    def __getitem__(self, part: Any, /) -> Any:
        """Return the samples of a slice or at an array of indices, and load only these."""

    def __array__(self, dtype: Any = None, /) -> NDArray[Any]:
        """Return all samples in memory."""


def blocks(samples: Samples, width: int = 1) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the samples in blocks of about `AT_A_TIME`, each with the index of its first sample.

    The index is a multiple of `width`.
    """
    step = max(AT_A_TIME // width, 1) * width
    for start in range(0, samples.size, step):
        yield start, samples[start : start + step]


def in_rows(samples: Samples, width: int) -> Iterator[NDArray[np.float32]]:
    """Yield the samples in rows of `width`, some rows at a time.

    An incomplete last row is left out.
    """
    for _, part in blocks(samples, width):
        yield part[: part.size // width * width].reshape(-1, width)


def stretches(length: int, holds: Callable[[slice], NDArray[np.bool_]]) -> list[tuple[int, int]]:
    """Return the ranges of samples [start, stop) in which a condition holds, in order.

    Parameters
    ----------
    holds : callable
        Tells for a part of the samples where the condition holds.
    length : int
        Number of samples.
    """
    edges: list[int] = []
    for start in range(0, length, AT_A_TIME):
        mask = holds(slice(start, min(start + AT_A_TIME, length)))
        edges += (np.flatnonzero(np.diff(mask, prepend=len(edges) % 2 == 1)) + start).tolist()
    if len(edges) % 2:
        edges.append(length)
    return list(zip(edges[::2], edges[1::2], strict=True))


def extremes(samples: Samples) -> tuple[float, float] | None:
    """Return the smallest and the largest finite value; None if there is none."""
    limits = [
        (float(part.min()), float(part.max()))
        for _, block in blocks(samples)
        if (part := block[np.isfinite(block)]).size
    ]
    return (min(low for low, _ in limits), max(high for _, high in limits)) if limits else None
