"""Fit the calibration and threshold of the next model to the sites' histograms.

The coordinator uses a fit only if it does not lower the F1 of most sites.
"""

import statistics
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ecgfl_cli.federation.coordinator.rounds.combining import LEAST_SITES, Combination
from ecgfl_cli.federation.coordinator.rounds.reported_figures import combined_histogram
from ecgfl_cli.models.calibration import (
    FEWEST,
    UNCALIBRATED,
    USUAL_THRESHOLD,
    Calibrated,
    Histogram,
    enough,
    fit,
)

LARGEST_LOSS_OF_F1 = 0.02
"""Largest loss of F1 that a new calibration may cause at most sites. Smaller differences cannot be
measured with bins of half a logit."""

DEFAULT = Calibrated(UNCALIBRATED, USUAL_THRESHOLD)
"""Calibration and threshold of a model without any histogram."""


def calibrated(
    sites: Sequence[Histogram], combination: Combination, current: Calibrated
) -> Calibrated:
    """Return the calibration and threshold for the next model.

    Parameters
    ----------
    sites
        Each site's held-out beats by the logit of the measured model.
    combination
        How the strategy of the run combines figures.
    current
        Calibration and threshold with which the measured model was signed.

    Returns
    -------
    Calibrated
        The fitted calibration and threshold. They are the current ones if too few sites report
        enough beats, or if every fit would lower the F1 of most sites; the field `problem` then
        gives the reason.

    Notes
    -----
    The fit to the strategy's combined histogram is compared with three others: the fit to the
    median of the sites (if there are at least three), the current calibration and the default one.
    The F1 of each is computed on the histogram of each site. The fit is used if, compared with each
    of the others, the low median of the sites' differences is a loss of at most
    `LARGEST_LOSS_OF_F1`. Otherwise the fit to the median is tested in the same way. Therefore a
    minority of the sites cannot introduce a threshold that harms the others, neither in a mean,
    where one site may have half of the histogram, nor in small steps over many rounds.
    """
    fitted = _fit(sites, combination)
    if isinstance(fitted, str):
        return replace(current, problem=f"calibration and threshold are unchanged: {fitted}")
    candidates = [fitted]
    median = Combination("median", LEAST_SITES, combination.max_weight_ratio)
    fitted_to_median = _fit(sites, median)
    if not isinstance(fitted_to_median, str):
        problem = (
            "calibration and threshold are fitted to the median of the sites: the fit to all "
            "sites would cost most sites F1"
        )
        candidates.append(replace(fitted_to_median, problem=problem))
    sites_with_pvcs = [site for site in sites if site.pvcs.any()]
    scores = [
        [site.f1(calibration.decision) for site in sites_with_pvcs]
        for calibration in (*candidates, current, DEFAULT)
    ]
    for candidate, own_scores in zip(candidates, scores, strict=False):
        if all(_gain(own_scores, other_scores) >= -LARGEST_LOSS_OF_F1 for other_scores in scores):
            return candidate
    return replace(
        current,
        problem="calibration and threshold are unchanged: a new fit would cost most sites F1",
    )


def _fit(sites: Sequence[Histogram], combination: Combination) -> Calibrated | str:
    """Return the fit to the combined histogram, or why there is none."""
    combined = combined_histogram(sites, combination)
    if combined is None:
        return f"fewer than {combination.least_sites} sites reported enough held-out beats by logit"
    # In a mean, a small site reduces the weights of the others. The reported numbers of beats
    # still say whether there are enough for a fit.
    counted = _total(sites) if combination.weights_sites else combined
    if not enough(counted.others, counted.pvcs):
        cap = (
            ""
            if combination.weights_sites
            else f", each site counted for at most {combination.max_weight_ratio:g} times the "
            "usual number"
        )
        return (
            f"{counted.pvcs.sum():.0f} held-out PVCs and {counted.others.sum():.0f} other beats by "
            f"logit{cap}; at least {FEWEST} of each are needed"
        )
    return Calibrated(*fit(combined.others, combined.pvcs))


def _total(sites: Sequence[Histogram]) -> Histogram:
    """Return the sum of the sites' reported counts."""
    return Histogram(
        np.sum([site.others for site in sites], axis=0),
        np.sum([site.pvcs for site in sites], axis=0),
    )


def _gain(own_scores: Sequence[float], other_scores: Sequence[float]) -> float:
    """Return the low median of the sites' gains of F1; with two sites, the smaller gain."""
    return statistics.median_low(
        own - other for own, other in zip(own_scores, other_scores, strict=True)
    )
