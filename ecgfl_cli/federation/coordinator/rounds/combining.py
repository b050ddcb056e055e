"""Combine the sites' figures into one, as robustly as the run's strategy combines the weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.federation.coordinator.runs.run_plan import RunPlan
from ecgfl_cli.federation.coordinator.runs.strategy_options import MALICIOUS_SITES, TRIMMED_SHARE

Kind = Literal["mean", "trimmed-mean", "median"]

LEAST_SITES_OF_A_MEAN = 2
"""With fewer sites, one site alone would determine the result."""

LEAST_SITES = 3
"""Smallest number of sites for a median or a trimmed mean. With two sites both equal the mean."""


@dataclass(frozen=True)
class Combination:
    """Combines the figures of the sites.

    Flower's strategy combines the weights of the model. This class combines everything else that
    the coordinator signs (calibration, threshold, metrics), so that a strategy that withstands a
    site's false weights also withstands its false figures:

    - fedavg, fedprox, fedadam, fedyogi: the mean, weighted by each site's beats; the weight is
    capped (`capped`);
    - median, trimmed-mean: the median or trimmed mean of each value separately, regardless of the
      sites' sizes (Yin et al., Byzantine-robust distributed learning, ICML 2018). The trimmed mean
      leaves out at least one site at each end;
    - krum: the median. Krum selects one site's weights, but honest weights do not prove that the
    site's figures are true.

    kind : which centre is computed. least_sites : smallest number of sites for a result; with
    fewer, too few sites could control it. max_weight_ratio : largest weight of a site in a mean, as
    a multiple of the median.
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
        """Return the median or trimmed mean over the sites, shape (...), of values of shape (sites,
        ...).
        """
        if self.kind == "median":
            return np.asarray(np.median(values, axis=0))
        cut = max(1, int(self.trimmed_share * len(values)))
        return np.asarray(np.sort(values, axis=0)[cut : len(values) - cut].mean(axis=0))

    def figure(self, values: Sequence[float]) -> float | None:
        """Return the centre of one figure over the sites; None if too few sites have it."""
        if len(values) < self.least_sites:
            return None
        return float(self.centre(np.array(values, dtype=np.float64)))
