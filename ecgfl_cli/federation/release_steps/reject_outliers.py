"""Leave out updates that are too large to be honest."""

import statistics
from dataclasses import replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.federation.release_steps.step import (
    ReleaseStep,
    RoundUpdates,
    RunSettings,
)
from ecgfl_cli.site.policy import Policy

ENOUGH_FOR_A_MEDIAN = 3
"""Smallest number of updates for a comparison. Of two that differ, either may deviate."""


class RejectOutliers(ReleaseStep):
    """Leaves out updates whose norm is far above the median of the round.

    A minority of sites cannot raise the median above the honest norms. (Sun et al., Can you really
    backdoor federated learning?, 2019, bound the norm by a constant instead.) With fewer than three
    updates, or if the median is 0, norms are compared with the norm of the global weights instead.

    Parameters
    ----------
    max_ratio
        Largest norm, as a multiple of the median.
    """

    name = "reject-outliers"
    needs_single_updates = True

    def __init__(self, max_ratio: float) -> None:
        self._max_ratio = max_ratio

    @classmethod
    def for_site(cls, policy: Policy) -> None:
        """Return None: there is no site side."""

    @classmethod
    def for_run(cls, settings: RunSettings) -> Self:
        """Return the step; every run applies it."""
        return cls(settings.max_update_ratio)

    def restore(self, updates: RoundUpdates) -> RoundUpdates:
        """Leave out the outliers, and add the reasons to `RoundUpdates.left_out`."""
        norms = [update_norm(update.weights, updates.start) for update in updates.updates]
        reference = float(np.linalg.norm(updates.start.astype(np.float64)))
        reference_name = "the global weights' own norm"
        if len(norms) >= ENOUGH_FOR_A_MEDIAN and (median := statistics.median(norms)):
            reference = median
            reference_name = "the median of the sites'"
        kept = []
        left_out = dict(updates.left_out)
        for update, norm in zip(updates.updates, norms, strict=True):
            if norm <= self._max_ratio * reference:
                kept.append(update)
                continue
            problem = (
                f"an update of norm {norm:.3g}, more than {self._max_ratio:g} times "
                f"{reference_name}, {reference:.3g}"
            )
            left_out |= dict.fromkeys(update.sites, problem)
        return replace(updates, updates=kept, left_out=left_out)


def update_norm(weights: NDArray[np.float32], start: NDArray[np.float32]) -> float:
    """Return the Euclidean distance of trained weights from the global ones, both of shape (n,)."""
    return float(np.linalg.norm(weights.astype(np.float64) - start))
