"""Parts of a recording: how much of it has a property, and where that lasts longest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ecgfl_adapters.samples import Samples, stretches
from numpy.typing import NDArray

Stretches = NDArray[np.int64]
"""Rows of start and stop in samples, shape (n, 2), stop not included."""


@dataclass(frozen=True)
class Part:
    """A part of a lead.

    Attributes
    ----------
    share : float
        Share of its samples, from 0 to 1.
    longest : tuple of int or None
        Longest stretch as samples [start, stop).
    """

    share: float = 0.0
    longest: tuple[int, int] | None = None


NO_PART = Part()
NOWHERE: Stretches = np.empty((0, 2), dtype=np.int64)


def runs(mask: NDArray[np.bool_]) -> Stretches:
    """Where `mask` holds, in order."""
    padded = np.zeros(mask.size + 2, dtype=np.bool_)
    padded[1:-1] = mask
    return np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2)


def runs_in(
    samples: Samples, holds: Callable[[NDArray[np.float32]], NDArray[np.bool_]]
) -> Stretches:
    """Where `holds` says so of a lead's samples, in order."""
    spans = stretches(samples.size, lambda part: holds(samples[part]))
    return np.array(spans, dtype=np.int64).reshape(-1, 2)


def without(stretches: Stretches, others: Stretches) -> Stretches:
    """Return stretches without others that lie inside them. All are in order, without overlap."""
    places, index = np.unique(
        np.concatenate((stretches.ravel(), others.ravel())), return_inverse=True
    )
    level = np.zeros(places.size, dtype=np.int64)
    np.add.at(
        level,
        index,
        np.concatenate((np.tile((1, -1), len(stretches)), np.tile((-1, 1), len(others)))),
    )
    inside = runs(np.cumsum(level) > 0)
    return (
        np.stack((places[inside[:, 0]], places[inside[:, 1]]), axis=1) if len(inside) else NOWHERE
    )


def lasting(stretches: Stretches, least: float, most: float = np.inf) -> Stretches:
    """Those of the stretches that last from `least` samples to less than `most`."""
    lengths = stretches[:, 1] - stretches[:, 0]
    return stretches[(lengths >= least) & (lengths < most)]


def merged(several: Sequence[Stretches]) -> Stretches:
    """Return the union of several lists of stretches, in order and without overlap."""
    every = np.concatenate([NOWHERE, *several])
    every = every[np.argsort(every[:, 0], kind="stable")]
    reached = np.maximum.accumulate(every[:, 1]) if len(every) else every[:, 1]
    fresh = (
        np.concatenate(([True], every[1:, 0] > reached[:-1]))
        if len(every)
        else np.empty(0, dtype=np.bool_)
    )
    last = (
        np.concatenate((np.flatnonzero(fresh)[1:] - 1, [len(every) - 1]))
        if len(every)
        else np.empty(0, dtype=np.int64)
    )
    return np.stack((every[fresh, 0], reached[last]), axis=1)


def total(stretches: Stretches) -> int:
    """Return the number of samples in all stretches together."""
    return int((stretches[:, 1] - stretches[:, 0]).sum())


def part_of(stretches: Stretches, whole: float) -> Part:
    """Return which part of `whole` samples the stretches are."""
    return (
        Part(float(total(stretches) / whole), longest_of(stretches)) if len(stretches) else NO_PART
    )


def longest_of(stretches: Stretches) -> tuple[int, int] | None:
    """Return start and stop of the longest stretch; None if there is none."""
    if not len(stretches):
        return None
    start, stop = stretches[(stretches[:, 1] - stretches[:, 0]).argmax()]
    return int(start), int(stop)


def touches(stretches: Stretches, width: int, count: int) -> NDArray[np.bool_]:
    """Which of `count` blocks of `width` samples a stretch reaches into, shape (count,)."""
    edges = np.zeros(count + 1, dtype=np.int64)
    np.add.at(edges, np.minimum(stretches[:, 0] // width, count), 1)
    np.add.at(edges, np.minimum(-(-stretches[:, 1] // width), count), -1)
    return np.cumsum(edges[:-1]) > 0
