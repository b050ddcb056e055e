"""Confidence intervals by bootstrap over records: the beats of one record are not independent."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.evaluation.comparison import Comparison
from ecgfl_cli.evaluation.statistics import Statistic

Interval = tuple[float, float]


def bootstrap(
    comparisons: Sequence[Comparison],
    statistic: Statistic,
    *,
    repeats: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval | None:
    """Return the percentile interval of a gross statistic over resampled records.

    Source: Efron and Tibshirani 1993, chapter 13.

    None with fewer than two records, or if the statistic is undefined in every resample. Resamples
    in which it is undefined (no V in their records) are left out.

    Parameters
    ----------
    statistic
        One of `evaluation.statistics`.
    level
        Share of the resamples inside the interval, between 0 and 1.
    """
    drawn = _resamples(len(comparisons), repeats, level, seed)
    return _percentiles(_gross(comparisons, drawn, statistic), level)


def paired_bootstrap(
    first: Sequence[Comparison],
    second: Sequence[Comparison],
    statistic: Statistic,
    *,
    repeats: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval | None:
    """Return the percentile interval of the difference, first - second, of a gross statistic.

    Both figures are computed over the same resampled records. A resample counts if both are defined
    in it. All else is as in `bootstrap`.

    Parameters
    ----------
    first, second
        Comparisons of the same records in the same order; `ValueError` when their numbers differ.
        A record that is difficult for both does not change the difference, so this interval is
        narrower than the two intervals of `bootstrap` suggest.
    """
    if len(first) != len(second):
        raise ValueError(
            f"pairs need as many records on either side, got {len(first)} and {len(second)}"
        )
    drawn = _resamples(len(first), repeats, level, seed)
    return _percentiles(_gross(first, drawn, statistic) - _gross(second, drawn, statistic), level)


def _resamples(records: int, repeats: int, level: float, seed: int) -> NDArray[np.int64]:
    """Return how often each record was drawn in each resample, shape (repeats, records)."""
    if repeats < 1 or not 0.0 < level < 1.0:
        raise ValueError(
            f"an interval needs at least 1 repeat and a level between 0 and 1, got {repeats} and "
            f"{level}"
        )
    if records < 2:
        return np.empty((0, records), dtype=np.int64)
    return np.random.default_rng(seed).multinomial(
        records, np.full(records, 1.0 / records), size=repeats
    )


def _gross(
    comparisons: Sequence[Comparison], drawn: NDArray[np.int64], statistic: Statistic
) -> NDArray[np.float64]:
    """Return the statistic in each resample, shape (repeats,); NaN where it is undefined."""
    if not drawn.size:
        return np.empty(0)
    counts = np.tensordot(
        drawn, np.stack([comparison.matrix for comparison in comparisons]), axes=1
    )
    return statistic(counts, drawn @ np.asarray([comparison.seconds for comparison in comparisons]))


def _percentiles(figures: NDArray[np.float64], level: float) -> Interval | None:
    figures = figures[~np.isnan(figures)]
    if not figures.size:
        return None
    low, high = np.quantile(figures, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)
