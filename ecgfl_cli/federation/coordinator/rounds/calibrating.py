"""Fit the next model's calibration and threshold to the sites' histograms, and use the fit only if
it suits most sites.
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
"""Largest F1 that a new calibration may cost the sites. Bins of half a logit do not show smaller
differences.
"""


DEFAULT = Calibrated(UNCALIBRATED, USUAL_THRESHOLD)


def calibrated(sites: Sequence[Histogram], how: Combination, now: Calibrated) -> Calibrated:
    """Return the calibration and threshold for the next model.

    Parameters
    ----------
    sites
        The sites' held-out beats by the logit of the model that was measured.
    how
        The strategy's combination.
    now The calibration and threshold that the measured model was signed with. They stay if too few
        sites report enough beats, or if no fit suits most sites.

    Notes ----- The fit to the strategy's combined histogram is compared with the fit to the median
    of the sites (if there are at least three), with the current calibration and with the default
    one. For each, the F1 is computed on each site's own histogram. The fit is used if the low
    median of the sites' differences shows a loss of at most `LARGEST_LOSS_OF_F1` against each of
    them. Otherwise the fit to the median is tried in the same way. Therefore fewer than half of the
    sites cannot introduce a threshold that harms the others: not in a mean, where one site may have
    half of the histogram, and not in small steps over many rounds.
    """
    first = _fit(sites, how)
    if isinstance(first, str):
        return replace(now, problem=f"calibration and threshold stay as they are: {first}")
    options = [first]
    if not isinstance(
        robust := _fit(sites, Combination("median", LEAST_SITES, how.max_weight_ratio)), str
    ):
        words = "calibration and threshold are fitted to the median of the sites: the fit to all would cost most of them F1"
        options.append(replace(robust, problem=words))
    judges = [each for each in sites if each.pvcs.any()]
    scores = [[site.f1(option.decision) for site in judges] for option in (*options, now, DEFAULT)]
    for option, own in zip(options, scores, strict=False):
        if all(_gain(own, other) >= -LARGEST_LOSS_OF_F1 for other in scores):
            return option
    return replace(
        now,
        problem="calibration and threshold stay as they are: a new fit would cost most sites F1",
    )


def _fit(sites: Sequence[Histogram], how: Combination) -> Calibrated | str:
    """Return the fit to the combined histogram, or a text that says why there is none."""
    combined = combined_histogram(sites, how)
    if combined is None:
        return f"fewer than {how.least_sites} sites reported enough held-out beats by logit"
    # In a mean, a site with few beats caps the others, but says nothing against the number of theirs.
    counted = _total(sites) if how.weights_sites else combined
    if not enough(counted.others, counted.pvcs):
        cap = (
            ""
            if how.weights_sites
            else f", each site counted for at most {how.max_weight_ratio:g} times the usual number"
        )
        return (
            f"{counted.pvcs.sum():.0f} held-out PVCs and {counted.others.sum():.0f} other beats by logit{cap}; at least {FEWEST}"
            " of each are needed"
        )
    return Calibrated(*fit(combined.others, combined.pvcs))


def _total(sites: Sequence[Histogram]) -> Histogram:
    """Return the sum of the sites' counts, as reported."""
    return Histogram(
        np.sum([site.others for site in sites], axis=0),
        np.sum([site.pvcs for site in sites], axis=0),
    )


def _gain(own: Sequence[float], other: Sequence[float]) -> float:
    """Return the low median of the sites' gains; with two sites, the smaller gain."""
    return statistics.median_low(mine - theirs for mine, theirs in zip(own, other, strict=True))
