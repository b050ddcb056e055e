"""Combine the figures that the sites report. A site may withhold any figure; a result covers the
sites that report it.
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
from ecgfl_cli.federation.release_steps.step import RoundUpdates
from ecgfl_cli.models.calibration import FEWEST_OF_A_SITE, Histogram
from ecgfl_cli.models.manifest import Metrics


@dataclass(frozen=True)
class Counts:
    """Numbers of a site's held-out beats: PVCs, other beats, and how many of each the model called
    V.
    """

    pvcs: int
    others: int
    true_positives: int
    false_positives: int

    @property
    def called(self) -> int:
        """Beats that the model called V."""
        return self.true_positives + self.false_positives


def mean_loss(replies: Sequence[TrainReply | EvaluateReply], max_ratio: float) -> float | None:
    """Return the mean of the sites' losses, weighted by their capped numbers of beats; None if no
    site reports a loss.
    """
    told = [
        (reply.loss, reply.examples)
        for reply in replies
        if reply.loss is not None and reply.examples
    ]
    weights = capped([examples for _, examples in told], max_ratio)
    return (
        sum(loss * weight for (loss, _), weight in zip(told, weights, strict=True)) / sum(weights)
        if told
        else None
    )


def combined_metrics(replies: Sequence[EvaluateReply], how: Combination) -> Metrics | None:
    """Combine the figures on the sites' held-out patients, as robustly as the weights.

    For a mean, the counts are added up, because the sensitivity of a site with three PVCs says
    little. A site's PVCs, and separately its other beats, count for at most `max_weight_ratio`
    times the usual number; the numbers that the model called V are reduced in proportion. For a
    median or trimmed mean, the result is the centre of the sites' sensitivities, precisions and
    losses; each is None if too few sites have it.

    beats and pvcs in the result are capped and cover the sites that report all three counts.
    """
    counts = [
        Counts(reply.pvcs, reply.examples - reply.pvcs, reply.true_positives, reply.false_positives)
        for reply in replies
        if reply.pvcs is not None
        and reply.true_positives is not None
        and reply.false_positives is not None
    ]
    pvcs, others = (
        capped(column, how.max_weight_ratio)
        for column in ([each.pvcs for each in counts], [each.others for each in counts])
    )
    if how.weights_sites:
        loss = mean_loss(replies, how.max_weight_ratio)
        found = sum(
            _in_proportion(each.true_positives, each.pvcs, kept)
            for each, kept in zip(counts, pvcs, strict=True)
        )
        false = sum(
            _in_proportion(each.false_positives, each.others, kept)
            for each, kept in zip(counts, others, strict=True)
        )
        sensitivity = min(found / total, 1.0) if (total := sum(pvcs)) else None
        precision = found / (found + false) if found + false else None
    else:
        loss = how.figure(
            [reply.loss for reply in replies if reply.loss is not None and reply.examples]
        )
        sensitivity = how.figure([each.true_positives / each.pvcs for each in counts if each.pvcs])
        precision = how.figure(
            [each.true_positives / each.called for each in counts if each.called]
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
    """Return the histograms of the sites that report the beats of both classes by logit."""
    return [
        Histogram(np.array(reply.others_by_logit), np.array(reply.pvcs_by_logit))
        for reply in replies
        if reply.others_by_logit is not None and reply.pvcs_by_logit is not None
    ]


def combined_histogram(sites: Sequence[Histogram], how: Combination) -> Histogram | None:
    """Combine the sites' beats by logit into one histogram, as robustly as the weights; None if too
    few sites have beats.

    Each site's histogram is normalised, separately for PVCs and other beats. In a mean, the weight
    of a site's PVCs is their capped number, and the same holds for its other beats. The proportion
    of PVCs to other beats is that of the sites' beats, each site's total capped: a site with few
    PVCs caps the others' PVCs, but does not make PVCs rarer. If nothing is capped, the result is
    the sum of the counts.

    For a median or trimmed mean, the result is the centre of the sites' cumulative distributions at
    each edge between two bins, and of their shares of PVCs. As long as fewer than half of the sites
    (for a trimmed mean: no more than are trimmed) lie, the result at each edge is the value of an
    honest site or between the values of two honest sites. The centre of cumulative distributions is
    again a cumulative distribution: it rises from 0 to 1. The median of the bins is not a
    distribution: if the sites' PVCs lie in different bins, it is 0 in all of them. Because an edge
    is a threshold, this is the threshold averaging of ROC curves (Fawcett, An introduction to ROC
    analysis, 2006) with a robust centre (Yin et al., ICML 2018). Sites with fewer than
    `FEWEST_OF_A_SITE` beats of a class are left out, because a small site counts as much as a large
    one.
    """
    if how.weights_sites:
        limits = capped([each.beats for each in sites], how.max_weight_ratio)
        shares = [limit / max(each.beats, 1.0) for each, limit in zip(sites, limits, strict=True)]
        others, pvcs = (
            _mean(column, shares, how)
            for column in ([each.others for each in sites], [each.pvcs for each in sites])
        )
        return None if others is None or pvcs is None else Histogram(others, pvcs)
    sites = [each for each in sites if each.fewest >= FEWEST_OF_A_SITE]
    if len(sites) < how.least_sites:
        return None
    beats = sum(capped([each.beats for each in sites], how.max_weight_ratio))
    share = float(how.centre(np.array([each.pvcs.sum() / each.beats for each in sites])))
    others, pvcs = (
        np.diff(
            how.centre(np.stack([counts.cumsum() / counts.sum() for counts in column])), prepend=0.0
        )
        for column in ([each.others for each in sites], [each.pvcs for each in sites])
    )
    return Histogram(others * beats * (1 - share), pvcs * beats * share)


def _mean(
    column: Sequence[NDArray[np.number]], shares: Sequence[float], how: Combination
) -> NDArray[np.number] | None:
    """Add up the sites' counts of one class, each site's total capped; None if too few sites have
    such beats.

    shares : share of each site's beats that count. The result is scaled to the number of beats of
    the class among these.
    """
    totals = [int(counts.sum()) for counts in column]
    if sum(total > 0 for total in totals) < how.least_sites:
        return None
    beats = sum(total * share for total, share in zip(totals, shares, strict=True))
    weights = capped(totals, how.max_weight_ratio)
    scaled = [
        counts * (weight / max(total, 1))
        for counts, weight, total in zip(column, weights, totals, strict=True)
    ]
    return np.asarray(np.sum(scaled, axis=0) * (beats / sum(weights)))


def training_figures(
    replies: Mapping[str, TrainReply],
    round_updates: RoundUpdates,
    weights: Mapping[str, float],
) -> dict[str, SiteFigures]:
    """Return what each site reported about its training.

    Parameters
    ----------
    replies
        The replies, by site.
    round_updates
        The updates of the round. Norm and counted beats are known of single updates only.
    weights
        Share of each site in the model, as far as it is known.
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


def add_measurements(by_site: dict[str, SiteFigures], replies: Mapping[str, EvaluateReply]) -> None:
    """Add what each site reported about its held-out patients. Compute sensitivity and precision
    from the counts if known.
    """
    for name, reply in replies.items():
        site = by_site.setdefault(name, SiteFigures())
        site.beats, site.pvcs, site.loss = reply.examples, reply.pvcs, reply.loss
        site.true_positives, site.false_positives = reply.true_positives, reply.false_positives
        site.sensitivity, site.precision = reply.sensitivity, reply.precision
        if reply.true_positives is not None and reply.pvcs:
            site.sensitivity = reply.true_positives / reply.pvcs
        if site.called:
            site.precision = (site.true_positives or 0) / site.called


def _in_proportion(called: int, beats: int, weight: float) -> float:
    """Return the number of beats that were called V, reduced in the same proportion as the
    beats.
    """
    return called if weight == beats else called * weight / beats
