"""Find sites whose figures deviate from those of the other sites.

The result is for people, who decide what to do. It does not change which replies are used.
"""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ecgfl_cli.federation.coordinator.runs.run_plan import Figure, RoundResult, SiteFigures

LARGEST_Z = 3.5
"""Largest modified z-score of a site that is not listed (Iglewicz & Hoaglin, How to detect and
handle outliers, ASQC 1993)."""

MAD_TO_SIGMA = 1.4826
"""Standard deviation of a normal distribution, as a multiple of its median absolute deviation."""

LEAST_FACTOR = 10.0
"""Smallest factor between an amount and the median for which a site is listed. Honest hospitals
differ in size: four sites of mitdb have 1,250 to 8,800 beats."""

LEAST_FACTOR_OF_A_NORM = 4.0
"""Smallest factor between the norm of an update and the median for which a site is listed. The
updates of the same four sites have norms of 0.7 to 2.2 times the median."""

LEAST_H = 0.8
"""Smallest difference between a share and the median for which a site is listed, as Cohen's h. A
value of 0.8 is a large difference (Statistical power analysis, 1988), for instance that of 12 % and
46 %, or of 75 % and 100 %."""

FEWEST_SITES = 3
"""Smallest number of sites for a comparison. Of two sites that differ, either may deviate."""


@dataclass(frozen=True)
class Scaled:
    """A figure on a scale on which its distances from other sites can be compared.

    Attributes
    ----------
    value
        The scaled figure.
    least
        Smallest distance from the median for which a site is listed.
    error
        Standard error of a share; 0 for an amount.
    """

    value: float
    least: float
    error: float = 0.0


def _amount(value: float | None, factor: float = LEAST_FACTOR) -> Scaled | None:
    """Return the logarithm of an amount; None if there is no amount or it is not positive."""
    if value is None or value <= 0:
        return None
    return Scaled(float(np.log(value)), float(np.log(factor)))


def _share(part: int | None, total: int | None) -> Scaled | None:
    """Return the arcsine transform of a share; None if the share is not known.

    Its standard error depends only on the total (Anscombe, Biometrika 1948).
    """
    if part is None or not total:
        return None
    return Scaled(
        float(2 * np.arcsin(np.sqrt((part + 3 / 8) / (total + 3 / 4)))),
        LEAST_H,
        float(1 / np.sqrt(total + 1 / 2)),
    )


FIGURES: dict[Figure, Callable[[SiteFigures], Scaled | None]] = {
    "train_beats": lambda site: _amount(site.train_beats),
    "train_pvcs": lambda site: _share(site.train_pvcs, site.train_beats),
    "train_loss": lambda site: _amount(site.train_loss),
    "update_norm": lambda site: _amount(site.update_norm, LEAST_FACTOR_OF_A_NORM),
    "beats": lambda site: _amount(site.beats),
    "pvcs": lambda site: _share(site.pvcs, site.beats),
    "sensitivity": lambda site: _share(site.true_positives, site.pvcs),
    "precision": lambda site: _share(site.true_positives, site.called),
    "loss": lambda site: _amount(site.loss),
}
"""Figure -> function that scales it: the logarithm of an amount, the arcsine of a share."""

FIGURE_NAMES: dict[Figure, str] = {
    "train_beats": "training beats",
    "train_pvcs": "PVCs among the training beats",
    "train_loss": "training loss",
    "update_norm": "norm of the update",
    "beats": "held-out beats",
    "pvcs": "PVCs among the held-out beats",
    "sensitivity": "sensitivity",
    "precision": "precision",
    "loss": "loss on held-out patients",
}
"""Figure -> its name in texts for people."""

PVC_SHARES: dict[Figure, str] = {"train_pvcs": "train_beats", "pvcs": "beats"}
"""Number of PVCs that is shown as a share -> the number of beats that it is a share of."""

SHARES: tuple[Figure, ...] = (*PVC_SHARES, "sensitivity", "precision")
"""Figures that are shown in per cent."""


def deviations(sites: Mapping[str, SiteFigures]) -> dict[str, list[Figure]]:
    """Return the figures in which each site deviates from the others.

    A figure deviates if its modified z-score is above 3.5. This is the distance from the median,
    divided by a standard deviation that is estimated from the median absolute deviation. For a
    share, its standard error is added to the standard deviation, as in funnel plots with
    overdispersion (Spiegelhalter, Statistics in Medicine 2005). A site that differs by less than
    `LEAST_FACTOR`, `LEAST_FACTOR_OF_A_NORM` or `LEAST_H` is not listed, even if the other sites
    agree closely. With fewer than three sites, none is listed.

    Parameters
    ----------
    sites
        Site -> its figures.

    Returns
    -------
    dict of str to list of Figure
        Site -> the figures in which it deviates. Sites that do not deviate are missing.
    """
    deviating: dict[str, list[Figure]] = {}
    for name, scale in FIGURES.items():
        known = {
            site: scaled
            for site, figures in sites.items()
            if (scaled := scale(figures)) is not None
        }
        if len(known) < FEWEST_SITES:
            continue
        median = statistics.median(scaled.value for scaled in known.values())
        spread = MAD_TO_SIGMA * statistics.median(
            abs(scaled.value - median) for scaled in known.values()
        )
        for site, scaled in known.items():
            distance = abs(scaled.value - median)
            sigma = float(np.hypot(spread, scaled.error))
            if distance > LARGEST_Z * sigma and distance > scaled.least:
                deviating.setdefault(site, []).append(name)
    return deviating


def deviation_in_words(result: RoundResult, name: str) -> str:
    """Return the figures in which a site deviates as text, each with the median of the sites.

    Parameters
    ----------
    result
        Result of the round.
    name
        Name of the site.
    """
    return "; ".join(
        f"{figure_in_words(figure, result.by_site[name])} "
        f"(median {_median_in_words(figure, result.by_site)})"
        for figure in result.by_site[name].deviates
    )


def figure_in_words(figure: Figure, site: SiteFigures) -> str:
    """Return a figure's name and value, for instance "sensitivity 100.0 %"."""
    return f"{FIGURE_NAMES[figure]} {_value_in_words(figure, _shown(figure, site))}"


def _median_in_words(figure: Figure, sites: Mapping[str, SiteFigures]) -> str:
    return _value_in_words(
        figure,
        statistics.median(
            value for site in sites.values() if (value := _shown(figure, site)) is not None
        ),
    )


def _shown(figure: Figure, site: SiteFigures) -> float | None:
    """Return a figure as it is shown: a number of PVCs as a share of the beats."""
    if figure in PVC_SHARES:
        pvcs, beats = getattr(site, figure), getattr(site, PVC_SHARES[figure])
        return pvcs / beats if beats and pvcs is not None else None
    value: float | None = getattr(site, figure)
    return value


def _value_in_words(figure: Figure, value: float | None) -> str:
    if value is None:
        return "-"
    if figure in SHARES:
        return f"{100 * value:.1f} %"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
