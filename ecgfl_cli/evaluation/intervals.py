"""Confidence intervals that respect that the beats of one record are no independent draws."""

from collections.abc import Sequence

import numpy as np

from ecgfl_cli.evaluation.comparison import Comparison
from ecgfl_cli.evaluation.statistics import Statistic


def bootstrap(
    comparisons: Sequence[Comparison],
    statistic: Statistic,
    *,
    repeats: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Percentile interval of a gross statistic over resampled records (Efron and Tibshirani 1993, chapter 13).

    statistic : one of `evaluation.statistics`. level : share of the resamples inside the interval, between 0 and 1.

    None with fewer than two records, which say nothing about how records differ, and where no resample defines the statistic.
    Resamples that leave it undefined (no V among their records) are passed over.
    """
    if repeats < 1 or not 0.0 < level < 1.0:
        raise ValueError(f"an interval needs at least 1 repeat and a level between 0 and 1, got {repeats} and {level}")
    if len(comparisons) < 2:
        return None
    # How often each record was drawn says all there is to know about a resample.
    records = len(comparisons)
    drawn = np.random.default_rng(seed).multinomial(records, np.full(records, 1.0 / records), size=repeats)
    counts = np.tensordot(drawn, np.stack([comparison.matrix for comparison in comparisons]), axes=1)
    seconds = drawn @ np.asarray([comparison.seconds for comparison in comparisons])
    figures = statistic(counts, seconds)
    figures = figures[~np.isnan(figures)]
    if not figures.size:
        return None
    low, high = np.quantile(figures, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)
