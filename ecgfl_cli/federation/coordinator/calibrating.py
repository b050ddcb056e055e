"""Fit the next model's calibration and threshold to the sites' histograms, and accept the fit only if most sites gain by it."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ecgfl_cli.federation.coordinator.combining import Combination
from ecgfl_cli.federation.coordinator.reported_figures import combined_histogram
from ecgfl_cli.models.calibration import FEWEST, FEWEST_OF_A_SITE, Calibration, Histogram, decision_logit, enough, fit

LARGEST_LOSS_OF_F1 = 0.02
"""That a new calibration may cost the sites: bins of half a logit tell no smaller difference."""


@dataclass(frozen=True)
class Calibrated:
    """calibration, threshold : to sign the next model with. problem : why they are still those of the last model, or None."""

    calibration: Calibration
    threshold: float
    problem: str | None = None


def calibrated(sites: Sequence[Histogram], how: Combination, now: Calibrated) -> Calibrated:
    """Return the calibration and threshold for the next model.

    Parameters
    ----------
    sites
        The sites' held-out beats by the logit of the model that was measured.
    how
        The strategy's combination.
    now
        What that model was signed with. It stays if too few sites report enough beats, or if the fit is not accepted.

    Notes
    -----
    The fit is judged by the F1 at each site's own histogram, with the fitted threshold and with the current one. The low median
    of the differences must not be below -`LARGEST_LOSS_OF_F1`: fewer than half of the sites cannot bring in a threshold that
    harms the others, not even in a mean, where a site's share of the histogram may be as large as half. They can at most
    keep the current one.
    """
    combined = combined_histogram(sites, how)
    if combined is None:
        return _unchanged(now, f"fewer than {how.least_sites} sites reported enough held-out beats by logit")
    if not enough(combined.others, combined.pvcs):
        return _unchanged(now, f"fewer than {FEWEST} held-out PVCs or other beats by logit")
    calibration, threshold = fit(combined.others, combined.pvcs)
    before, after = decision_logit(now.calibration, now.threshold), decision_logit(calibration, threshold)
    gains = [each.f1(after) - each.f1(before) for each in sites if each.fewest >= FEWEST_OF_A_SITE]
    if gains and (gain := statistics.median_low(gains)) < -LARGEST_LOSS_OF_F1:
        return _unchanged(now, f"the fit to all sites would cost most of them F1 ({100 * gain:.1f} points at the median site)")
    return Calibrated(calibration, threshold)


def _unchanged(now: Calibrated, problem: str) -> Calibrated:
    return Calibrated(now.calibration, now.threshold, problem)
