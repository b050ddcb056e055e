"""The samples of a lead, wherever they lie: in memory, or in a file that is read as they are
needed.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

AT_A_TIME = 1 << 20
"""Samples that are looked at together: a week needs no more memory than an hour."""


class Samples(Protocol):
    """Shape (n,), float32, millivolts; NaN where there is no signal.

    A numpy array is one. Reading from another may raise `AdapterError`: its file may have changed
    meanwhile.
    """

    @property
    def size(self) -> int: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, part: Any, /) -> Any:
        """float32 samples of a slice or at an array of places; what is asked for is in memory then,
        and no more.
        """

    def __array__(self, dtype: Any = None, /) -> NDArray[Any]:
        """All of them in memory."""


def blocks(samples: Samples, width: int = 1) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The samples in turn, some `AT_A_TIME`: where a stretch begins, a multiple of `width`, and the
    stretch itself.
    """
    step = max(AT_A_TIME // width, 1) * width
    for start in range(0, samples.size, step):
        yield start, samples[start : start + step]


def in_rows(samples: Samples, width: int) -> Iterator[NDArray[np.float32]]:
    """The samples in rows of `width`, some rows at a time; what is left at the end makes no row."""
    for _, part in blocks(samples, width):
        yield part[: part.size // width * width].reshape(-1, width)


def stretches(length: int, holds: Callable[[slice], NDArray[np.bool_]]) -> list[tuple[int, int]]:
    """Where something holds, as samples [start, stop) in order. holds : says it of a part of the
    `length` samples.
    """
    edges: list[int] = []
    for start in range(0, length, AT_A_TIME):
        mask = holds(slice(start, min(start + AT_A_TIME, length)))
        edges += (np.flatnonzero(np.diff(mask, prepend=len(edges) % 2 == 1)) + start).tolist()
    if len(edges) % 2:
        edges.append(length)
    return list(zip(edges[::2], edges[1::2], strict=True))


def extremes(samples: Samples) -> tuple[float, float] | None:
    """Return the smallest and the largest finite value; None where there is none."""
    found = [
        (float(part.min()), float(part.max()))
        for _, each in blocks(samples)
        if (part := each[np.isfinite(each)]).size
    ]
    return (min(low for low, _ in found), max(high for _, high in found)) if found else None
