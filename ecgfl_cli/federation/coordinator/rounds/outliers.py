"""Find sites whose figures deviate from those of the others. A person should look at them; no reply
is left out for this.
"""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ecgfl_cli.federation.coordinator.runs.run_plan import Figure, RoundResult, SiteFigures

LARGEST_Z = 3.5
"""Limit of the modified z-score: Iglewicz & Hoaglin, How to detect and handle outliers, ASQC
1993.
"""

MAD_TO_SIGMA = 1.4826
"""Standard deviation of a normal distribution, in median absolute deviations."""

LEAST_FACTOR = 10.0
"""Smallest factor between an amount and the median for which a site is listed. Hospitals differ:
four sites of mitdb have 1,250 to 8,800 beats."""

LEAST_FACTOR_OF_A_NORM = 4.0
"""The same for the norms of updates: those four sites made updates of 0.7 to 2.2 times the
median.
"""

LEAST_H = 0.8
"""Smallest difference between a share and the median for which a site is listed: Cohen's h of a
large difference (Statistical power analysis, 1988), for instance 12 % and 46 %, or 75 % and 100
%."""

FEWEST_SITES = 3
"""If two sites differ, it is unknown which one deviates."""


@dataclass(frozen=True)
class Scaled:
    """value : the figure on a scale on which distances can be compared. least : smallest distance
    for which a site is listed.

    error : standard error of a share; 0 for an amount.
    """

    value: float
    least: float
    error: float = 0.0


def _amount(value: float | None, factor: float = LEAST_FACTOR) -> Scaled | None:
    return (
        None if value is None or value <= 0 else Scaled(float(np.log(value)), float(np.log(factor)))
    )


def _share(part: int | None, total: int | None) -> Scaled | None:
    """Return twice the arcsine of the square root, whose error depends only on the total (Anscombe,
    Biometrika 1948).
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


WORDS: dict[Figure, str] = {
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
PVC_SHARES: dict[Figure, str] = {"train_pvcs": "train_beats", "pvcs": "beats"}
SHARES: tuple[Figure, ...] = (*PVC_SHARES, "sensitivity", "precision")
"""Figures that are shown in per cent."""


def deviations(sites: Mapping[str, SiteFigures]) -> dict[str, list[Figure]]:
    """Return the figures in which each site deviates from the others. Sites that do not deviate are
    not in the result.

    A figure deviates if its modified z-score is above 3.5: the distance from the median, in
    standard deviations estimated from the median absolute deviation. The standard error of a share
    is added to that standard deviation (as in funnel plots with overdispersion: Spiegelhalter,
    Statistics in Medicine 2005). A site that differs by less than `LEAST_FACTOR`,
    `LEAST_FACTOR_OF_A_NORM` or `LEAST_H` is not listed, even if the others agree closely. With
    fewer than three sites none is listed.
    """
    found: dict[str, list[Figure]] = {}
    for name, scale in FIGURES.items():
        known = {
            site: scaled
            for site, figures in sites.items()
            if (scaled := scale(figures)) is not None
        }
        if len(known) < FEWEST_SITES:
            continue
        middle = statistics.median(each.value for each in known.values())
        spread = MAD_TO_SIGMA * statistics.median(
            abs(each.value - middle) for each in known.values()
        )
        for site, each in known.items():
            distance = abs(each.value - middle)
            if distance > LARGEST_Z * float(np.hypot(spread, each.error)) and distance > each.least:
                found.setdefault(site, []).append(name)
    return found


def deviation_in_words(result: RoundResult, name: str) -> str:
    """Return the figures in which a site deviates, each with the median of the round's sites."""
    return "; ".join(
        f"{figure_in_words(figure, result.by_site[name])} (median {_median_in_words(figure, result.by_site)})"
        for figure in result.by_site[name].deviates
    )


def figure_in_words(figure: Figure, site: SiteFigures) -> str:
    """Return a figure's name and value, for instance "sensitivity 100.0 %"."""
    return f"{WORDS[figure]} {_value_in_words(figure, _shown(figure, site))}"


def _median_in_words(figure: Figure, sites: Mapping[str, SiteFigures]) -> str:
    return _value_in_words(
        figure,
        statistics.median(
            value for each in sites.values() if (value := _shown(figure, each)) is not None
        ),
    )


def _shown(figure: Figure, site: SiteFigures) -> float | None:
    if figure in PVC_SHARES:
        pvcs, beats = getattr(site, figure), getattr(site, PVC_SHARES[figure])
        return pvcs / beats if beats and pvcs is not None else None
    value: float | None = getattr(site, figure)
    return value


def _value_in_words(figure: Figure, value: float | None) -> str:
    if value is None:
        return "-"
    return (
        f"{100 * value:.1f} %"
        if figure in SHARES
        else f"{value:.4g}"
        if isinstance(value, float)
        else str(value)
    )
