"""Combine the figures of the sites as robustly as the run's strategy combines the weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.federation.coordinator.runs.run_plan import RunPlan
from ecgfl_cli.federation.coordinator.runs.strategy_options import MALICIOUS_SITES, TRIMMED_SHARE

Kind = Literal["mean", "trimmed-mean", "median"]

LEAST_SITES_OF_A_MEAN = 2
"""Smallest number of sites for a mean. A single site would determine the result alone."""

LEAST_SITES = 3
"""Smallest number of sites for a median or a trimmed mean. For two sites, both are the mean."""


@dataclass(frozen=True)
class Combination:
    """Combines the figures of the sites.

    Flower's strategy combines the weights of the model. This class combines everything else that
    the coordinator signs (calibration, threshold, metrics), so that a strategy that withstands a
    site's false weights also withstands its false figures:

    - fedavg, fedprox, fedadam, fedyogi: the mean, weighted by the sites' numbers of beats. The
      weights are limited (see `capped`).
    - median, trimmed-mean: the median or trimmed mean of each value separately, regardless of the
      sites' sizes (Yin et al., Byzantine-robust distributed learning, ICML 2018). The trimmed mean
      leaves out at least one site at each end.
    - krum: the median. Krum selects the weights of one site, but honest weights do not prove that
      the site's figures are true.

    Attributes
    ----------
    kind
        How the values of the sites are combined.
    least_sites
        Smallest number of sites for a result. With fewer sites, dishonest ones could control it.
    max_weight_ratio
        Largest weight of a site in a mean, as a multiple of the median of the sites' weights.
    trimmed_share
        Share of the sites that a trimmed mean leaves out at each end, from 0 to 0.5.
    """

    kind: Kind
    least_sites: int
    max_weight_ratio: float
    trimmed_share: float = 0.0

    @classmethod
    def of(cls, plan: RunPlan) -> "Combination":
        """Return the combination that belongs to the strategy of a run."""
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
        """Whether a site with more beats counts for more."""
        return self.kind == "mean"

    def centre(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the median or trimmed mean over the sites.

        Parameters
        ----------
        values
            Values of the sites, shape (sites, ...).

        Returns
        -------
        array of float64, shape (...)
            The median or trimmed mean of each value.
        """
        if self.kind == "median":
            return np.asarray(np.median(values, axis=0))
        cut = max(1, int(self.trimmed_share * len(values)))
        return np.asarray(np.sort(values, axis=0)[cut : len(values) - cut].mean(axis=0))

    def figure(self, values: Sequence[float]) -> float | None:
        """Return the median or trimmed mean of a figure; None if too few sites report it."""
        if len(values) < self.least_sites:
            return None
        return float(self.centre(np.array(values, dtype=np.float64)))
