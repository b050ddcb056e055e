"""Check replies beyond their schema: the size of the update, and the number of beats that the site declared."""

import statistics
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

ENOUGH_FOR_A_MEDIAN = 3
"""With two updates nobody can say which of them is out of the way."""

LARGEST_GROWTH = 2.0
"""Largest factor by which a site's beats may grow within a run. A night's recordings may be added, but not another hospital's."""


def update_norms(
    replies: Mapping[str, NDArray[np.float32]], start: NDArray[np.float32]
) -> dict[str, float]:
    """Euclidean distance of each site's weights, shape (n,), from the global ones that it began with."""
    return {
        name: float(np.linalg.norm(weights.astype(np.float64) - start))
        for name, weights in replies.items()
    }


def outlier_updates(
    norms: Mapping[str, float], start: NDArray[np.float32], largest_ratio: float
) -> dict[str, str]:
    """Site -> why its update, of this norm, is too large to be an honest one. start : the global weights, shape (n,).

    Measured against the median of the round's updates, which a minority of sites cannot move (Sun et al., Can you really
    backdoor federated learning?, 2019, bound the norm too, by a constant). With fewer than three updates, or where most sites
    changed nothing, against the global weights themselves.
    """
    usual, of_what = float(np.linalg.norm(start.astype(np.float64))), "the global weights' own norm"
    if len(norms) >= ENOUGH_FOR_A_MEDIAN and (median := statistics.median(norms.values())):
        usual, of_what = median, "the median of the sites'"
    return {
        name: f"an update of norm {norm:.3g}, more than {largest_ratio:g} times {of_what}, {usual:.3g}"
        for name, norm in norms.items()
        if norm > largest_ratio * usual
    }


class DeclaredBeats:
    """Limits the beats that a site may report: by the plan, and by a multiple of the number that it reported first in the run.

    kind : kind of the beats, for messages. limits : site -> most beats. default : limit for the other sites. first : the number
    that each site reported first, if the run is continued.
    """

    def __init__(
        self, kind: str, limits: Mapping[str, int], default: int, first: Mapping[str, int]
    ) -> None:
        self._kind, self._limits, self._default, self._first = kind, limits, default, dict(first)

    def check(self, site: str, beats: int) -> None:
        """Raises `ValueError` saying which bound the count is beyond."""
        limit = self._limits.get(site, self._default)
        if beats > limit:
            raise ValueError(f"{beats} {self._kind} beats, declared were at most {limit}")
        first = self._first.get(site, beats)
        if beats > LARGEST_GROWTH * first:
            raise ValueError(
                f"{beats} {self._kind} beats, more than {LARGEST_GROWTH:g} times the {first} it began the run with"
            )

    def accept(self, site: str, beats: int) -> None:
        """Remember the count of an accepted reply. A count of 0 is not remembered: the site may get its first beats later."""
        if beats:
            self._first.setdefault(site, beats)
