"""Combine the figures that the sites report.

A site may withhold any figure. Each result covers the sites that report the figures for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.federation.coordinator.rounds.combining import Combination
from ecgfl_cli.federation.coordinator.runs.run_plan import SiteFigures
from ecgfl_cli.federation.messages import EvaluateReply, TrainReply
from ecgfl_cli.federation.release_steps.cap_beats import capped
from ecgfl_cli.federation.release_steps.reject_outliers import update_norm
from ecgfl_cli.federation.release_steps.step import RoundUpdates, SiteUpdate
from ecgfl_cli.models.calibration import FEWEST_OF_A_SITE, Histogram
from ecgfl_cli.models.manifest import Metrics


@dataclass(frozen=True)
class Counts:
    """Numbers of a site's held-out beats.

    Attributes
    ----------
    pvcs
        Number of PVCs.
    others
        Number of other beats.
    true_positives
        Number of PVCs that the model called V.
    false_positives
        Number of other beats that the model called V.
    """

    pvcs: int
    others: int
    true_positives: int
    false_positives: int

    @property
    def called(self) -> int:
        """Number of beats that the model called V."""
        return self.true_positives + self.false_positives


def mean_loss(replies: Sequence[TrainReply | EvaluateReply], max_ratio: float) -> float | None:
    """Return the mean of the sites' losses, weighted by their capped numbers of beats.

    Parameters
    ----------
    replies
        Replies of the sites.
    max_ratio
        Largest weight of a site, as a multiple of the usual number of beats; see `capped`.

    Returns
    -------
    float or None
        The mean; None if no site reports a loss.
    """
    reported = [
        (reply.loss, reply.examples)
        for reply in replies
        if reply.loss is not None and reply.examples
    ]
    if not reported:
        return None
    weights = capped([examples for _, examples in reported], max_ratio)
    weighted = (loss * weight for (loss, _), weight in zip(reported, weights, strict=True))
    return sum(weighted) / sum(weights)


def combined_metrics(replies: Sequence[EvaluateReply], combination: Combination) -> Metrics | None:
    """Combine the figures on the sites' held-out patients as robustly as the weights.

    For a mean, the sites' counts are added up, because the sensitivity at a site with three PVCs
    is very uncertain. A site's PVCs, and separately its other beats, count for at most
    `max_weight_ratio` times the usual number. The numbers of beats that the model called V are
    reduced in proportion.

    For a median or trimmed mean, the result is the median or trimmed mean of the sites'
    sensitivities, precisions and losses. Each of them is None if too few sites report it.

    Parameters
    ----------
    replies
        Replies of the sites.
    combination
        How the strategy of the run combines figures.

    Returns
    -------
    Metrics or None
        The combined figures; None if there are none. The numbers of beats and PVCs are capped, and
        cover the sites that report PVCs, true positives and false positives.
    """
    counts = [
        Counts(reply.pvcs, reply.examples - reply.pvcs, reply.true_positives, reply.false_positives)
        for reply in replies
        if reply.pvcs is not None
        and reply.true_positives is not None
        and reply.false_positives is not None
    ]
    pvcs = capped([site.pvcs for site in counts], combination.max_weight_ratio)
    others = capped([site.others for site in counts], combination.max_weight_ratio)
    if combination.weights_sites:
        loss = mean_loss(replies, combination.max_weight_ratio)
        true_positives = sum(
            _in_proportion(site.true_positives, site.pvcs, weight)
            for site, weight in zip(counts, pvcs, strict=True)
        )
        false_positives = sum(
            _in_proportion(site.false_positives, site.others, weight)
            for site, weight in zip(counts, others, strict=True)
        )
        called = true_positives + false_positives
        sensitivity = min(true_positives / total, 1.0) if (total := sum(pvcs)) else None
        precision = true_positives / called if called else None
    else:
        loss = combination.figure(
            [reply.loss for reply in replies if reply.loss is not None and reply.examples]
        )
        sensitivity = combination.figure(
            [site.true_positives / site.pvcs for site in counts if site.pvcs]
        )
        precision = combination.figure(
            [site.true_positives / site.called for site in counts if site.called]
        )
    if not counts and loss is None:
        return None
    return Metrics(
        beats=round(sum(pvcs) + sum(others)),
        pvcs=round(sum(pvcs)),
        loss=loss,
        sensitivity=sensitivity,
        precision=precision,
    )


def histograms(replies: Sequence[EvaluateReply]) -> list[Histogram]:
    """Return the histograms by logit of the sites that report them for both classes."""
    return [
        Histogram(np.array(reply.others_by_logit), np.array(reply.pvcs_by_logit))
        for reply in replies
        if reply.others_by_logit is not None and reply.pvcs_by_logit is not None
    ]


def combined_histogram(sites: Sequence[Histogram], combination: Combination) -> Histogram | None:
    """Combine the sites' histograms of beats by logit as robustly as the weights.

    Parameters
    ----------
    sites
        Histogram of each site.
    combination
        How the strategy of the run combines figures.

    Returns
    -------
    Histogram or None
        The combined histogram; None if too few sites have beats.

    Notes
    -----
    Each site's histogram is normalised, separately for PVCs and other beats.

    In a mean, the weight of a site's PVCs is their capped number; the same holds for its other
    beats. The ratio of PVCs to other beats is that of all sites together, after the total of each
    site is capped. Therefore a site with few PVCs limits the weight of the other sites' PVCs, but
    does not make PVCs rarer in the result. If no cap applies, the result is the sum of the counts.

    For a median or trimmed mean, the result is the median or trimmed mean of the sites' cumulative
    distributions at each edge between two bins, and of their shares of PVCs. It is again a
    cumulative distribution, which rises from 0 to 1. (The median of each bin would not be a
    distribution: if the PVCs of the sites are in different bins, it is 0 everywhere.) If fewer than
    half of the sites are dishonest (for a trimmed mean: no more than are trimmed), the result at
    each edge is the value of an honest site or between those of two honest sites. An edge is a
    threshold; this is therefore the threshold averaging of ROC curves (Fawcett, An introduction to
    ROC analysis, 2006) with a robust mean (Yin et al., ICML 2018). Sites with fewer than
    `FEWEST_OF_A_SITE` beats of a class are left out, because here a small site counts as much as a
    large one.
    """
    if combination.weights_sites:
        limits = capped([site.beats for site in sites], combination.max_weight_ratio)
        shares = [limit / max(site.beats, 1.0) for site, limit in zip(sites, limits, strict=True)]
        other_sum = _capped_sum([site.others for site in sites], shares, combination)
        pvc_sum = _capped_sum([site.pvcs for site in sites], shares, combination)
        return None if other_sum is None or pvc_sum is None else Histogram(other_sum, pvc_sum)
    sites = [site for site in sites if site.fewest >= FEWEST_OF_A_SITE]
    if len(sites) < combination.least_sites:
        return None
    beats = sum(capped([site.beats for site in sites], combination.max_weight_ratio))
    pvc_shares = np.array([site.pvcs.sum() / site.beats for site in sites])
    pvc_share = float(combination.centre(pvc_shares))
    others = _distribution([site.others for site in sites], combination)
    pvcs = _distribution([site.pvcs for site in sites], combination)
    return Histogram(others * beats * (1 - pvc_share), pvcs * beats * pvc_share)


def _distribution(
    histograms: Sequence[NDArray[np.number]], combination: Combination
) -> NDArray[np.float64]:
    """Return the combined distribution over the bins, shape (COUNTS,), of the beats of one class.

    It is computed from the cumulative distributions of the sites.
    """
    cumulative = np.stack([counts.cumsum() / counts.sum() for counts in histograms])
    return np.diff(combination.centre(cumulative), prepend=0.0)


def _capped_sum(
    histograms: Sequence[NDArray[np.number]], shares: Sequence[float], combination: Combination
) -> NDArray[np.number] | None:
    """Add up the sites' counts of one class after the total of each site is capped.

    Parameters
    ----------
    histograms
        Counts of each site by logit, shape (COUNTS,).
    shares
        Share of each site's beats that counts, from 0 to 1. The result is scaled to the number of
        beats of the class among these.
    combination
        How the strategy of the run combines figures.

    Returns
    -------
    array or None
        The sum, shape (COUNTS,); None if too few sites have beats of the class.
    """
    totals = [int(counts.sum()) for counts in histograms]
    if sum(total > 0 for total in totals) < combination.least_sites:
        return None
    beats = sum(total * share for total, share in zip(totals, shares, strict=True))
    weights = capped(totals, combination.max_weight_ratio)
    scaled = [
        counts * (weight / max(total, 1))
        for counts, weight, total in zip(histograms, weights, totals, strict=True)
    ]
    return np.asarray(np.sum(scaled, axis=0) * (beats / sum(weights)))


def training_figures(
    replies: Mapping[str, TrainReply],
    round_updates: RoundUpdates,
    weights: Mapping[str, float],
) -> dict[str, SiteFigures]:
    """Return the figures of each site's training.

    Parameters
    ----------
    replies
        Site -> its reply.
    round_updates
        The updates of the round. The norm and the counted beats of a site are known only if its
        update was not combined with others.
    weights
        Site -> its share in the new model, from 0 to 1, as far as it is known.

    Returns
    -------
    dict of str to SiteFigures
        Site -> its figures.
    """
    singles = {
        update.sites[0]: update for update in round_updates.updates if len(update.sites) == 1
    }
    norms = {
        name: update_norm(update.weights, round_updates.start) for name, update in singles.items()
    }
    beats = {name: round(update.beats) for name, update in singles.items()}
    return {
        name: SiteFigures(
            train_beats=reply.examples,
            train_pvcs=reply.pvcs,
            train_loss=reply.loss,
            update_norm=norms.get(name),
            counted_beats=beats.get(name),
            weight=weights.get(name),
        )
        for name, reply in replies.items()
    }


def shares_in_model(
    updates: Sequence[SiteUpdate],
    model: NDArray[np.float32],
    strategy: str,
    combination: Combination,
) -> dict[str, float]:
    """Return each site's share of a model; empty if these shares are not known.

    Parameters
    ----------
    updates
        The updates that were aggregated.
    model
        The result, shape (n,).
    strategy
        Name of the strategy. Krum's result is the weights of one site, up to rounding.
    combination
        The strategy's combination.
    """
    singles = {update.sites[0]: update for update in updates if len(update.sites) == 1}
    if len(singles) < len(updates):
        return {}
    if combination.weights_sites:
        total = sum(update.beats for update in updates)
        return {name: update.beats / total for name, update in singles.items()}
    if strategy == "krum":
        distances = {
            name: float(np.abs(update.weights.astype(np.float64) - model).max())
            for name, update in singles.items()
        }
        selected = min(distances, key=lambda name: distances[name])
        return {name: float(name == selected) for name in singles}
    return {}


def add_measurements(by_site: dict[str, SiteFigures], replies: Mapping[str, EvaluateReply]) -> None:
    """Add the figures on the held-out patients of each site.

    Sensitivity and precision are computed from the counts if the site reports these.

    Parameters
    ----------
    by_site
        Site -> its figures; changed in place.
    replies
        Site -> its reply.
    """
    for name, reply in replies.items():
        site = by_site.setdefault(name, SiteFigures())
        site.beats = reply.examples
        site.pvcs = reply.pvcs
        site.loss = reply.loss
        site.true_positives = reply.true_positives
        site.false_positives = reply.false_positives
        site.sensitivity = reply.sensitivity
        site.precision = reply.precision
        if reply.true_positives is not None and reply.pvcs:
            site.sensitivity = reply.true_positives / reply.pvcs
        if site.called:
            site.precision = (site.true_positives or 0) / site.called


def _in_proportion(called: int, beats: int, weight: float) -> float:
    """Return the number of beats called V, reduced in the same proportion as the beats.

    Parameters
    ----------
    called
        Number of beats that were called V.
    beats
        Number of all beats.
    weight
        Number of beats after the cap.
    """
    return called if weight == beats else called * weight / beats
