"""Combine one figure of each site into one figure for all, as robustly as the run's strategy combines the weights."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.federation.coordinator.run_plan import RunPlan
from ecgfl_cli.federation.coordinator.strategy_options import MALICIOUS_SITES, TRIMMED_SHARE

Kind = Literal["mean", "trimmed-mean", "median"]

LEAST_SITES_OF_A_MEAN = 2
"""One site alone would decide."""

LEAST_SITES = 3
"""Of a median and of a trimmed mean: with two sites both are the mean."""


def usual_count(counts: Sequence[float]) -> float:
    """Return the median of the sites' counts that are not 0; of two counts the smaller one.

    The median of two is their mean, which either of them can raise at will. A median of three or more cannot be raised above
    the honest counts by fewer than half of the sites.
    """
    positive = [count for count in counts if count > 0]
    if not positive:
        return 0.0
    return float(min(positive) if len(positive) == LEAST_SITES_OF_A_MEAN else statistics.median(positive))


def capped(counts: Sequence[float], max_ratio: float) -> list[float]:
    """Limit each site's count to `max_ratio` times the usual count of the sites.

    With this weight, one of n sites of the same size has at most max_ratio / (max_ratio + n - 1) of a weighted mean, whatever
    number it claims; without it, the share of a site that claims enough approaches 1.
    """
    largest = max_ratio * usual_count(counts)
    return [min(count, largest) for count in counts]


@dataclass(frozen=True)
class Combination:
    """How the figures of the sites become one.

    The weights of the model go through Flower's strategy. Everything else that the coordinator signs (calibration, threshold,
    metrics) goes through this class, so that a strategy that withstands a site's false weights withstands its false figures too:

    - fedavg, fedprox, fedadam, fedyogi: mean, each site weighted by its beats; the weight is capped (`capped`);
    - median: median, and trimmed-mean: trimmed mean, of each value by itself, whatever the sites' sizes (Yin et al., Byzantine-
      robust distributed learning, ICML 2018). A trimmed mean leaves out at least one site at each end;
    - krum: median. Krum selects one site's weights, but honest weights say nothing about the truth of that site's figures.

    kind : of the centre. least_sites : with fewer sites there is no result, because too few of them could decide it.
    max_weight_ratio : largest weight of a site in a mean, as a multiple of the median.
    """

    kind: Kind
    least_sites: int
    max_weight_ratio: float
    trimmed_share: float = 0.0

    @classmethod
    def of(cls, plan: RunPlan) -> "Combination":
        """Return the combination that belongs to the plan's strategy."""
        ratio = plan.max_weight_ratio
        if plan.strategy == "median":
            return cls("median", LEAST_SITES, ratio)
        if plan.strategy == "krum":
            return cls("median", max(LEAST_SITES, 2 * int(MALICIOUS_SITES.value(plan)) + 1), ratio)
        if plan.strategy == "trimmed-mean":
            return cls("trimmed-mean", LEAST_SITES, ratio, TRIMMED_SHARE.value(plan))
        return cls("mean", LEAST_SITES_OF_A_MEAN, ratio)

    @property
    def weights_sites(self) -> bool:
        """Whether a large site counts for more than a small one."""
        return self.kind == "mean"

    def centre(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the median or trimmed mean over the sites, shape (...), of values of shape (sites, ...)."""
        if self.kind == "median":
            return np.asarray(np.median(values, axis=0))
        cut = max(1, int(self.trimmed_share * len(values)))
        return np.asarray(np.sort(values, axis=0)[cut : len(values) - cut].mean(axis=0))

    def figure(self, values: Sequence[float]) -> float | None:
        """Return the centre of one number of each site; None if it is known of too few sites."""
        if len(values) < self.least_sites:
            return None
        return float(self.centre(np.array(values, dtype=np.float64)))
